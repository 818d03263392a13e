"""The experiment runner: sets of variants, tables, resuming, and a whole small experiment."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from processes import quick_python
from run_tools import run_tool

from cmpose_mm import ablation, config_path
from cmpose_mm.ablation import (
    EXPERIMENTS,
    NUMBERS,
    check_section,
    full_name,
    last_validation,
    plot_results,
    replace_section,
    results_foot,
    results_tables,
    run_experiment,
    run_experiments,
    runs,
    split_tests,
    variant_config,
)
from cmpose_mm.ablation.experiments import check_method
from cmpose_mm.ablation.records import config_digest
from cmpose_mm.ablation.report import GROUPS, RECALL
from cmpose_mm.ablation.runs import (
    FIRST_STAGE,
    results_file,
    run_once,
    train_once,
    trained_weights,
)
from cmpose_mm.ablation.split_tests import evaluate_splits, split_test_config
from cmpose_mm.ablation.variants import equal_time
from cmpose_mm.models import VideoMethod
from cmpose_mm.models.baselines.ablations import single_frame

MEASURES = (*GROUPS, 'Total AP', *RECALL)


def metrics(value: float, splits=('clean', 'hidden')) -> dict:
    return {split: {name: value + 10 * i for name in MEASURES} for i, split in enumerate(splits)}


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row].strip('|').split('|')]


@pytest.mark.parametrize(
    ('name', 'config', 'expected'),
    [
        ('hkm/masks', 'configs/experiments/cmpose.py', 'CMPose, but hkm/masks.* a set of cmpose'),
        ('table4', 'configs/hkm/hkm_small.py', 'HKM, but table4 .* of cmpose; .* a set of hkm'),
        ('table4', 'configs/experiments/cmpose.py', None),
        ('leaderboard', 'configs/hkm/hkm_small.py', None),
        ('table4', 'configs/experiments/propagation_warp.py', None),  # a method without sets
        ('table4', 'configs/experiments/single_frame.py', None),
    ],
)
def test_a_set_of_another_method_is_refused(name, config, expected):
    config = Config.fromfile(config)
    if expected is None:
        check_method(name, config)
    else:
        with pytest.raises(ValueError, match=expected):
            check_method(name, config)


def test_tables_have_mean_deviation_and_paired_difference():
    results = {
        'a': {0: metrics(50.0), 1: metrics(53.0)},
        'b': {0: metrics(51.0), 1: metrics(54.5), 2: metrics(90.0)},
        'c': {0: metrics(40.0)},
        'nothing yet': {},
    }
    clean, hidden = results_tables(results).split('\n\n')
    assert statistics.stdev([50.0, 53.0]) == pytest.approx(2.1213, abs=1e-4)
    header, a, b, c = (dict(zip(cells(clean, 0), cells(clean, row))) for row in (0, 2, 3, 4))
    recall = [name.replace('Recall', 'recall') for name in RECALL]
    expected = ['clean', 'seeds', 'Total', 'Δ Total', *recall]
    expected.insert(expected.index('recall recoverable') + 1, 'Δ recall recoverable')
    assert list(header) == expected
    assert (a['clean'], a['seeds'], a['Total'], a['Δ Total']) == ('a', '2', '51.5 ± 2.1', '')
    assert b['Δ Total'] == '+1.2 ± 0.4'  # of 1 and 1.5: seeds that both have
    assert (c['Total'], c['Δ Total'], c['Δ recall recoverable']) == ('40.0', '-10.0', '-10.0')
    assert cells(hidden, 2)[-1] == '61.5 ± 2.1' and len(hidden.splitlines()) == 5


def test_one_split_shows_the_groups_and_undefined_recall_is_a_dash():
    first = metrics(50.0, ['val'])
    first['val']['Recall lost'] = float('nan')
    table = results_tables({'a': {0: first}})
    assert cells(table, 0)[2:11] == [name.removesuffix(' AP') for name in (*GROUPS, 'Total AP')]
    assert cells(table, 2)[-3:] == ['50.0', '', '-']


@pytest.mark.slow
@pytest.mark.parametrize('numbers', [None, ('ratio', 0.2)])
def test_plots_are_pictures(numbers, tmp_path):
    names = 'CM-Pose', 'mask 0.1', 'mask 0.4', 'noise 0.1'
    results = {name: {0: metrics(i), 1: metrics(i + 1)} for i, name in enumerate(names)}
    plot_results({**results, FIRST_STAGE: {0: metrics(3)}}, tmp_path / 'a' / 'plot.png', numbers)
    lacking = {split: dict.fromkeys(each, float('nan')) for split, each in metrics(3).items()}
    results['mask 0.9'] = {0: lacking, 1: lacking}
    plot_results({**results, FIRST_STAGE: {0: lacking}}, tmp_path / 'a' / 'plot.png', numbers)
    picture = cv2.imread(str(tmp_path / 'a' / 'plot.png'))
    assert picture.shape[1] > 500 and len({tuple(p) for p in picture.reshape(-1, 3)}) > 20


def test_plot_draws_means_spreads_and_lines(monkeypatch, tmp_path):
    drawn = []
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, 'savefig', lambda self, *args, **kwargs: drawn.append(self))
    results = {
        f'mask {r}': {0: metrics(10 + r, ['val']), 1: metrics(32 + r, ['val'])} for r in (0.5, 0.1)
    }
    results['mask 0.5'][2] = metrics(99, ['val'])  # the first variant has no such seed
    results = {'CM-Pose': {0: metrics(10, ['val']), 1: metrics(30, ['val'])}, **results}
    results[FIRST_STAGE] = {0: metrics(50, ['val'])}
    plot_results(results, tmp_path / 'plot.png', ('ratio', 0.2))
    (container,) = drawn[0].axes[0].containers
    line, _, (spread,) = container
    assert container.get_label() == 'mask' and list(line.get_xdata()) == [0.1, 0.2, 0.5]
    assert list(line.get_ydata()) == pytest.approx([1.1, 0, 1.5])
    assert drawn[0].axes[-1].get_xlabel() == 'ratio'
    half = statistics.stdev([0.1, 2.1])
    assert spread.get_segments()[0][:, 1] == pytest.approx([1.1 - half, 1.1 + half])
    assert drawn[0].get_supylabel() == 'difference to CM-Pose'
    plot_results({'a': results['CM-Pose'], 'b': results['mask 0.5']}, tmp_path / 'plot.png')
    assert [t.get_text() for t in drawn[1].axes[0].get_yticklabels()] == ['a', 'b']
    means = [c[0].get_xdata()[0] for c in drawn[1].axes[0].containers]
    assert means == pytest.approx([0, 1.5]) and drawn[1].get_supxlabel() == 'difference to a'


def test_a_plot_without_the_first_variant_compares_with_no_other(monkeypatch, tmp_path):
    drawn = []
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, 'savefig', lambda self, *args, **kwargs: drawn.append(self))
    results = {'CM-Pose': {}, 'mask 0.1': {0: metrics(1)}, 'mask 0.5': {0: metrics(2)}}
    plot_results(results, tmp_path / 'plot.png', ('ratio', 0.2))
    (figure,) = drawn
    assert not figure.axes and 'no results of CM-Pose' in figure.texts[0].get_text()


def test_section_of_a_document_is_replaced(tmp_path):
    document = tmp_path / 'page.md'
    document.write_text('one\n<!-- begin a -->\nold\n<!-- end a -->\ntwo\n')
    for _ in range(2):
        replace_section(document, 'a', '    code\n\nnew\n')
        text = 'one\n<!-- begin a -->\n\n    code\n\nnew\n\n<!-- end a -->\ntwo\n'
        assert document.read_text() == text
    with pytest.raises(ValueError, match='page.md: expected the lines "<!-- begin b -->"'):
        replace_section(document, 'b', '')
    check_section(document, 'a')
    check_section(None, 'a')
    with pytest.raises(ValueError, match='gone.md: not found; expected a document with a section'):
        check_section(tmp_path / 'gone.md', 'a')


def test_last_validation_follows_the_step_over_resumed_runs(tmp_path):
    for folder, steps in (('20260101', [1, 2]), ('20260102', [2, 3])):
        log = tmp_path / folder / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        records = [
            {'step': s, **more} for s in steps for more in ({'loss': 1.0}, {'posetrack/AP': s})
        ]
        log.write_text(''.join(json.dumps(record) + '\n' for record in records))
    assert last_validation(tmp_path) == {'AP': 3}


def test_a_line_that_a_kill_cut_is_left_out(tmp_path):
    log = tmp_path / '2026' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 1, "posetrack/AP": 4.0}\n{"step": 2, "posetrack/A')
    assert last_validation(tmp_path) == {'AP': 4.0}


def test_a_work_folder_may_be_moved(tmp_path):
    """Where a digest knows the weights to start from, their path does not matter."""
    file = tmp_path / 'seed0.py'
    for digest, start, value in (('d', 'a/x.pth', 1), ('d', 'b/x.pth', 1)):
        runs._write_config(Config(dict(a=value, load_from=start, b=2)), file, digest)
        assert Config.fromfile(file).load_from == start
    for digest, start, value in (('d', 'b/x.pth', 2), (None, 'c/x.pth', 1)):
        with pytest.raises(ValueError, match='differs from the config of this run'):
            runs._write_config(Config(dict(a=value, load_from=start, b=2)), file, digest)


def test_overrides_that_tests_would_not_get(tmp_path):
    for arguments in (
        ['--cfg-options', 'model.backbone.depth=34'],
        ['--cfg-options=model.backbone.depth=34'],
        ['--cfg-opt', 'model.backbone.depth=34'],
    ):
        with pytest.raises(ValueError, match='found --cfg-options among the arguments of mim tra'):
            run_experiments(
                ['table5'], config_path('experiments/cmpose.py'), [0], tmp_path, mim_args=arguments
            )


def test_seeds_that_are_given_twice_count_once(tmp_path):
    seeds = []
    plan = runs._planned_runs

    def planned(sets, config, given, *others):
        seeds.extend(given)
        return plan(sets, config, given, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, '_planned_runs', planned)
        run_experiments(
            ['table5'], config_path('experiments/cmpose.py'), [1, 0, 1], tmp_path,
            only_recorded=True, splits=['clean'], records=tmp_path,
        )  # fmt: skip
    assert seeds == [1, 0]


def test_a_finished_run_in_a_moved_folder(tmp_path):
    start = tmp_path / 'a' / 'x.pth'
    start.parent.mkdir()
    torch.save({'state_dict': {}}, start)
    folder = tmp_path / 'b' / 'seed0'
    folder.mkdir(parents=True)
    (folder / 'trained').touch()
    (folder / 'clean.json').write_text('{"AP": 7.0}')
    for path in (start, tmp_path / 'c' / 'x.pth'):
        config = Config(dict(a=1, load_from=str(path)))
        assert run_once(config, folder, ['clean'], digest='d') == {'clean': {'AP': 7.0}}
    with pytest.raises(ValueError, match='began with other weights or labels'):
        run_once(Config(dict(a=1, load_from='e.pth')), folder, ['clean'], digest='other')
    assert Config.fromfile(folder.with_suffix('.py')).load_from == str(tmp_path / 'c' / 'x.pth')


def test_tables_and_plots_of_another_metric(tmp_path):
    measures = {'PCKh@0.5 Head': 80.0, 'PCKh@0.5 mean7': 70.0}
    results = {'CM-Pose': {0: {'clean': measures}}, 'b': {0: {'clean': measures}}}
    table = results_tables(results)
    assert cells(table, 0) == ['clean', 'seeds', *measures]
    assert cells(table, 2)[2:] == ['80.0', '70.0']
    plot_results(results, tmp_path / 'plot.png')
    assert cv2.imread(str(tmp_path / 'plot.png')) is not None


def test_pck_alone_is_a_validation(tmp_path):
    log = tmp_path / '2026' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    records = (
        {'step': 1, 'loss': 1.0},
        {'step': 2, 'x/tPCK@0.2 mean7': 4.0},
        {'step': 3, 'x/APs': 5.0},
    )
    log.write_text('\n'.join(map(json.dumps, records)))
    assert last_validation(tmp_path) == {'tPCK@0.2 mean7': 4.0}


def test_a_run_tells_the_code_that_its_training_began_with(tmp_path, monkeypatch):
    folder = tmp_path / 'variant' / 'seed0'

    def killed(*_):
        raise RuntimeError('killed')

    def finished(*_):
        (folder / 'clean.json').write_text('{"AP": 8.0}')
        (folder / 'trained').touch()

    monkeypatch.setenv('GIT_COMMIT', 'first')
    monkeypatch.setattr(ablation.runs, '_run', killed)
    with pytest.raises(RuntimeError):
        run_once(Config(dict(a=1)), folder, ['clean'])
    monkeypatch.setenv('GIT_COMMIT', 'later')
    monkeypatch.setattr(ablation.runs, '_run', finished)
    run_once(Config(dict(a=1)), folder, ['clean'])
    assert ablation.runs.source_of_run(folder)['commit'] == 'first'
    assert ablation.runs.source_of_run(tmp_path)['commit'] == 'later'


def test_a_training_that_begins_anew_tells_what_it_begins_from(tmp_path, monkeypatch):
    """Killed before a checkpoint, and the first stage was trained again: its new weights count."""
    start, folder = tmp_path / 'start.pth', tmp_path / 'run' / 'seed0'
    config, starts = Config(dict(load_from=str(start))), []

    def killed(*_):
        starts.append(ablation.runs.source_of_run(folder)['start'])
        raise RuntimeError('killed')

    monkeypatch.setattr(ablation.runs, '_run', killed)
    for value in (1.0, 2.0, 3.0):
        torch.save(dict(state_dict=dict(w=torch.tensor([value]))), start)
        with pytest.raises(RuntimeError):
            run_once(config, folder, ['clean'])
        if value == 2:
            (folder / 'last_checkpoint').write_text('iter_1.pth')
    assert starts[0] != starts[1] == starts[2]


def test_a_copied_run_has_its_own_weights(tmp_path):
    """MMEngine notes the whole path of a checkpoint, that of the folder that was copied."""
    first = tmp_path / 'first'
    first.mkdir()
    (first / 'iter_1.pth').touch()
    (first / 'last_checkpoint').write_text(str(first / 'iter_1.pth'))
    shutil.copytree(first, tmp_path / 'second')
    assert trained_weights(tmp_path / 'second') == str(tmp_path / 'second' / 'iter_1.pth')
    (tmp_path / 'second' / 'iter_1.pth').unlink()
    assert trained_weights(tmp_path / 'second') == str(first / 'iter_1.pth')


def test_no_validation_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='no validation result'):
        last_validation(tmp_path)


def test_finished_trainings_and_tests_are_only_read(tmp_path, monkeypatch):
    config = Config(dict(a=1))
    folder = tmp_path / 'variant' / 'seed0'
    folder.mkdir(parents=True)
    (folder / 'trained').touch()
    (folder / 'clean.json').write_text('{"AP": 7.0}')
    assert run_once(config, folder, ['clean']) == {'clean': {'AP': 7.0}}
    assert Config.fromfile(folder.with_suffix('.py')).a == 1
    commands = []

    def run(command, *_):
        commands.append(command)
        (folder / 'hidden.json').write_text('{"AP": 8.0}')

    monkeypatch.setattr(ablation.runs, '_run', run)
    both = run_once(config, folder, ['hidden', 'clean'])
    assert both == {'hidden': {'AP': 8.0}, 'clean': {'AP': 7.0}} and list(both) == [
        'hidden',
        'clean',
    ]
    (command,) = commands  # one test of one split, no training
    assert command[2] == 'cmpose_mm.ablation.split_tests' and command[-2:] == [
        str(folder),
        'hidden',
    ]
    with pytest.raises(ValueError, match='seed0.py: differs from the config of this run'):
        run_once(Config(dict(a=2)), folder, ['clean'])


def test_a_run_that_began_from_other_weights_is_not_continued(tmp_path, monkeypatch):
    folder, config = tmp_path / 'variant' / 'seed0', Config(dict(load_from='start.pth'))

    def run(*_):
        (folder / 'clean.json').write_text('{"AP": 8.0}')
        (folder / 'trained').touch()

    monkeypatch.setattr(ablation.runs, '_run', run)
    for _ in range(2):
        assert run_once(config, folder, ['clean'], digest='one') == {'clean': {'AP': 8.0}}
    with pytest.raises(ValueError, match='seed0: this run began with other weights or labels'):
        run_once(config, folder, ['clean'], digest='another')
    with pytest.raises(ValueError, match='seed0: this run began with other weights or labels'):
        train_once(config, folder, digest='another')
    (folder / 'digest').unlink()  # of an earlier version
    assert run_once(config, folder, ['clean'], digest='another') == {'clean': {'AP': 8.0}}
    assert not (folder / 'digest').exists()


def test_weights_that_are_gone_are_not_replaced_by_random_ones(tmp_path, monkeypatch):
    folder, config = tmp_path / 'seed0', Config.fromfile(config_path('experiments/cmpose.py'))
    folder.mkdir()
    message = 'last_checkpoint: not found, expected the path of the last checkpoint; delete '
    monkeypatch.setattr(split_tests, 'group_splits', lambda *_: {'clean': ['clean']})
    for split in ('clean', 'clean tokens 2'):
        with pytest.raises(ValueError, match=message):
            evaluate_splits(config, folder, [split])
    monkeypatch.setattr(ablation.runs, '_run', lambda *_: None)
    with pytest.raises(ValueError, match=message):
        train_once(config, folder)


def test_seeds_are_no_overrides(tmp_path):
    with pytest.raises(ValueError, match='found .*randomness.seed .*expected'):
        run_experiments(['table5'], config_path('experiments/cmpose.py'), [0], tmp_path,
                        cfg_options={'randomness.seed': 7}, only_recorded=True)  # fmt: skip


@pytest.fixture
def quick_processes(monkeypatch):
    """Runs are processes that start in milliseconds."""
    monkeypatch.setattr(sys, 'executable', quick_python())


@pytest.mark.slow
def test_a_failed_run_shows_its_end(tmp_path, quick_processes):
    with pytest.raises(RuntimeError, match=r'(?s)no_such_module.*failed; all its output is in'):
        run_once(Config(dict(custom_imports=dict(imports=['no_such_module']))), tmp_path / 'seed0')
    assert not (tmp_path / 'seed0' / 'trained').exists()


@pytest.mark.skipif(os.name == 'nt', reason='files are locked where fcntl is')
def test_what_goes_on_after_a_kill_is_not_started_twice(tmp_path):
    """The killed command's training still writes to its folder."""
    training = [
        sys.executable,
        '-c',
        'import os, time; print(os.getpid(), flush=True); time.sleep(60)',
    ]
    code = (
        f'from pathlib import Path; from cmpose_mm.ablation.runs import _run; '
        f'_run({training!r}, Path({str(tmp_path)!r}), 1)'
    )
    command = subprocess.Popen([sys.executable, '-c', code])
    log = tmp_path / 'output.log'
    try:
        while not (log.exists() and log.read_text().strip()):
            assert command.poll() is None
            time.sleep(0.05)
        command.kill()
        command.wait()
        with pytest.raises(RuntimeError, match=f'{tmp_path}: another process trains or tests'):
            runs._run([sys.executable, '-c', 'pass'], tmp_path, 1)
    finally:
        command.kill()
        os.kill(int(log.read_text()), signal.SIGKILL)
    for _ in range(100):  # until it is gone
        try:
            runs._run([sys.executable, '-c', 'pass'], tmp_path, 1)
            break
        except RuntimeError:
            time.sleep(0.05)
    else:
        pytest.fail('still locked')


