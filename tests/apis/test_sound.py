"""Sound that a written video takes from another file."""

from __future__ import annotations

import av
import numpy as np
import pytest
from sample_videos import audio_packets, decode, join, make_video, noise_frames

from cmpose_mm.apis.video_io import VideoWriter, open_frames

pytestmark = pytest.mark.filterwarnings('error')  # no warning but those that a test expects


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


@pytest.mark.parametrize('source, audio_codec', [('a.mp4', 'aac'), ('a.avi', 'libmp3lame')])
def test_sound_goes_on_after_the_last_frame_as_in_the_source(tmp_path, source, audio_codec):
    path = make_video(
        tmp_path / source, noise_frames(10), options={'bf': '2'}, audio_codec=audio_codec,
        audio_seconds=3,
    )  # fmt: skip
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


@pytest.mark.parametrize('suffix', ['ts', 'mpg'])
@pytest.mark.parametrize('late', [0, 300])
def test_sound_of_joined_recordings_goes_on(tmp_path, suffix, late):
    parts = [
        make_video(
            tmp_path / f'{number}.{suffix}', noise_frames(30), 'mpeg2video', audio_codec='mp2',
            container_options={'output_ts_offset': str(start)},
        )
        for number, start in enumerate((0, late))
    ]  # fmt: skip
    path = join(tmp_path / f'joined.{suffix}', *parts)
    with VideoWriter(tmp_path / 'out.mp4', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    images, times = decode(str(tmp_path / 'out.mp4'))
    assert len(images) == 60
    steps = np.diff(times)
    assert np.delete(steps, 29) == pytest.approx(0.1, abs=2e-3)
    assert 0.098 < steps[29] < 0.25  # the longer sound of the first comes to its end
    before = [packet for part in parts for packet in audio_packets(part)]
    after = audio_packets(str(tmp_path / 'out.mp4'))
    assert [content for content, _ in after] == [content for content, _ in before]
    # a picture and its sound stay together in both parts
    length = len(after) // 2
    for first, sound, part in ((0, after[:length], parts[0]), (30, after[length:], parts[1])):
        with av.open(part) as container:
            start = next(container.decode(video=0)).time
        expected = [time - start for _, time in audio_packets(part)]
        assert [time - times[first] for _, time in sound] == pytest.approx(expected, abs=2e-3)


def test_where_sound_of_joined_recordings_overlaps_the_first_is_kept(tmp_path):
    """The last packets of sound may be read after the next recording's first picture."""
    parts = [
        make_video(
            tmp_path / f'{number}.ts', noise_frames(10), 'mpeg2video', audio_codec='mp2',
            audio_seconds=seconds,
        )
        for number, seconds in enumerate((1.6, 1))
    ]  # fmt: skip
    path = join(tmp_path / 'joined.ts', *parts)
    with VideoWriter(tmp_path / 'out.mp4', 10, audio_from=path) as writer:
        for frame in open_frames(path):
            writer.write(frame.image, frame.time)
    after = audio_packets(str(tmp_path / 'out.mp4'))
    steps = np.diff([time for _, time in after])
    assert steps.min() > 0.01 and steps.max() < 0.2
    before = [packet for part in parts for packet in audio_packets(part)]
    assert len(before) - 30 < len(after) <= len(before)
    first = len(audio_packets(parts[0]))
    assert [content for content, _ in after[:first]] == [content for content, _ in before[:first]]
