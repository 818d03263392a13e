"""What boxes that come without labels cost: recall of the boxes, PCK of the poses, time.

    python benchmarks/own_boxes.py data/jhmdb --labels annotations/clean
    python benchmarks/own_boxes.py data/jhmdb --labels annotations/clean --every 6 --sources labeled

Sources, each with the model that ships (or --config and --checkpoint):
    labeled           the labeled boxes
    ssdlite           SSDLite in every frame
    ssdlite, followed what `VideoPoseInferencer(detector='ssdlite')` does
    whole frame xN    the whole frame; N times replaced by the box of its pose
    searched          the whole frame or an upright part of it, see `PoseSearch`, in every frame
    followed          what `VideoPoseInferencer(detector='whole_frame')` does

Recall: labeled persons whose box overlaps a given one by at least half (intersection over union).
PCK: over all labeled joints, of the labeled box; persons without a box have found no joint. Time: a
frame, with reading, on this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from cmpose_mm.apis import PoseTrackWriter, VideoPoseInferencer, open_frames
from cmpose_mm.apis.followed_boxes import PoseSearch, refined
from cmpose_mm.apis.person_boxes import whole_frame
from cmpose_mm.apis.ssdlite import INSTALL, SSDLiteDetector, is_installed
from cmpose_mm.config_options import CfgOptions
from cmpose_mm.evaluation import evaluate_files
from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.posetrack.annotations import Video, read_videos
from cmpose_mm.posetrack.frames import list_images
from cmpose_mm.posetrack.persons import clip_box, person_boxes
from cmpose_mm.tracking import box_iou
from cmpose_mm.weights import shipped_model

SOURCES = (
    'labeled', 'ssdlite', 'ssdlite, followed', 'whole frame x0', 'whole frame x1',
    'whole frame x2', 'whole frame x3', 'searched', 'followed',
)  # fmt: skip


def refined_frame(inferencer: VideoPoseInferencer, times: int) -> Callable:
    """Box source: the whole frame, replaced so many times by the box of the pose in it."""

    def source(frame):
        boxes, scores = whole_frame(frame)
        for _ in range(times):
            boxes, _ = refined(inferencer.estimate, frame, boxes)
        return boxes, scores

    return source


def labeled_boxes(
    video: Video, names: list[str] | None = None
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Boxes (P, 4) and scores (P,) by the frame's place among the images of its folder.

    Args:
        video: the labels.
        names: of the images; those that the labels do not list have nobody. By default the images
            are those that the labels list.
    """
    names = names or [Path(frame.file_name).name for frame in video.frames]
    boxes = {place: (np.zeros((0, 4)), np.zeros(0)) for place in range(len(names))}
    for frame in video.frames:
        if Path(frame.file_name).name not in names:
            raise FileNotFoundError(f'{frame.file_name} (video {video.name}): image not found')
        place = names.index(Path(frame.file_name).name)
        persons = person_boxes(frame.boxes, frame.keypoints)
        size = (frame.width, frame.height) if frame.width else (10**6, 10**6)
        boxes[place] = clip_box(persons, *size), np.ones(len(persons))
    return boxes


def source_for(
    name: str, inferencers: dict[str, VideoPoseInferencer], truth: dict
) -> tuple[VideoPoseInferencer, object]:
    """The inferencer and the boxes to give it for a video with these labels; None: its own."""
    if name.endswith('followed'):
        return inferencers['ssdlite' if name.startswith('ssdlite') else 'whole_frame'], None
    inferencer = inferencers['whole_frame']
    if name == 'labeled':
        return inferencer, truth
    if name == 'ssdlite':
        return inferencers['ssdlite'], SSDLiteDetector()
    if name == 'searched':
        return inferencer, PoseSearch(inferencer.estimate)
    return inferencer, refined_frame(inferencer, int(name[-1]))


def measure(
    name: str,
    videos: list[Video],
    root: Path,
    labels: Path,
    inferencers: dict[str, VideoPoseInferencer],
) -> list[str]:
    """One row of the table."""
    found = count = frames = 0
    seconds = 0.0
    with tempfile.TemporaryDirectory() as out:
        for video in tqdm(videos, desc=name, unit='video'):
            folder = root / Path(video.frames[0].file_name).parent
            truth = labeled_boxes(video, list_images(str(folder)))
            inferencer, boxes = source_for(name, inferencers, truth)
            start = time.perf_counter()
            results = list(inferencer(open_frames(str(folder)), boxes))
            seconds += time.perf_counter() - start
            frames += len(results)
            with PoseTrackWriter(Path(out) / f'{video.name}.json', video.name) as writer:
                for place, result in enumerate(results):
                    writer.write(result)
                    expected = truth[place][0]
                    given = np.asarray(result.data_sample.pred_instances.bboxes, np.float64)
                    count += len(expected)
                    if len(expected) and len(given):
                        found += (box_iou(expected, given).max(axis=1) >= 0.5).sum()
        names = [video.name for video in videos]
        result = evaluate_files(labels, out, videos=names, pck_norms=['box'])['pck']['box']
    return [
        name,
        f'{100 * found / count:.1f}',
        f'{result["PCK@0.2"]["Total"]:.1f}',
        f'{result["PCK@0.1"]["Total"]:.1f}',
        f'{1000 * seconds / frames:.0f}',
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help='folder of annotations/ and images/')
    parser.add_argument('--labels', default='annotations/clean', metavar='DIR',
                        help='below root (default: annotations/clean)')  # fmt: skip
    parser.add_argument('--every', type=int, default=1, help='take every n-th clip (default: 1)')
    parser.add_argument('--sources', nargs='+', choices=SOURCES, metavar='NAME',
                        help='rows of the table (default: all that are installed)')  # fmt: skip
    parser.add_argument('--config', help='with --checkpoint: another model')
    parser.add_argument('--checkpoint')
    parser.add_argument('--crops', choices=['key_frame', 'track'],
                        help="how clips are cut (default: the model's)")  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        metavar='KEY=VALUE')  # fmt: skip
    args = parser.parse_args()
    if (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint: found one of them, expected both or none')
    sources = args.sources or SOURCES
    missing = [] if is_installed() else [name for name in sources if name.startswith('ssdlite')]
    if missing and args.sources:
        parser.error(f'--sources {", ".join(missing)}: SSDLite is not installed; {INSTALL}')
    sources = [name for name in sources if name not in missing]
    labels = args.root / args.labels
    videos = read_videos(labels)[:: args.every]
    model = (args.config, args.checkpoint) if args.config else shipped_model()
    kinds = ['whole_frame', *(['ssdlite'] if any(s.startswith('ssdlite') for s in sources) else [])]
    inferencers = {
        kind: VideoPoseInferencer(
            *model,
            detector=kind,
            crops=args.crops,
            device=args.device,
            cfg_options=args.cfg_options,
        )
        for kind in kinds
    }
    rows = [measure(name, videos, args.root, labels, inferencers) for name in sources]
    threads = f'{torch.get_num_threads()} threads' if args.device == 'cpu' else args.device
    print(f'{len(videos)} clips of {labels}, {inferencers["whole_frame"].crops} crops, {threads}')
    print(markdown_table(['boxes', 'recall', 'PCK@0.2', 'PCK@0.1', 'ms a frame'], rows))
    if missing:
        print(f'Left out: {"; ".join(missing)}. SSDLite is not installed; {INSTALL}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
