"""The 26.7 % experiment on tiny models: what is trained on what, and that nothing is done twice."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_files import coco, write
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from run_tools import run_tool
from walks import walker

from cmpose_mm import config_path
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.propagation import Linear, plan_queries
from cmpose_mm.propagation.sparsify import sparsify_video

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

from propagation import ALL, SPARSE, Experiment, Remembered, tables  # noqa: E402

NEEDS_MODELS = ('warp', 'stdpose')
BENCHMARK = Path(__file__).parents[2] / 'benchmarks' / 'propagation.py'


@pytest.fixture
def run(tmp_path, synthetic_root):
    """Runs the benchmark on the rendered dataset with tiny configs."""

    def call(*arguments):
        loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
        return run_tool(
            BENCHMARK, '--data', 'rendered', '--config',
            config_path('baselines/key_frame_only_tiny.py'), '--seeds', 3,
            '--work-dir', tmp_path / 'work', '--records', tmp_path / 'records',
            *arguments, '--cfg-options',
            *(f'{loader}.dataset.data_root={synthetic_root}/' for loader in loaders),
        )  # fmt: skip

    return call


@pytest.mark.parametrize('every', [4, 8])
def test_models_learn_the_distances_at_which_they_are_asked(tmp_path, every):
    """The nearest of two labels is at most half their distance away."""
    models = [(name, config_path(f'experiments/propagation_{name}.py')) for name in NEEDS_MODELS]
    args = Namespace(
        config=config_path('experiments/propagation.py'), models=models, cfg_options={},
        splits=None, work_dir=tmp_path,
    )  # fmt: skip
    configs = Experiment(args, 'real', every, 0).models
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert configs['stdpose'][loader].dataset.label_every == every
        if loader == 'train_dataloader':
            assert configs['warp'][loader].dataset.stride == every // 2


def test_digests_know_the_distance_the_model_and_what_it_starts_from(tmp_path):
    def digest(variant: str, every: int = 4, **options) -> str:
        args = Namespace(
            config=config_path('experiments/propagation.py'), splits=None, work_dir=tmp_path,
            models=[('warp', config_path('experiments/propagation_warp.py'))], cfg_options=options,
        )  # fmt: skip
        experiment = Experiment(args, 'real', every, 0)
        name = experiment.name_of(variant)
        return experiment.on(experiment.student, tmp_path, name)[1]

    variants = (ALL, SPARSE, 'copy', 'linear', 'estimate', 'warp')
    assert len({digest(variant) for variant in variants}) == len(variants)
    for variant in variants:  # all labels are the same at every distance
        assert (digest(variant) == digest(variant, 8)) == (variant == ALL)
        assert digest(variant) != digest(variant, **{'optim_wrapper.optimizer.lr': 1.0})
    changed = Config.fromfile(config_path('experiments/propagation_warp.py'))
    changed.merge_from_dict({'model.method.embed_dims': 16})
    file = tmp_path / 'changed.py'
    changed.dump(file)
    args = Namespace(
        config=config_path('experiments/propagation.py'), splits=None, work_dir=tmp_path,
        models=[('warp', str(file))], cfg_options={},
    )  # fmt: skip
    other = Experiment(args, 'real', 4, 0)
    assert other.on(other.student, tmp_path, other.name_of('warp'))[1] != digest('warp')
    assert other.on(other.student, tmp_path, other.name_of('copy'))[1] == digest('copy')


def test_all_labels_are_trained_once_before_the_distances(tmp_path, monkeypatch):
    """Every distance shares their folder: at the same time they would be trained twice in it."""
    import propagation

    ran = []

    def run_all(experiment, variants=None):
        ran.append((experiment.seed, experiment.every, variants))
        return {}

    monkeypatch.setattr(propagation, 'run_all', run_all)
    monkeypatch.setattr(propagation, 'sparsify_labels', lambda *_: None)
    monkeypatch.setattr(sys, 'argv', [
        'propagation.py', '--data', 'real', '--every', '4', '8', '--seeds', '1', '2',
        '--work-dir', str(tmp_path), '--records', str(tmp_path),
    ])  # fmt: skip
    propagation.main()
    assert ran == [
        (1, 4, [ALL]), (2, 4, [ALL]),
        (1, 4, None), (1, 8, None), (2, 4, None), (2, 8, None),
    ]  # fmt: skip


def test_options_that_no_config_has(run):
    done = run_tool(BENCHMARK, '--recorded', '--cfg-options', 'optim_wraper.optimizer.lr=1')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "cfg-options: propagation.py has no 'optim_wraper.optimizer.lr'; did you mean "
        "'optim_wrapper.optimizer.lr'?"
    )
    done = run_tool(BENCHMARK, '--recorded', '--cfg-options', 'foo')
    assert done.returncode == 2 and "expected KEY=VALUE, found 'foo'" in done.stderr


@pytest.mark.slow(30)
def test_variants_are_trained_on_their_labels_and_recorded(run, tmp_path):
    arguments = ['--model', 'warp', config_path('heatmap_warp/heatmap_warp_tiny.py')]
    done = run(*arguments, '--only', 'warp', '--jobs', 2)
    assert done.returncode == 0, done.stderr
    work = tmp_path / 'work' / 'rendered' / 'every4'
    trained = {
        str(file.relative_to(work)): Config.fromfile(file) for file in work.glob('*/seed3.py')
    }
    labels = {
        name: Path(config.train_dataloader.dataset.ann_file) for name, config in trained.items()
    }
    assert {
        name: path.relative_to(work / 'labels').as_posix() for name, path in labels.items()
    } == {
        'sparse/seed3.py': 'sparse',  # what the warp starts from
        'model_warp/seed3.py': 'sparse',
        'warp/seed3.py': 'warp/seed3',
    }
    start = Path(trained['model_warp/seed3.py'].load_from)
    assert start.parent == work / 'sparse' / 'seed3'
    for name, path in labels.items():
        pseudo = sum(video.num_pseudo for video in read_videos(path))
        assert (pseudo == 0) == (path.name == 'sparse'), name
    records = [json.loads(file.read_text()) for file in (tmp_path / 'records').rglob('*.json')]
    assert [record['variant'] for record in records] == ['warp']
    for record in records:
        assert record['splits'].keys() == {'val', 'hidden labels'} and record['seed'] == 3
        hidden = record['splits']['hidden labels']
        assert hidden['PCK@0.1'] > 50
        assert hidden['poses'] == sum(v.num_pseudo for v in read_videos(labels['warp/seed3.py']))
        assert hidden['joints'] > 3 * hidden['poses']
    # the tiny config measures no PCK on the test split
    row = r'\| warp +\| 1 +\| - +\| [\d.]+ +\| 100.0 +\| [\d.]+ +\| \d{2,} '
    assert re.search(row, done.stdout)

    stamps = {file: file.stat().st_mtime_ns for file in work.rglob('*.pth')}
    again = run(*arguments, '--only', 'warp')  # finds the records
    assert again.returncode == 0, again.stderr
    assert {file: file.stat().st_mtime_ns for file in work.rglob('*.pth')} == stamps
    table = done.stdout[done.stdout.index('rendered, labels 4 frames apart') :]
    assert again.stdout == table


@pytest.mark.parametrize('jobs', [1, 2])
def test_tables_of_nothing(jobs, run):
    done = run('--recorded', '--every', 4, 8, '--jobs', jobs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('| all labels ') == 2
    assert 'rendered, labels 8 frames apart (13.3 % of 30 frames):' in done.stdout
    assert 'Not run yet.' in done.stdout


def test_wrong_arguments(run):
    for arguments, message in (
        (['--model', 'linear', 'a.py'], '--model linear: expected one of warp, stdpose'),
        (['--only', 'magic'], "--only 'magic': expected some of all labels, sparse, copy"),
        (['--every', 1], '--every 1: expected at least 2'),
        (['--jobs', 0], '--jobs 0: expected at least 1'),
    ):
        done = run(*arguments)
        assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize(
    'name', [f'propagation{part}' for part in ('', '_rendered', '_warp', '_stdpose')]
)
def test_configs(name):
    config = Config.fromfile(config_path(f'experiments/{name}.py'))
    steps = config.train_cfg.max_iters
    assert steps == config.param_scheduler[-1].T_max == config.default_hooks.checkpoint.interval
    assert config.get('load_from') is None  # the benchmark sets it
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(config.model)
        for loader in (config.train_dataloader, config.test_dataloader):
            Compose(loader.dataset.pipeline)
    assert hasattr(model, 'method') == name.endswith(('_warp', '_stdpose'))


def test_each_query_is_asked_once_and_answered_as_before(tmp_path):
    """Also the same person and frame with one label only, and in other company and order."""
    asked = []

    class Counting(Linear):
        def __call__(self, queries):
            asked.extend(queries)
            return super().__call__(queries)

    persons = [[walker(3.0 * n, track=0), walker(90 - n * n, track=1)] for n in range(14)]
    for name in ('000001_a', '000002_b'):
        write(tmp_path / f'{name}.json', coco(persons, name=name))
        persons = persons[::-1]
    videos = [sparsify_video(video, 4) for video in read_videos(tmp_path)]
    queries = [query for video in videos for query in plan_queries(video, 4).queries]
    both = [query for query in queries if query.before and query.after]
    one_sided = [replace(query, after=None) for query in both]
    assert 0 < len(both) < len(queries)
    remembered = Remembered(Counting())
    for some in (queries[:7], queries[::-1], one_sided, queries + one_sided):
        for found, expected in zip(remembered(some), Linear()(some)):
            np.testing.assert_array_equal(found, expected)
    assert len(asked) == len(queries) + len(one_sided)


def test_the_columns_are_those_of_the_splits():
    scores = {'other': {'PCK@0.1': 12.5, 'Total AP': 34.5}}
    text = tables({('real', 4): {ALL: {0: scores}}}, ['other'])
    assert 'PCK@0.1, other' in text and 'AP, other' in text and 'clean' not in text
    assert '| 12.5 ' in text and '| 34.5 ' in text
    assert 'PCK@0.1, clean' in tables({('real', 4): {ALL: {0: {'clean': scores['other']}}}})


def test_seeds_are_no_overrides(run):
    done = run('--only', ALL, '--cfg-options', 'randomness.seed=1')
    assert done.returncode == 2 and 'randomness.seed: expected --seeds' in done.stderr
