"""Videos to frames: numbers, resuming, damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from cmpose_mm.apis import VideoWriter, open_frames
from cmpose_mm.converters.extract import extract_frames
from cmpose_mm.posetrack.frames import list_images

TOOL = Path(__file__).parents[2] / 'tools' / 'extract_frames.py'


def write_video(path: Path, count: int, size: tuple[int, int] = (64, 48), noise: int = 1) -> None:
    """Frame i has about the gray level 20 + 10 i (modulo 200)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25) as writer:
        for index in range(count):
            level = 20 + 10 * index % 200
            image = level + rng.integers(0, noise, (size[1], size[0], 3))
            writer.write(image.astype(np.uint8))


def levels(folder: Path) -> dict[str, float]:
    return {p.name: float(cv2.imread(str(p)).mean()) for p in sorted(folder.glob('*.jpg'))}


def test_frames_are_numbered_as_decoded(tmp_path) -> None:
    write_video(tmp_path / 'videos/train/a (1) @!.mp4', 12)
    write_video(tmp_path / 'videos/test/b.v2.mkv', 3)
    (tmp_path / 'videos/README.md').write_text('')
    (tmp_path / 'videos/train/._a.mp4').write_text('')
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    assert (result.videos, result.frames, result.done_before, result.other_files) == (2, 15, 0, 1)
    assert result.warnings == result.errors == []
    found = levels(tmp_path / 'out/train/a (1) @!')
    assert list(found) == [f'{index:06d}.jpg' for index in range(12)]
    for index, level in enumerate(found.values()):
        assert level == pytest.approx(20 + 10 * index, abs=4)
    assert len(levels(tmp_path / 'out/test/b.v2')) == 3


def test_videos_in_a_linked_folder(tmp_path) -> None:
    write_video(tmp_path / 'disk/a.mp4', 2)
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/train').symlink_to(tmp_path / 'disk', target_is_directory=True)
    assert extract_frames(tmp_path / 'videos', tmp_path / 'out').frames == 2
    assert len(levels(tmp_path / 'out/train/a')) == 2


@pytest.mark.parametrize('target', ['.', '..'])
def test_links_that_lead_back_are_not_followed(tmp_path, target) -> None:
    write_video(tmp_path / 'videos/train/a.mp4', 2)
    (tmp_path / 'videos/train/back').symlink_to(target, target_is_directory=True)
    assert extract_frames(tmp_path / 'videos', tmp_path / 'out').videos == 1
    assert len(list((tmp_path / 'out').rglob('*.jpg'))) == 2


def test_pixels_are_those_of_the_reader(tmp_path) -> None:
    write_video(tmp_path / 'a.mp4', 5)
    extract_frames(tmp_path / 'a.mp4', tmp_path / 'out', quality=100)
    for frame in open_frames(tmp_path / 'a.mp4'):
        image = cv2.imread(str(tmp_path / f'out/a/{frame.number:06d}.jpg'))
        assert np.abs(image.astype(int) - frame.image).max() <= 2


def test_what_is_done_is_not_done_again(tmp_path) -> None:
    for name in 'abc':
        write_video(tmp_path / f'videos/{name}.mp4', 4)
    extract_frames(tmp_path / 'videos/a.mp4', tmp_path / 'out')
    (tmp_path / 'out/b.partial').mkdir()  # of a killed run
    (tmp_path / 'out/b.partial/000009.jpg').write_text('half')
    (tmp_path / 'out/c').mkdir()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / 'out/a').iterdir()}
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    assert (result.videos, result.frames, result.done_before) == (2, 8, 1)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / 'out/a').iterdir()} == before
    assert sorted(os.listdir(tmp_path / 'out')) == ['a', 'b', 'c']
    assert len(levels(tmp_path / 'out/b')) == len(levels(tmp_path / 'out/c')) == 4


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_folder(tmp_path) -> None:
    write_video(tmp_path / 'videos/a.mp4', 2)
    write_video(tmp_path / 'videos/b.mp4', 300, (640, 480))
    command = [sys.executable, str(TOOL), str(tmp_path / 'videos'), '--out', str(tmp_path / 'out')]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = tmp_path / 'out/b.partial'
    while process.poll() is None and not (partial.is_dir() and len(os.listdir(partial)) > 10):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, 'it was over before it was killed'
    assert not (tmp_path / 'out/b').exists() and len(levels(tmp_path / 'out/a')) == 2
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '1 videos, 300 frames' in done.stdout and '1 videos were there' in done.stdout
    assert len(levels(tmp_path / 'out/b')) == 300 and not partial.exists()


