"""Reading of real video files, folders of images, arrays and cameras."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest
from sample_videos import (
    cut,
    decode,
    flat_frames,
    join,
    make_video,
    noise_frames,
    set_display_matrix,
    set_edit_list,
    tone,
)

from cmpose_mm.apis import frame_reader
from cmpose_mm.apis.video_io import FrameReader, VideoFrame, VideoWriter, open_frames

pytestmark = pytest.mark.filterwarnings('error')  # no warning but those that a test expects
FASTSTART = {'movflags': 'faststart'}  # the index comes first, so that a part can be read


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


@pytest.mark.parametrize(
    'suffix, codec', [('avi', 'libx264'), ('avi', 'mpeg4'), ('wmv', 'libx264'), ('mkv', 'libx264')]
)
def test_times_of_pictures_that_are_stored_in_another_order(tmp_path, suffix, codec):
    images = noise_frames(20)
    path = make_video(tmp_path / f'b.{suffix}', images, codec, rate=25, options={'bf': '2'})
    frames = list(open_frames(path))
    assert [f.time for f in frames] == pytest.approx(np.arange(20) / 25, abs=2e-3)
    assert [f.number for f in open_frames(path).cut(None, '0.2')] == [0, 1, 2, 3, 4]
    for frame in frames:
        errors = [np.abs(frame.image.astype(int) - image).mean() for image in images]
        assert np.argmin(errors) == frame.number


def test_parts_without_times_go_by_the_rate_that_is_given(tmp_path):
    """The rate that FFmpeg makes up for a raw stream is another."""
    path = make_video(tmp_path / 'raw.h264', noise_frames(12))
    reader = open_frames(path)
    assert {frame.time for frame in reader} == {None} and reader.frame_rate not in (None, 50)
    assert [frame.number for frame in reader.cut('0.1', '0.2', 50)] == [5, 6, 7, 8, 9]


def test_times_in_an_avi_that_is_damaged(tmp_path):
    """A packet that cannot be decoded takes its time with it."""
    path = make_video(tmp_path / 'b.avi', noise_frames(20), rate=25, options={'bf': '2'})
    whole = {round(f.time * 25): f.image for f in open_frames(path)}
    with av.open(path) as container:
        packet = bytes([p for p in container.demux() if p.size][9])
    content = Path(path).read_bytes()
    Path(path).write_bytes(content.replace(packet, b'\xff' * len(packet)))
    with pytest.warns(UserWarning, match='frames could be read'):
        frames = list(open_frames(path))
    times = [f.time for f in frames]
    assert times == sorted(set(times)) and len(times) < 20
    np.testing.assert_array_equal(frames[0].image, whole[0])
    assert (times[0], times[-1]) == (0, pytest.approx(19 / 25))


def test_times_count_from_the_start_of_the_file(tmp_path):
    path = make_video(
        tmp_path / 'broadcast.ts', noise_frames(5), container_options={'output_ts_offset': '1.4'}
    )
    assert decode(path)[1][0] > 1  # as broadcasts do
    assert [f.time for f in open_frames(path)] == pytest.approx(np.arange(5) / 10)


def test_times_count_from_the_start_of_the_sound_if_it_is_earlier(tmp_path):
    path = make_video(tmp_path / 'a.mp4', noise_frames(5), start=0.5, audio_codec='aac')
    assert [f.time for f in open_frames(path)] == pytest.approx(0.5 + np.arange(5) / 10)


@pytest.mark.parametrize(
    'suffix, codec',
    [('mkv', 'libx264'), ('webm', 'libvpx'), ('wmv', 'wmv2'), ('nut', 'libx264'),
     ('flv', 'flv'), ('mp4', 'libx264'), ('ts', 'libx264'), ('mpg', 'mpeg2video')],
)  # fmt: skip
@pytest.mark.parametrize('late', ['3', '500'])  # seconds; the file has 2
def test_a_late_first_time_stamp_is_no_damage(tmp_path, suffix, codec, late):
    options = {'output_ts_offset': late}
    path = make_video(
        tmp_path / f'a.{suffix}', noise_frames(50), codec, rate=25, container_options=options
    )
    reader = open_frames(path)
    assert [f.time for f in reader] == pytest.approx(np.arange(50) / 25, abs=1e-3)
    assert abs(reader.num_frames - 50) <= 1


@pytest.mark.parametrize('first, count', [(0, 60), (25, 35), (25, 10), (0, 20)])
def test_what_an_edit_list_leaves_out_is_no_damage(tmp_path, first, count):
    """Phones trim a video without encoding it again: the frames stay in the file, unseen."""
    images = noise_frames(60)
    path = make_video(tmp_path / 'a.mp4', images, options={'bf': '0'})
    whole = [f.image for f in open_frames(path)]
    set_edit_list(path, first / 10, count / 10)
    reader = open_frames(path)
    frames = list(reader)
    assert len(frames) == reader.num_frames == count
    for frame, image in zip(frames, whole[first:]):
        np.testing.assert_array_equal(frame.image, image)


JOINED = [('ts', 'libx264'), ('ts', 'mpeg2video'), ('mpg', 'mpeg2video'), ('mpg', 'mpeg1video')]


@pytest.mark.slow
@pytest.mark.parametrize('suffix, codec', JOINED)
@pytest.mark.parametrize('late', [(0, 0), (0, 300), (300, 0)])  # seconds, of both recordings
def test_joined_recordings_are_read_as_one(tmp_path, suffix, codec, late):
    parts = [
        make_video(
            tmp_path / f'{number}.{suffix}', noise_frames(count), codec, rate=25,
            container_options={'output_ts_offset': str(start)},
        )
        for number, (count, start) in enumerate(zip((25, 40), late))
    ]  # fmt: skip
    expected = [f.image for part in (0, 1, 0) for f in open_frames(parts[part])]
    path = join(tmp_path / f'joined.{suffix}', parts[0], parts[1], parts[0])
    frames = list(open_frames(path))
    assert len(frames) == len(expected) == 90
    for frame, image in zip(frames, expected):
        np.testing.assert_array_equal(frame.image, image)
    assert [f.time for f in frames] == pytest.approx(np.arange(90) / 25, abs=1e-3)


def test_a_size_that_changes_is_scaled_to_the_first(tmp_path):
    gray = [30, 60, 90, 120]
    sizes = [(48, 64), (72, 96), (24, 40), (48, 64)]
    parts = [
        make_video(tmp_path / f'{i}.ts', flat_frames(gray, *size)) for i, size in enumerate(sizes)
    ]
    path = join(tmp_path / 'a.ts', *parts)
    with pytest.warns(UserWarning, match=r'a\.ts: frame 4 is 96 x 72 pixels, .* 64 x 48') as warned:
        frames = list(open_frames(path))
    assert len(warned) == 1
    assert np.abs(np.array(levels(frames)) - 4 * gray).max() <= 5
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    left, right = [10, 10, 10], [200, 200, 200]  # what is left stays left
    halves = [
        np.concatenate([np.full((h, w // 2, 3), c, np.uint8) for c in (left, right)], axis=1)
        for h, w in sizes[:3]
    ]
    parts = [make_video(tmp_path / f'{i}.ts', [image] * 3) for i, image in enumerate(halves)]
    with pytest.warns(UserWarning, match='frame 3 is'):
        frames = list(open_frames(join(tmp_path / 'a.ts', *parts)))
    for frame in frames:
        assert np.abs(frame.image.astype(int) - halves[0])[:, np.r_[:28, 36:64]].max() < 12


ODD_NAMES = [
    '2024-05-01T12:30:05', 'concat:a', 'http:a', 'data:a', 'file:a', 'pipe:0', 'a%03d', 'a?b#c',
    '-a', 'ä ö', "it's [a]*",
]  # fmt: skip


@pytest.mark.parametrize('name', ODD_NAMES)
def test_files_with_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = make_video(tmp_path / 'plain.mp4', noise_frames(3))
    os.rename(path, f'{name}.mp4')
    reader = open_frames(f'{name}.mp4')
    assert (reader.name, len(list(reader))) == (name, 3)


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
    # x265 gives packets without a dts where it has B-frames; one in 150 could not be written.
    params = 'pools=none:frame-threads=1:bframes=0'
    options = {'x265-params': params} if codec == 'libx265' else {}
    images = flat_frames([30, 200])
    path = make_video(tmp_path / 'a.mkv', images, codec, pix_fmt, options=options)
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


@pytest.mark.slow
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


def _leave_early_while_ffmpeg_logs(path):
    import av

    av.logging.set_level(av.logging.TRACE)  # importing torchvision 0.16 sets ERROR: rarer
    for _ in range(600):
        for frame in open_frames(path):
            if frame.number == 2:
                break


@pytest.mark.slow
def test_leaving_early_while_ffmpeg_logs(tmp_path):
    """A decoder's thread that logs waits for Python's lock, and nobody may wait for it then."""
    path = make_video(tmp_path / 'a.mp4', noise_frames(40))
    process = multiprocessing.get_context('spawn').Process(
        target=_leave_early_while_ffmpeg_logs, args=(path,)
    )
    process.start()
    process.join(120)
    ended = process.exitcode
    process.kill()
    assert ended == 0


@pytest.mark.parametrize('suffix, codec', [('h264', 'libx264'), ('hevc', 'libx265')])
def test_the_rate_of_a_raw_stream_is_its_own(tmp_path, suffix, codec):
    """It has no times, and FFmpeg takes 25 frames a second where nobody looks into the stream."""
    images = flat_frames([10 * n for n in range(20)])
    reader = open_frames(make_video(tmp_path / f'a.{suffix}', images, codec, rate=50))
    assert reader.frame_rate == 50
    part = [frame.number for frame in reader.cut('0.1', '0.2')]
    assert part == [5, 6, 7, 8, 9]


def test_the_rate_of_dv(tmp_path):
    images = flat_frames([40, 80, 120], 576, 720)
    path = make_video(tmp_path / 'a.dv', images, 'dvvideo', rate=25)
    reader = open_frames(path)
    assert reader.frame_rate == 25 and reader.num_frames == len(list(reader)) == 3


@pytest.mark.parametrize('suffix', ['tif', 'webp', 'png'])
def test_an_image_of_several_pictures_is_told(tmp_path, suffix):
    first, *more = (PIL.Image.new('RGB', (40, 30), (level, 0, 0)) for level in (9, 99, 199))
    first.save(tmp_path / f'a.{suffix}', save_all=True, append_images=more)
    with pytest.warns(UserWarning, match=f'a.{suffix}: holds 3 pictures, of which the first'):
        reader = open_frames(tmp_path / f'a.{suffix}')
    (frame,) = reader
    assert frame.image.shape == (30, 40, 3) and frame.image[..., 2].max() < 40
    first.save(tmp_path / f'b.{suffix}')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        open_frames(tmp_path / f'b.{suffix}')


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


def test_a_cut_file_without_a_frame_rate(tmp_path):
    """How many are missing then goes by how long those are that could be read."""
    times = [n * 0.03 + 0.01 * (n % 3) for n in range(100)]
    path = Path(make_video(tmp_path / 'a.mkv', noise_frames(100), times=times))
    content = path.read_bytes()
    place = content.index(b'\x23\xe3\x83')  # Matroska's DefaultDuration, with one byte of its size
    size = content[place + 3] & 0x7F
    nothing = bytes([0xEC, 0x80 | size + 2]) + bytes(size + 2)  # a void of the same length
    path.write_bytes(content[:place] + nothing + content[place + len(nothing) :])
    reader = open_frames(path)
    assert reader.frame_rate is None and len(list(reader)) == 100  # without a warning
    cut(path, 0.3)
    with pytest.warns(UserWarning, match=r'a\.mkv: (\d+) of about (9\d|10\d) frames could be read'):
        frames = list(open_frames(path))
    assert 10 <= len(frames) < 60


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


def test_a_cut_off_file_gives_the_same_frames_each_time(tmp_path):
    """Threads for whole frames would mark its last image as broken in some runs only."""
    path = make_video(tmp_path / 'a.ts', noise_frames(40), 'libx264', rate=25, options={'g': '5'})
    content = Path(path).read_bytes()
    for share in (0.45, 0.55, 0.7):
        Path(path).write_bytes(content[: int(share * len(content))])
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            found = {len(list(open_frames(path))) for _ in range(15)}
        assert len(found) == 1


@pytest.mark.parametrize(
    'suffix, codec', [('ts', 'libx264'), ('ts', 'mpeg2video'), ('mpg', 'mpeg2video'),
                      ('avi', 'mpeg4'), ('flv', 'flv'), ('wmv', 'wmv2')]
)  # fmt: skip
def test_half_an_image_is_left_out_where_no_packet_is_marked(tmp_path, suffix, codec):
    images = noise_frames(40)
    path = make_video(tmp_path / f'a.{suffix}', images, codec, rate=25, options={'g': '5'})
    whole = {f.time: f.image for f in open_frames(path)}
    content, halves, told = Path(path).read_bytes(), 0, 0
    for share in np.linspace(0.4, 0.9, 11):
        Path(path).write_bytes(content[: int(share * len(content))])
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter('always')
            frames = list(open_frames(path))
        told += any('frames could be read' in str(w.message) for w in warned)
        halves += len(decode(path)[0]) - len(frames)
        for frame in frames:
            np.testing.assert_array_equal(frame.image, whole[frame.time])
    assert 3 <= halves <= told <= 11


@pytest.mark.parametrize('codec', ['libx264', 'mpeg2video'])
def test_a_gap_in_a_transport_stream_is_told(tmp_path, codec):
    path = make_video(tmp_path / 'a.ts', noise_frames(60, 120, 160), codec, options={'g': '10'})
    whole = [f.image for f in open_frames(path)]
    content = Path(path).read_bytes()
    packets = [content[i : i + 188] for i in range(0, len(content), 188)]
    is_inside = [packet[1:3] == b'\x01\x00' for packet in packets]  # of a picture, not its start
    del packets[is_inside.index(True, len(packets) // 2)]
    Path(path).write_bytes(b''.join(packets))
    with pytest.warns(UserWarning, match=r'frames could be read|parts of the file') as warned:
        frames = list(open_frames(path))
    assert len(warned) == 1
    assert 58 <= len(frames) <= 60
    for frame in frames[:15] + frames[-15:]:  # the groups of frames before and after the gap
        number = round(frame.time * 10)
        np.testing.assert_array_equal(frame.image, whole[number])


def test_the_end_of_a_late_file_is_missed(tmp_path):
    for suffix, codec in (('mkv', 'libx264'), ('flv', 'flv')):
        late = {'output_ts_offset': '5'}
        path = make_video(tmp_path / f'a.{suffix}', noise_frames(80), codec, container_options=late)
        cut(path, 0.5)
        with pytest.warns(UserWarning, match=r'of about (79|80|81) frames could be read'):
            assert len(list(open_frames(path))) < 50


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
    first = next(f for f in frames if f.time - f.number / 10 > 0.05)  # after the loss
    said = re.search(r'Those after (.*) s are numbered as if none', str(warned[0].message))
    assert frames[first.number - 1].time < float(said[1]) < first.time


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


def test_a_folder_of_several_formats(tmp_path):
    for number, suffix in enumerate(['jpg', 'webp', 'png', 'TIFF', 'bmp']):
        content = cv2.imencode(f'.{suffix}', np.full((6, 8, 3), 40 * number, np.uint8))[1]
        (tmp_path / f'{number}.{suffix}').write_bytes(content)
    assert np.abs(np.array(levels(list(open_frames(tmp_path)))) - 40 * np.arange(5)).max() <= 3
    (tmp_path / '2b.heic').write_bytes(b'x')
    with pytest.warns(UserWarning, match=r'1 image files are left out \(first: 2b\.heic\)'):
        reader = open_frames(tmp_path)
    assert len(list(reader)) == 5


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


@pytest.mark.slow
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