def test_unknown_set(tmp_path):
    with pytest.raises(KeyError, match="no experiment named 'table9'; there are cmpose/baselines"):
        run_experiment('table9', 'config.py', [0], tmp_path)


VITS = [f'cmpose_vit{size}_posetrack18.py' for size in ('-s', '', '-l', '-h')]
NEEDS_STEPS = ('cmpose/equal_time', 'cmpose/budget')


# Configs that the sets of a method are for; the leaderboard brings its methods along.
BASES = {
    method: [f'{method}/{method}_{name}.py' for name in ('small', 'vit_posetrack18')]
    + [f'{method}/{method}_hrnet-w48_posetrack18.py']
    for method in ('tdmi', 'jmpose')
}
BASES.update(
    {
        method: [f'{method}/{method}_{name}_posetrack18.py' for name in ('vit', 'vit-s')]
        + [f'{method}/{method}_small.py']
        for method in ('stdpose', 'hkm')
    }
)
BUILT: set[str] = set()  # methods and heads that were built; many variants have the same
BASES['cmpose'] = BASES['leaderboard'] = ['experiments/cmpose.py', *VITS]


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, config_name',
    [(name, config) for name in EXPERIMENTS for config in BASES[name.split('/')[0]]],
)
def test_every_variant_builds_and_differs(name, config_name):
    config = Config.fromfile(config_path(config_name))
    init_default_scope(config.default_scope)
    if config_name in VITS and name in NEEDS_STEPS:
        with pytest.raises(ValueError, match='equal training time needs an IterBased'):
            variant_config(config, list(EXPERIMENTS[name].values())[1])
        return
    if (name, config_name) == ('tdmi/stages', 'tdmi/tdmi_small.py'):
        with pytest.raises(ValueError, match='in_channels has 1 maps, so there are no last 2'):
            variant_config(config, EXPERIMENTS[name]['last two stages'])
        return
    variants = [variant_config(config, change) for change in EXPERIMENTS[name].values()]
    for variant in variants:
        if (parts := repr((variant.model.method, variant.model.head))) not in BUILT:
            with torch.device('meta'):  # sizes alone: no memory, no time
                assert isinstance(MODELS.build(variant.model.method), VideoMethod)
                MODELS.build(variant.model.head)
            BUILT.add(parts)
        for loader in ('train', 'val', 'test'):  # follows the method
            assert variant[f'{loader}_dataloader'].dataset.get('num_frames') is None
    # Equal digests would make one variant's results those of another.
    assert len({config_digest(variant) for variant in variants}) == len(variants)
    assert config.to_dict() == Config.fromfile(config_path(config_name)).to_dict()


