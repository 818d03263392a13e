"""Times the overlay: milliseconds of CPU to draw a frame, the best of several rounds in turn.

Example:
    python benchmarks/drawing.py --persons 10 --size 1280 720
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.joint_sets import POSETRACK
from cmpose_mm.visualization.overlay import PoseOverlay

FRAME_RATE, FRAMES = 30, 60
OVERLAYS = {
    'copy of the frame alone': None,
    '`--color-by joints --no-names`': dict(color_by='joints', names=False),
    '`--color-by joints`': dict(color_by='joints'),
    '`--color-by side`': dict(color_by='side'),
    '`--color-by person` (default)': dict(),
    '... `--draw-boxes`': dict(boxes=True),
    '... `--legend`': dict(legend=True),
    '... `--trails 1`': dict(trails=1.0),
    '... all three': dict(boxes=True, legend=True, trails=1.0),
}


def walking(persons: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (FRAMES, P, 15, 2) and boxes (FRAMES, P, 4) of persons who cross the picture."""
    rng = np.random.default_rng(0)
    start = rng.uniform((0.1 * width, 0.3 * height), (0.9 * width, 0.7 * height), (persons, 2))
    body = rng.uniform((-0.04 * width, -0.2 * height), (0.04 * width, 0.2 * height),
                       (persons, len(POSETRACK), 2))  # fmt: skip
    step = rng.uniform(-3, 3, (persons, 2))
    moved = start + np.arange(FRAMES)[:, None, None] * step
    joints = moved[:, :, None] + body
    return joints, np.concatenate([joints.min(axis=2), joints.max(axis=2)], axis=-1)


def milliseconds(options: dict | None, image: np.ndarray, joints: np.ndarray, boxes: np.ndarray):
    """Of a frame, on average over the video's second half (trails are long then)."""
    overlay = None if options is None else PoseOverlay(**options)
    persons = joints.shape[1]
    shown, ids = np.ones((persons, len(POSETRACK)), bool), np.arange(persons)
    scores = np.full(persons, 0.87)
    for frame in range(FRAMES):
        if frame == FRAMES // 2:
            start = time.process_time()
        if overlay is None:
            image.copy()
        else:
            overlay.draw(image, joints[frame], shown, ids, scores, boxes[frame], frame / FRAME_RATE)
    return (time.process_time() - start) * 1000 / (FRAMES - FRAMES // 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--persons', type=int, default=10, help='in each frame (default: 10)')
    parser.add_argument('--size', type=int, nargs=2, default=(1280, 720), metavar=('W', 'H'),
                        help='of the frames in pixels (default: 1280 720)')  # fmt: skip
    parser.add_argument('--rounds', type=int, default=7, help='(default: 7)')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    width, height = args.size
    image = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    joints, boxes = walking(args.persons, width, height)
    times = [
        [milliseconds(options, image, joints, boxes) for options in OVERLAYS.values()]
        for _ in range(args.rounds)
    ]
    print(f'{args.persons} persons, {width} x {height}, OpenCV {cv2.__version__}, one thread')
    rows = [[name, f'{best:.2f}'] for name, best in zip(OVERLAYS, np.min(times, axis=0))]
    print(markdown_table(['overlay', 'ms a frame'], rows))


if __name__ == '__main__':
    main()
