"""What track crops save and cost: accuracy, backbone passes, time, compared with key-frame crops.

Runs video inference over the frames of the config's test dataset, with the boxes of the labels (or
of ``test_dataloader.dataset.bbox_file``): with key-frame crops, with track crops, and with only the
model's backbone and head on single frames, whose time is the unit. Without a checkpoint, weights
are random and only passes and times are meaningful. With several, of one config, means are given.

In brackets: 95 % of the draws of the films with replacement (each video is its own film unless a
clips.csv tells), checkpoints averaged. mAP is given if no clip cuts the body.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from tqdm import tqdm

from cmpose_mm.ablation import replace_section
from cmpose_mm.ablation.report import Comparison, value
from cmpose_mm.ablation.split_tests import scored_clips
from cmpose_mm.apis import VideoPoseInferencer
from cmpose_mm.apis.loading import find_config
from cmpose_mm.config_options import CfgOptions, merge_options
from cmpose_mm.evaluation import RULES, Rules, average_precision, correct_keypoints
from cmpose_mm.evaluation.report import markdown_table, mean_and_spread
from cmpose_mm.evaluation.scored_frames import select_scored
from cmpose_mm.posetrack.annotations import Frame, Video, empty_frame, read_videos
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.posetrack.persons import detected_persons, labeled_persons

MEASURES = {'Total AP': 'mAP', 'PCK@0.1': 'PCK@0.1', 'PCK@0.2': 'PCK@0.2'}
MODES = {'key frame': 'key_frame', 'track': 'track', 'single frame': 'key_frame'}


@dataclass
class Cost:
    """Cost of one mode.

    Attributes:
        persons: number of (person, key frame) pairs.
        passes: images through the backbone, including mirrored ones.
        seconds: in the model: backbone, method, head, decoding.
    """

    persons: int = 0
    passes: int = 0
    seconds: float = 0.0


class MeasuredInferencer(VideoPoseInferencer):
    """Counts and times the work of the model."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.cost = Cost()
        self.model.backbone.register_forward_pre_hook(self._count)

    def _count(self, backbone, inputs) -> None:
        self.cost.passes += len(inputs[0])

    def _synchronize(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    def _predict(self, persons: list) -> list:
        self._synchronize()
        start = time.perf_counter()
        results = super()._predict(persons)
        self._synchronize()
        self.cost.seconds += time.perf_counter() - start
        self.cost.persons += len(persons)
        return results


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python benchmarks/track_crops.py cmpose_demo.py work_dirs/demo/cmpose/iter_50.pth
  python benchmarks/track_crops.py experiments/jhmdb_cmpose.py seed*/iter_360.pth --device cuda \\
      --cfg-options test_dataloader.dataset.ann_file=annotations/clean""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('checkpoints', metavar='CHECKPOINT', nargs='*')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='for example test_dataloader.dataset.data_root=FOLDER')  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--half', choices=['bf16', 'fp16'])
    parser.add_argument('--videos', type=int, help='use only the first N videos')
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write into the section "track crops" of FILE')  # fmt: skip
    return parser.parse_args()


def key_frames(config: Config) -> tuple[list[Video], list[tuple[str, dict]]]:
    """Labels, and for each video its folder and the boxes by position of the frame."""
    dataset = config.test_dataloader.dataset
    root = dataset.get('data_root', '')
    labels = read_videos(os.path.join(root, dataset.ann_file))
    table = FrameTable(os.path.join(root, dataset.data_prefix.img))
    detections = None
    if dataset.get('bbox_file'):
        file = dataset.bbox_file
        file = file if os.path.exists(file) else os.path.join(root, file)
        detections = read_detections(file, labels, problems=[])
    clips = []
    for video in labels:
        frames = [(video, f) for f in video.frames if f.is_labeled and table.exists(f.file_name)]
        if not frames:
            raise SystemExit(f'{video.source}: no labeled frame of it is on disk')
        if detections is None:
            persons = labeled_persons(frames, table)
        else:
            found = [(video, f) for _, f in frames if f.image_id in detections]
            persons = detected_persons(found, detections, table)
        names = table.frames(frames[0][1].file_name)
        boxes: dict[int, list] = {}
        for person in persons:
            if person.problem is None:
                position = names.index(os.path.basename(person.frame.file_name))
                boxes.setdefault(position, []).append([*person.box, person.score])
        arrays = {position: np.array(rows) for position, rows in boxes.items()}
        boxes = {position: (rows[:, :4], rows[:, 4]) for position, rows in arrays.items()}
        clips.append((table.folder(frames[0][1].file_name), boxes))
    return labels, clips


def run(inferencer: MeasuredInferencer, labels: list[Video], clips: list, mode: str) -> list[Video]:
    """Predictions for all labeled frames."""
    predicted = []
    for video, (folder, boxes) in zip(tqdm(labels, desc=mode, unit=' videos'), clips):
        by_file = {os.path.basename(f.file_name): f for f in video.frames if f.is_labeled}
        frames = []
        for result in inferencer(folder, boxes):
            frame = by_file.get(os.path.basename(result.frame.path))
            if frame is not None:
                frames.append(predicted_frame(frame, result.data_sample.pred_instances))
        predicted.append(replace(video, frames=frames))
    return predicted