@pytest.mark.slow
def test_a_name_means_the_same_in_all_sets():
    configs = {'cmpose': 'cmpose_demo.py', 'leaderboard': 'cmpose_demo.py'}
    seen = {}
    for set_name, variants in EXPERIMENTS.items():
        method = set_name.split('/')[0]
        config = Config.fromfile(config_path(configs.get(method, BASES[method][1])))
        for name, change in variants.items():
            resolved = variant_config(config, change).to_dict()
            assert seen.setdefault((method, name), resolved) == resolved


def test_lines_of_plots_pass_through_the_default():
    config = Config.fromfile(config_path('experiments/cmpose.py'))
    for name, change in EXPERIMENTS['figure3'].items():
        aux = variant_config(config, change).model.method.aux
        expected = {f'{task}_ratio': NUMBERS['cmpose/figure3'][1] for task in ('mask', 'noise')}
        if name != 'CM-Pose':
            task, ratio = name.split()
            expected[f'{task}_ratio'] = float(ratio)
        assert {key: aux[key] for key in expected} == expected


def test_equal_time_is_a_number_of_steps():
    config = Config.fromfile(config_path('cmpose_demo.py'))
    assert config.train_cfg.max_iters == 50
    longer = variant_config(config, equal_time(single_frame, 0.4))
    assert longer.train_cfg.max_iters == longer.train_cfg.val_interval == 125
    assert [s.get('T_max') for s in longer.param_scheduler] == [None, 125]
    assert longer.model.method.type == 'KeyFrameOnly'
    epochs = Config.fromfile(config_path('cmpose_vit-s_posetrack17.py'))
    with pytest.raises(ValueError, match='posetrack17.py: equal training time needs an IterBased'):
        variant_config(epochs, equal_time(single_frame, 0.4))


