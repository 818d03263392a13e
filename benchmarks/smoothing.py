"""What smoothing gains and costs: AP, PCK and acceleration error.

Of predictions as they are, smoothed with the One-Euro filter (`cmpose infer --smooth`), and with
Savitzky-Golay (`cmpose smooth`).

    python benchmarks/smoothing.py data/jhmdb/annotations/clean PREDICTIONS --frame-rate 30

PREDICTIONS is a folder of files in PoseTrack18's form with track ids, one for each video of LABELS;
others are left out. Acceleration: head sizes per frame squared.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson
from tqdm import tqdm

sys.modules['mmpose'] = None  # not needed here, and importing it takes seconds

from cmpose_mm.evaluation import evaluate_files  # noqa: E402
from cmpose_mm.evaluation.report import markdown_table  # noqa: E402
from cmpose_mm.posetrack.annotations import read_videos  # noqa: E402
from cmpose_mm.smoothing import OneEuroSmoother, smooth_predictions  # noqa: E402


def one_euro(content: dict, frame_rate: float) -> dict:
    """A file's content with the joints of each track smoothed, one video."""
    content, smoother = copy.deepcopy(content), OneEuroSmoother()
    for place, image in enumerate(content['images']):
        persons = [a for a in content['annotations'] if a['image_id'] == image['id']]
        if not persons:
            continue
        poses = np.array([person['keypoints'] for person in persons]).reshape(len(persons), -1, 3)
        sizes = np.array([max(person['bbox'][2:]) for person in persons])
        ids = np.array([person['track_id'] for person in persons])
        poses[..., :2] = smoother.update(ids, poses[..., :2], sizes, place / frame_rate)
        for person, pose in zip(persons, poses):
            person['keypoints'] = pose.flatten().tolist()
    return content


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('labels', metavar='LABELS', type=Path)
    parser.add_argument('predictions', metavar='PREDICTIONS', type=Path)
    parser.add_argument('--frame-rate', type=float, required=True, metavar='F')
    parser.add_argument('--windows', type=float, nargs='+', default=[0.25], metavar='S',
                        help='of Savitzky-Golay, in seconds (default: 0.25)')  # fmt: skip
    args = parser.parse_args()
    ways = {
        'as predicted': lambda content: content,
        'One-Euro': lambda content: one_euro(content, args.frame_rate),
    }
    for window in args.windows:
        ways[f'Savitzky-Golay, {window} s'] = lambda content, window=window: smooth_predictions(
            content, frame_rate=args.frame_rate, window=window
        )[0]
    names = [video.name for video in read_videos(args.labels)]
    rows = []
    for name, smooth in tqdm(ways.items()):
        with tempfile.TemporaryDirectory() as out:
            for video in names:
                content = orjson.loads((args.predictions / f'{video}.json').read_bytes())
                (Path(out) / f'{video}.json').write_bytes(orjson.dumps(smooth(content)))
            result = evaluate_files(args.labels, out, jitter=True, pck_norms=['box'])
        jitter, pck = result['jitter'], result['pck']['box']
        values = [jitter['error'], jitter['predicted'], jitter['labeled']]
        rows.append(
            [name, f'{result["Total"]:.1f}']
            + [f'{pck[f"PCK@{bound}"]["Total"]:.1f}' for bound in (0.2, 0.1, 0.05)]
            + [f'{value:.3f}' for value in values]
        )
    print(f'{len(names)} videos of {args.labels}\n')
    header = ['', 'AP', 'PCK@0.2', 'PCK@0.1', 'PCK@0.05']
    header += ['acceleration error', 'acceleration of predictions', 'of labels']
    print(markdown_table(header, rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
