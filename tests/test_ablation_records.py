"""Results that outlast the machine: digests, files, splits of one test, tables with intervals."""

import copy
import json
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.evaluator import Evaluator
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from cmpose_mm import config_path
from cmpose_mm.ablation import EXPERIMENTS, results_foot, results_tables, variant_config
from cmpose_mm.ablation.leaderboard import small_configs
from cmpose_mm.ablation.records import (
    config_digest,
    format_sources,
    read_record,
    source_of_results,
    weights_digest,
    write_record,
)
from cmpose_mm.ablation.report import AP_DRAWS, Comparison, value
from cmpose_mm.ablation.runs import FIRST_STAGE, _planned_runs, run_experiments
from cmpose_mm.ablation.split_tests import SplitEvaluator, group_splits, split_test_config
from cmpose_mm.converters.posetrack_form import config_options
from cmpose_mm.datasets.body.posetrack_video_dataset import posetrack_metainfo
from cmpose_mm.evaluation.resampling import draw_films, interval
from cmpose_mm.metrics import PoseTrackMetric, PoseTrackPCK
from cmpose_mm.posetrack.annotations import AnnotationError

sys.path.insert(0, str(Path(__file__).parent / 'metrics'))

from test_pck_metric import make  # noqa: E402

FILMS = {'000000_test': ('b', 0), '000001_test': ('a', 1), '000002_test': ('b', 1)}


@pytest.fixture(scope='module')
def footage(tmp_path_factory):
    """Root with labels `test`, its clips of full bodies `full`, a `clips.csv`; and predictions."""
    root = tmp_path_factory.mktemp('footage')
    samples = make(root / 'annotations' / 'test', num_frames=8)
    rng = np.random.default_rng(4)
    for sample in samples:
        scores = rng.random((1, 15)).astype(np.float32)
        sample.pred_instances.keypoint_scores = scores
    (root / 'annotations' / 'full').mkdir()
    for name, (_, full) in FILMS.items():
        if full:
            file = f'annotations/test/{name}.json'
            shutil.copy(root / file, root / file.replace('test/', 'full/', 1))
    rows = [f'{name},{film},{full}' for name, (film, full) in FILMS.items()]
    (root / 'clips.csv').write_text('\n'.join(['sequence,film,full_body', *rows]) + '\n')
    return root, samples


def evaluators(folder) -> list:
    settings = dict(prefix='posetrack', ann_file=str(folder))
    return [PoseTrackPCK(norms=['box', 'torso'], **settings), PoseTrackMetric(**settings)]


def score(evaluator: Evaluator, samples: list) -> dict:
    evaluator.dataset_meta = parse_pose_metainfo(posetrack_metainfo('posetrack18'))
    for start in range(0, len(samples), 5):  # batches with clips of several splits
        evaluator.process(copy.deepcopy(samples[start : start + 5]), None)
    return evaluator.evaluate(len(samples))


@pytest.fixture(scope='module')
def measures(footage) -> dict:
    root, samples = footage
    metrics = {split: evaluators(root / 'annotations' / split) for split in ('test', 'full')}
    evaluator = SplitEvaluator(metrics)
    logged = score(evaluator, samples)
    assert {'test/posetrack/PCK@0.1', 'full/posetrack/AP'} <= {*logged}
    return evaluator.measures


def test_splits_of_one_test_score_as_tests_of_their_own(footage, measures):
    root, samples = footage
    full = [name for name, (_, full) in FILMS.items() if full]
    # The frames of the last two videos, which are those with full bodies.
    for split, own in (('test', samples), ('full', samples[8:])):
        expected = score(Evaluator(evaluators(root / 'annotations' / split)), own)
        for name, number in expected.items():
            name = name.removeprefix('posetrack/')
            if split == 'test' and name.endswith('AP'):  # a clip cuts the body
                assert name not in measures['test']
            else:
                assert measures[split][name] == pytest.approx(number, nan_ok=True), name
    clips = measures['full']['clips']
    assert clips['names'] == full and measures['test']['clips']['films'] == [1, 0, 1]
    assert 'ranked' in clips and 'ranked' not in measures['test']['clips']


