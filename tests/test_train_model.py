"""`make model` from end to end, with a handful of rendered videos in place of JHMDB."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from label_files import ORDER_15, coco, person, write
from mmengine.config import Config
from processes import quick_python

from cmpose_mm import config_path
from cmpose_mm.apis import VideoWriter
from cmpose_mm.config_options import parse_options
from cmpose_mm.synthetic import Settings, write_dataset
from cmpose_mm.weights import MODELS, checksums, sha256

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import train_model  # noqa: E402


def train(folder: Path, *arguments: str, fails: bool = False) -> str:
    """What it prints, or its one sentence if it `fails`."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [quick_python(), str(ROOT / 'tools/train_model.py'), '--quick', *arguments],
        capture_output=True, text=True, cwd=folder, env={**os.environ, 'PYTHONPATH': path},
    )  # fmt: skip
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def test_pck_is_of_the_listed_clips_by_the_given_norm(tmp_path):
    """Joints are off by 14 pixels: more than 0.2 of the torso, less than 0.2 of the box."""
    joints = {name: (50, 20 + 9 * n) for n, name in enumerate(ORDER_15)}
    moved = {name: (x + 14, y) for name, (x, y) in joints.items()}
    assert moved['left_hip'] != joints['left_hip']
    for number, found in enumerate((joints, moved, joints)):
        name, box = f'00000{number}_test', dict(bbox=[0, 0, 100, 100])
        frames = [[person(joints, track_id=0, **box)]]
        write(tmp_path / 'labels' / f'{name}.json', coco(frames, name, 100 * number + 1))
        frames = [[person(found, track_id=0, scores=1.0, **box)]]
        write(tmp_path / 'found' / f'{name}.json', coco(frames, name, 100 * number + 1))
    for chosen, videos in (('two', (0, 1)), ('one', (1,)), ('all', (0, 1, 2))):
        (tmp_path / chosen).mkdir()
        for number in videos:
            (tmp_path / chosen / f'00000{number}_test.json').touch()

    def pck(norm: str, measure: str, chosen: str) -> float:
        folders = tmp_path / 'labels', tmp_path / 'found'
        return train_model.pck(*folders, norm, measure, tmp_path / chosen)

    assert pck('box', 'PCK@0.2', 'one') == 100 and pck('box', 'PCK@0.1', 'one') == 0
    assert pck('box', 'PCK@0.1', 'two') == 50
    assert pck('box', 'PCK@0.1', 'all') == pytest.approx(200 / 3)
    assert pck('torso', 'tPCK@0.2', 'one') == 0  # the torso is 63 pixels long
    # half of a head size of 30 pixels
    assert pck('head', 'PCKh@0.5', 'all') == 100