def predicted_frame(label: Frame, pred) -> Frame:
    """Joints are ranked by their own score times the box score, as in the published protocol."""
    frame = empty_frame(label.file_name, label.image_id, label.number)
    frame.keypoints = np.concatenate([pred.keypoints, np.ones_like(pred.keypoints[..., :1])], -1)
    frame.scores = pred.keypoint_scores * pred.bbox_scores[:, None]
    frame.track_ids = pred.track_ids
    frame.boxes = np.concatenate([pred.bboxes[:, :2], pred.bboxes[:, 2:] - pred.bboxes[:, :2]], 1)
    frame.head_boxes = np.full((len(frame.scores), 4), np.nan)
    frame.ids = np.full(len(frame.scores), -1)
    return frame


def single_frame_config(config: Config) -> Config:
    """The same backbone and head without the method."""
    config = copy.deepcopy(config)
    config.model.type = 'TopdownPoseEstimator'
    for part in ('method', 'frame_head', 'freeze_backbone'):
        config.model.pop(part, None)
    return config


def random_checkpoint(config: Config, folder: str) -> str:
    """Random weights, only for measuring time."""
    init_default_scope('mmpose')
    path = os.path.join(folder, 'random.pth')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), path)
    return path


def accuracy(labels: list[Video], predicted: list[Video], folder: Path, rules: Rules) -> dict:
    """PCK by the box of each clip and, if all show the whole body, mAP; see `scored_clips`."""
    scored = select_scored(labels, predicted, rules=rules)
    clips = scored_clips(scored, folder, pck=correct_keypoints(scored), rules=rules)
    if 'ranked' not in clips:
        return {'clips': clips}
    total = average_precision(scored, rules=rules).summary()['Total']
    return {'clips': clips, 'Total AP': total}


def main() -> None:
    args = parse_args()
    config = Config.fromfile(find_config(args.config))
    merge_options(config, args.cfg_options)
    labels, clips = key_frames(config)
    labels, clips = labels[: args.videos], clips[: args.videos]
    dataset = config.test_dataloader.dataset
    folder = Path(dataset.get('data_root', ''), dataset.ann_file)
    rules = RULES[dataset.get('dataset_name', 'posetrack18')[-2:]]
    costs = {mode: Cost() for mode in MODES}
    scores: dict[str, list[dict]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as random_folder:
        for checkpoint in args.checkpoints or [random_checkpoint(config, random_folder)]:
            for mode, crops in MODES.items():
                inferencer = MeasuredInferencer(
                    config if mode != 'single frame' else single_frame_config(config),
                    checkpoint,
                    device=args.device,
                    crops=crops,
                    batch_size=args.batch_size,
                    half=args.half,
                )
                next(inferencer(*clips[0]))  # warm up
                inferencer.cost = costs[mode]
                predicted = run(inferencer, labels, clips, mode)
                # The head of a clip model is not trained for the features of a single frame.
                if args.checkpoints and mode != 'single frame':
                    scores[mode].append(accuracy(labels, predicted, folder, rules))

    unit = costs['single frame'].seconds / costs['single frame'].persons
    flips = costs['single frame'].passes / costs['single frame'].persons
    hardware = torch.cuda.get_device_name() if 'cuda' in args.device else platform.machine()
    lines = [
        f'torch {torch.__version__}, {hardware}, {torch.get_num_threads()} threads, '
        f'{args.device}; {costs["track"].persons} persons in key frames; '
        f'flip test {"on: all passes count twice" if flips > 1 else "off"}'
    ]
    rows = []
    for mode, cost in costs.items():
        each = cost.seconds / cost.persons
        cells = [
            mean_and_spread([value(measures, name) for measures in scores[mode]], digits=2)
            for name in MEASURES
        ]
        passes = f'{cost.passes / cost.persons:.2f}'
        rows.append([mode, *cells, passes, f'{1000 * each:.1f}', f'{each / unit:.2f}'])
    header = ['crops', *MEASURES.values(), 'backbone passes', 'ms a person and frame',
              'of a single-frame pass']  # fmt: skip
    lines.append(markdown_table(header, rows))
    if args.checkpoints:
        pairs = list(zip(scores['track'], scores['key frame']))
        found = {name: Comparison(pairs, measure) for measure, name in MEASURES.items()}
        lines.append(
            'Track minus key frame: '
            + ', '.join(f'{name} {difference}' for name, difference in found.items())
        )
    print(*lines, sep='\n\n')
    if args.docs is not None:
        command = f'    {shlex.join(["python", *sys.argv])}'
        replace_section(args.docs, 'track crops', '\n\n'.join([command, *lines]))


if __name__ == '__main__':
    main()
