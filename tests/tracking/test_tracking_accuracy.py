"""The benchmark's cells: mean and sample standard deviation over the seeds."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from label_files import ORDER_15, coco, person, write

from cmpose_mm.posetrack.annotations import read_videos


@pytest.fixture
def tracking_accuracy(monkeypatch):
    """The benchmark's module, which does without MMPose; other tests do not."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / 'benchmarks')
    before = sys.modules.get('mmpose')
    module = import_module('tracking_accuracy')
    sys.modules.pop('mmpose', None)
    if before is not None:
        sys.modules['mmpose'] = before
    return module


@pytest.mark.parametrize(('counts', 'expected'), [((2, 4), '62.5 ± 17.7'), ((2,), '50.0 ± 0.0')])
def test_cells(tracking_accuracy, tmp_path, counts, expected):
    """One person of 2 and of 4 is missed in every frame."""
    seeds = []
    for count in counts:
        frames = [
            [
                person(
                    {name: (300 * n + 40, 20 + 9 * i) for i, name in enumerate(ORDER_15)},
                    track_id=n, bbox=[300 * n, 0, 100, 200],
                )
                for n in range(count)
            ]
            for _ in range(3)
        ]  # fmt: skip
        write(tmp_path / str(count) / '000001_test.json', coco(frames))
        seeds.append(read_videos(tmp_path / str(count)))

    def missed(video, rng):
        video = tracking_accuracy.perfect(video, rng)
        frames = [tracking_accuracy.without(f, f.track_ids == 0) for f in video.frames]
        return tracking_accuracy.replace(video, frames=frames)

    cells = tracking_accuracy.tracking_cells(seeds, missed)
    assert len(cells) == 1 + len(tracking_accuracy.TRACKERS)
    assert cells[0] == f'{expected}, 0 ± 0'
    assert np.all([cell == cells[0] for cell in cells])