@pytest.fixture
def folder(tmp_path) -> Path:
    """A working folder with data/jhmdb."""
    root = tmp_path / 'data/jhmdb'
    write_dataset(root, Settings(videos={'train': 2, 'test': 2}, frames=3))
    rows = [
        dict(
            sequence=file.stem, split=split, film=file.stem, full_body=1, source_in_train=number,
        )
        for split in ('train', 'test')
        for number, file in enumerate(sorted((root / 'annotations' / split).iterdir()))
    ]  # fmt: skip
    with (root / 'clips.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6),
    reason="torch before 2.6 can not load a runner's checkpoint without running code of the file",
)
@pytest.mark.slow(40)
def test_all_stages_and_a_resumed_one(folder):
    printed = train(folder, '--epochs', '1', '2', '1')
    work, out = folder / 'work_dirs/small', folder / 'work_dirs/small/weights'
    for name in ('small_rendered', 'small_frames', 'small'):
        file = out / f'{name}.pth'
        assert checksums(out)[file.name] == sha256(file)
        assert f'SHA-256 {sha256(file)}' in printed
    scores = json.loads((out / 'scores.json').read_text())
    assert scores.keys() == {'small'} and 'clean, PCK@0.2' in printed
    assert all(0 <= value <= 100 for value in scores['small'].values())

    # Each stage starts from the one before.
    for stage, before in (('jhmdb', 'rendered'), ('video', 'jhmdb')):
        log = (work / stage / 'output.log').read_text()
        epoch = {'rendered': 1, 'jhmdb': 2}[before]
        assert re.search(f'Load checkpoint from .*work_dirs/small/{before}/epoch_{epoch}.pth', log)
        assert 'unexpected key' not in log
    missing = log.split('missing keys in source state_dict:')[1].split('\n')[0]
    assert all(key.strip().startswith('method.') for key in missing.split(','))

    # As after a kill in the second epoch: the stage goes on, and those that are done stay.
    (work / 'jhmdb/finished').unlink()
    (work / 'jhmdb/epoch_2.pth').unlink()
    (work / 'jhmdb/last_checkpoint').write_text(str(work / 'jhmdb/epoch_1.pth'))
    (work / 'jhmdb/output.log').unlink()
    shutil.rmtree(work / 'video')
    before = torch.load(out / 'small_frames.pth', weights_only=True)
    (out / 'small_frames.pth').unlink()
    printed = train(folder, '--no-test', '--epochs', '1', '2', '1')
    assert 'rendered: done before' in printed and 'video: done before' not in printed
    log = (work / 'jhmdb/output.log').read_text()
    assert 'resumed epoch: 1' in log and 'Epoch(train) [2]' in log
    after = torch.load(out / 'small_frames.pth', weights_only=True)
    assert before.keys() == after.keys()

    # Films that are held out were trained on in these stages.
    told = train(folder, '--held-out', '--epochs', '1', '2', '1', fails=True)
    assert told == (
        'work_dirs/small/jhmdb: was trained with train_dataloader.dataset.datasets.0.ann_file not '
        'given (now annotations/train_chosen), expected the same options as now; take another '
        '--work, or delete this folder.\n'
    )


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Callable[..., dict[str, Config]]:
    """Trains the stages in `tmp_path` by a stand-in that writes checkpoints; returns the configs
    that were trained. `interrupted` ends a stage before it is finished.
    """

    def run(*arguments: str, interrupted: str = '') -> dict[str, Config]:
        found = {}

        def run_mim(command, log, epochs):
            work = Path(command[command.index('--work-dir') + 1])
            config = Config.fromfile(command[2])
            config.merge_from_dict(parse_options(command[command.index('--cfg-options') + 1 :]))
            found[work.name] = config
            path = work / f'epoch_{epochs}.pth'
            path.write_text(str(config.model))
            (work / 'last_checkpoint').write_text(str(path))
            if work.name == interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(train_model, 'run_mim', run_mim)
        args = train_model.parse_args(['--work', str(tmp_path / 'work'), *arguments])
        start = None
        for stage in train_model.stages(args.video_config):
            start = train_model.train(stage, start, args)
        return found

    return run


