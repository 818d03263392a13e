"""The test bed: the files that its checksums are of, what each split is made of, the command."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from cmpose_mm.synthetic import write_dataset
from cmpose_mm.synthetic.dataset import video_scene
from cmpose_mm.synthetic.test_bed import (
    OPENCV_VERSIONS,
    SHA256,
    SPLITS,
    TEST_BED,
    differences,
    folder_sha256,
)

ROOT = Path(__file__).parents[2]
PIECE = replace(TEST_BED, videos={'train': 4, **dict.fromkeys(SPLITS, 1)})
PIECE_SHA256 = {
    'annotations': {
        'train': '29e00bff12fe9a8fa4c4f42c0ce3f397dc8f3bdc78d3096dc1447aa97e3bb962',
        'clean': 'c8c87001376133a37bdb317cc9f96d9ba0aa700307a2d5d0a37691286854b731',
        'occluded': '4aa4870bf82f2e33d7548433e01c0ca019b549c385ada27d6cf5ff96d08131b1',
        'blurred': 'a918a0a42de01bc2b8a606b0e8f06b7d26a411ea7a05a5cc3772f11107eaeb7a',
        'crowded': '0322830b5859bc0affc0ed274de720f89ec74424c243cd8215d3e64d4e2e8b9f',
    },
    'images': {
        'train': '932673417bed7873662e3884d788050e07c0c994828c02e32c338d7169185e09',
        'clean': '72516b5d82101eca51b0f651cc224189770ecb993eb9e00adb6ce41f22c32bae',
        'occluded': '8aa2deeb419aa33c8eb56c37e7502031279b9ca8f86ff6fcc19398d1ae63b524',
        'blurred': '27287658d06edddf02e2360c37aef78569e48b0b7357aebf5054c72cc25a2459',
        'crowded': '2634c86ea07faf250ae6ef81319a15c9a2323bc53c7a7256f08bc9f9126be924',
    },
}
"""Of the first videos of each split. They are those of the whole test bed, too."""


@pytest.fixture(scope='module')
def piece(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp('test_bed') / 'data', PIECE)


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / 'tools/make_synthetic_posetrack.py', *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_labels_of_the_first_videos_are_those_published(piece):
    assert not differences(piece, {'annotations': PIECE_SHA256['annotations']})


@pytest.mark.skipif(
    cv2.__version__ not in OPENCV_VERSIONS,
    reason=f'checksums are of OpenCV {" and ".join(OPENCV_VERSIONS)}',
)
@pytest.mark.slow
def test_images_of_the_first_videos_are_those_published(piece):
    assert not differences(piece, {'images': PIECE_SHA256['images']})


def test_whole_test_bed_has_a_checksum_for_every_folder():
    assert {kind: list(splits) for kind, splits in SHA256.items()} == dict.fromkeys(
        ('annotations', 'images'), list(TEST_BED.videos)
    )
    assert len({c for splits in SHA256.values() for c in splits.values()}) == 10


def test_checksum_sees_bytes_names_and_missing_files(tmp_path):
    def checksum(files: dict[str, bytes]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder_sha256(folder)

    whole = checksum({'a/0.jpg': b'x', 'b/0.jpg': b'y'})
    assert whole == checksum({'b/0.jpg': b'y', 'a/0.jpg': b'x'})
    others = [
        checksum({'a/0.jpg': b'x', 'b/0.jpg': b'z'}),
        checksum({'a/0.jpg': b'x', 'c/0.jpg': b'y'}),
        checksum({'a/0.jpg': b'x'}),
        checksum({'a/0.jpg': b'y', 'b/0.jpg': b'x'}),
    ]
    assert len({whole, *others}) == 5


@pytest.mark.slow
def test_differences_names_the_folder(piece, tmp_path):
    expected = {
        kind: {s: folder_sha256(piece / kind / s) for s in PIECE.videos} for kind in PIECE_SHA256
    }
    assert differences(piece, expected) == []
    expected['images']['clean'] = '0' * 64
    expected['annotations']['foggy'] = '1' * 64
    labels, images = differences(piece, expected)
    assert labels == f'{piece}/annotations/foggy: not found.'
    assert images.startswith(f'{piece}/images/clean: checksum ')
    assert f'expected {"0" * 64}.' in images
    assert ('another OpenCV' in images) == (cv2.__version__ not in OPENCV_VERSIONS)


@pytest.mark.slow
def test_splits_differ_in_what_they_are_named_for():
    scenes = {s: [video_scene(TEST_BED, s, index) for index in range(8)] for s in SPLITS}
    covered = {
        s: sum(o.coverage.size for scene in group for o in scene.occluders) / (8 * 240 * 320)
        for s, group in scenes.items()
    }
    assert covered['clean'] == 0
    assert covered['occluded'] == pytest.approx(0.2, abs=0.01)
    assert all(scene.shutter > 0 for scene in scenes['blurred'])
    assert all(scene.shutter == 0 for s in scenes if s != 'blurred' for scene in scenes[s])
    assert 0 < sum(scene.gain.max() < 0.6 for scene in scenes['blurred']) < 8
    assert {len(scene.people) for scene in scenes['crowded']} == {3, 4}
    assert {len(scene.people) for scene in scenes['clean']} == {1, 2}


def test_training_videos_take_the_difficulties_in_turn():
    scenes = [video_scene(TEST_BED, 'train', index) for index in range(8)]
    occluders = [sum(o.coverage.size for o in scene.occluders) / (240 * 320) for scene in scenes]
    assert occluders == pytest.approx([0, 0.2, 0.06, 0.05] * 2, abs=0.01)
    assert [scene.shutter > 0 for scene in scenes] == [False, False, True, False] * 2


@pytest.mark.slow
def test_command_checks_and_writes_nothing_with_verify(piece, tmp_path):
    done = run(piece, '--test-bed', '--verify')
    assert done.returncode == 1  # a piece is not the whole
    assert f'{piece}/annotations/train: checksum ' in done.stderr
    assert re.search(r'\| crowded +\| +1 \| +5 \|', done.stdout)
    done = run(tmp_path / 'none', '--test-bed', '--verify')
    assert done.returncode == 1 and 'not found' in done.stderr
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--test-bed', '--seed', '1'], 'nothing about it can be set, found seed'),
        (['--test-bed', '--set', 'speed=1'], 'nothing about it can be set, found dials'),
        (['--verify'], 'expected --test-bed'),
    ],
)
@pytest.mark.slow
def test_command_refuses_what_does_not_go_together(tmp_path, options, message):
    done = run(tmp_path / 'data', *options)
    assert done.returncode == 2 and message in done.stderr