def test_pooled_pck_is_found_over_labeled_joints_counted_one_by_one(footage, measures):
    _, samples = footage
    found = labeled = 0
    for sample in samples:
        gt, pred = sample.gt_instances, sample.pred_instances
        x1, y1, x2, y2 = gt.bboxes[0].tolist()
        for joint in range(15):
            if gt.keypoints_visible[0, joint]:
                dx, dy = (pred.keypoints[0, joint] - gt.keypoints[0, joint]).tolist()
                labeled += 1
                found += (dx * dx + dy * dy) ** 0.5 / max(x2 - x1, y2 - y1) < 0.1
    assert value(measures['test'], 'PCK@0.1') == pytest.approx(100 * found / labeled)
    assert np.isnan(value(measures['test'], 'Total AP'))


def test_clips_that_the_table_lacks_are_an_error(footage, tmp_path):
    root, samples = footage
    shutil.copytree(root, tmp_path / 'root')
    table = tmp_path / 'root' / 'clips.csv'
    table.write_text(table.read_text().replace('000001_test,', 'other,'))
    evaluator = SplitEvaluator({'test': evaluators(tmp_path / 'root' / 'annotations' / 'test')})
    with pytest.raises(AnnotationError, match='clips.csv: has no row for 000001_test and 0 other'):
        score(evaluator, samples)


def test_splits_are_grouped_by_their_label_files(footage):
    root, _ = footage
    config = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))
    config.test_dataloader.dataset.data_root = str(root)
    groups = group_splits(config, ['full', 'test', 'full copies', 'absent'])
    assert groups == {
        'test': ['test', 'full'],
        'full copies': ['full copies'],
        'absent': ['absent'],
    }
    other = root / 'annotations' / 'other'
    shutil.copytree(root / 'annotations' / 'full', other, dirs_exist_ok=True)
    file = sorted(other.glob('*'))[0]
    file.write_text(file.read_text() + ' ')  # a label that differs
    assert group_splits(config, ['other', 'test']) == {'test': ['test'], 'other': ['other']}
    repeated = split_test_config(config, 'full copies')
    assert repeated.test_dataloader.dataset.pipeline[0].type == 'RepeatKeyFrame'
    assert repeated.test_dataloader.dataset.ann_file == 'annotations/full'


def test_digest_depends_on_the_training_and_on_no_folder():
    config = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))
    digest = config_digest(config, 'start')
    moved = variant_config(config, {}, {'load_from': '/runs/3/iter_9.pth', 'work_dir': '/x'})
    moved.train_dataloader.dataset.data_root = '/big/disk/jhmdb_distinct'
    moved.test_dataloader.dataset.num_frames = None
    assert config_digest(moved, 'start') == digest
    for change in (
        {'randomness.seed': 1},
        {'model.method.aux': None},
        {'train_cfg.max_iters': 9},
        {'train_dataloader.dataset.data_root': 'data/jhmdb/'},
        {'test_dataloader.dataset.stride': 2},
        {'default_hooks.ema': dict(type='EMAHook')},
        {'optim_wrapper.optimizer.lr': 1.0},
        {'param_scheduler.0.end': 9},
        {'custom_hooks': [dict(type='EMAHook')]},
        {'auto_scale_lr': dict(enable=True, base_batch_size=1)},
        {'test_evaluator.0.norms': ['torso']},
        {'mim_args': ['--gpus', '2']},
        {'sync_bn': 'torch'},
        {'test_cfg.fp16': True},
    ):
        assert config_digest(variant_config(config, change), 'start') != digest, change
    assert (
        config_digest(variant_config(config, {'default_hooks.logger.interval': 7}), 'start')
        == digest
    )
    for hook in (
        dict(type='FrameHeadHook', joints=['nose']),
        dict(type='CheckpointHook', save_last=False),
    ):  # of those that every run has, what decides about the weights or the joints
        other = variant_config(config, {'default_hooks.checkpoint': hook})
        assert config_digest(other, 'start') != digest, hook
    assert config_digest(config, 'other') != digest
    root = config.train_dataloader.dataset.data_root.rstrip('/')
    beside = variant_config(config, {})
    beside.test_evaluator[0].ann_file = f'{root}_b/labels'
    inside = variant_config(config, {})
    inside.test_evaluator[0].ann_file = f'{root}/_b/labels'
    assert config_digest(beside, 'start') != config_digest(inside, 'start')
    first = config_digest(variant_config(config, {'load_from': 'a/one.pth'}))
    assert first == config_digest(variant_config(config, {'load_from': '/b/one.pth'}))


def test_digests_of_converted_sets_differ_by_the_set_alone():
    """All have their labels in folders such as split1, and their images elsewhere."""
    config = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))
    digests = {}
    for home in ('/home/a', '/mnt/b/c'):
        for labels in ('full/split1', 'full/split2', 'sub/split1'):
            options = config_options(f'{home}/{labels}', f'{home}/release')
            changes = dict(option.split('=') for option in options.split())
            digest = config_digest(variant_config(config, changes), 'start')
            digests.setdefault(labels, set()).add(digest)
    assert [len(found) for found in digests.values()] == [1, 1, 1]
    assert len(set.union(*digests.values())) == 3


