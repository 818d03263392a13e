from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from processes import quick_python

pytestmark = pytest.mark.slow  # processes

BENCHMARK = str(Path(__file__).parents[2] / 'benchmarks' / 'track_crops.py')


@pytest.mark.parametrize('trained', [True, False])
def test_reports_passes_and_average_precision(tiny_model, trained):
    config, checkpoint = tiny_model()
    command = [quick_python(), BENCHMARK, config] + [checkpoint] * trained
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = [line.split('|')[1:-1] for line in result.stdout.splitlines() if line.startswith('| ')]
    table = {row[0].strip(): [value.strip() for value in row[1:]] for row in rows}
    assert table['key frame'][3] == '6.00'  # three frames, and mirrored
    assert table['track'][3] == '2.00' and table['single frame'][3] == '2.00'
    assert table['single frame'][5] == '1.00' and float(table['key frame'][5]) > 0
    for mode in ('key frame', 'track'):
        for cell in table[mode][:3]:
            assert bool(re.fullmatch(r'\d+\.\d\d', cell)) == trained
    interval = r'PCK@0.1 [+-]\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\]'
    assert bool(re.search(f'Track minus key frame: mAP .*{interval}', result.stdout)) == trained
    assert '5 persons in key frames; flip test on' in result.stdout