@pytest.mark.slow
def test_the_command_writes_table_and_plot(tmp_path):
    """Of finished runs, which it only reads."""
    for i, variant in enumerate(('CM-Pose', 'causal_tokens_only', 'no_FTE')):
        for seed in (4, 5):
            folder = tmp_path / 'runs' / variant / f'seed{seed}'
            folder.mkdir(parents=True)
            (folder / 'trained').touch()
            (folder / 'clean.json').write_text(json.dumps(metrics(10 * i + seed)['clean']))
    page = tmp_path / 'docs' / 'page.md'
    page.parent.mkdir()
    page.write_text('before\n<!-- begin table5 -->\n<!-- end table5 -->\nafter\n')
    tool = Path(__file__).parents[1] / 'tools' / 'ablate.py'
    command = [quick_python(), str(tool), 'table5', config_path('experiments/cmpose.py')]
    command += ['--seeds', '4', '5', '--splits', 'clean', '--work-dir', str(tmp_path / 'runs')]
    command += ['--docs', str(page), '--records', str(tmp_path / 'records')]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    table = (tmp_path / 'runs' / 'table5.md').read_text()
    assert table in result.stdout and table in page.read_text()
    assert cells(table, 4)[:2] == ['no FTE', '2'] and '+20.0 ± 0.0' in cells(table, 4)
    assert page.read_text().startswith('before\n<!-- begin table5 -->\n\n    python ')
    assert page.read_text().endswith('<!-- end table5 -->\nafter\n')
    for picture in (page.parent / 'images' / 'table5.png', tmp_path / 'runs' / 'table5.png'):
        assert cv2.imread(str(picture)) is not None
    # What is not recorded is named, and nothing is written where only first stages are.
    record = next((tmp_path / 'records').glob('no_FTE_seed4*'))
    record.unlink()
    next((tmp_path / 'records').glob('no_FTE_seed5*')).unlink()
    result = subprocess.run([*command, '--recorded'], capture_output=True, text=True)
    assert result.returncode == 0 and 'no FTE' not in page.read_text()
    assert 'table5: left out no FTE: no result is recorded of seeds 4, 5 on clean' in result.stderr
    before = page.read_text()
    result = subprocess.run([*command, '--recorded', '--copies'], capture_output=True, text=True)
    assert result.returncode == 1 and page.read_text() == before
    assert result.stderr.endswith(
        'table5: no result is recorded of seeds 4, 5 on clean, with and without neighbors\n'
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['CONFIG', '--splits', 'no_such_split', '--seeds', '0'],
         "no_such_split: not found, expected the labels of the split 'no_such_split'"),
        (['nope.py'], 'nope.py'),
        (['CONFIG', '--cfg-options', 'modell.x=1'], "has no 'modell.x'"),
        (['CONFIG', '--recorded', '--splits', 'val', '--seeds', '0'],
         'table5: no result is recorded of seeds 0 on val'),
        (['CONFIG', '--cfg-options', 'randomness.seed=1'], 'expected it as a seed (--seeds)'),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(tiny_config, synthetic_root, tmp_path, arguments, message):
    """And end before the training."""
    config = tiny_config(synthetic_root)
    tool = Path(__file__).parents[1] / 'tools' / 'ablate.py'
    command = [
        quick_python(),
        str(tool),
        'table5',
        *arguments,
        '--work-dir',
        str(tmp_path / 'runs'),
    ]
    command = [config if part == 'CONFIG' else part for part in command]
    done = subprocess.run(
        [*command, '--records', str(tmp_path / 'records')], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1] and 'Traceback' not in done.stderr
    assert not [*tmp_path.rglob('output.log')]


