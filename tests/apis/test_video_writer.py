"""Writing of video files, which are read again with PyAV."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from sample_videos import audio_packets, decode, flat_frames, make_video, noise_frames

from cmpose_mm.apis import video_writer
from cmpose_mm.apis.frame_reader import NewestFrames
from cmpose_mm.apis.video_io import VideoWriter, open_frames

pytestmark = pytest.mark.filterwarnings('error')  # no warning but those that a test expects


@pytest.mark.parametrize('suffix', ['mp4', 'mov', 'mkv'])
def test_what_is_written_is_read_again(tmp_path, suffix):
    path = str(tmp_path / 'new' / f'a.{suffix}')
    images = noise_frames(12, 96, 128)
    with VideoWriter(path, 10) as writer:
        for image in images:
            kept = image.copy()
            writer.write(image)
            image[:] = 0  # the caller may go on with its buffer
            image[:] = kept
    frames, times = decode(path)
    assert times == pytest.approx(np.arange(12) / 10, abs=1e-3)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ('h264', 'yuv420p')
        assert container.duration / av.time_base == pytest.approx(1.2, abs=0.01)
    smooth = [cv2.GaussianBlur(i, (0, 0), 3).astype(int) for i in images]
    for number, frame in enumerate(frames):  # each frame is nearest to its own original
        found = cv2.GaussianBlur(frame, (0, 0), 3)
        assert np.argmin([np.abs(found - image).mean() for image in smooth]) == number


def test_a_buffer_that_is_used_again(tmp_path):
    buffer = np.empty((48, 64, 3), np.uint8)
    with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
        for level in range(0, 250, 10):
            buffer[:] = level
            writer.write(buffer)
    found = [image.mean() for image in decode(str(tmp_path / 'a.mp4'))[0]]
    assert np.abs(np.array(found) - np.arange(0, 250, 10)).max() <= 4


@pytest.mark.parametrize('height, width', [(47, 64), (48, 63), (47, 63), (1, 1)])
def test_odd_sizes_are_padded_not_cut(tmp_path, height, width):
    image = np.full((height, width, 3), 40, np.uint8)
    image[-1:], image[:, -1:] = 200, 200
    with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
        for _ in range(5):
            writer.write(image)
    frame = decode(str(tmp_path / 'a.mp4'))[0][0]
    assert frame.shape == (height + height % 2, width + width % 2, 3)
    if height > 1:
        assert np.abs(frame[:height, :width].astype(int) - image).max() < 60
        assert frame[height - 1 :].mean() > 180 if height % 2 else True
        assert frame[:, width - 1 :].mean() > 180 if width % 2 else True


def test_one_frame_lasts_as_long_as_a_frame(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 4) as writer:
        writer.write(noise_frames(1)[0])
    with av.open(str(tmp_path / 'a.mp4')) as container:
        assert len(list(container.decode(video=0))) == 1
        assert container.duration / av.time_base == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize('name', ['12:30.mp4', 'http:a.mkv', 'a%03d.mov', 'file:a.mp4', 'ä ö.mp4'])
def test_files_with_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(name, 10) as writer:
        for image in noise_frames(3):
            writer.write(image)
    assert os.listdir() == [name]
    os.rename(name, 'plain')
    assert len(decode('plain')[0]) == 3


def test_no_frame_no_file(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 10):
        pass
    assert not (tmp_path / 'a.mp4').exists()


def test_times_that_do_not_rise(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
        with pytest.warns(
            UserWarning, match=r'time 0\.500 s, which is not after 0\.500 s'
        ) as warned:
            for image, time in zip(noise_frames(5), [0, 0.5, 0.5, 0.1, None]):
                writer.write(image, time)
    assert len(warned) == 1
    assert decode(str(tmp_path / 'a.mp4'))[1] == pytest.approx([0, 0.5, 0.6, 0.7, 0.8], abs=1e-3)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match=r'a\.gif: can not write this format, expected'):
        VideoWriter(tmp_path / 'a.gif', 10)
    for rate in (0, -1, float('nan')):
        with pytest.raises(ValueError, match=r'a\.mp4: frame_rate is .*expected a number above 0'):
            VideoWriter(tmp_path / 'a.mp4', rate)
    with pytest.raises(FileNotFoundError, match=r'gone\.mp4: not found'):
        VideoWriter(tmp_path / 'a.mp4', 10, audio_from=tmp_path / 'gone.mp4')
    path = make_video(tmp_path / 'b.mp4', noise_frames(3))
    with pytest.raises(ValueError, match=r'b\.mp4: is the source of the sound'):
        VideoWriter(path, 10, audio_from=path)
    with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        with pytest.raises(ValueError, match=r'a frame is 62 x 48 pixels, expected 64 x 48'):
            writer.write(np.zeros((48, 62, 3), np.uint8))
        with pytest.raises(ValueError, match=r'a frame has shape .* and type float64'):
            writer.write(np.zeros((48, 64, 3)))
    with pytest.raises(ValueError, match=r'a\.mp4: is closed'):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.close()


def test_a_disk_that_does_not_take_it(tmp_path):
    """What goes wrong in the writer's thread reaches the caller."""
    if not os.path.exists('/dev/full'):
        pytest.skip('needs /dev/full, a disk without room')
    path = tmp_path / 'full.mkv'
    path.symlink_to('/dev/full')
    sentence = r'full\.mkv: can not be written \(No space left on device\)'
    with pytest.raises(OSError, match=sentence), VideoWriter(path, 10) as writer:
        for image in noise_frames(40, 240, 320):
            writer.write(image)