def test_records_are_read_as_they_were(measures, tmp_path):
    digest = 64 * 'a'
    write_record(tmp_path, 'CM-Pose, 3x', 1, digest, {'test': measures['test']})
    assert read_record(tmp_path, digest, ['test', 'full']) is None
    file = write_record(tmp_path, 'another name', 1, digest, {'full': measures['full']})
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.name == 'CM-Pose_3x_seed1_aaaaaaaaaaaa.json'
    assert json.loads(file.read_text())['splits']['full']['clips']['of'] == 'test'
    found = read_record(tmp_path, digest, ['full', 'test'])
    assert list(found) == ['full', 'test']
    for split, read in found.items():
        assert read.pop('source') == source_of_results()
        np.testing.assert_equal(read, measures[split])
    assert read_record(tmp_path, 64 * 'b', ['test']) is None


@pytest.mark.parametrize('text', ['', '{}', '{"splits": 1}', '{"splits": {"a": 3}}', '[1', 'x'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / f'any_seed0_{12 * "a"}.json').write_text(text)
    with pytest.raises(ValueError, match='any_seed0_a+.json: expected the results of a run'):
        read_record(tmp_path, 64 * 'a', ['test'])


def test_results_keep_what_made_them(tmp_path, monkeypatch):
    made = {'A': {'AP': float('nan'), 'PCK': 1.5}, 'B': {'AP': 2.0}}
    for commit, splits in (('old', ['A']), ('new', ['A', 'B'])):
        monkeypatch.setenv('GIT_COMMIT', commit)
        write_record(tmp_path, 'x', 0, 'd' * 64, {split: made[split] for split in splits})
    found = read_record(tmp_path, 'd' * 64, 'AB')
    assert [found[split]['source']['commit'] for split in 'AB'] == ['old', 'new']
    monkeypatch.setenv('GIT_COMMIT', 'last')
    write_record(tmp_path, 'x', 0, 'd' * 64, {'A': {**made['A'], 'PCK': 1.6}})
    found = read_record(tmp_path, 'd' * 64, 'AB')
    assert [found[split]['source']['commit'] for split in 'AB'] == ['last', 'new']
    assert found['A']['PCK'] == 1.6


def test_splits_written_one_after_another_stay_as_they_were(tmp_path):
    """Of three splits each holds the clips of the next; a later test of a part is not mixed in."""

    def made(names: str, value: int) -> dict:
        clips = dict(names=[*names], films=[0 for _ in names], joints=[[1] for _ in names],
                     hits=[[value] for _ in names], thresholds=[0.1])  # fmt: skip
        return {'AP': value, 'clips': clips}

    small, middle, large = (made(names, 1) for names in ('a', 'ab', 'abc'))
    for splits in ({'S': small}, {'S': small, 'M': middle}, {'M': middle, 'L': large}):
        write_record(tmp_path, 'x', 0, 'd' * 64, splits)
    other = made('ab', 2), made('abc', 2)
    write_record(tmp_path, 'y', 0, 'e' * 64, {'M': middle, 'S': small})
    write_record(tmp_path, 'y', 0, 'e' * 64, dict(zip('ML', other)))
    for digest, expected in (
        ('d' * 64, {'S': small, 'M': middle, 'L': large}),
        ('e' * 64, {'S': small, 'M': other[0], 'L': other[1]}),
    ):
        found = read_record(tmp_path, digest, [*'SML'])
        for read in found.values():
            read.pop('source')
        assert found == expected


def test_weights_are_known_by_their_values(tmp_path):
    """Neither by the rest of the file nor by their order; a type or a shape is a difference."""
    weights = {'b': torch.tensor(3), 'a': torch.ones(2, 3), 'c': torch.ones(2).bfloat16()}
    files = [
        {'state_dict': weights, 'meta': {'time': 'one'}},
        {'state_dict': dict(sorted(weights.items())), 'meta': {'time': 'another'}},
        weights,
        {**weights, 'a': torch.ones(3, 2)},
        {**weights, 'c': torch.ones(2).half()},
        {**weights, 'b': torch.tensor(4)},
        {('d' if name == 'b' else name): value for name, value in weights.items()},
    ]
    digests = []
    files[1]['state_dict']['_extra_state'] = None  # as some modules have
    for content in files:
        torch.save(content, tmp_path / 'w.pth')
        digests.append(weights_digest(tmp_path / 'w.pth'))
    assert len({*digests[:3]}) == 1 and len({*digests[2:]}) == 5
    transposed = {**weights, 'a': torch.ones(3, 2).t()}
    torch.save(transposed, tmp_path / 'w.pth')
    assert weights_digest(tmp_path / 'w.pth') == digests[0]


def test_weights_to_start_from_and_options_of_mim_are_part_of_a_run(tmp_path):
    config = config_path('experiments/jhmdb_cmpose.py')
    digests = []
    for folder, content in (('a', b'1'), ('b', b'2'), ('c', b'1')):
        file = tmp_path / folder / 'epoch_2.pth'
        file.parent.mkdir()
        file.write_bytes(content)
        for mim_args in ((), ('--gpus', '2')):
            sets = {'copies': EXPERIMENTS['copies']}
            plan = _planned_runs(
                sets, config, [0], ['test'], None, False, 0, {'load_from': str(file)}, mim_args
            )
            digests.append(plan['CM-Pose', 0].digest)
    a, a_two, b, b_two, c, c_two = digests
    assert a == c and a_two == c_two and len({a, a_two, b, b_two}) == 4
    file = tmp_path / 'd' / 'epoch_2.pth'
    with pytest.raises(ValueError, match=r'load_from is .*epoch_2\.pth, which is not found'):
        _planned_runs(sets, config, [0], ['test'], None, False, 0, {'load_from': str(file)})


def test_differences_are_from_the_first_variant_of_the_set_or_none(measures):
    one, other = copy.deepcopy(measures), copy.deepcopy(measures)
    hits = other['test']['clips']['hits']
    other['test']['clips']['hits'] = [[0] * len(row) for row in hits]
    known = {'second': {0: one}, 'third': {0: other}}
    with_first, without = (
        results_tables({'first': first, **known}) for first in ({0: copy.deepcopy(one)}, {})
    )
    delta = [cell.strip() for cell in with_first.splitlines()[0].split('|')].index('Δ PCK@0.1')

    def column(text: str) -> list[str]:
        return [line.split('|')[delta].strip()[:4] for line in text.splitlines()[2:] if line]

    lost = value(measures['test'], 'PCK@0.1')
    assert lost > 0 and column(with_first)[:3] == ['', '+0.0', f'{-lost:.1f}'[:4]]
    assert column(without)[:2] == ['-', '-']


def test_commit_and_machine_are_told_where_they_differ():
    one = dict(commit='abc', torch='2.9', machine='GPU, 16 cores', date='2026-11-26')
    two = dict(one, commit='def', date='2026-12-01')
    assert format_sources([one, one]) == '(commit abc, torch 2.9, GPU, 16 cores, November 2026.)'
    text = format_sources([two, one, one])
    assert text.startswith('(2 runs: commit abc, ') and text.endswith('December 2026.)')
    assert '; 1 runs: commit def, ' in text


def test_intervals_pair_the_draws_and_average_the_seeds(measures):
    rng = np.random.default_rng(0)

    def changed(seed: int) -> dict:
        other = copy.deepcopy(measures)
        for each in other.values():
            each['clips']['hits'] = [
                [max(0, hit - int(rng.integers(0, 2))) for hit in row]
                for row in each['clips']['hits']
            ]
        return other

    results = {'a': {0: measures, 1: measures}, 'b': {0: changed(0), 1: changed(1)}}
    clips = [m['test']['clips'] for m in results['b'].values()]
    weights = draw_films(measures['test']['clips']['films'])
    joints = np.array(clips[0]['joints']).sum(axis=1)
    expected = np.zeros(len(weights))
    for ours in clips:
        lost = np.zeros(3)
        for clip in range(3):
            for joint in range(15):  # thresholds are 0.5, 0.2, 0.1, 0.05
                place = 2 * 15 + joint
                before = measures['test']['clips']['hits'][clip][place]
                lost[clip] += ours['hits'][clip][place] - before
        expected += 100 * (weights @ lost) / (weights @ joints) / 2
    pairs = [(m['test'], measures['test']) for m in results['b'].values()]
    difference = Comparison(pairs, 'PCK@0.1')
    assert difference.interval() == pytest.approx(interval(expected))
    low, high = interval(expected)
    spread = statistics.stdev(difference.differences)
    mean = statistics.mean(difference.differences)
    assert str(difference) == f'{mean:+.1f} ± {spread:.1f} [{low:+.1f}, {high:+.1f}]'
    of_ap = Comparison([(measures['full'], measures['full'])], 'Total AP')
    assert str(of_ap) == '+0.0 [+0.0, +0.0]'
    ranked = measures['full']['draws']['Total AP']
    assert len(ranked) == AP_DRAWS and ranked.std() > 0
    fewer = copy.deepcopy(measures['test'])
    fewer['clips']['names'] = ['x', *fewer['clips']['names'][1:]]
    assert Comparison([(fewer, measures['test'])], 'PCK@0.1').interval() is None  # other clips
    films = copy.deepcopy(measures['test'])
    films['clips']['films'] = [*range(len(films['clips']['films']))]
    assert Comparison([(films, measures['test'])], 'PCK@0.1').interval() is None


def test_tables_of_footage_lead_with_pck_and_show_the_gain(measures):
    results = {
        'a': {0: {'test': measures['test'], 'test copies': measures['test']}},
        'b': {0: {'test': measures['test'], 'test copies': measures['test']}},
    }
    table = results_tables(results)
    header = [cell.strip() for cell in table.splitlines()[0].strip('|').split('|')]
    assert header[:4] == ['test', 'seeds', 'PCK@0.1', 'Δ PCK@0.1']
    assert header[-1] == 'gain PCK@0.1' and 'AP' not in header and 'copies' not in table
    assert table.count('+0.0 [+0.0, +0.0]') == 4  # two Δ of b, and two gains
    assert '(test 3 clips of 2 films)' in results_foot(results)


@pytest.mark.slow
def test_every_method_has_a_small_config_on_equal_terms():
    """In the leaderboard's base a method is what its own config is, and only the method differs."""
    folder = Path(config_path('_base_/runtime.py')).parents[1]
    tiny = {path.name.removesuffix('_tiny.py') for path in folder.glob('[!_]*/*_tiny.py')}
    small = small_configs()
    # What carries labels to other frames estimates nothing without them, and one is of switches.
    assert {*small} == tiny - {'heatmap_warp', 'cmpose_readings'}
    assert next(iter(small)) == 'key_frame_only'
    base = Config.fromfile(config_path('experiments/jhmdb_cmpose.py'))
    for name, path in small.items():
        config = Config.fromfile(path)
        trained, frozen = (
            variant_config(base, EXPERIMENTS['leaderboard'][f'{name}, {how}'])
            for how in ('trained', 'frozen')
        )
        assert config_digest(trained) == config_digest(config)
        assert frozen.model.pop('freeze_backbone') and frozen.model == trained.model
        for key in ('train_cfg', 'optim_wrapper', 'param_scheduler'):
            assert config[key] == base[key]
        assert config.model.backbone == base.model.backbone
        assert config.load_from == base.load_from
    rendered = Config.fromfile(config_path('experiments/cmpose.py'))
    variant = variant_config(rendered, EXPERIMENTS['leaderboard']['frame_concat, trained'])
    assert variant.train_dataloader == rendered.train_dataloader  # data, padding, augmentation
    assert variant.model.method.type == 'FrameConcat'


@pytest.mark.slow
def test_recorded_runs_alone_without_training(measures, tmp_path):
    """There is no data to train on, so a training would fail."""
    names = ('experiments/jhmdb_cmpose.py', 'experiments/jhmdb_single_frame.py')
    config, first_stage = map(config_path, names)
    seed = {'randomness.seed': 1}
    start = config_digest(variant_config(Config.fromfile(first_stage), {}, seed))
    digest = config_digest(variant_config(Config.fromfile(config), {}, seed), start)
    kept = {name: value for name, value in measures['test'].items() if name != 'draws'}
    write_record(tmp_path / 'records', 'any name', 1, digest, {'test': kept})
    results = run_experiments(
        ['copies'], config, [0, 1], tmp_path / 'work', splits=['test'], first_stage=first_stage,
        records=tmp_path / 'records', only_recorded=True,
    )['copies']  # fmt: skip
    assert {variant: [*by_seed] for variant, by_seed in results.items()} == {
        'CM-Pose': [1], 'copies of the key frame': [], FIRST_STAGE: [],
    }  # fmt: skip
    assert results['CM-Pose'][1]['test']['PCK@0.1'] == kept['PCK@0.1']
    assert results_tables(results).count('\n') == 3  # the head, a line, and one variant
    assert [path.name for path in (tmp_path / 'work').iterdir()] == ['copies.json']
