"""The benchmark of readings: trains, tests and measures tiny variants, and repeats none."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from processes import quick_python
from run_tools import run_tool

from cmpose_mm import ablation

BENCHMARK = Path(__file__).parents[1] / 'benchmarks' / 'causal_tokens.py'
QUIET = """
default_hooks['checkpoint'] = dict(save_best=None)
val_evaluator['visibility'] = True
"""


@pytest.fixture
def root(synthetic_root, tmp_path):
    """A rendered data set with the lists to choose by."""
    folder = tmp_path / 'data'
    (folder / 'annotations').mkdir(parents=True)
    os.symlink(Path(synthetic_root, 'images'), folder / 'images')
    for kind, split in (('train_chosen', 'train'), ('held_out', 'val'), ('val', 'val')):
        shutil.copytree(Path(synthetic_root, 'annotations', split), folder / 'annotations' / kind)
    return folder


@pytest.mark.slow
def test_one_command_gives_all_numbers(root, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'executable', quick_python())
    config = tiny_config(str(root), 'second', QUIET)
    first = tmp_path / 'first.py'
    first.write_text(
        f'_base_ = [{config!r}]\n'
        "model = dict(type='VideoTopdownPoseEstimator', "
        "method=dict(_delete_=True, type='KeyFrameOnly'))\n"
    )
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin finalists -->\n<!-- end finalists -->\n')
    arguments = ['finalists', '--variants', 'letter', 'single frame', '--seeds', 3, '--choose']
    arguments += ['--only', 'rendered', '--rendered', config, first, '--tokens', 3]
    arguments += ['--records', tmp_path / 'records', '--docs', page]
    done = run_tool(BENCHMARK, *arguments, '--work-dir', tmp_path / 'runs')
    assert done.returncode == 0, done.stderr[-2000:]
    (letter,) = (tmp_path / 'records' / 'second').glob('letter_seed3_*.json')
    splits = json.loads(letter.read_text())['splits']
    assert {*splits} == {'held_out', 'held_out tokens 3'}
    tokens = splits['held_out tokens 3']
    own, ceiling = (
        tokens['shares'][name] for name in ('causal tokens', 'ceiling: S = label heatmap')
    )
    moved = tokens['deletions']["a joint's causal tokens"]
    table = [line for line in page.read_text().splitlines() if line.startswith('| letter')][-1]
    cells = [cell.strip() for cell in table.strip('|').split('|')]
    assert cells[1:3] == ['1', f'{own[0]:.1f}'] and cells[4] == f'{ceiling[0]:.1f}'
    assert cells[6] == f'{moved[1]:.2f} ({moved[4]:.1f} → {moved[5]:.1f})'
    # A single-frame model selects nothing: it is scored alone.
    (single,) = (tmp_path / 'records' / 'second').glob('single_frame_seed3_*.json')
    found = json.loads(single.read_text())['splits']['held_out tokens 3']
    assert {*found} == {'source'}
    assert page.read_text().count('| single frame') == 1
    # On another machine the records are enough.
    monkeypatch.setattr(ablation.runs, '_run', None)
    again = run_tool(BENCHMARK, *arguments, '--work-dir', tmp_path / 'elsewhere')
    assert again.returncode == 0 and again.stdout == done.stdout


def test_unknown_variants_end_in_a_sentence():
    done = run_tool(BENCHMARK, 'causal', '--variants', 'nothing')
    assert done.returncode == 2 and "causal has no variant 'nothing'; it has letter;" in done.stderr
