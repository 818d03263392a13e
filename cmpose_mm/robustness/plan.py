"""Which tests the benchmark takes: corruption, severity and mode, with neighbors and without.

T: frames of a clip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cmpose_mm.corruptions import (
    IMAGE_CORRUPTIONS,
    NEIGHBOR_CORRUPTIONS,
    NUM_SEVERITIES,
    SEVERITIES,
)

IMAGE_MODES = ('key', 'persistent')
NEIGHBORS = 'neighbors'
"""Mode of the corruptions that change the neighbors alone: late and lost frames."""


class RobustnessError(ValueError):
    """A config, checkpoint or results file can not serve; says what was found and expected."""


@dataclass(frozen=True)
class Run:
    """One test of the model.

    Attributes:
        corruption: None for clean videos.
        severity: 1 to 5; 0 for clean videos.
        mode: 'key', 'persistent' or 'neighbors'; None for clean videos.
        repeat_key: the model gets copies of the key frame in place of its neighbors.
    """

    corruption: str | None = None
    severity: int = 0
    mode: str | None = None
    repeat_key: bool = False

    @property
    def name(self) -> str:
        """Of the run in results files: ``shot_noise/3/key/repeated``."""
        parts = [self.corruption, str(self.severity), self.mode] if self.corruption else ['clean']
        return '/'.join(parts + ['repeated'] * self.repeat_key)

    def simplest(self, num_frames: int) -> Run:
        """The run that stands for all those whose frames are equal to this one's.

        Where there are no neighbors, because the model takes one frame or gets copies of it,
        corruptions of neighbors change nothing, and 'key' and 'persistent' are the same.

        Args:
            num_frames: T of the model.
        """
        run = replace(self, repeat_key=self.repeat_key and num_frames > 1)
        if run.corruption is None or (num_frames > 1 and not run.repeat_key):
            return run
        if run.mode == NEIGHBORS:
            return Run(repeat_key=run.repeat_key)
        return replace(run, mode='key')


def cells(corruptions: Iterable[str], modes: Iterable[str]) -> dict[str, list[str]]:
    """Corruptions by mode: those of images under each of their modes, the others under their own.

    Raises:
        RobustnessError: if there is no such corruption or mode, or none is left.
    """
    corruptions, modes = list(dict.fromkeys(corruptions)), list(dict.fromkeys(modes))
    for kind, given, known in (
        ('corruption', corruptions, SEVERITIES),
        ('mode', modes, IMAGE_MODES),
    ):
        wrong = [name for name in given if name not in known]
        if wrong:
            raise RobustnessError(f'no {kind} named {wrong[0]!r}, expected {", ".join(known)}')
    table = {mode: [name for name in corruptions if name in IMAGE_CORRUPTIONS] for mode in modes}
    table[NEIGHBORS] = [name for name in corruptions if name in NEIGHBOR_CORRUPTIONS]
    table = {mode: names for mode, names in table.items() if names}
    if not table:
        raise RobustnessError('nothing to corrupt: no corruption, or none that has a mode')
    return table


def planned_runs(
    corruptions: Iterable[str], severities: Iterable[int], modes: Iterable[str], num_frames: int
) -> list[Run]:
    """The tests that a table needs, each once, clean ones first.

    Raises:
        RobustnessError: if an argument names something that there is not.
    """
    severities = list(severities)
    wrong = [s for s in severities if s not in range(1, NUM_SEVERITIES + 1)]
    if wrong or not severities:
        raise RobustnessError(f'severities are {severities}, expected some of 1 to 5')
    wanted = [Run()] + [
        Run(corruption, severity, mode)
        for mode, names in cells(corruptions, modes).items()
        for corruption in names
        for severity in severities
    ]
    both = [replace(run, repeat_key=repeat) for run in wanted for repeat in (False, True)]
    return list(dict.fromkeys(run.simplest(num_frames) for run in both))
