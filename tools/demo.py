"""Shows CM-Pose at work in minutes, on data that it renders itself.

Renders training and validation videos, trains a small single-frame model, trains CM-Pose from it,
tests it, and writes a table and a picture. In the end the small model that ships with the package
finds the poses in one of the videos. The numbers of steps are fixed, so the same machine
gives the same result. Two idle CPU cores need about 9 minutes, or 10 to 31 if they are not
faster in bfloat16; each step shows its progress.

Example:
    python tools/demo.py
    python tools/demo.py --quick    # only a few videos and steps, to check that it runs
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from mmengine.runner import find_latest_checkpoint

from cmpose_mm import config_path
from cmpose_mm.apis import VideoPoseInferencer
from cmpose_mm.apis.mim_runs import run_mim
from cmpose_mm.evaluation.evaluate import evaluate_files
from cmpose_mm.evaluation.report import format_result
from cmpose_mm.synthetic import Settings, write_dataset
from cmpose_mm.visualization import draw_poses
from cmpose_mm.visualization.prediction_sheet import prediction_sheet

DATA, WORK = Path('data/synthetic_demo'), Path('work_dirs/demo')


@dataclass
class Size:
    """Amount of work in the demo; options are MMEngine's ``--cfg-options``."""

    settings: Settings
    epochs: int = 5
    options: dict[str, list[str]] = field(default_factory=dict)


FULL = Size(Settings(videos={'train': 1600, 'val': 80}, frames=4))
QUICK = Size(
    Settings(videos={'train': 12, 'val': 2}, frames=3),
    epochs=1,
    options={
        'single_frame': [
            'train_cfg.max_epochs=1',
            'train_cfg.val_interval=1',
            'default_hooks.logger.interval=1',
        ],
        'cmpose': [
            'train_cfg.max_iters=2',
            'default_hooks.checkpoint.interval=2',
            'default_hooks.logger.interval=1',
        ],
    },
)


class Clock:
    """Announces each step with the time so far."""

    def __init__(self, total: int) -> None:
        self.total, self.step, self.start = total, 0, time.monotonic()

    def announce(self, text: str) -> None:
        self.step += 1
        print(f'\n[{self.step}/{self.total}] {text}   ({self.elapsed()} so far)', flush=True)

    def elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        return f'{minutes}:{seconds:02d}'


def train(name: str, size: Size, options: list[str], epochs: int = 1) -> str:
    """Trains one of the demo's configs; returns the path of the checkpoint."""
    work = WORK / name
    shutil.rmtree(work, ignore_errors=True)
    options = [*options, *size.options.get(name, [])]
    command = ['train', 'mmpose', config_path(f'{name}_demo.py'), '--work-dir', str(work)]
    command.append('--no-validate')  # the demo tests at the end
    command += ['--cfg-options', *options] if options else []
    run_mim(command, work / 'output.log', epochs)
    return find_latest_checkpoint(str(work))


def draw_shipped_poses(video: Path, picture: Path) -> None:
    """Draws what `VideoPoseInferencer`, given nothing but a video, finds in its last frame."""
    inferencer = VideoPoseInferencer()
    print(f'boxes: {inferencer.box_source}')
    *_, last = inferencer(str(video))
    pred = last.data_sample.pred_instances
    shown = pred.keypoint_scores >= 0.2
    image = draw_poses(
        last.frame.image, pred.keypoints, shown, ids=pred.track_ids, scores=pred.bbox_scores
    )
    cv2.imwrite(str(picture), image)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='few videos and steps')
    parser.add_argument('--folder', default=str(Path(__file__).resolve().parents[1]),
                        help='holds data/ and work_dirs/ (default: the repository)')  # fmt: skip
    args = parser.parse_args(argv)
    try:
        run(args)
    except OSError as error:
        sys.exit(str(error))


def run(args: argparse.Namespace) -> None:
    """The demo's steps, in ``args.folder``.

    Raises:
        OSError: if the folder is missing or holds the videos of another demo, as --quick has them.
    """
    os.chdir(args.folder)
    size, clock = QUICK if args.quick else FULL, Clock(6)

    videos, frames = size.settings.videos, size.settings.frames
    clock.announce(f'Render {sum(videos.values())} videos of {frames} frames into {DATA}')
    write_dataset(DATA, size.settings, workers=os.cpu_count())

    clock.announce('Train the single-frame model that CM-Pose starts from')
    start = train('single_frame', size, [], size.epochs)

    clock.announce('Train CM-Pose')
    checkpoint = train('cmpose', size, [f'load_from={start}'])

    clock.announce('Test CM-Pose on the validation videos')
    predictions, dump = WORK / 'predictions', WORK / 'predictions.pkl'
    shutil.rmtree(predictions, ignore_errors=True)
    command = ['test', 'mmpose', config_path('cmpose_demo.py'), '--checkpoint', checkpoint]
    command += ['--work-dir', str(WORK / 'test'), '--dump', str(dump)]
    command += ['--cfg-options', f'test_evaluator.0.outfile_prefix={predictions}/']
    run_mim(command, WORK / 'test' / 'output.log')

    clock.announce('Table and picture')
    result = evaluate_files(DATA / 'annotations/val', predictions)
    result['protocol'] = {'boxes': 'ground truth', 'joint score': 'heatmap', **result['protocol']}
    print(format_result(result))
    with dump.open('rb') as file:
        samples = pickle.load(file)  # written by ourselves a moment ago
    picture = WORK / 'demo.jpg'
    cv2.imwrite(str(picture), prediction_sheet(samples))
    print(f'mAP {result["Total"]:.1f}.  Picture: {picture}')

    clock.announce('The small model that ships with the package, on one of the videos')
    video, shipped = min((DATA / 'images/val').iterdir()), WORK / 'shipped.jpg'
    draw_shipped_poses(video, shipped)
    print(f'\nDone in {clock.elapsed()}.  Pictures: {picture}, {shipped}')
    print(f'The same on a video of yours: python tools/infer_video.py {video}')


if __name__ == '__main__':
    main()
