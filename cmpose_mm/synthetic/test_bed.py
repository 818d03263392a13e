"""The test bed: one fixed synthetic dataset for measuring what temporal context is worth.

Results can be compared only if the files are the same. So it has no settings, and checksums show
whether two copies are equal. `docs/synthetic.md` describes it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2

from cmpose_mm.whole_files import folder_sha256

from .dataset import Settings
from .scene import Difficulty

CLEAN = Difficulty(
    people=(1, 2),
    occluder_coverage=0.0,
    occluder_size=(0.005, 0.03),
    moving_occluders=1.0,
    occluder_speed=5.0,
    crossing=0.0,
    motion_blur=0.0,
    defocus=0.0,
    speed=2.0,
)
"""Fast people with nothing in front of them. The other splits change what they are named after.

Occluders are small and move by their own width within a frame or two, so a neighboring frame shows
most of what they hide.
"""
SPLITS = {
    'clean': CLEAN,
    'occluded': replace(CLEAN, occluder_coverage=0.2),
    'blurred': replace(
        CLEAN,
        occluder_coverage=0.06,
        occluder_speed=1.5,  # faster ones would show the five renderings averaged per exposure
        motion_blur=1.0,
        defocus=0.5,
        max_defocus=3.0,
        low_light=0.5,
        speed=3.0,
    ),
    'crowded': replace(CLEAN, people=(3, 4), crossing=0.5, occluder_coverage=0.05, speed=2.5),
}
"""Difficulty by validation split; the videos of ``train`` take them in turn."""

TEST_BED = Settings(
    videos={'train': 1200, **dict.fromkeys(SPLITS, 80)},
    frames=5,
    seed=2026,
    by_split={'train': tuple(SPLITS.values()), **{s: (d,) for s, d in SPLITS.items()}},
)
"""Version 1 of the test bed. A change of the test bed needs another number."""

OPENCV_VERSIONS = ('4.11.0', '4.12.0')
"""Versions whose images have these checksums; others may draw or compress differently."""
SHA256 = {
    'annotations': {
        'train': 'f83543007f909f0fcbb525230f0737c89cbb47c1e31f3190a687ea7bbf637692',
        'clean': 'cfa0165a783ede3faba3959392a9f089f561c59b9452590171f5ea6d8f9f8c86',
        'occluded': 'a3c0ad48b2e82bdb7ab4db45c57e5a81cf84aeb49d09471253f94a00984747e9',
        'blurred': '4a0a83980c3d2961d1d9a03a2cf79ee2eb26360d26b2285ce8ea028a12c8c172',
        'crowded': 'a267e01af608399d3db7cdeac2aac3521e160f6d35ac966f5744a9735a811438',
    },
    'images': {
        'train': '48e8799d0d43241f3bdc19b5010ca07026ed5f221f244fe15d2b53194f47148a',
        'clean': '254fed3b46b2d14ff5513a815a778b2a54e5addb34a0dd72d1cdc84210d1194c',
        'occluded': '0d32433ae54261ad6db1da9e13bc9de399559ed12b5344fd43d9aab4eb3bbb86',
        'blurred': '6a2e44e3da37eb18553730478260fdf9e8ce070e298ab205b5fb8257316c7511',
        'crowded': '9603eff846a3e5d86f990b1d992185ebe7f05cfe8cf1125d9f649810f4c94674',
    },
}
"""`folder_sha256` of ``annotations/SPLIT`` and ``images/SPLIT``."""


def differences(root: str | Path, expected: dict[str, dict[str, str]] = SHA256) -> list[str]:
    """One sentence for each folder of a test bed that does not match its checksum.

    Args:
        root: of the dataset.
        expected: `folder_sha256` by kind (``annotations`` or ``images``) and split.
    """
    sentences = []
    for kind, by_split in expected.items():
        for split, checksum in by_split.items():
            folder = Path(root) / kind / split
            if not folder.is_dir():
                sentences.append(f'{folder}: not found.')
                continue
            found = folder_sha256(folder)
            if found != checksum:
                sentence = f'{folder}: checksum {found}, expected {checksum}.'
                if kind == 'images' and cv2.__version__ not in OPENCV_VERSIONS:
                    sentence += (
                        f' Images may differ if drawn with another OpenCV than '
                        f'{" or ".join(OPENCV_VERSIONS)}; this is {cv2.__version__}.'
                    )
                sentences.append(sentence)
    return sentences
