"""What boxes without labels cost: the table's values where they are known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.structures import InstanceData
from processes import quick_python

from cmpose_mm.apis.ssdlite import INSTALL
from cmpose_mm.apis.video_inferencer import FramePoses
from cmpose_mm.posetrack.annotations import read_videos

BENCHMARK = Path(__file__).parents[2] / 'benchmarks' / 'own_boxes.py'
sys.path.insert(0, str(BENCHMARK.parent))

import own_boxes  # noqa: E402


def table(printed: str) -> dict[str, dict[str, str]]:
    """The row of each source."""
    lines = [line.strip('|').split('|') for line in printed.splitlines() if line.startswith('|')]
    header, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: dict(zip(header, row)) for row in rows}


@pytest.mark.slow
def test_labeled_boxes_are_found_and_those_of_an_untrained_model_not_all(
    tiny_model, synthetic_root
):
    config, checkpoint = tiny_model()
    command = [quick_python(), BENCHMARK, synthetic_root, '--labels', 'annotations/val']
    command += ['--config', config, '--checkpoint', checkpoint]
    command += ['--sources', 'labeled', 'followed', '--crops', 'track']
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f'1 clips of {synthetic_root}/annotations/val, track crops' in done.stdout
    rows = table(done.stdout)
    assert list(rows) == ['labeled', 'followed']
    assert rows['labeled']['recall'] == '100.0'
    assert 0 <= float(rows['followed']['recall']) < 100
    for row in rows.values():
        assert 0 <= float(row['PCK@0.1']) <= float(row['PCK@0.2']) <= 100
        assert float(row['ms a frame']) > 0
    assert 'Left out' not in done.stdout


class Labels:
    """In place of an inferencer: the labeled poses; with boxes of its own, of the first frame."""

    def __init__(self, video) -> None:
        self.video = video

    def __call__(self, frames, boxes):
        for frame in frames:
            label = self.video.frames[frame.number]
            found = own_boxes.labeled_boxes(self.video)[frame.number][0]
            persons = slice(None if boxes is not None or frame.number == 0 else 0)
            found, joints = found[persons], np.asarray(label.keypoints[persons], np.float64)
            instances = InstanceData(
                keypoints=joints[..., :2], keypoint_scores=np.ones(joints.shape[:2]),
                bboxes=found, bbox_scores=np.ones(len(found)), track_ids=np.arange(len(found)),
            )  # fmt: skip
            yield FramePoses(frame, SimpleNamespace(pred_instances=instances))


def test_persons_without_a_box_have_found_no_joint(synthetic_root):
    labels = Path(synthetic_root, 'annotations/val')
    (video,) = videos = read_videos(labels)
    inferencers = {'whole_frame': Labels(video)}
    joints = [int((f.keypoints != 0).any(axis=-1).sum()) for f in video.frames]
    persons = [len(f.keypoints) for f in video.frames]
    for name, recall, pck in (
        ('labeled', 100.0, 100.0),
        ('followed', 100 * persons[0] / sum(persons), 100 * joints[0] / sum(joints)),
    ):
        row = own_boxes.measure(name, videos, Path(synthetic_root), labels, inferencers)
        assert row[:4] == [name, f'{recall:.1f}', f'{pck:.1f}', f'{pck:.1f}']


def test_a_detector_that_is_not_installed(tiny_model, synthetic_root, monkeypatch, capsys):
    """Asked for by name it is an error; else its rows are left out, which is told."""
    monkeypatch.setattr(own_boxes, 'is_installed', lambda: False)
    monkeypatch.setattr(own_boxes, 'measure', lambda name, *_: [name, '', '', '', ''])
    config, checkpoint = tiny_model()
    command = [str(BENCHMARK), synthetic_root, '--labels', 'annotations/val']
    command += ['--config', config, '--checkpoint', checkpoint]
    monkeypatch.setattr(sys, 'argv', [*command, '--sources', 'labeled', 'ssdlite'])
    with pytest.raises(SystemExit, match='2'):
        own_boxes.main()
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.endswith(f'--sources ssdlite: SSDLite is not installed; {INSTALL}')

    monkeypatch.setattr(sys, 'argv', command)
    assert own_boxes.main() == 0
    printed = capsys.readouterr().out
    assert list(table(printed)) == [name for name in own_boxes.SOURCES if 'ssdlite' not in name]
    assert f'Left out: ssdlite; ssdlite, followed. SSDLite is not installed; {INSTALL}' in printed


def test_a_model_needs_its_config_and_its_checkpoint(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['own_boxes.py', str(tmp_path), '--checkpoint', 'mine.pth'])
    with pytest.raises(SystemExit):
        own_boxes.main()
    assert capsys.readouterr().err.endswith('found one of them, expected both or none\n')


def test_labels_of_some_of_the_images(synthetic_root):
    (video, *_) = read_videos(Path(synthetic_root, 'annotations/val'))
    names = [Path(frame.file_name).name for frame in video.frames]
    some = replace(video, frames=video.frames[1::2])
    boxes, whole = own_boxes.labeled_boxes(some, names), own_boxes.labeled_boxes(video)
    assert list(boxes) == list(whole) == list(range(len(names)))
    for place, (found, scores) in boxes.items():
        expected = whole[place][0] if place % 2 else np.zeros((0, 4))
        assert np.array_equal(found, expected) and len(scores) == len(expected)
    assert sum(len(found) for found, _ in boxes.values()) > 0
