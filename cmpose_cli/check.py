"""Tells what a PoseTrack folder holds, and whether training can start."""

from __future__ import annotations

import argparse
import os

NEEDS_MMPOSE = False
EPILOG = """example:
  %(prog)s data/posetrack18

It knows the official layout, MMPose's (merged files), and that of DCPose's supplement. Each label
folder or file it finds is read as the dataset reads it. Listed are counts, everything that is
wrong with file and reason, and the config lines that fit. The exit status is 0 only if there are
usable training and validation labels with all their key frames on disk."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('data_root', help='e.g. data/posetrack18')
    parser.add_argument(
        '--image-root',
        help="folder that the labels' file names start from, relative to DATA_ROOT or absolute; "
        'searched for by default',
    )
    parser.add_argument(
        '--read-images',
        action='store_true',
        help='also read every image to find truncated ones (minutes for all of PoseTrack)',
    )


def run(args: argparse.Namespace) -> int:
    """Checks and prints; returns the exit status."""
    if not os.path.isdir(args.data_root):
        args.error(f'{args.data_root}: no such folder')
    from cmpose_mm.posetrack.check import check_root, missing_splits, other_label_folders

    reports = check_root(args.data_root, args.image_root, args.read_images)
    for report in reports:
        print(report, end='\n\n')
    others = other_label_folders(args.data_root, reports)
    if others:
        print(
            f'Not looked at: {", ".join(others)}. Looked for are annotations/train, '
            'annotations/val and the like (docs/data.md); ann_file of a config may name any '
            'folder.\n'
        )
    missing = missing_splits(reports)
    if missing:
        found = 'no labels were found' if not reports else 'see above'
        print(f'Training can NOT start: no usable {" and ".join(missing)} labels ({found}).')
        return 1
    print('Training can start.')
    return 0