def test_methods_without_a_width_of_their_own_have_that_of_the_head():
    config = Config.fromfile(config_path('hkm/hkm_small.py'))
    change = EXPERIMENTS['baselines']['concatenation 3x3'](config)
    assert change['model.method']['embed_dims'] == config.model.head.in_channels


QUIET = """
default_hooks['checkpoint'] = dict(save_best=None)
val_evaluator['visibility'] = True
"""


def test_what_has_several_names_runs_once_at_its_first_place(tiny_config, tmp_path, monkeypatch):
    averaged = EXPERIMENTS['baselines']['averaged heatmaps']
    sets = {'x': {'CM-Pose': {}, 'averaged': averaged}, 'y': {'T 3': {}, 'again': averaged}}
    ran = []
    monkeypatch.setattr(ablation.runs, 'EXPERIMENTS', sets)
    monkeypatch.setattr(
        ablation.runs, 'run_once', lambda config, folder, *_: ran.append(folder.parent.name) or {}
    )
    config = tiny_config('no_data')
    results = run_experiments(['x', 'y'], config, [0], tmp_path / 'runs', splits=['val'])
    assert ran == ['CM-Pose', 'averaged']
    assert list(results['y']) == ['T 3', 'again']


@pytest.mark.slow(40)
def test_whole_experiment(tiny_config, synthetic_root, tmp_path, monkeypatch, quick_processes):
    """Two variants and a first stage, trained and tested on two splits; then a second set."""
    second, first = tiny_config(synthetic_root, 'second', QUIET), tmp_path / 'first.py'
    first.write_text(
        f'_base_ = [{second!r}]\n'
        "model = dict(type='VideoTopdownPoseEstimator', "
        "method=dict(_delete_=True, type='KeyFrameOnly'))\n"
        'train_dataloader = dict(dataset=dict(num_frames=1))\n'
        'val_dataloader = dict(dataset=dict(num_frames=1))\n'
        'test_dataloader = val_dataloader\n'
    )
    sets = {'x': {'CM-Pose': {}, 'averaged': EXPERIMENTS['baselines']['averaged heatmaps']}}
    sets['x']['another name'] = {}
    sets['y'] = {'CM-Pose': {}}
    monkeypatch.setattr(ablation.runs, 'EXPERIMENTS', sets)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    arguments = dict(
        config=second, seeds=[3], work_dir=tmp_path / 'runs', splits=['val', 'train'],
        first_stage=str(first),
    )  # fmt: skip
    records = tmp_path / 'records'
    results = run_experiment('x', **arguments, jobs=2, records=records)
    assert list(results) == ['CM-Pose', 'averaged', 'another name', FIRST_STAGE]
    assert not (tmp_path / 'runs' / 'another_name').exists()  # one config is run once
    np.testing.assert_equal(results['another name'], results['CM-Pose'])
    assert json.loads((tmp_path / 'runs' / 'x.json').read_text())['averaged']['3']
    for by_seed in results.values():
        assert list(by_seed[3]) == ['val', 'train']
        assert {'Total AP', *RECALL} <= set(by_seed[3]['val'])
    run = Config.fromfile(tmp_path / 'runs' / 'averaged' / 'seed3.py')
    assert run.randomness.seed == 3 and 'first_stage' in run.load_from
    for variant in ('CM-Pose', 'averaged'):
        log = (tmp_path / 'runs' / variant / 'seed3' / 'output.log').read_text()
        start = rf'Load checkpoint from \S*{FIRST_STAGE.replace(" ", "_")[:5]}\S*/seed3/epoch_1.pth'
        assert re.search(start, log), log[-2000:]
    assert len({by_seed[3]['val']['source']['start'] for by_seed in results.values()}) == 1
    # The numbers are those of `mim test` on that split.
    command = [quick_python(), '-m', 'mim', 'test', 'mmpose', run.filename, '--checkpoint']
    command += [str(tmp_path / 'runs' / 'averaged' / 'seed3' / 'epoch_1.pth'), '--work-dir']
    command += [str(tmp_path / 'test'), '--cfg-options', 'test_evaluator.ann_file=' + str(
        Path(synthetic_root, 'annotations', 'train')
    ), 'test_dataloader.dataset.ann_file=annotations/train']  # fmt: skip
    output = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert output.returncode == 0, output.stderr[-2000:]
    tested = json.loads(next((tmp_path / 'test').glob('*/*.json')).read_text())
    assert tested['posetrack/Recall visible'] == results['averaged'][3]['train']['Recall visible']
    # A second set shares the run, and nothing is trained.
    monkeypatch.setattr(ablation.runs, '_run', None)
    again = run_experiment('y', **arguments)['CM-Pose'][3]['val']
    assert again['Total AP'] == results['CM-Pose'][3]['val']['Total AP']
    # Nor on another machine, to which the records were copied and nothing else.
    arguments['work_dir'] = tmp_path / 'elsewhere'
    copied = run_experiment('x', **arguments, records=records)
    np.testing.assert_equal(copied, results)
    assert not any(path.is_dir() for path in (tmp_path / 'elsewhere').iterdir())
    assert copied['averaged'][3]['val']['source']['torch'] == torch.__version__
    # One that is missing needs its first stage, which is then not recorded anew.
    next(records.glob('averaged*')).unlink()
    ran = []
    monkeypatch.setattr(ablation.runs, '_run', lambda command, *_: ran.append(command[4]))
    with pytest.raises(FileNotFoundError):
        run_experiment('x', **arguments, records=records)
    assert [Path(folder).parent.name for folder in ran] == ['start_first_stage']


