"""How strong each corruption is at severities 1 to 5: all numbers of the benchmark in one place.

"ImageNet-C" stands for Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019. COCO-C (Michaelis et al., "Benchmarking Robustness in
Object Detection", 2019) applies the same numbers to whole images of any size, and so do we.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass

from cmpose_mm.old_names import old_names

VERSION = 1
"""Version of the benchmark, increased whenever a number here or a corrupted pixel changes."""

NUM_SEVERITIES = 5


@dataclass(frozen=True)
class SeverityTable:
    """Settings of one corruption.

    Attributes:
        values: one setting for each of the severities 1 to 5.
        meaning: meaning of a setting, with its unit.
        source: source of the settings, or 'ours'.
    """

    values: tuple
    meaning: str
    source: str


SEVERITIES = {
    'gaussian_noise': SeverityTable(
        (0.08, 0.12, 0.18, 0.26, 0.38), 'standard deviation, white is 1', 'ImageNet-C'
    ),
    'shot_noise': SeverityTable((60, 25, 12, 5, 3), 'photons at white', 'ImageNet-C'),
    'impulse_noise': SeverityTable(
        (0.03, 0.06, 0.09, 0.17, 0.27), 'share of the values set to 0 or 255', 'ImageNet-C'
    ),
    'defocus_blur': SeverityTable(
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        "radius of the disk and sigma of its edge's softening, pixels",
        'ImageNet-C',
    ),
    'motion_blur': SeverityTable(
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        'radius and sigma of the trail, pixels',
        'ImageNet-C; the trail is centered here',
    ),
    'low_light': SeverityTable(
        (0.5, 0.25, 0.12, 0.06, 0.03), 'share of the light that is left', 'ours'
    ),
    'jpeg_compression': SeverityTable((25, 18, 15, 10, 7), 'JPEG quality', 'ImageNet-C'),
    'moving_occluders': SeverityTable(
        (0.05, 0.1, 0.2, 0.3, 0.4), 'summed area of the occluders, share of the image', 'ours'
    ),
    'frame_drop': SeverityTable(
        (0.1, 0.25, 0.5, 0.75, 1.0), 'share of the frames that are lost', 'ours'
    ),
    'frame_freeze': SeverityTable((1, 2, 4, 8, 12), 'how many frames a neighbor is late', 'ours'),
}
"""Corruption -> its settings."""

NEIGHBOR_CORRUPTIONS = ('frame_drop', 'frame_freeze')
"""Corruptions of the neighbors only; the key frame does not change."""

IMAGE_CORRUPTIONS = tuple(name for name in SEVERITIES if name not in NEIGHBOR_CORRUPTIONS)
"""Corruptions of the pixels of a frame."""


def setting(corruption: str, severity: int):
    """The setting of a corruption at a severity.

    Raises:
        ValueError: if there is no such corruption or severity.
    """
    if corruption not in SEVERITIES:
        raise ValueError(
            f'no corruption named {corruption!r}, expected one of {", ".join(SEVERITIES)}'
        )
    is_whole = isinstance(severity, numbers.Integral) and not isinstance(severity, bool)
    if not is_whole or severity not in range(1, NUM_SEVERITIES + 1):
        raise ValueError(f'severity is {severity!r}, expected a whole number from 1 to 5')
    return SEVERITIES[corruption].values[severity - 1]


__getattr__ = old_names(__name__, {'NEIGHBOUR_CORRUPTIONS': 'NEIGHBOR_CORRUPTIONS'})