def test_a_name_that_can_not_be_written(tmp_path):
    (tmp_path / 'folder.mp4').mkdir()
    with pytest.raises(OSError, match=r'folder\.mp4: can not be written \(Is a directory\)'):
        with VideoWriter(tmp_path / 'folder.mp4', 10) as writer:
            writer.write(noise_frames(1)[0])


def test_without_x264_another_codec_is_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, '_ENCODERS', ('x264_that_is_missing', 'mpeg4'))
    with pytest.warns(UserWarning, match='writing mpeg4 instead, which browsers do not play'):
        with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
            for image in flat_frames([40, 80, 120]):
                writer.write(image)
    with av.open(str(tmp_path / 'a.mp4')) as container:
        assert container.streams.video[0].codec_context.name == 'mpeg4'
        found = [frame.to_ndarray(format='gray').mean() for frame in container.decode(video=0)]
    assert len(found) == 3


# ------------------------------------------------------------------------------ interruptions
WRITES_UNTIL_STOPPED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits none
sys.modules['mmpose'] = None  # not needed, and takes seconds
import numpy as np
from cmpose_mm.apis.video_io import VideoWriter
scene = np.random.default_rng(0).integers(0, 256, (120, 660, 3), dtype=np.uint8)
with VideoWriter(sys.argv[1], 25, audio_from=sys.argv[2]) as writer:
    number = 0
    while True:
        left = number % 500
        writer.write(np.ascontiguousarray(scene[:, left : left + 160]), number / 25)
        number += 1
        print(number, flush=True)
"""


def write_and_stop(path: Path, audio_from: str, stop: int, after: int) -> tuple[int, str]:
    """Stops a writing process after some frames; returns how many it wrote, and its errors."""
    with subprocess.Popen(
        [sys.executable, '-c', WRITES_UNTIL_STOPPED, str(path), audio_from],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        written = 0
        for line in process.stdout:
            written = int(line)
            if written == after:
                process.send_signal(stop)
        return written, process.stderr.read()


@pytest.mark.slow
def test_ctrl_c_leaves_a_file_that_plays(tmp_path):
    sound = make_video(tmp_path / 'a.mp4', noise_frames(200), audio_codec='aac')
    path = tmp_path / 'out.mp4'
    for after in (1, 7, 60, 61):
        written, errors = write_and_stop(path, sound, signal.SIGINT, after)
        assert 'KeyboardInterrupt' in errors
        frames, times = decode(str(path))
        assert written <= len(frames) <= written + 1
        assert times == pytest.approx(np.arange(len(frames)) / 25, abs=1e-3)
        assert audio_packets(str(path))[-1][1] <= len(frames) / 25 + 0.03
        with av.open(str(path)) as container:
            assert container.streams.video[0].frames == len(frames)  # a plain file: it knows


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['mp4', 'mkv'])
def test_kill_leaves_what_was_done_a_few_seconds_before(tmp_path, suffix):
    if suffix == 'mp4' and av.library_versions['libavformat'] < (62, 12):
        pytest.skip('FFmpeg before 8.1 writes plain files only')
    sound = make_video(tmp_path / 'a.mp4', noise_frames(200), audio_codec='aac')
    path = tmp_path / f'out.{suffix}'
    written, _ = write_and_stop(path, sound, signal.SIGKILL, 240)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the end may be cut off
        frames = list(open_frames(path))
    assert 240 <= written
    assert written - 120 < len(frames) <= written + 1
    frames = frames[:-5]  # the last ones may wait for one that refers to them
    times = np.array([f.time for f in frames]) - frames[0].time
    assert times == pytest.approx(np.arange(len(frames)) / 25, abs=2e-3)


def test_an_exception_leaves_a_file_that_plays(tmp_path):
    with pytest.raises(RuntimeError, match='mine'):
        with VideoWriter(tmp_path / 'a.mp4', 10) as writer:
            for image in noise_frames(5):
                writer.write(image)
            raise RuntimeError('mine')
    assert len(decode(str(tmp_path / 'a.mp4'))[0]) == 5


@pytest.mark.parametrize('suffix', ['mp4', 'mkv'])
def test_the_shape_of_pixels_is_kept(tmp_path, suffix):
    path = make_video(tmp_path / 'a.mp4', noise_frames(3), pixel_aspect=Fraction(4, 3))
    frames = open_frames(path).cut('1f')
    assert frames.pixel_aspect == NewestFrames(frames).pixel_aspect == Fraction(4, 3)
    out = tmp_path / f'b.{suffix}'
    with VideoWriter(out, 10, pixel_aspect=frames.pixel_aspect) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time)
    assert open_frames(out).pixel_aspect == Fraction(4, 3)