def test_each_seed_starts_from_its_own_first_stage(tmp_path, monkeypatch):
    starts = {}

    def run_once(config, work_dir, *_):
        starts[work_dir.parent.name, work_dir.name] = config.load_from
        work_dir.mkdir(parents=True)
        (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
        return {'test': {'Total AP': 0.0}}

    monkeypatch.setattr(ablation.runs, 'run_once', run_once)
    monkeypatch.setattr(
        ablation.runs, 'EXPERIMENTS', {'x': {'CM-Pose': {}, 'b': {'train_cfg.max_iters': 9}}}
    )
    names = ('experiments/jhmdb_cmpose.py', 'experiments/jhmdb_single_frame.py')
    config, first_stage = map(config_path, names)
    run_experiments(
        ['x'], config, [1, 2], tmp_path, splits=['test'], first_stage=first_stage, jobs=2
    )
    stage = starts[next(key for key in starts if key[0] not in ('CM-Pose', 'b'))]
    assert stage == Config.fromfile(first_stage).get('load_from')
    for variant in ('CM-Pose', 'b'):
        for seed in ('seed1', 'seed2'):
            start = Path(starts[variant, seed])
            assert start.parent.name == seed and start.parents[1].name not in ('CM-Pose', 'b')


def test_runs_of_other_starts_are_told(tmp_path, monkeypatch, recwarn):
    """A first stage that is trained again, elsewhere, is not quite that of the recorded runs."""
    weights = {'a': torch.ones(2)}

    def run_once(config, work_dir, *_):
        ablation.runs._note_source(work_dir, config)
        torch.save({'state_dict': weights, 'meta': {'time': str(work_dir)}}, work_dir / 'last.pth')
        (work_dir / 'last_checkpoint').write_text(str(work_dir / 'last.pth'))
        return {'test': {'Total AP': 0.0}}

    monkeypatch.setattr(ablation.runs, 'run_once', run_once)
    sets = {'CM-Pose': {}, 'b': {'train_cfg.max_iters': 9}, 'c': {'train_cfg.max_iters': 8}}
    monkeypatch.setattr(ablation.runs, 'EXPERIMENTS', {'x': sets})
    names = ('experiments/jhmdb_cmpose.py', 'experiments/jhmdb_single_frame.py')
    config, first_stage = map(config_path, names)

    def run(work_dir, seeds=(1, 2), **options):
        return run_experiment(
            'x', config, seeds, tmp_path / work_dir, splits=['test'], first_stage=first_stage,
            records=tmp_path, **options,
        )  # fmt: skip

    assert 'other weights' not in results_foot(run('here'))
    for seed in (1, 2):
        next(tmp_path.glob(f'c_seed{seed}*')).unlink()
    assert 'other weights' not in results_foot(run('here'))  # the same first stage
    next(tmp_path.glob('c_seed1*')).unlink()
    assert 'other weights' not in results_foot(run('equal', [1]))  # a file of the same weights
    assert not [w for w in recwarn if 'other weights' in str(w.message)]
    next(tmp_path.glob('c_seed1*')).unlink()
    weights['a'] = torch.tensor([1.0, 1.0001])
    told = re.escape('those that these recorded runs began from, or their records do not say so: ')
    with pytest.warns(UserWarning, match=f'^seed 1: .* {told}CM-Pose; b; start: first stage. Diff'):
        results = run('elsewhere')
    foot = results_foot(results)
    assert 'Seed 1: c began from other weights than CM-Pose, or' in foot and 'Seed 2' not in foot
    assert results_foot(run('nowhere', only_recorded=True)) == foot
    for file in tmp_path.glob('*_seed1*.json'):  # as earlier versions wrote them
        content = json.loads(file.read_text())
        content['splits']['test']['source'].pop('start')
        file.write_text(json.dumps(content))
    assert 'Seed' not in results_foot(run('nowhere', only_recorded=True))


def test_distances_are_of_clips_of_neighboring_frames():
    config = Config.fromfile(config_path('cmpose/cmpose_vit_jhmdb.py'))
    with pytest.raises(ValueError, match='the frames of a clip are 2 apart .*; expected 1'):
        variant_config(config, EXPERIMENTS['distance']['distance 2'])
    config = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))
    changed = variant_config(config, EXPERIMENTS['distance']['distance 3'])
    assert changed.train_dataloader.dataset.stride == changed.test_dataloader.dataset.stride == 3


