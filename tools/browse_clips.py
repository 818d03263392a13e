"""Writes sheets of clips as the model gets them: augmented frames with their labels.

    python tools/browse_clips.py configs/cmpose_vit_posetrack18.py --out work_dirs/clips

Check that the skeleton lies on the person in the key frame, which has a yellow border; that left
(green) and right (orange) are correct even in flipped clips; that the neighboring frames show the
same crop a moment earlier and later; and that the targets peak at the joints. The neighboring
frames show the key frame's joints as dots, so moving joints have moved away from their dots.
"""

import argparse
import os

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tqdm import tqdm

import cmpose_mm  # noqa: F401  registers dataset and transforms
from cmpose_mm.apis.loading import find_config
from cmpose_mm.config_options import CfgOptions, merge_options
from cmpose_mm.visualization.clip_sheets import draw_sheets, labeled_dataset


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='e.g. configs/cmpose_vit_posetrack18.py')
    parser.add_argument('--out', required=True, help='folder for the sheets, sheet_000.png ...')
    parser.add_argument('--split', default='train', choices=['train', 'val', 'test'])
    parser.add_argument('--num-clips', type=int, default=16, help='spread evenly over the dataset')
    parser.add_argument('--indices', type=int, nargs='+', help='show these samples instead')
    parser.add_argument('--clips-per-sheet', type=int, default=4)
    parser.add_argument('--epoch', type=int, default=0, help='augment as in this epoch')
    parser.add_argument('--seed', type=int, default=0, help='seed of the training')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='changes to the config, e.g. train_dataloader.dataset.data_root=/data/posetrack18',
    )
    args = parser.parse_args()
    for name in ('num_clips', 'clips_per_sheet'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)}: expected at least 1.')
    if args.epoch < 0:
        parser.error(f'--epoch {args.epoch}: expected at least 0.')
    try:
        browse_clips(args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def browse_clips(args: argparse.Namespace) -> None:
    """Writes the sheets.

    Raises:
        ValueError: one sentence about the config, its labels, or indices that it does not have.
        OSError: if the config or a frame is not there, or a sheet can not be written.
    """
    config = Config.fromfile(find_config(args.config))
    merge_options(config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmpose'))
    if 'dataset' not in (config.get(f'{args.split}_dataloader') or {}):
        raise ValueError(f'{args.config}: has no {args.split}_dataloader.dataset, expected one.')
    dataset = labeled_dataset(config, args.split)
    dataset.set_epoch(args.epoch, args.seed)
    indices = args.indices
    if indices is None:
        count = min(args.num_clips, len(dataset))
        indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    strange = [index for index in indices if not 0 <= index < len(dataset)]
    if strange:
        raise ValueError(
            f'--indices {strange[0]}: the dataset has {len(dataset)} samples, expected 0 to '
            f'{len(dataset) - 1}.'
        )

    os.makedirs(args.out, exist_ok=True)
    total = -(-len(indices) // args.clips_per_sheet)
    sheets = draw_sheets(dataset, indices, args.clips_per_sheet)
    for number, sheet in enumerate(tqdm(sheets, total=total, unit='sheet', disable=None)):
        path = os.path.join(args.out, f'sheet_{number:03d}.png')
        if not cv2.imwrite(path, sheet):
            raise OSError(f'{path}: can not be written.')
    print(f'{total} sheets with {len(indices)} of {len(dataset)} clips in {args.out}')


if __name__ == '__main__':
    main()
