"""Sheets of clips: joints are drawn where the targets are, on the right frame."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from posetrack_samples import person, write_coco_video
from run_tools import run_tool

from cmpose_mm.datasets.body.posetrack_video_dataset import JOINT_NAMES
from cmpose_mm.visualization.clip_sheets import (
    FRAME_HEIGHT,
    draw_clip,
    draw_sheets,
    labeled_dataset,
)

BROWSE_CLIPS = Path(__file__).parents[2] / 'tools/browse_clips.py'
CONFIG = """
pipeline = [
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    {augment}
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    {target}
    dict(type='PackClipInputs'),
]
train_dataloader = dict(dataset=dict(
    type='PoseTrackVideoDataset', data_root={root!r}, ann_file='annotations/train',
    num_frames={num_frames}, pipeline=pipeline))
"""
TARGET = """dict(type='GenerateTarget', encoder=dict(
    type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)),"""


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def make_config(tmp_path):
    write_coco_video(tmp_path, 'train', 'v', [[person(i, nose=(0, 0, 0))] for i in range(4)])

    def make(augment='', target=TARGET, num_frames=3) -> Config:
        text = CONFIG.format(
            root=str(tmp_path), augment=augment, target=target, num_frames=num_frames
        )
        return Config.fromstring(text, '.py')

    return make


def panels_of(row, count):
    """The pictures of a row, without the title above and the captions below."""
    return np.split(row[18 : 18 + FRAME_HEIGHT], count, axis=1)


@pytest.mark.parametrize('augment', ['', "dict(type='RandomFlip', prob=1.0),"])
def test_joints_are_drawn_on_the_key_frame_at_the_targets(make_config, augment):
    dataset = labeled_dataset(make_config(augment), 'train')
    dataset.set_epoch(0, 0)
    metainfo = dataset.metainfo
    for index in range(4):
        sample = dataset[index]
        panels = panels_of(draw_clip(sample, metainfo), 4)
        heatmaps = sample['data_samples'].gt_fields.heatmaps.numpy()
        assert not heatmaps[JOINT_NAMES.index('nose')].any()
        hits = 0
        for k in range(1, 15):
            y, x = np.unravel_index(heatmaps[k].argmax(), heatmaps[k].shape)
            # From cells to pixels of the drawn frame, which is five times the input's size.
            px = ((x * 47 / 11) + 0.5) * 5 - 0.5
            py = ((y * 63 / 15) + 0.5) * 5 - 0.5
            near = panels[1][int(py) - 14 : int(py) + 15, int(px) - 14 : int(px) + 15]
            color = metainfo['keypoint_colors'][k][::-1].astype(int)
            hits += (np.abs(near.astype(int) - color).sum(-1) < 30).sum() >= 20
        assert hits >= 12  # joints drawn later may cover one


def test_only_the_key_frame_has_rim_and_limbs(make_config):
    dataset = labeled_dataset(make_config(num_frames=5), 'train')
    dataset.set_epoch(0, 0)
    row = draw_clip(dataset[2], dataset.metainfo)
    panels = panels_of(row, 6)
    rim = [(panel[1, 5:-5] == (0, 220, 255)).all() for panel in panels]
    assert rim == [False, False, True, False, False, False]
    colored = [(np.ptp(panel.astype(int), axis=2) > 100).sum() for panel in panels[:5]]
    assert all(colored[2] > 5 * count > 0 for i, count in enumerate(colored) if i != 2)


def test_without_targets_there_is_no_target_picture(make_config):
    dataset = labeled_dataset(make_config(target=''), 'train')
    row = draw_clip(dataset[0], dataset.metainfo)
    assert row.shape == (18 + FRAME_HEIGHT + 18, 3 * 240, 3)


def test_limbs_need_both_ends_labeled(make_config):
    dataset = labeled_dataset(make_config(target=''), 'train')
    counts = []
    for joints in (('left_hip', 'left_wrist'), ('left_hip', 'left_knee')):  # apart; a limb
        sample = dataset[0]
        visible = np.zeros((1, 15), np.float32)
        visible[0, [JOINT_NAMES.index(joint) for joint in joints]] = 1
        sample['data_samples'].gt_instances.keypoints_visible = visible
        panel = panels_of(draw_clip(sample, dataset.metainfo), 3)[1][3:-3, 3:-3]
        counts.append((np.ptp(panel.astype(int), axis=2) > 100).sum())
    assert 20 < counts[0] <= 2 * 81 < counts[1]  # two dots of radius 4; dots and a line


def test_detections_have_no_joints_to_draw(make_config):
    dataset = labeled_dataset(make_config(target=''), 'train')
    sample = dataset[0]
    sample['data_samples'].set_metainfo(dict(box_source='boxes.json'))
    frames = draw_clip(sample, dataset.metainfo)[18 : 18 + FRAME_HEIGHT, 240 + 3 : 480 - 3]
    assert (np.ptp(frames[3:-3].astype(int), axis=2) > 100).sum() == 0  # gray noise, no color


def test_sheets_have_all_clips(make_config):
    dataset = labeled_dataset(make_config(), 'train')
    sheets = list(draw_sheets(dataset, range(4), clips_per_sheet=3))
    row_height = 18 + FRAME_HEIGHT + 18 + 6
    assert [sheet.shape for sheet in sheets] == [
        (3 * row_height, 4 * 240, 3),
        (row_height, 4 * 240, 3),
    ]


def test_a_pipeline_without_packing_is_an_error(make_config):
    config = make_config()
    config.train_dataloader.dataset.pipeline.pop()
    with pytest.raises(ValueError, match=r'train_dataloader\.dataset\.pipeline must end with'):
        labeled_dataset(config, 'train')


@pytest.mark.slow
def test_browse_clips_command(make_config, tmp_path, monkeypatch, capsys):
    config = tmp_path / 'config.py'
    make_config().dump(str(config))
    tool = Path(__file__).parents[2] / 'tools/browse_clips.py'
    arguments = [str(config), '--out', str(tmp_path / 'sheets'), '--clips-per-sheet', '1']
    monkeypatch.setattr(sys, 'argv', [str(tool), *arguments, '--indices', '0', '3'])
    runpy.run_path(str(tool), run_name='__main__')
    assert '2 sheets with 2 of 4 clips' in capsys.readouterr().out
    for name in ('sheet_000.png', 'sheet_001.png'):
        assert cv2.imread(str(tmp_path / 'sheets' / name)).shape[1] == 4 * 240
    monkeypatch.setattr(sys, 'argv', [str(tool), *arguments, '--num-clips', '3'])
    runpy.run_path(str(tool), run_name='__main__')
    assert '3 sheets with 3 of 4 clips' in capsys.readouterr().out


@pytest.mark.parametrize(
    'options, code, said',
    [
        (['--indices', 0, 999999], 1, '--indices 999999: the dataset has 4 samples, expected 0 to'),
        (['--indices', -1], 1, '--indices -1: the dataset has 4 samples, expected 0 to 3.'),
        (['--clips-per-sheet', 0], 2, 'error: --clips-per-sheet 0: expected at least 1.'),
        (['--num-clips', -1], 2, 'error: --num-clips -1: expected at least 1.'),
        (['--epoch', -1], 2, 'error: --epoch -1: expected at least 0.'),
        (['--split', 'val'], 1, 'config.py: has no val_dataloader.dataset, expected one.'),
        (['--cfg-options', 'train_dataloader.dataset.ann_file=no'], 1, '/no: not found; expected'),
        (['--cfg-options', 'train_dataloader.data=no'], 1, 'cfg-options: '),
    ],
)
def test_browse_clips_refuses_in_one_sentence(make_config, tmp_path, options, code, said):
    config, out = tmp_path / 'config.py', tmp_path / 'sheets'
    make_config().dump(str(config))
    done = run_tool(BROWSE_CLIPS, config, '--out', out, *options)
    assert done.returncode == code and 'Traceback' not in done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_browse_clips_without_a_config(tmp_path):
    config = tmp_path / 'no.py'
    done = run_tool(BROWSE_CLIPS, config, '--out', tmp_path / 'sheets')
    assert done.returncode == 1 and done.stderr.startswith(f'{config}: no such config file. ')
    assert len(done.stderr.splitlines()) == 1