@pytest.mark.slow
def test_damaged_videos_are_named_and_stop_nothing(tmp_path) -> None:
    write_video(tmp_path / 'videos/a.mp4', 4)
    write_video(tmp_path / 'videos/cut.mkv', 100, (160, 120), noise=30)
    content = (tmp_path / 'videos/cut.mkv').read_bytes()
    (tmp_path / 'videos/cut.mkv').write_bytes(content[: len(content) * 2 // 3])
    (tmp_path / 'videos/empty.avi').write_bytes(b'')
    command = [sys.executable, str(TOOL), str(tmp_path / 'videos'), '--out', str(tmp_path / 'out')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f'{tmp_path}/videos/empty.avi: is empty, expected a video.' in done.stderr
    assert 'cut.mkv: ' in done.stderr and 'cut off' in done.stderr
    assert '1 videos could not be extracted.' in done.stderr
    assert len(levels(tmp_path / 'out/a')) == 4
    assert 0 < len(levels(tmp_path / 'out/cut')) < 100
    assert sorted(os.listdir(tmp_path / 'out')) == ['a', 'cut']
    (sentence,) = [line for line in done.stderr.splitlines() if 'cut off' in line]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and '2 videos were there' in again.stdout
    assert sentence in again.stderr.splitlines()


def test_folders_that_can_not_receive_frames(tmp_path) -> None:
    write_video(tmp_path / 'videos/a/b.mp4', 2)
    extract_frames(tmp_path / 'videos', tmp_path / 'out')
    write_video(tmp_path / 'videos/a.mp4', 2)
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    assert result.errors == [
        f'{tmp_path}/out/a: holds b and no frames, expected a new or an empty folder for the '
        f'frames of {tmp_path}/videos/a.mp4.'
    ]
    assert result.done_before == 1 and os.listdir(tmp_path / 'out') == ['a']
    for out in ('videos/a.mp4', 'videos/a.mp4/frames'):
        with pytest.raises(NotADirectoryError, match='a.mp4: is a file, expected a folder.$'):
            extract_frames(tmp_path / 'videos', tmp_path / out)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/b').write_text('no folder')
    result = extract_frames(tmp_path / 'videos/a/b.mp4', tmp_path / 'other')
    assert result.errors == [f'{tmp_path}/other/b: is a file, expected a folder.']
    assert os.listdir(tmp_path / 'other') == ['b']


def test_folders_that_lost_frames_are_named(tmp_path) -> None:
    write_video(tmp_path / 'videos/a.mp4', 4)
    write_video(tmp_path / 'videos/b.mp4', 3)
    extract_frames(tmp_path / 'videos', tmp_path / 'out')
    (tmp_path / 'out/a/000002.jpg').unlink()
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    assert result.errors == [
        f'{tmp_path}/out/a: has 3 frames, expected 4, those of {tmp_path}/videos/a.mp4; delete the '
        'folder to have them written again.'
    ]
    assert (result.done_before, result.videos, len(levels(tmp_path / 'out/a'))) == (1, 0, 3)
    for record in (tmp_path / 'out').glob('*/.extraction.json'):  # as of another tool
        record.unlink()
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    assert (result.errors, result.done_before) == ([], 2)


def test_frames_of_another_video_are_not_taken_for_done(tmp_path) -> None:
    write_video(tmp_path / 'x/a.mp4', 3)
    write_video(tmp_path / 'y/a.mp4', 4)
    extract_frames(tmp_path / 'x', tmp_path / 'out')
    result = extract_frames(tmp_path / 'y', tmp_path / 'out')
    (error,) = result.errors
    assert f'{tmp_path}/out/a: has the frames of another video, of ' in error
    assert (result.done_before, len(levels(tmp_path / 'out/a'))) == (0, 3)


@pytest.mark.parametrize('content', ['', '{}', '[]'])
def test_damaged_records_are_named(tmp_path, content) -> None:
    write_video(tmp_path / 'videos/a.mp4', 3)
    extract_frames(tmp_path / 'videos', tmp_path / 'out')
    (tmp_path / 'out/a/.extraction.json').write_text(content)
    (error,) = extract_frames(tmp_path / 'videos', tmp_path / 'out').errors
    assert f'{tmp_path}/out/a/.extraction.json: is damaged, expected a record of what' in error


def test_links_to_nothing_are_named(tmp_path) -> None:
    write_video(tmp_path / 'videos/a.mp4', 3)
    (tmp_path / 'videos/b.mp4').symlink_to('gone.mp4')
    result = extract_frames(tmp_path / 'videos', tmp_path / 'out')
    (error,) = result.errors
    assert 'b.mp4: not found' in error and result.videos == 1


def test_wrong_sources(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match='gone: not found; expected a video or a folder'):
        extract_frames(tmp_path / 'gone', tmp_path / 'out')
    (tmp_path / 'videos').mkdir()
    with pytest.raises(FileNotFoundError, match='videos: has no video, expected files that end'):
        extract_frames(tmp_path / 'videos', tmp_path / 'out')
    write_video(tmp_path / 'videos/a.mp4', 1)
    write_video(tmp_path / 'videos/a.mkv', 1)
    with pytest.raises(ValueError, match='a.mkv and .*a.mp4: both would be written to'):
        extract_frames(tmp_path / 'videos', tmp_path / 'out')


def test_frame_counts_of_real_clips(real_data, tmp_path) -> None:
    root = real_data / 'jhmdb'
    for path in sorted((root / 'videos/test').iterdir())[:3]:
        extract_frames(path, tmp_path)
        data = json.loads((root / f'annotations/test/{path.stem}.json').read_text())
        names = [image['file_name'].split('/')[-1] for image in data['images']]
        assert list_images(str(tmp_path / path.stem)) == names
