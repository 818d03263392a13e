"""Writes a trained model as a file that runs without MMPose."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

NEEDS_MMPOSE = True
TOLERANCE = 1e-4
EPILOG = """example:
  %(prog)s configs/cmpose_vit_posetrack18.py epoch_20.pth pose.onnx --check

The file's suffix decides the format: .onnx for ONNX, .pt2 for torch.export. Both may be given.
Input is a batch of cropped clips (B, T, 3, H, W) uint8 in BGR, output are the heatmaps
(B, K, H/4, W/4) of the key frames. Everything else you need is in the file's metadata, which
docs/export.md explains and examples/run_onnx.py uses."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('config', help='e.g. configs/cmpose_vit_posetrack18.py')
    parser.add_argument('checkpoint', help='e.g. work_dirs/cmpose_vit_posetrack18/epoch_20.pth')
    parser.add_argument('output', nargs='+', help='file.onnx, file.pt2, or both')
    parser.add_argument('--opset', type=int, default=17, help='ONNX operator set (default: 17)')
    parser.add_argument(
        '--check',
        action='store_true',
        help='run each file on random clips, batches of 1, 2 and 5, and print the largest '
        f"difference from the model's heatmaps; exit status 1 if it is above {TOLERANCE:g}",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the files; returns the exit status.

    Raises:
        SystemExit: with the sentence that says what is wrong.
    """
    for path in args.output:
        if not path.endswith(('.onnx', '.pt2')):
            args.error(f'{path}: expected a name that ends in .onnx or .pt2')
    from cmpose_mm.apis.loading import load_pose_model

    try:
        model = load_pose_model(args.config, args.checkpoint)
        differences = [write(model, path, args) for path in args.output]
    except (OSError, ModuleNotFoundError, NotImplementedError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if any(math.isnan(difference) for difference in differences):
        raise SystemExit('Heatmaps are not finite, expected a checkpoint whose weights are.')
    if max(differences) > TOLERANCE:
        raise SystemExit(f'The largest difference is above {TOLERANCE:g}.')
    return 0


def write(model, path: str, args: argparse.Namespace) -> float:
    """Writes one file; returns its difference from the model, 0 without ``--check``."""
    from cmpose_mm.apis.export import export_onnx, export_torch, largest_difference

    if path.endswith('.onnx'):
        export_onnx(model, path, args.opset)
    else:
        export_torch(model, path)
    size = sum(file.stat().st_size for file in (Path(path), Path(f'{path}.data')) if file.exists())
    print(f'{path}: {size / 1e6:.1f} MB')
    if not args.check:
        return 0.0
    difference = largest_difference(model, path)
    print(f'{path}: heatmaps differ from the model by at most {difference:.1e}')
    return difference
