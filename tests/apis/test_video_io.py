"""Reading and writing of real video files; what is written is read again with PyAV."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from sample_videos import (
    audio_packets,
    cut,
    decode,
    flat_frames,
    make_video,
    noise_frames,
    set_display_matrix,
    tone,
)

from cmpose_mm.apis import frame_reader, video_writer
from cmpose_mm.apis.video_io import FrameReader, VideoFrame, VideoWriter, open_frames

FASTSTART = {'movflags': 'faststart'}  # the index comes first, so that a part can be read


@pytest.fixture(autouse=True)
def _no_unexpected_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def levels(frames: list[VideoFrame]) -> list[int]:
    return [round(float(frame.image.mean())) for frame in frames]


# ----------------------------------------------------------------------------------- reading


@pytest.mark.parametrize('suffix, codec', [('mp4', 'libx264'), ('mov', 'libx264'),
                                           ('mkv', 'libx264'), ('avi', 'mpeg4')])  # fmt: skip
def test_files_of_each_kind(tmp_path, suffix, codec):
    gray = [20, 60, 100, 140, 180, 220]
    reader = open_frames(make_video(tmp_path / f'walk.{suffix}', flat_frames(gray), codec))
    assert (reader.name, reader.num_frames, reader.frame_rate) == ('walk', 6, 10.0)
    frames = list(reader)
    assert np.abs(np.array(levels(frames)) - gray).max() <= 5
    assert [f.number for f in frames] == list(range(6))
    assert [f.time for f in frames] == pytest.approx(np.arange(6) / 10)
    assert all(f.path is None and f.image.shape == (48, 64, 3) for f in frames)
    assert len(list(reader)) == 6  # a second time


def test_colors_are_bgr_and_follow_the_tags_of_the_file(tmp_path):
    path = str(tmp_path / 'red.mp4')
    red = np.full((48, 64, 3), (0, 0, 255), np.uint8)
    with VideoWriter(path, 10) as writer:
        writer.write(red)
    (frame,) = open_frames(path)
    assert np.abs(frame.image.astype(int) - red).max() <= 6
    path = make_video(tmp_path / 'full.mp4', [red], pix_fmt='yuvj420p')  # full range, BT.601
    (frame,) = open_frames(path)
    assert np.abs(frame.image.astype(int) - red).max() <= 6


def test_variable_frame_rate_is_kept(tmp_path):
    times = [0.0, 0.1, 0.35, 0.4, 1.4, 1.433]
    path = make_video(tmp_path / 'vfr.mp4', noise_frames(6), times=times)
    assert [f.time for f in open_frames(path)] == pytest.approx(times, abs=1e-6)
    with VideoWriter(tmp_path / 'out.mp4', 10) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    assert decode(str(tmp_path / 'out.mp4'))[1] == pytest.approx(times, abs=1e-4)


def test_times_count_from_the_start_of_the_file(tmp_path):
    path = make_video(
        tmp_path / 'broadcast.ts', noise_frames(5), container_options={'output_ts_offset': '1.4'}
    )
    assert decode(path)[1][0] > 1  # as broadcasts do
    assert [f.time for f in open_frames(path)] == pytest.approx(np.arange(5) / 10)


@pytest.mark.parametrize(
    'codec, pix_fmt',
    [
        ('libx264', 'yuv420p10le'),
        ('libx265', 'yuv420p10le'),
        ('ffv1', 'gray'),
        ('ffv1', 'gray10le'),
    ],
)
def test_ten_bit_and_gray(tmp_path, codec, pix_fmt):
    path = make_video(tmp_path / 'a.mkv', flat_frames([30, 200]), codec, pix_fmt)
    with av.open(path) as container:
        assert container.streams.video[0].pix_fmt == pix_fmt
    frames = list(open_frames(path))
    assert np.abs(np.array(levels(frames)) - [30, 200]).max() <= 5
    assert all(f.image.shape == (48, 64, 3) and f.image.dtype == np.uint8 for f in frames)


@pytest.mark.parametrize(
    'matrix, upright',
    [
        ([[0, 1], [-1, 0]], lambda image: np.rot90(image, -1)),  # a phone held upright
        ([[0, -1], [1, 0]], lambda image: np.rot90(image, 1)),
        ([[-1, 0], [0, -1]], lambda image: image[::-1, ::-1]),
        ([[-1, 0], [0, 1]], lambda image: image[:, ::-1]),  # mirrored
        ([[1, 0], [0, -1]], lambda image: image[::-1]),
        ([[0, 1], [1, 0]], lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_rotation_in_the_metadata_is_applied(tmp_path, matrix, upright):
    path = make_video(tmp_path / 'a.mp4', noise_frames(3))
    plain = [f.image for f in open_frames(path)]
    set_display_matrix(path, matrix)
    frames = list(open_frames(path))
    assert len(frames) == 3
    for frame, image in zip(frames, plain):
        np.testing.assert_array_equal(frame.image, upright(image))
        assert frame.image.flags.c_contiguous


def test_one_frame(tmp_path):
    path = make_video(tmp_path / 'one.mp4', noise_frames(1))
    reader = open_frames(path)
    assert [(f.number, f.time) for f in reader] == [(0, 0.0)]
    assert reader.num_frames == 1


def test_4k_is_read_and_written(tmp_path):
    image = np.zeros((2160, 3840, 3), np.uint8)
    cv2.circle(image, (3000, 1500), 300, (0, 200, 0), -1)
    with VideoWriter(tmp_path / '4k.mp4', 30) as writer:
        writer.write(image)
        writer.write(image)
    frames = list(open_frames(tmp_path / '4k.mp4'))
    assert len(frames) == 2
    assert np.abs(frames[1].image.astype(int) - image).mean() < 1


def test_the_real_video(real_data):
    folder = real_data / 'posetrack18_mini/videos/000001_mpiinew_test'
    video = list(open_frames(folder / '000001_mpiinew_test.mp4'))
    images = list(open_frames(folder))
    assert [f.time for f in video] == pytest.approx(np.arange(5) / 30, abs=1e-3)
    assert [Path(f.path).name for f in images] == [f'{i:06d}.jpg' for i in range(5)]
    for one, other in zip(video, images):  # both are the same frames, compressed
        assert one.image.shape == other.image.shape
        assert np.abs(one.image.astype(int) - other.image).mean() < 12


def test_metadata_that_is_no_utf8(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(3), metadata={'title': 'QQQQ'})
    content = Path(path).read_bytes()
    assert content.count(b'QQQQ') == 1
    Path(path).write_bytes(content.replace(b'QQQQ', b'\xe9\xff\xe8Q'))
    assert len(list(open_frames(path))) == 3


def test_leaving_early_closes_the_file(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(20))
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(30):
        for frame in open_frames(path):
            if frame.number == 2:
                break
    assert len(os.listdir('/proc/self/fd')) <= before + 1


# --------------------------------------------------------------------------- damaged and wrong


@pytest.mark.parametrize(
    'suffix, codec, options, sentence',
    [
        ('mp4', 'libx264', FASTSTART, r'a\.mp4: (\d+) of 60 frames could be read, the file is cut'),
        ('mov', 'libx264', FASTSTART, r'a\.mov: (\d+) of 60 frames could be read'),
        ('avi', 'mpeg4', {}, r'a\.avi: (\d+) of 60 frames could be read'),
        ('mkv', 'libx264', {}, r'a\.mkv: (\d+) of about (59|60|61) frames could be read'),
    ],
)
def test_a_file_that_is_cut_off_gives_the_frames_before(tmp_path, suffix, codec, options, sentence):
    images = noise_frames(60)
    path = make_video(tmp_path / f'a.{suffix}', images, codec, container_options=options)
    whole = [f.image for f in open_frames(path)]
    assert len(whole) == 60  # without a warning
    cut(path, 0.6)
    frames = []
    with pytest.warns(UserWarning, match=sentence) as warned:
        frames.extend(open_frames(path))
    assert len(warned) == 1
    assert f': {len(frames)} of' in str(warned[0].message)
    assert 10 <= len(frames) < 50
    for frame in frames[:-5]:  # the last ones may lack a frame that they refer to
        np.testing.assert_array_equal(frame.image, whole[frame.number])


def test_frames_that_avi_counts_but_does_not_hold_are_no_damage(tmp_path):
    images = noise_frames(40)
    path = make_video(tmp_path / 'a.avi', images, 'mpeg4', audio_codec='libmp3lame')
    with av.open(path) as container:
        assert container.streams.video[0].frames > 40
    assert len(list(open_frames(path))) == 40


def test_half_an_image_is_left_out(tmp_path):
    path = make_video(tmp_path / 'a.avi', noise_frames(20), 'mjpeg', 'yuvj420p')
    whole = [f.image for f in open_frames(path)]
    cut(path, 0.5)
    with pytest.warns(UserWarning, match='of 20 frames'):
        frames = list(open_frames(path))
    assert 3 <= len(frames) <= 12
    for frame in frames:
        np.testing.assert_array_equal(frame.image, whole[frame.number])


def test_a_damaged_middle_is_told(tmp_path):
    path = make_video(
        tmp_path / 'a.mp4', noise_frames(60), options={'g': '10'}, container_options=FASTSTART
    )
    content = bytearray(Path(path).read_bytes())
    middle, length = len(content) // 2, len(content) // 10
    content[middle : middle + length] = b'\xff' * length
    Path(path).write_bytes(content)
    frames = []
    with pytest.warns(UserWarning, match=r'(\d+) of 60 frames could be read') as warned:
        frames.extend(open_frames(path))
    assert f'{len(frames)} of 60' in str(warned[0].message)
    assert 40 < len(frames) < 60
    assert frames[-1].time == pytest.approx(5.9)  # what follows the gap is read


def test_sound_longer_than_the_picture_is_no_damage(tmp_path):
    path = make_video(tmp_path / 'a.mkv', noise_frames(5), audio_codec='aac', audio_seconds=4)
    assert len(list(open_frames(path))) == 5


def test_a_file_without_its_index(tmp_path):
    path = cut(make_video(tmp_path / 'a.mp4', noise_frames(20)), 0.5)
    with pytest.raises(ValueError, match=r'a\.mp4: .*cut off'):
        open_frames(path)


def test_a_file_with_no_frame_that_decodes(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(20), container_options=FASTSTART)
    content = Path(path).read_bytes()
    start = content.index(b'mdat') + 4
    Path(path).write_bytes(content[:start] + b'\xff' * (len(content) - start))
    with pytest.raises(ValueError, match=r'a\.mp4: none of its frames can be decoded'):
        list(open_frames(path))


@pytest.mark.parametrize('name', ['a.mkv', 'a.mp4', 'a.avi'])
def test_a_video_of_zero_frames(tmp_path, name):
    path = str(tmp_path / name)
    with av.open(path, 'w') as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        container.start_encoding()
    with pytest.raises(
        ValueError, match=f'{name}: (is no readable|has no video|none of its frames)'
    ):
        list(open_frames(path))


def test_files_that_are_no_video(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.mp4: not found'):
        open_frames(tmp_path / 'gone.mp4')
    for name, content, sentence in [
        ('empty.mp4', b'', r'empty\.mp4: is empty'),
        ('noise.mp4', bytes(range(256)) * 50, r'noise\.mp4: is no readable video'),
        ('notes.txt', b'no video at all\n' * 50, r'notes\.txt: is a text file'),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            open_frames(tmp_path / name)
    path = str(tmp_path / 'sound.wav')
    with av.open(path, 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=48000)
        for frame in tone(0.5):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r'sound\.wav: has no video stream \(found: audio\)'):
        open_frames(path)


def test_a_cover_picture_is_no_video(tmp_path):
    picture = cv2.imencode('.png', np.full((20, 20, 3), 80, np.uint8))[1].tobytes()
    body = b'\x00image/png\x00\x03\x00' + picture
    tag = b'APIC' + len(body).to_bytes(4, 'big') + b'\x00\x00' + body
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / 'song.mp3'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libmp3lame', rate=48000)
        for frame in tone(0.5):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(b'ID3\x03\x00\x00' + size + tag + path.read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
        if not hasattr(container.streams.video[0], 'disposition'):
            pytest.skip('this PyAV does not tell cover pictures from videos')
    with pytest.raises(ValueError, match=r'song\.mp3: has no video stream'):
        open_frames(path)


# --------------------------------------------------------------------------- images and arrays


def test_a_folder_is_sorted_as_numbers_are(tmp_path):
    for number in (1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((6, 8, 3), number, np.uint8))
    (tmp_path / '._1.png').write_bytes(b'')
    (tmp_path / 'notes.txt').write_text('x')
    reader = open_frames(tmp_path)
    frames = list(reader)
    assert [int(f.image[0, 0, 0]) for f in frames] == [1, 2, 9, 10]
    assert [Path(f.path).name for f in frames] == ['1.png', '2.png', '9.png', '10.png']
    assert [(f.number, f.time) for f in frames] == [(i, None) for i in range(4)]
    assert (reader.name, reader.num_frames, reader.frame_rate) == (tmp_path.name, 4, None)


def test_one_image_and_gray_images(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((6, 8), 77, np.uint8))
    (frame,) = open_frames(path)
    assert frame.image.shape == (6, 8, 3) and (frame.image == 77).all()
    assert frame.path == str(path)


def test_folders_that_can_not_be_read(tmp_path):
    with pytest.raises(ValueError, match='has no image, expected files that end with .jpg'):
        open_frames(tmp_path)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), noise_frames(1)[0])
    cut(str(tmp_path / '1.jpg'), 0.5)
    reader = iter(open_frames(tmp_path))
    assert next(reader).number == 0
    with pytest.raises(OSError, match=r'1\.jpg: image is truncated or broken'):
        next(reader)
    (tmp_path / '1.jpg').write_bytes(b'no image\xff\xd9')
    with pytest.raises(OSError, match=r'1\.jpg: image can not be decoded'):
        list(open_frames(tmp_path))


def test_arrays_and_generators():
    images = noise_frames(4)
    for source in (images, tuple(images), np.stack(images)):
        reader = open_frames(source)
        assert (reader.name, reader.num_frames, reader.frame_rate) == ('frames', 4, None)
        for frame, image in zip(reader, images):
            np.testing.assert_array_equal(frame.image, image)
            assert (frame.time, frame.path) == (None, None)
    reader = open_frames(image for image in images)
    assert reader.num_frames is None
    assert [f.number for f in reader] == [0, 1, 2, 3]
    (gray,) = open_frames([np.full((6, 8), 9, np.uint8)])
    assert gray.image.shape == (6, 8, 3)
    assert open_frames(reader) is reader


def test_a_generator_is_asked_for_one_frame_at_a_time():
    asked = []

    def images():
        for number in range(3):
            asked.append(number)
            yield np.zeros((4, 4, 3), np.uint8)

    for frame in open_frames(images()):
        assert asked[-1] == frame.number


def test_arrays_that_are_no_images():
    for bad, sentence in [
        (np.zeros((4, 4, 3)), r'frame 1 has shape \(4, 4, 3\) and type float64, expected \(H, W'),
        (np.zeros((4, 4, 4), np.uint8), r'frame 1 has shape \(4, 4, 4\)'),
        ('a.jpg', 'frame 1 is a str, expected an array'),
    ]:
        with pytest.raises(ValueError, match=sentence):
            list(open_frames([np.zeros((4, 4, 3), np.uint8), bad]))
    with pytest.raises(ValueError, match=r'shape \(4, 4, 3\), expected \(T, H, W, 3\)'):
        open_frames(np.zeros((4, 4, 3), np.uint8))
    for empty in ([], iter([])):
        with pytest.raises(ValueError, match='frames: has no frames'):
            list(open_frames(empty))
    for wrong in (2.5, None, True):
        with pytest.raises(TypeError, match='expected a path, the index of a camera, or images'):
            open_frames(wrong)


def test_a_camera_that_is_not_there():
    with pytest.raises(OSError, match='camera 97: can not be opened'):
        open_frames(97)


def test_a_camera_gives_frames_until_it_stops(tmp_path):
    """OpenCV reads files through the same class as cameras."""
    path = make_video(tmp_path / 'a.avi', flat_frames([50, 100, 150]), 'mpeg4')
    camera = cv2.VideoCapture(path)
    frames = list(FrameReader('camera 0', lambda: frame_reader._read_camera(camera)))
    assert np.abs(np.array(levels(frames)) - [50, 100, 150]).max() <= 5
    times = [f.time for f in frames]
    assert times == sorted(times) and times[0] >= 0
    assert not camera.isOpened()


def test_reading_takes_memory_that_does_not_grow(tmp_path):
    path = make_video(tmp_path / 'a.mp4', 9 * noise_frames(100, 240, 320))
    script = (
        'import psutil, sys\n'
        'sys.modules["mmpose"] = None\n'
        'from cmpose_mm.apis.video_io import VideoWriter, open_frames\n'
        'size = lambda: psutil.Process().memory_info().rss / 2**20\n'
        'with VideoWriter(sys.argv[2], 10) as writer:\n'
        '    for frame in open_frames(sys.argv[1]):\n'
        '        writer.write(frame.image, frame.time)\n'
        '        if frame.number == 450:  # by then FFmpeg has filled its pools\n'
        '            early = size()\n'
        '    print(size() - early)\n'
    )
    out = subprocess.run(
        [sys.executable, '-c', script, path, str(tmp_path / 'o.mp4')],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # 450 more frames of 0.22 MiB would be 99 MiB
    assert float(out.stdout.splitlines()[-1]) < 30


# ----------------------------------------------------------------------------------- writing


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
    with pytest.raises(OSError), VideoWriter(path, 10) as writer:
        for image in noise_frames(40, 240, 320):
            writer.write(image)


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


# ------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(
    'source, audio_codec, suffix',
    [
        ('a.mp4', 'aac', 'mp4'),
        ('a.mov', 'aac', 'mp4'),
        ('a.avi', 'libmp3lame', 'mp4'),
        ('a.mkv', 'ac3', 'mp4'),
        ('a.ts', 'mp2', 'mp4'),  # starts at 1.4 s
        ('a.mkv', 'flac', 'mkv'),
        ('a.mp4', 'aac', 'mov'),
        ('a.avi', 'pcm_s16le', 'mp4'),  # does not say which channel it is
    ],
)
def test_sound_is_copied_untouched(tmp_path, source, audio_codec, suffix):
    codec = 'mpeg4' if source.endswith('avi') else 'libx264'
    late = {'output_ts_offset': '1.4'} if source.endswith('ts') else {}
    path = make_video(
        tmp_path / source, noise_frames(40), codec, container_options=late, audio_codec=audio_codec
    )
    with VideoWriter(tmp_path / f'out.{suffix}', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    out = str(tmp_path / f'out.{suffix}')
    before, after = audio_packets(path), audio_packets(out)
    assert len(before) > 40
    assert [content for content, _ in after] == [content for content, _ in before]
    with av.open(path) as container:
        start = (container.start_time or 0) / av.time_base
    was = np.array([time for _, time in before]) - start
    assert np.abs([time for _, time in after] - was).max() < 2e-3
    images, times = decode(out)
    assert len(images) == 40
    assert times == pytest.approx([f.time for f in open_frames(path)], abs=2e-3)
    with av.open(out) as container:  # it is sound, not only bytes
        samples = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    assert np.abs(samples.astype(float)).max() > 0


@pytest.mark.parametrize(
    'source, audio_codec, suffix',
    [
        ('a.avi', 'adpcm_ms', 'mp4'),
        ('a.ts', 'aac', 'mp4'),
        ('a.mkv', 'flac', 'mov'),  # although FFmpeg's list for .mov has it
    ],
)
def test_sound_that_a_file_can_not_hold_is_left_out_with_a_word(
    tmp_path, source, audio_codec, suffix
):
    path = make_video(tmp_path / source, noise_frames(5), 'mpeg4', audio_codec=audio_codec)
    sentence = (
        rf'out\.{suffix}: the sound of .*{source} \({audio_codec}\) is left out, because \.{suffix}'
    )
    with pytest.warns(UserWarning, match=sentence) as warned:
        with VideoWriter(tmp_path / f'out.{suffix}', 10, audio_from=path) as writer:
            for frame in open_frames(path):
                writer.write(frame.image, frame.time)
    assert len(warned) == 1
    with av.open(str(tmp_path / f'out.{suffix}')) as container:
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) == 5


def test_a_source_without_sound(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(3))
    with VideoWriter(tmp_path / 'out.mp4', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    assert len(decode(str(tmp_path / 'out.mp4'))[0]) == 3


def test_sound_goes_on_after_the_last_frame_as_in_the_source(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(10), audio_codec='aac', audio_seconds=3)
    with VideoWriter(tmp_path / 'out.mp4', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    assert audio_packets(str(tmp_path / 'out.mp4')) == audio_packets(path)


def test_sound_stops_where_a_part_of_the_video_stops(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(60), audio_codec='aac')
    with VideoWriter(tmp_path / 'out.mp4', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
            if frame.number == 19:
                break
    last = audio_packets(str(tmp_path / 'out.mp4'))[-1][1]
    assert 1.9 < last < 2.1


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


@pytest.mark.parametrize('suffix', ['mp4', 'mkv'])
def test_kill_leaves_what_was_done_a_few_seconds_before(tmp_path, suffix):
    if suffix == 'mp4' and av.library_versions['libavformat'] < (61, 7):
        pytest.skip('FFmpeg before 7.1 writes plain files only')
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
