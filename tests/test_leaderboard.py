"""The leaderboard's table and plot, from records; nothing is trained."""

import copy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from run_tools import run_tool

from cmpose_mm import config_path
from cmpose_mm.ablation import EXPERIMENTS
from cmpose_mm.ablation.runs import FIRST_STAGE

BENCHMARK = Path(__file__).parents[1] / 'benchmarks' / 'leaderboard.py'
sys.path.insert(0, str(BENCHMARK.parent))

import leaderboard  # noqa: E402


def measures(hits: int, clips: int = 6) -> dict:
    """Each clip has 10 labeled joints, of which so many are found at each threshold."""
    row = np.zeros((4, 15), int)
    row[:, 0] = hits
    joints = np.zeros((clips, 15), int)
    joints[:, 0] = 10
    data = {
        'names': [f'{n}' for n in range(clips)],
        'films': [n // 2 for n in range(clips)],
        'thresholds': [0.5, 0.2, 0.1, 0.05],
        'joints': joints.tolist(),
        'hits': [row.ravel().tolist()] * clips,
    }
    return {'clips': data, 'Total AP': 50.0 + hits, 'Recall recoverable': 40.0}


@pytest.fixture
def results() -> dict:
    """Variant number n finds n of 10 joints, one less without neighbors."""
    found = {}
    for kind, splits in leaderboard.SPLITS.items():
        found[kind] = {}
        for number, variant in enumerate([*EXPERIMENTS['leaderboard'], FIRST_STAGE], 1):
            by_split = {split: measures(number) for split in splits}
            if variant != FIRST_STAGE:
                by_split.update({f'{split} copies': measures(number - 1) for split in splits})
            found[kind][variant] = {seed: copy.deepcopy(by_split) for seed in (0, 1)}
    return found


@pytest.mark.slow
def test_tables_have_a_row_for_each_variant(results, tmp_path):
    measured = {'machine': {'cmpose': {'GMACs': 1.234, 'ms': 5.67, 'parameters': 8.9}}}
    scores, worth = (
        [dict(zip(header, line)) for header in lines[:1] for line in lines[2:]]
        for lines in (
            [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
            for table in leaderboard.tables(results, measured).split('\n\n')
        )
    )
    assert [(r['method'], r['backbone']) for r in scores[:3]] == [
        ('key_frame_only', 'trained'), ('key_frame_only', 'frozen'), ('cmpose', 'trained'),
    ]  # fmt: skip
    assert scores[-1]['method'] == FIRST_STAGE and len(worth) == len(scores) - 1
    assert scores[0]['Δ PCK@0.1'] == '' and scores[0]['PCK@0.1'] == '10.0 ± 0.0'
    assert scores[2]['Δ PCK@0.1'] == '+20.0 ± 0.0 [+20.0, +20.0]'
    assert scores[2]['Δ AP'] == '+2.0 ± 0.0' and scores[2]['rendered: AP'] == '53.0 ± 0.0'
    assert scores[2]['rendered: recall recoverable'] == '40.0 ± 0.0'
    row = worth[2]
    assert (row['method'], row['backbone']) == ('cmpose', 'trained')
    assert row['gain PCK@0.1'] == '+10.0 ± 0.0 [+10.0, +10.0]'
    assert row['gain rendered: AP'] == '+1.0 ± 0.0'
    assert [row[name] for name in ('GMACs', 'ms (1)', 'M params')] == ['1.23', '5.7', '8.90']
    assert worth[0]['GMACs'] == '-'
    leaderboard.plot(results, tmp_path / 'a' / 'plot.png')
    picture = cv2.imread(str(tmp_path / 'a' / 'plot.png'))
    assert picture.shape[1] > 1000 and len({tuple(p) for p in picture.reshape(-1, 3)}) > 20


@pytest.mark.parametrize('kind', ['real', 'rendered'])
def test_each_data_set_has_its_config_splits_and_copies(kind, monkeypatch):
    called = []

    def run_experiments(names, config, seeds, work_dir, **arguments):
        called.append((names, config, arguments))
        return {leaderboard.SET: {}}

    monkeypatch.setattr(leaderboard, 'run_experiments', run_experiments)
    monkeypatch.setattr(sys, 'argv', [
        'leaderboard.py', '--only', kind, '--recorded', '--real', 'r.py', 'r1.py',
        '--rendered', 's.py', 's1.py', '--cfg-options', 'randomness.seed=3',
    ])  # fmt: skip
    leaderboard.main()
    ((names, config, arguments),) = called
    assert (names, config, arguments['first_stage']) == (
        [leaderboard.SET], *{'real': ('r.py', 'r1.py'), 'rendered': ('s.py', 's1.py')}[kind],
    )  # fmt: skip
    assert arguments['copies'] and arguments['only_recorded']
    assert arguments['splits'] == leaderboard.SPLITS[kind]
    assert arguments['cfg_options'] == {'randomness.seed': 3}


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split('.')[:2])) < (2, 4),
    reason='the cost benchmarks need torch >= 2.4',
)
@pytest.mark.slow
def test_costs_are_measured_once_a_machine(tmp_path, monkeypatch):
    config = config_path('experiments/jhmdb_cmpose.py')
    file = tmp_path / 'costs.json'
    (machine,) = found = leaderboard.update_costs(file, config, repeats=1)
    rows = found[machine]
    methods = {name.split(', ')[0] for name in EXPERIMENTS['leaderboard']}
    assert {*rows} == methods
    single, stacked = rows['key_frame_only'], rows['stacked_frames']
    assert stacked['GMACs'] == pytest.approx(3 * single['GMACs'], rel=1e-6)
    assert stacked['parameters'] == single['parameters'] < rows['cmpose']['parameters']
    assert all(row['ms'] > 0 for row in rows.values())
    monkeypatch.setattr(leaderboard, 'measure_costs', None)
    assert leaderboard.update_costs(file, config, repeats=1) == found
    other = file.with_name('other.json')
    assert leaderboard.update_costs(other, config, repeats=1, only_recorded=True) == {}
    assert not other.exists()