def test_sets_and_frames_of_the_trainings(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ['--data', 'sub/split2', '--rendered', 'r', '--frames', 'release', '--held-out']
    configs = trained(*options)
    assert list(configs) == ['rendered', 'jhmdb', 'video']
    dataset = configs['rendered'].train_dataloader.dataset
    assert (dataset.data_root, dataset.ann_file) == ('r', 'annotations/train')
    assert dataset.data_prefix.img == ''
    for stage in ('jhmdb', 'video'):
        jhmdb, rendered = configs[stage].train_dataloader.dataset.datasets
        assert (jhmdb.data_root, jhmdb.ann_file) == ('sub/split2', 'annotations/train_chosen')
        assert jhmdb.data_prefix.img == str(tmp_path / 'release')
        assert (rendered.data_root, rendered.ann_file) == ('r', 'annotations/train')
        assert rendered.data_prefix.img == ''
    jhmdb = trained('--work', 'all')['jhmdb'].train_dataloader.dataset.datasets[0]
    assert (jhmdb.ann_file, jhmdb.data_prefix.img) == ('annotations/train', '')


JHMDB = 'train_dataloader.dataset.datasets.0'


@pytest.mark.parametrize('interrupted', ['', 'jhmdb'])
@pytest.mark.parametrize(
    ('changed', 'found'),
    [
        (['--held-out'], f'{JHMDB}.ann_file not given (now annotations/train_chosen)'),
        (['--epochs', '12', '2', '1'], 'train_cfg.max_epochs 9 (now 2)'),
        (['--cfg-options', 'randomness.seed=1'], 'randomness.seed not given (now 1)'),
        (['--data', 'other'], f'{JHMDB}.data_root data/jhmdb (now other)'),
        (['--frames', '/f'], f'{JHMDB}.data_prefix.img not given (now /f)'),
    ],
)
def test_a_stage_is_not_continued_with_other_options(trained, capsys, changed, found, interrupted):
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            trained(interrupted=interrupted)
    else:
        trained()
    with pytest.raises(ValueError, match=f'{re.escape(found)}.*; take another --work, or delete'):
        trained(*changed)
    again = trained('--workers', '3')  # which decide nothing
    assert list(again) == (['jhmdb', 'video'] if interrupted else [])


def test_a_stage_from_other_weights_or_of_another_config_is_not_taken(trained, tmp_path):
    trained()
    work = tmp_path / 'work'
    (work / 'rendered/epoch_12.pth').write_text('others, under the same name')
    sentence = r'jhmdb: was trained with start epoch_12.pth \(SHA-256 \w{12}\) \(now epoch_12.pth'
    with pytest.raises(ValueError, match=sentence):
        trained()
    shutil.rmtree(work)
    trained()
    other = tmp_path / 'shipped_cmpose.py'
    other.write_text(f"_base_ = ['{config_path(MODELS['small'])}']\nmodel = dict(test_cfg=None)\n")
    sentence = r'video: was trained with config shipped_cmpose.py \(SHA-256 \w{12}\) \(now shipped_'
    with pytest.raises(ValueError, match=sentence):
        trained('--video-config', str(other))
    (work / 'rendered/options.json').unlink()  # as of earlier versions
    with pytest.raises(ValueError, match=r'rendered: was trained with no record of its options'):
        trained()


def test_videos_that_are_cut_off_are_told_each_time(folder, monkeypatch, capsys):
    monkeypatch.setattr(train_model, 'write_dataset', lambda *args, **kwargs: None)
    video = folder / 'data/jhmdb/videos/train/cut.mkv'
    video.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with VideoWriter(video, 25) as writer:
        for _ in range(100):
            writer.write(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    args = train_model.parse_args(['--data', str(folder / 'data/jhmdb')])
    for _ in range(2):
        train_model.prepare(args)
        (sentence,) = [line for line in capsys.readouterr().err.splitlines() if 'cut off' in line]
        assert sentence.startswith(f'{video}: ')


def test_frames_that_are_nowhere_are_one_sentence(folder, capsys, monkeypatch):
    monkeypatch.setattr(train_model, 'write_dataset', None)  # 2,700 videos
    root = folder / 'data/jhmdb'
    (root / 'images').rename(folder / 'images')
    assert train_model.main(['--data', str(root), '--rendered', str(folder / 'r')]) == 1
    assert re.fullmatch(
        rf'{root}/images/train/\S+: not found; expected --data to be the folder that file names in '
        rf'{root}/annotations start from; give --frames if it is another\n',
        capsys.readouterr().err,
    )


@pytest.mark.slow
def test_frames_that_lie_elsewhere(folder):
    """As those of a release that was converted."""
    (folder / 'data/jhmdb/images').rename(folder / 'images')
    told = train(folder, '--frames', 'data', '--no-test', fails=True)
    assert re.search(r'data/images/train/\S+: not found; expected --frames to be the folder', told)
    train(folder, '--frames', '.')
    scores = json.loads((folder / 'work_dirs/small/weights/scores.json').read_text())
    assert scores.keys() == {'small'}


@pytest.mark.slow
def test_missing_data_is_one_sentence(tmp_path):
    done = subprocess.run(
        [quick_python(), str(ROOT / 'tools/train_model.py'), '--data', str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count('annotations/train: not found') == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cfg-options', 'optim_wraper.optimizer.lr=1'],
         "has no 'optim_wraper.optimizer.lr'; did you mean 'optim_wrapper.optimizer.lr'"),
        (['--cfg-options', 'optim_wrapper'], "expected KEY=VALUE, found 'optim_wrapper'"),
        (['--cfg-options', 'train_dataloader.num_workers=4'],
         'train_dataloader.num_workers is set by --workers'),
    ],
)  # fmt: skip
def test_mistakes_end_before_anything_is_rendered(tmp_path, capsys, arguments, message):
    rendered = tmp_path / 'rendered'
    options = ['--data', str(tmp_path), '--rendered', str(rendered), *arguments]
    assert train_model.main(options) == 1
    err = capsys.readouterr().err
    assert message in err and 'Traceback' not in err and not rendered.exists()


@pytest.mark.parametrize('epochs', ['0', '-3', 'x'])
def test_numbers_of_epochs(epochs, capsys):
    with pytest.raises(SystemExit):
        train_model.parse_args(['--epochs', epochs, '1', '1'])
    assert f"at least 1, found '{epochs}'" in capsys.readouterr().err


def test_a_config_that_is_nowhere(capsys):
    with pytest.raises(SystemExit):
        train_model.parse_args(['--video-config', 'nope.py'])
    assert '--video-config: ' in (err := capsys.readouterr().err) and 'nope.py' in err


@pytest.mark.parametrize(
    ('config', 'key'),
    [
        ('tdmi/tdmi_small.py', 'train_cfg.max_epochs'),
        ('cmpose_demo.py', 'train_cfg.max_epochs'),
        ('cmpose/cmpose_vit-s_jhmdb.py', 'train_dataloader.dataset.datasets.0'),
    ],
)
def test_a_last_stage_that_can_not_be_trained_is_refused_before_the_first(config, key):
    todo = train_model.stages(config_path(config))
    with pytest.raises(ValueError, match=f'{Path(config).name}: found no {key}, expected a conf'):
        train_model.check_overrides(todo, [])


def test_what_only_one_stage_has_is_no_mistake():
    todo = train_model.stages(train_model.MODELS['small'])
    todo[-1].config = config_path(todo[-1].config)
    train_model.check_overrides(todo, ['model.method.num_frames=3'])


def test_quick_trainings_take_overrides_too(trained):
    configs = trained('--quick', '--cfg-options', 'train_dataloader.batch_size=8')
    assert {config.train_dataloader.batch_size for config in configs.values()} == {8}


def test_each_stage_and_its_test_get_the_overrides_that_they_have(trained, tmp_path, monkeypatch):
    options = ['model.method.fte.num_clusters=66', 'model.test_cfg.flip_test=True']
    configs = trained('--cfg-options', *options)
    assert configs['video'].model.method.fte.num_clusters == 66
    assert 'method' not in configs['jhmdb'].model and configs['jhmdb'].model.test_cfg.flip_test
    commands = []
    monkeypatch.setattr(train_model, 'run_mim', lambda command, log: commands.append(command))
    args = train_model.parse_args(['--work', str(tmp_path), '--cfg-options', *options])
    names = {name: config_path(train_model.MODELS[name]) for name in ('small', 'small_rendered')}
    for name, config in names.items():
        train_model.test(name, config, args.data, 'annotations/test', args)
    whole, single = (command[command.index('--cfg-options') + 1 :] for command in commands)
    assert whole[:2] == options and single[0] == options[1]
    assert whole[2:] == [text.replace('small_rendered_', 'small_') for text in single[1:]]
