"""`make model` from end to end, with a handful of rendered videos in place of JHMDB."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from processes import quick_python

from cmpose_mm.synthetic import Settings, write_dataset
from cmpose_mm.weights import checksums, sha256

ROOT = Path(__file__).parents[1]


def train(folder: Path, *arguments: str, fails: bool = False) -> str:
    """What it prints, or its one sentence if it `fails`."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [quick_python(), str(ROOT / 'tools/train_model.py'), '--quick', *arguments],
        capture_output=True, text=True, cwd=folder, env={**os.environ, 'PYTHONPATH': path},
    )  # fmt: skip
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


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
    before = torch.load(out / 'small_frames.pth', weights_only=True)
    (work / 'jhmdb/output.log').unlink()
    (out / 'small_frames.pth').unlink()
    printed = train(folder, '--no-test', '--epochs', '1', '2', '1')
    assert 'rendered: done before' in printed and 'video: done before' in printed
    log = (work / 'jhmdb/output.log').read_text()
    assert 'resumed epoch: 1' in log and 'Epoch(train) [2]' in log
    after = torch.load(out / 'small_frames.pth', weights_only=True)
    assert before.keys() == after.keys()

    # Films that are held out were trained on in these stages, and two epochs are not one.
    told = train(folder, '--held-out', '--epochs', '1', '2', '1', fails=True)
    assert 'work_dirs/small/jhmdb: was begun with fewer options, expected ' in told
    assert '.ann_file=annotations/train_chosen; take another --work, or delete this folder' in told
    assert 'train_cfg.max_epochs=2' in train(folder, fails=True)
    (work / 'video/options.json').unlink()
    told = train(folder, '--epochs', '1', '2', '1', fails=True)
    assert 'video: was begun with options that are not told, expected ' in told


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
