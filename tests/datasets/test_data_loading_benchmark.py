"""The benchmark of loading: its statistics against slow ones, and a small run of the whole."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from processes import quick_python

BENCHMARK = Path(__file__).parents[2] / 'benchmarks' / 'data_loading.py'


@pytest.fixture(scope='module')
def benchmark():
    spec = importlib.util.spec_from_file_location('data_loading', BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_effective_number(benchmark):
    assert benchmark.effective_number(np.array([5] * 12), 6) == 1
    assert benchmark.effective_number(np.arange(12), 6) == 6
    assert benchmark.effective_number(np.array([0, 0, 0, 1]), 4) == pytest.approx(16 / 10)
    # The variance of a window's mean, if samples of a name share a draw.
    names = np.array([0, 0, 1, 2, 2, 2])
    draws = np.random.RandomState(0).randn(200_000, 3)
    variance = draws[:, names].mean(1).var()
    assert benchmark.effective_number(names, 6) == pytest.approx(1 / variance, rel=0.02)


def test_simulated_decodes(benchmark):
    data = benchmark.MadeUpFrames(3)
    order = np.arange(len(data))
    # One worker in temporal order: each frame once, one more at either end of a video.
    assert benchmark.simulated_decodes(order, data.rows, 4, 1, 4) * len(data) == 3 * 32
    # Nothing is kept but the frame of the moment.
    assert benchmark.simulated_decodes(order, data.rows, 4, 1, 1) == 3
    # Two workers with a batch of one video each in turn: as many.
    one = data.rows[:, 0] == 0
    turns = np.stack([order[one], order[one][::-1]], 1).ravel()
    assert benchmark.simulated_decodes(turns, data.rows, 1, 2, 4) * len(turns) == 2 * 32


@pytest.mark.slow
def test_profile():
    small = '--profile --videos 8 --sizes 320x180 --persons 2'
    result = subprocess.run(
        [quick_python(), str(BENCHMARK), *small.split()], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    three, ours = result.stdout.split('as shipped, 300 samples:')
    calls = [int(re.search(r'(\d+) .*imdecode', part)[1]) for part in (three, ours)]
    assert calls[0] == 900 and 0 < calls[1] < 400


@pytest.mark.slow
def test_whole_run():
    small = '--videos 6 --rounds 2 --samples 10 --workers 1 --made-up-videos 4 --sizes 160x120'
    environment = {k: v for k, v in os.environ.items() if k != 'CMPOSE_TEST_DATA'}
    result = subprocess.run(
        [quick_python(), str(BENCHMARK), *small.split(), '--persons', '2'],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'rendered frames;' in result.stdout
    rows = [
        [cell.strip() for cell in line.split('|')[1:-1]]
        for line in result.stdout.splitlines()
        if line.startswith('|') and '---' not in line
    ]
    core = dict(zip(rows[0], rows[1]))
    assert (core['image'], core['persons']) == ('160x120', '2')
    assert core['decodes, 3'] == '3.00' and 0.5 < float(core['decodes, ours']) < 0.7
    assert core['pixels equal'].split()[0] == core['pixels equal'].split()[2] != '0'
    assert [row[0] for row in rows[3:7]] == ['random', '16 streams', '32 streams', '64 streams']
    assert [row[2] for row in rows[8:]] == ['pseudo_collate', 'collate_clips']
    assert all(float(row[4]) > 0 for row in rows[8:])
