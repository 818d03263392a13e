"""PoseTrack-C: which tests it takes."""

from __future__ import annotations

import pytest

from cmpose_mm.corruptions import SEVERITIES
from cmpose_mm.robustness import RobustnessError, Run, planned_runs


def test_plan_of_the_whole_benchmark():
    runs = planned_runs(SEVERITIES, range(1, 6), ['key', 'persistent'], num_frames=3)
    assert len(runs) == len({run.name for run in runs}) == 132
    assert [run.name for run in runs[:2]] == ['clean', 'clean/repeated']
    assert Run('jpeg_compression', 2, 'key', True) in runs
    assert Run('jpeg_compression', 2, 'persistent', True) not in runs
    single = planned_runs(SEVERITIES, range(1, 6), ['key', 'persistent'], num_frames=1)
    assert len(single) == 41
    assert all(run.mode in (None, 'key') and not run.repeat_key for run in single)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((['fog'], [1], ['key']), "no corruption named 'fog', expected gaussian_noise"),
        ((['shot_noise'], [1], ['all']), "no mode named 'all', expected key, persistent"),
        ((['shot_noise'], [0, 1], ['key']), r'severities are \[0, 1\], expected some of 1 to 5'),
        ((['shot_noise'], [], ['key']), r'severities are \[\], expected some'),
        (([], [1], ['key']), 'nothing to corrupt'),
    ],
)
def test_wrong_plan(arguments, message):
    with pytest.raises(RobustnessError, match=message):
        planned_runs(*arguments, num_frames=3)