def test_methods_without_recorded_costs_are_told(results):
    methods = list(dict.fromkeys(name.split(', ')[0] for name in EXPERIMENTS['leaderboard']))
    row = {'GMACs': 1.234, 'ms': 5.67, 'parameters': 8.9}
    everything = {method: row for method in methods}
    assert 'Without' not in leaderboard.costs_foot({'a': everything, 'b': everything})
    some = {method: row for method in methods if method not in ('cmpose', 'hkm')}
    told = 'Without recorded costs (of some machine): cmpose, hkm.'
    measured = {'a': some, 'b': {**some, 'cmpose': row}}
    assert leaderboard.costs_foot(measured).endswith(f'ms (1) a; ms (2) b.\n\n{told}')
    for found, cells in ((measured, ['1.23', '-', '5.7', '8.90']), ({}, ['-', '-'])):
        _, _, *lines = leaderboard.tables(results, found).split('\n\n')[1].splitlines()
        rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
        assert [r[-len(cells) :] for r in rows if r[0] == 'cmpose'] == [cells] * 2
        assert [r[-len(cells) :] for r in rows if r[0] == 'hkm'] == [['-'] * len(cells)] * 2
    told = leaderboard.costs_foot({})
    assert 'medians: none are recorded.' in told and told.endswith(f': {", ".join(methods)}.')


def test_differences_are_of_the_seeds_that_both_have(results):
    real = results['real']
    first, second = list(real)[:2]
    del real[first][1]
    found = leaderboard.difference(real, second, 'clean', 'PCK@0.1')
    assert found.differences == pytest.approx([10.0])  # one joint of ten
    assert leaderboard.difference(real, first, 'clean', 'PCK@0.1') == ''


@pytest.mark.slow
def test_a_page_is_not_overwritten_with_nothing(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin leaderboard -->\nnumbers\n<!-- end leaderboard -->\n')
    (tmp_path / 'nope').mkdir()
    shutil.copy(BENCHMARK.parent / 'results/leaderboard_costs.json', tmp_path / 'nope')
    done = run_tool(
        BENCHMARK, '--recorded', '--records', tmp_path / 'nope', '--docs', page,
        '--work-dir', tmp_path / 'work', '--seeds', '0', '7',
    )  # fmt: skip
    assert done.returncode == 1 and 'numbers' in page.read_text()
    assert done.stderr.endswith(f'real: {tmp_path / "nope"} has no result of seeds 0, 7\n')


def test_an_unknown_step_ends_in_a_sentence():
    done = run_tool(BENCHMARK, '--only', 'nothing')
    assert done.returncode == 2 and "invalid choice: 'nothing'" in done.stderr


@pytest.mark.parametrize('key', ['model.freeze_backbone', 'train_dataloader.dataset.pipeline.0.x'])
def test_options_that_would_not_reach_the_methods_are_refused(key, tmp_path):
    done = run_tool(BENCHMARK, '--recorded', '--cfg-options', f'{key}=True', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f'cfg-options: {key!r} would not reach the met')
