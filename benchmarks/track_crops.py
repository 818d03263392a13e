"""What track crops save and cost: mAP, backbone passes and time, compared with key-frame crops.

Runs video inference over the frames of the config's test dataset, with the boxes of the labels (or
of ``test_dataloader.dataset.bbox_file``): with key-frame crops, with track crops, and with only the
model's backbone and head on single frames, whose time is the unit. Without a checkpoint, weights
are random and only passes and times are meaningful.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from tqdm import tqdm

from cmpose_mm.apis import VideoPoseInferencer
from cmpose_mm.apis.loading import find_config
from cmpose_mm.evaluation import RULES, average_precision
from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.evaluation.scored_frames import select_scored
from cmpose_mm.posetrack.annotations import Frame, Video, empty_frame, read_videos
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.posetrack.persons import detected_persons, labeled_persons

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
  python benchmarks/track_crops.py cmpose_demo.py work_dirs/demo/cmpose/iter_50.pth""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', nargs='?')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        help='for example test_dataloader.dataset.data_root=FOLDER')  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--half', choices=['bf16', 'fp16'])
    parser.add_argument('--videos', type=int, help='use only the first N videos')
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
    frame.boxes = np.full((len(frame.scores), 4), np.nan)
    frame.head_boxes, frame.ids = frame.boxes, np.full(len(frame.scores), -1)
    return frame


def single_frame_config(config: Config) -> Config:
    """The same backbone and head without the method."""
    config = config.copy()
    config.model.type = 'TopdownPoseEstimator'
    del config.model['method']
    return config


def random_checkpoint(config: Config, folder: str) -> str:
    """Random weights, only for measuring time."""
    init_default_scope('mmpose')
    path = os.path.join(folder, 'random.pth')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), path)
    return path


def main() -> None:
    args = parse_args()
    config = Config.fromfile(find_config(args.config))
    config.merge_from_dict(args.cfg_options)
    labels, clips = key_frames(config)
    labels, clips = labels[: args.videos], clips[: args.videos]
    rules = RULES[config.test_dataloader.dataset.get('dataset_name', 'posetrack18')[-2:]]
    costs, scores = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or random_checkpoint(config, folder)
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
            inferencer.cost = Cost()
            predicted = run(inferencer, labels, clips, mode)
            costs[mode] = inferencer.cost
            result = average_precision(select_scored(labels, predicted, rules=rules), rules=rules)
            scores[mode] = result.summary()['Total']
            # The head of a clip model is not trained for the features of a single frame.
            if args.checkpoint is None or mode == 'single frame':
                scores[mode] = None

    unit = costs['single frame'].seconds / costs['single frame'].persons
    flips = costs['single frame'].passes / costs['single frame'].persons
    print(f'torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads, '
          f'{args.device}; {costs["track"].persons} persons in key frames; '
          f'flip test {"on: all passes count twice" if flips > 1 else "off"}')  # fmt: skip
    rows = []
    for mode, cost in costs.items():
        each = cost.seconds / cost.persons
        score = '-' if scores[mode] is None else f'{scores[mode]:.2f}'
        passes = f'{cost.passes / cost.persons:.2f}'
        rows.append([mode, score, passes, f'{1000 * each:.1f}', f'{each / unit:.2f}'])
    header = ['crops', 'mAP', 'backbone passes', 'ms a person and frame', 'of a single-frame pass']
    print(markdown_table(header, rows))


if __name__ == '__main__':
    main()
