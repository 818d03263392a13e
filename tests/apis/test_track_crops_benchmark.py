from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = str(Path(__file__).parents[2] / 'benchmarks' / 'track_crops.py')


@pytest.mark.parametrize('trained', [True, False])
def test_reports_passes_and_average_precision(tiny_model, trained):
    config, checkpoint = tiny_model()
    command = [sys.executable, BENCHMARK, config] + [checkpoint] * trained
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = [line.split('|')[1:-1] for line in result.stdout.splitlines() if line.startswith('| ')]
    table = {row[0].strip(): [value.strip() for value in row[1:]] for row in rows}
    assert table['key frame'][1] == '6.00'  # three frames, and mirrored
    assert table['track'][1] == '2.00' and table['single frame'][1] == '2.00'
    assert table['single frame'][3] == '1.00' and float(table['key frame'][3]) > 0
    for mode in ('key frame', 'track'):
        assert bool(re.fullmatch(r'\d+\.\d\d', table[mode][0])) == trained
    assert '5 persons in key frames; flip test on' in result.stdout