def test_copies_are_of_splits():
    tool = Path(__file__).parents[1] / 'tools' / 'ablate.py'
    done = run_tool(tool, 'table5', 'c.py', '--copies')
    assert done.returncode == 2 and '--copies: tests on splits, expected --splits' in done.stderr


def test_the_command_passes_its_options_on(tmp_path, monkeypatch):
    sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))
    import ablate

    called = {}

    def run_experiments(names, config, seeds, work_dir, **arguments):
        called.update(arguments, names=names, config=config, seeds=seeds, work_dir=work_dir)
        return {'table5': {}}

    monkeypatch.setattr(ablate, 'run_experiments', run_experiments)
    monkeypatch.setattr(sys, 'argv', [
        'ablate.py', 'table5', 'c.py', '--seeds', '4', '5', '--first-stage', 'first.py',
        '--splits', 'a', 'b', '--copies', '--jobs', '2', '--work-dir', str(tmp_path),
        '--records', 'kept', '--cfg-options', 'randomness.seed=7', '--', '--gpus', '2',
    ])  # fmt: skip
    with pytest.raises(SystemExit, match='table5: no result is recorded of seeds 4, 5 on a, b'):
        ablate.main()
    assert called == dict(
        names=['table5'], config='c.py', seeds=[4, 5], work_dir=tmp_path, splits=['a', 'b'],
        first_stage='first.py', mim_args=['--gpus', '2'], jobs=2, records=Path('kept'),
        copies=True, cfg_options={'randomness.seed': 7}, only_recorded=False,
    )  # fmt: skip


