"""The benchmark of readings: trains, tests and measures tiny variants, and repeats none."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import quick_python
from run_tools import run_tool

from cmpose_mm import ablation
from cmpose_mm.evaluation.resampling import draw_films

BENCHMARK = Path(__file__).parents[1] / 'benchmarks' / 'causal_tokens.py'
sys.path.insert(0, str(BENCHMARK.parent))

import causal_tokens  # noqa: E402

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
    assert cells[1] == '1' and cells[2].startswith(f'{own[0]:.1f} [')
    assert cells[4].startswith(f'{ceiling[0]:.1f} [')
    assert cells[6].startswith(f'{moved[1]:.2f} ({moved[4]:.1f} → {moved[5]:.1f} [')
    names, films = tokens['clips']['names'], tokens['clips']['films']
    assert len(names) == len(films) == 3 > len({*names})  # clips of one video are of one film
    assert len({*zip(names, films)}) == len({*names}) == len({*films})
    clips = np.array(tokens['clips']['shares']['causal tokens'])
    assert 100 * clips[:, 1].sum() / clips[:, 0].sum() == pytest.approx(own[0])
    # A single-frame model selects nothing: it is scored alone.
    (single,) = (tmp_path / 'records' / 'second').glob('single_frame_seed3_*.json')
    found = json.loads(single.read_text())['splits']['held_out tokens 3']
    assert {*found} == {'source'}
    assert page.read_text().count('| single frame') == 1
    # On another machine the records are enough.
    monkeypatch.setattr(ablation.runs, '_run', None)
    again = run_tool(BENCHMARK, *arguments, '--work-dir', tmp_path / 'elsewhere')
    assert again.returncode == 0 and again.stdout == done.stdout


@pytest.mark.parametrize(
    'arguments, choose',
    [
        (['causal'], True),
        (['cmpose/causal'], True),
        (['causal', '--no-choose'], False),
        (['finalists'], False),
        (['finalists', '--choose'], True),
    ],
)
def test_what_is_chosen_by_is_not_what_is_reported(arguments, choose, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['causal_tokens.py', *arguments])
    assert causal_tokens.parse_args().choose is choose
    for kind, reported in causal_tokens.REPORTED.items():
        assert causal_tokens.HELD_OUT[kind] == ['held_out'] and 'held_out' not in reported


def test_table_of_tokens():
    """Each column by a number of its own, and the control by cells that are as near."""
    shares = (
        'causal tokens',
        'causal tokens of another clip',
        'ceiling: S = label heatmap',
        'chance: all cells',
    )
    deletions = (
        "a joint's causal tokens",
        "a joint's causal tokens, where the next is possible",
        'as many other cells within a head size of the joint',
        'as many other cells, anywhere',
    )

    def measures(add: float) -> dict:
        return {
            'clean': dict(
                shares={name: [n + add] for n, name in enumerate(shares)},
                deletions={
                    name: [10 * n + add + i for i in range(6)] for n, name in enumerate(deletions)
                },
            )
        }

    table = causal_tokens.token_table({'letter': {0: measures(0), 1: measures(1)}}, 'clean')
    row = [cell.strip() for cell in table.split('\n')[-1].strip('|').split('|')]
    assert row[:2] == ['letter', '2'] and len(row) == 2 + 4 + 3 + 1
    assert [float(cell.split()[0]) for cell in row[2:6]] == [0.5, 1.5, 2.5, 3.5]
    assert row[6:] == [  # the second, fifth and sixth number of each
        '1.50 ± 0.71 (4.5 → 5.5)', '11.50 ± 0.71 (14.5 → 15.5)', '21.50 ± 0.71 (24.5 → 25.5)',
        '-10.00 ± 0.00',
    ]  # fmt: skip


def test_spread_of_differences():
    own, others = causal_tokens.PAIRS[0]
    mean = causal_tokens.EFFECTS.index('mean')

    def measures(difference: float) -> dict:
        values = np.zeros((2, len(causal_tokens.EFFECTS)))
        values[:, mean] = 2 + difference, 2
        return {'deletions': dict(zip((own, others), values.tolist()))}

    found = [measures(difference) for difference in (1.0, 2.0, 4.0)]
    assert causal_tokens.pair_cell(found, own, others) == '+2.33 ± 1.53'
    assert causal_tokens.pair_cell(found[:1], own, others) == '+1.00'


def test_table_of_one_command_for_several_models():
    import interpretability

    rows = [{'a': [1.0, 20.0]}, {'a': [2.0, 26.0]}]
    table = interpretability.table('tokens', ('x', 'y'), (2, 1), rows)
    cells = [cell.strip() for cell in table.splitlines()[-1].strip('|').split('|')]
    assert cells == ['a', '1.50 ± 0.71', '23.0 ± 4.2']


def test_intervals_of_the_table():
    """Draws of films, one by one, of two seeds with clips of which two are of one film."""
    films, rng = [4, 0, 4, 7, 2], np.random.default_rng(1)
    own, others = causal_tokens.PAIRS[1]

    def measures(seed: int) -> dict:
        joints = rng.integers(1, 9, 5)
        shares = [[5 * n, int(rng.integers(0, 5 * n + 1))] for n in joints.tolist()]

        def deletion() -> list[list[float]]:
            moved = rng.random(5).round(4) * joints
            found = [rng.integers(0, joints + 1) for _ in range(2)]
            return np.stack([joints, moved, *found], axis=1).tolist()

        deletions = {own: deletion(), others: deletion()}
        names = [f'clip {n}' for n in range(5)]
        return dict(
            shares={name: [50] for name in causal_tokens.SHARES},
            deletions={
                name: [0, 0.5, np.array(rows)[:, 1].sum() / joints.sum(), 0, 60, 55]
                for name, rows in deletions.items()
            },
            clips=dict(names=names, films=films, shares={'causal tokens': shares},
                       deletions=deletions),
        )  # fmt: skip

    seeds = {seed: {'clean': measures(seed)} for seed in (0, 1)}
    table = causal_tokens.token_table({'letter': seeds}, 'clean')
    header, _, row = ([c.strip() for c in line.strip('|').split('|')] for line in table.split('\n'))
    cells = dict(zip(header, row))

    expected = {'share': [], 'recall': [], 'moved': []}
    for weights in draw_films(films):
        share, recall, moved = [], [], []
        for measure in (by_split['clean'] for by_split in seeds.values()):
            rows = [
                sum((w * np.array(r) for w, r in zip(weights, each)), np.zeros(len(each[0])))
                for each in (
                    measure['clips']['shares']['causal tokens'],
                    measure['clips']['deletions'][own],
                    measure['clips']['deletions'][others],
                )
            ]
            share.append(100 * rows[0][1] / rows[0][0])
            recall.append(100 * rows[1][3] / rows[1][0] - 100 * rows[1][2] / rows[1][0])
            moved.append(rows[1][1] / rows[1][0] - rows[2][1] / rows[2][0])
        for name, values in zip(expected, (share, recall, moved)):
            expected[name].append(sum(values) / 2)
    low, high = np.percentile(expected['share'], [2.5, 97.5])
    assert cells['own-joint share'] == f'50.0 ± 0.0 [{low:.1f}, {high:.1f}]'
    assert cells["another clip's"] == '50.0 ± 0.0'  # not known by clip
    low, high = np.percentile(expected['recall'], [2.5, 97.5])
    assert cells['without those with a partner'] == (
        f'0.50 ± 0.00 (60.0 → 55.0 [{low:+.1f}, {high:+.1f}])'
    )
    low, high = np.percentile(expected['moved'], [2.5, 97.5])
    pair = cells['those with a partner - their partners, no farther, mean movement']
    assert pair.endswith(f' [{low:+.2f}, {high:+.2f}]') and low < 0 < high
    differences = [
        by_split['clean']['deletions'][own][2] - by_split['clean']['deletions'][others][2]
        for by_split in seeds.values()
    ]
    assert pair.startswith(f'{sum(differences) / 2:+.2f} ± ')
    # Seeds of other clips do not compare.
    seeds[1]['clean']['clips']['names'][0] = 'other'
    table = causal_tokens.token_table({'letter': seeds}, 'clean')
    assert '[' not in table


@pytest.mark.parametrize('number', ['1', '-3'])
def test_tokens_need_another_clip(number):
    done = run_tool(BENCHMARK, 'finalists', '--tokens', number)
    assert done.returncode == 2 and f'--tokens {number}: expected at least 2, or 0' in done.stderr


def test_unknown_variants_end_in_a_sentence():
    done = run_tool(BENCHMARK, 'causal', '--variants', 'nothing')
    assert done.returncode == 2 and "causal has no variant 'nothing'; it has letter;" in done.stderr


@pytest.mark.slow
def test_more_columns_get_differences():
    """Of the results in the repository."""
    records = ['finalists', '--recorded', '--only', 'real', '--variants', 'CM-Pose', 'letter']
    tables = [run_tool(BENCHMARK, *records, *more) for more in ([], ['--compare', 'PCK@0.05'])]
    assert [table.returncode for table in tables] == [0, 0], tables[1].stderr
    usual, more = (table.stdout for table in tables)
    assert 'Δ PCK@0.05' not in usual
    head, _, ours, letter = (
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in [line for line in more.splitlines() if line.startswith('|')][:4]
    )
    column = head.index('Δ PCK@0.05')
    assert ours[column] == '' and letter[column].startswith('-0.6 ± ')
    differ = [float(row[column - 1].split(' ')[0]) for row in (letter, ours)]
    assert differ[0] - differ[1] == pytest.approx(-0.6, abs=0.11)