def test_sets_of_cmpose_go_without_its_name():
    assert EXPERIMENTS['table4'] is EXPERIMENTS['cmpose/table4']
    assert full_name('table4') == full_name('cmpose/table4') == 'cmpose/table4'
    assert results_file(Path('runs'), 'cmpose/table4', 'md') == Path('runs/cmpose_table4.md')


def test_the_page_has_a_place_for_every_set_of_cmpose():
    docs = Path(__file__).parents[1] / 'docs'
    pages = [(docs / page).read_text() for page in ('evidence.md', 'real_footage_results.md')]
    sets = [name.split('/')[1] for name in EXPERIMENTS if name.startswith('cmpose/')]
    sets = [name for name in sets if name not in ('causal', 'finalists')]  # causal_tokens.py's
    on_footage = 'distance', 'frames', 'copies'
    for name in (*sets, 'interpretability'):
        page, name = (pages[1], f'jhmdb_{name}') if name in on_footage else (pages[0], name)
        assert page.count(f'<!-- begin {name} -->\n') == page.count(f'<!-- end {name} -->\n') == 1


def test_another_split_is_tested_with_its_own_labels():
    config = Config.fromfile(config_path('experiments/cmpose.py'))
    clean = split_test_config(config, 'clean')
    assert clean.test_dataloader.dataset.ann_file == 'annotations/clean'
    assert clean.test_evaluator.ann_file == 'data/test_bed/annotations/clean'
    assert config.test_dataloader.dataset.ann_file == 'annotations/occluded'
    config = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))  # PCK beside AP
    for evaluator in split_test_config(config, 'clean').test_evaluator:
        assert evaluator.ann_file == 'data/jhmdb_distinct/annotations/clean'


def test_experiments_change_nothing_but_budget_and_lambda():
    demo, ours = (
        Config.fromfile(config_path(name)) for name in ('cmpose_demo.py', 'experiments/cmpose.py')
    )
    assert ours.model.method.aux.pop('loss_weight') == 0.1
    demo.model.method.aux.pop('loss_weight')
    assert ours.model.method == demo.model.method and ours.model.head == demo.model.head
    assert ours.train_cfg.max_iters == ours.param_scheduler[-1].T_max == 120
    assert ours.default_hooks.checkpoint.interval == 120
    assert ours.val_evaluator.visibility and ours.test_evaluator.visibility
    first = Config.fromfile(config_path('experiments/single_frame.py'))
    assert first.train_dataloader.dataset.data_root == ours.train_dataloader.dataset.data_root
    assert first.model.backbone == {
        key: value for key, value in ours.model.backbone.items() if key != 'norm_eval'
    }


@pytest.mark.parametrize(
    ('short', 'long'),
    [('cmpose_360', 'cmpose_three_passes'), ('jhmdb_cmpose', 'jhmdb_cmpose_three_passes')],
)
def test_three_passes_differ_by_their_steps_and_what_tasks_teach(short, long):
    short, long = (
        Config.fromfile(config_path(f'experiments/{name}.py')).to_dict() for name in (short, long)
    )
    assert long['model']['method']['aux'].pop('detach_input') is True
    steps = long['max_iters']
    assert steps == long['train_cfg']['max_iters'] == long['train_cfg']['val_interval']
    assert steps == long['param_scheduler'][-1]['T_max']
    assert short['param_scheduler'][-1]['T_max'] == short['max_iters'] == 360
    for config in (short, long):
        for key in ('max_iters', 'train_cfg'):
            del config[key]
        del config['param_scheduler'][-1]['T_max']
        for key in ('interval', 'save_optimizer', 'max_keep_ckpts'):
            config['default_hooks']['checkpoint'].pop(key, None)
    assert short == long


@pytest.mark.slow
def test_step_times(synthetic_root):
    """The benchmark behind equal training time: more steps for whoever is faster."""
    script = Path(__file__).parents[1] / 'benchmarks' / 'step_time.py'
    command = [quick_python(), str(script), 'cmpose_demo.py', '--repeats', '2', '--steps', '1']
    command += ['--cfg-options', 'train_dataloader.batch_size=4']
    command += [f'train_dataloader.dataset.data_root={synthetic_root}']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [cells(line, 0) for line in result.stdout.splitlines() if line.startswith('| ')]
    timed = [name for name in EXPERIMENTS['baselines'] if 'rate' not in name]
    assert [row[0] for row in rows[1:]] == timed
    seconds = {name: float(value) for name, value, *_ in rows[1:]}
    assert rows[1][2:] == ['1.000 (1.000-1.000)', '50']
    assert 0 < seconds['single frame'] < seconds['CM-Pose']
    assert int(rows[2][3]) > 50
