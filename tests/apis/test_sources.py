"""Which videos arguments name, and parts of videos; nothing here needs a model."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from sample_videos import audio_packets, flat_frames, make_video, noise_frames
from servers import MediaServer, RtspServer, closed_port

from cmpose_cli import parse_command
from cmpose_cli.grammar import parse_moment, parse_persons
from cmpose_mm.apis import av_files, open_frames
from cmpose_mm.apis.chosen_persons import chosen_boxes
from cmpose_mm.apis.frame_reader import FrameReader, NewestFrames, source_name
from cmpose_mm.apis.infer_command import Job, plan
from cmpose_mm.apis.sources import listed_sources
from cmpose_mm.apis.video_writer import VideoWriter

pytestmark = pytest.mark.filterwarnings('error')  # no warning but those that a test expects


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# --------------------------------------------------------------------------------- which videos


def test_files_folders_patterns_addresses_and_cameras(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(*(Path('videos') / name for name in ('v10.mp4', 'v2.MOV', '.hidden.mp4', 'notes.txt')))
    touch(Path('frames/000000.jpg'), Path('one.avi'), Path('7'))
    assert listed_sources(['videos']) == ['videos/v2.MOV', 'videos/v10.mp4']
    assert listed_sources(['frames']) == ['frames']
    assert listed_sources(['no.mp4', '7', '0']) == ['no.mp4', '7', 0]
    assert listed_sources(['vid*/*.mp4', 'fr*']) == ['videos/v10.mp4', 'frames']
    assert listed_sources(['rtsp://u:p@host/a', 'one.avi']) == ['rtsp://u:p@host/a', 'one.avi']
    with pytest.raises(ValueError, match=r'^x\*.mp4: no file fits this pattern'):
        listed_sources(['x*.mp4'])
    touch(Path('videos/cover.jpg'))
    message = r'^videos: holds 2 videos \(v2.MOV, ...\) and 1 images .*"videos/\*.MOV"$'
    with pytest.raises(ValueError, match=message):
        listed_sources(['videos'])


def jobs_of(*arguments) -> list[Job]:
    return plan(parse_command('infer', list(map(str, arguments))))


def planned(*arguments) -> list[tuple]:
    return [(job.source, list(job.outputs.values())) for job in jobs_of(*arguments)]


def test_files_of_a_folder_that_may_be_videos_are_told(tmp_path):
    touch(*(tmp_path / name for name in ('a.mp4', 'b.h264', 'c.gif', 'notes.txt')))
    with pytest.warns(UserWarning, match=r'1 files that may be videos are left out \(first: c.gif'):
        found = listed_sources([str(tmp_path)])
    assert [Path(source).name for source in found] == ['a.mp4', 'b.h264']


def test_plots_do_not_go_among_the_frames(tmp_path):
    touch(tmp_path / '000000.jpg')
    with pytest.raises(ValueError, match='is the folder of an input, expected another one'):
        planned(str(tmp_path), '--plots', str(tmp_path), '--frame-rate', '25')


def test_outputs_are_named_after_the_videos(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    touch(Path('a b.mp4'), Path('in/c.mp4'), Path('in/d.mp4'))
    assert planned('a b.mp4') == [('a b.mp4', ['a_b_poses.mp4', 'a_b_poses.json'])]
    assert planned('in', '--out-dir', 'out', 'a b.mp4', '--formats', 'csv', 'json') == [
        ('in/c.mp4', ['out/c_poses.csv', 'out/c_poses.json']),
        ('in/d.mp4', ['out/d_poses.csv', 'out/d_poses.json']),
        ('a b.mp4', ['out/a_b_poses.csv', 'out/a_b_poses.json']),
    ]
    assert planned('in/c.mp4', '--out-csv', 'x.csv') == [('in/c.mp4', ['x.csv'])]
    assert planned('rtsp://u:p@host/live/1', 3, '--formats', 'csv') == [
        ('rtsp://u:p@host/live/1', ['1_poses.csv']), (3, ['camera_3_poses.csv'])
    ]  # fmt: skip
    assert len(planned('in', 'in/../in/c.mp4')) == 2
    assert 'in/../in/c.mp4: is named twice, and computed once' in capsys.readouterr().err
    touch(Path('in/c_poses.mp4'))
    assert len(planned('in', '--out-dir', 'in')) == 2  # not the overlay of the last run
    assert 'in/c_poses.mp4: is the output of in/c.mp4, and left out' in capsys.readouterr().err
    assert len(planned('in', '--out-dir', 'in', '--formats', 'csv')) == 2  # nor with other formats
    Path('in/d.mp4').unlink()
    (job,) = jobs_of('in', '--out-dir', 'in', '--plots', 'p')  # one video is left, as at first
    assert job.plots == 'p'


def test_a_folder_of_images_holds_its_own_overlay(tmp_path):
    touch(tmp_path / 'walk/1.jpg', tmp_path / 'walk/walk_poses.mp4')
    assert listed_sources([str(tmp_path / 'walk')]) == [str(tmp_path / 'walk')]
    touch(tmp_path / 'walk/other.mp4')
    with pytest.raises(ValueError, match=r'holds 1 videos \(other.mp4'):
        listed_sources([str(tmp_path / 'walk')])


def test_plots_have_a_folder_for_each_of_several_videos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / 'a.mp4', tmp_path / 'b.mp4')
    p = 'p'
    assert [job.outputs for job in jobs_of('a.mp4', '--plots', p)] == [{'csv': 'p/a.csv'}]
    jobs = jobs_of('a.mp4', 'b.mp4', '--plots', p)
    assert [(job.plots, job.outputs) for job in jobs] == [
        ('p/a', {'csv': 'p/a/a.csv'}), ('p/b', {'csv': 'p/b/b.csv'}),
    ]  # fmt: skip
    (job,) = jobs_of('a.mp4', '--plots', p, '--formats', 'csv', 'json')
    assert job.outputs == {'csv': 'a_poses.csv', 'json': 'a_poses.json'}
    (job,) = jobs_of('a.mp4', '--plots', p, '--out-video', 'o.mp4')
    assert (job.plots, job.outputs) == (p, {'video': 'o.mp4', 'csv': 'p/a.csv'})


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['1/a.mp4', '2/a.mp4'], r'^a_poses.mp4: is the output of 1/a.mp4 and of 2/a.mp4; rename'),
        (['1/a.mp4', '1/A.avi'], r'^A_poses.mp4: is the output of 1/a.mp4 and of 1/A.avi'),
        (['1/a.mp4', '2/b.mp4', '--out-csv', 'x.csv'], r'^x.csv: is one file, but there are 2'),
        (['1/a.mp4', '2/b.mp4', '--boxes', 'x.csv'], r'^--boxes x.csv: are those of one video'),
    ],
)
def test_no_result_overwrites_another(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    touch(*map(Path, ('1/a.mp4', '2/a.mp4', '1/A.avi', '2/b.mp4')))
    with pytest.raises(ValueError, match=message):
        planned(*arguments)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['--score-thr', '0.5', '--boxes', 'b.csv'],
            r'--score-thr: .* on --boxes b.csv, which are',
        ),
        (
            ['--score-thr', '0.5', '--box-source', 'whole_frame'],
            r'--score-thr: .* the whole frame,',
        ),
        (['--score-thr', '0.5', '--config', 'c.py'], r'--score-thr: .* the whole frame, expected'),
        (
            ['--score-thr', '0.5', '--model', 'rtmpose-m'],
            r'--score-thr: has no effect on the whole',
        ),
        (['--joint-thr', '0.5'], r'--joint-thr: .* on x.csv, expected --out-video or --plots, too'),
        (
            ['--joint-thr', '0.5', '--causal-tokens', 't.mp4'],
            r'--joint-thr: has no effect on x.csv',
        ),
        (
            ['--every-frame'],
            r'--every-frame: has no effect on 1/a.mp4, of which every frame is com',
        ),
    ],
)
def test_options_without_effect(arguments, message):
    with pytest.raises(ValueError, match=message):
        planned('1/a.mp4', '--out-csv', 'x.csv', *arguments)


@pytest.mark.parametrize(
    'arguments',
    [
        ['a.mp4', '--score-thr', '0.5'],  # SSDLite may be installed
        ['a.mp4', '--score-thr', '0.5', '--config', 'c.py', '--box-source', 'ssdlite'],
        ['a.mp4', '--score-thr', '0.5', '--config', 'c.py', '--detector', 'rtmdet-m'],
        ['a.mp4', '--score-thr', '0.3', '--boxes', 'b.csv'],  # the default
        ['a.mp4', '--joint-thr', '0.5', '--plots', 'p'],
        ['a.mp4', '--joint-thr', '0.5', '--formats', 'video'],
        ['a.mp4', '0', '--every-frame', '--formats', 'csv'],
        ['http://127.0.0.1:1/a.mp4', '--every-frame'],
    ],
)
def test_options_that_may_have_an_effect(arguments):
    assert planned(*arguments)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--persons', 'all'], 'argument --persons: expected largest, center or X,Y in pixels'),
        (['--start', '1:75'], 'argument --start: expected seconds (90), h:m:s (0:01:30.5) or the'),
        (['--start', '5', '--end', '5'], 'argument --end: expected a moment after --start 5'),
        (['--out-dir', 'o', '--out-csv', 'x.csv'], 'argument --out-csv: names a file, expected no'),
        (['--resume', '--causal-tokens', 'x.mp4'], 'argument --resume: does not work with'),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    from cmpose_cli import run_command

    with pytest.raises(SystemExit) as end:
        run_command('infer', ['a.mp4', *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------------------------- the grammar


@pytest.mark.parametrize(
    'text, value, in_frames',
    [('90', 90, False), ('1.5', 1.5, False), ('.5', 0.5, False), ('1:30', 90, False),
     ('01:00:01.25', 3601.25, False), ('300f', 300, True), ('90:00', 5400, False)],
)  # fmt: skip
def test_moments(text, value, in_frames):
    assert parse_moment(text)[:2] == (value, in_frames)


@pytest.mark.parametrize('text', ['', '-1', '1:2:3:4', '1:60', '1:60:00', '1.5f', 'x', '1,5'])
def test_what_is_no_moment(text):
    with pytest.raises(ValueError, match='expected seconds'):
        parse_moment(text)


@pytest.mark.parametrize('text', ['', 'big', 'largest:0', 'id:', 'id:a', '1,', '1,2:0', 'center:'])
def test_what_is_no_choice(text):
    with pytest.raises(ValueError, match='expected largest'):
        parse_persons(text)


def test_choices_by_size_and_place():
    boxes = np.array([[0, 0, 10, 10], [40, 40, 60, 50], [0, 80, 100, 100], [0, 0, 10, 10.0]])

    def chosen(text):
        return np.flatnonzero(chosen_boxes(parse_persons(text), boxes, 100, 100)).tolist()

    assert chosen('largest') == [2]
    assert chosen('largest:2') == [1, 2]
    assert chosen('center') == [1]
    assert chosen('5,6:1') == [0]  # the first of equals
    assert chosen('5,6:2') == [0, 3]
    assert chosen('50,91') == [2]
    assert chosen('largest:9') == [0, 1, 2, 3]
    assert chosen_boxes(parse_persons('center'), np.zeros((0, 4)), 9, 9).shape == (0,)


@pytest.mark.parametrize(
    ('text', 'boxes', 'size', 'expected'),
    [
        ('center', [[90, 40, 110, 60], [40, 90, 60, 110]], (200, 100), 0),  # of a wide image
        ('50,50', [[50, 50, 90, 90], [20, 20, 70, 70]], (100, 100), 1),  # middles, not corners
        ('0,0', [[3, 3, 5, 5], [5.9, -1, 7.9, 1]], (9, 9), 0),  # 5.7 and 6.9 pixels away
    ],
)
def test_who_is_nearest_to_a_point(text, boxes, size, expected):
    chosen = chosen_boxes(parse_persons(text), np.array(boxes, float), *size)
    assert np.flatnonzero(chosen).tolist() == [expected]


# ----------------------------------------------------------------------------- parts of a video


def same(frame, other) -> bool:
    return (frame.number, frame.time) == (other.number, other.time) and bool(
        (frame.image == other.image).all()
    )


@pytest.mark.parametrize('start, end', [('0.3', '0.7'), ('3f', '7f'), (None, '0:00.45'),
                                        ('8f', None), ('0.35', '0.36')])  # fmt: skip
def test_a_part_has_the_frames_of_the_whole(tmp_path, start, end):
    # B-frames, and one picture in four frames that needs no other
    times = [0, 0.1, 0.2, 0.3, 0.35, 0.5, 0.6, 0.7, 0.8, 1.2]
    path = make_video(tmp_path / 'v.mp4', noise_frames(10), options={'g': '4'}, times=times)
    whole = list(open_frames(path))
    wanted = []
    for frame in whole:  # the slow way
        first = {'0.3': 0.3, '3f': 0.3, None: 0, '8f': 0.8, '0.35': 0.35}[start]
        last = {'0.7': 0.7, '7f': 0.7, '0:00.45': 0.45, None: 9, '0.36': 0.36}[end]
        if first <= round(frame.time, 6) < last:
            wanted.append(frame)
    assert 0 < len(wanted) < 10
    part = open_frames(path).cut(start, end)
    found = list(part)
    assert len(found) == len(wanted) and all(map(same, found, wanted))
    assert len(list(part)) == len(wanted)  # a second time

    around = list(part.with_neighbors(2, 1))
    inside = [frame for frame in around if not frame.is_neighbor]
    assert len(inside) == len(wanted) and all(map(same, inside, wanted))
    low, high = wanted[0].number, wanted[-1].number
    expected = whole[max(low - 2, 0) : high + 2]
    assert len(around) == len(expected) and all(map(same, around, expected))


def test_a_part_of_a_folder(clip_folder):
    whole = open_frames(clip_folder)
    assert [frame.number for frame in whole.cut('1f', '3f')] == [1, 2]
    assert [frame.number for frame in whole.cut('0.2', '0.4', frame_rate=10)] == [2, 3]
    with pytest.raises(ValueError, match=r'images have no times, expected a frame rate .*0.2 s$'):
        whole.cut('0.2')


def test_a_part_that_is_not_there(tmp_path):
    path = make_video(tmp_path / 'v.mp4', flat_frames([9] * 5))
    message = r'^v: there is no frame from 3 s on and before 9 s; .* frame 4, at 0.40 s$'
    with pytest.raises(ValueError, match=message):
        list(open_frames(path).cut('3', '9'))
    with pytest.raises(ValueError, match=r'^v: there is no frame from frame 7 on; the last'):
        list(open_frames(path).cut('7f'))
    with pytest.raises(ValueError, match=r'^v: the part ends at 1 s, expected a moment after'):
        open_frames(path).cut('1', '1')


@pytest.mark.parametrize('start, end', [('1', '2'), ('1.5', None), (None, '0.5')])
def test_sound_matches_the_part(tmp_path, start, end):
    source = make_video(
        tmp_path / 'v.mp4', noise_frames(30), audio_codec='aac', audio_seconds=4
    )  # longer than the picture
    out = str(tmp_path / 'o.mp4')
    with VideoWriter(out, 10, source, is_part=True) as writer:
        for frame in open_frames(source).cut(start, end):
            writer.write(frame.image, frame.time)
    first, last = float(start or 0), float(end or 3)
    times = [frame.time for frame in open_frames(out)]
    assert times == pytest.approx(np.arange(len(times)) / 10, abs=2e-3)
    assert len(times) == round(10 * (last - first))
    when = dict(audio_packets(source))  # content -> time: no two packets of the tone are alike
    packets = audio_packets(out)
    assert len(packets) == pytest.approx((last - first) * 48000 / 1024, abs=2)
    shifts = [when[content] - time for content, time in packets]
    assert np.ptp(shifts) < 1e-3
    assert abs(np.mean(shifts) - first) < 0.03  # the length of a packet


# -------------------------------------------------------------------------- streams and servers


def test_a_file_on_a_server(tmp_path):
    path = make_video(
        tmp_path / 'walk.mp4', noise_frames(8), container_options={'movflags': 'faststart'}
    )
    with MediaServer(tmp_path) as server:
        reader = open_frames(f'{server.url}/walk.mp4?token=1')
        assert (reader.name, reader.num_frames, reader.frame_rate) == ('walk', 8, 10.0)
        assert not reader.is_live
        for _ in range(2):
            frames = list(reader)
            assert len(frames) == 8 and all(map(same, frames, open_frames(path)))
        with pytest.raises(OSError, match=rf'^{server.url}/no.mp4: can not be opened \(.*404'):
            open_frames(f'{server.url}/no.mp4')


def test_a_live_stream_over_http(tmp_path):
    make_video(tmp_path / 'walk.ts', noise_frames(8))
    with MediaServer(tmp_path, endless=True) as server:
        reader = open_frames(f'{server.url}/walk.ts')
        assert reader.is_live
        frames = list(reader)
        assert [frame.number for frame in frames] == list(range(8))
        assert all(map(same, frames, open_frames(str(tmp_path / 'walk.ts'))))
    assert server.num_requests == 1


def test_a_stream_over_rtsp(tmp_path):
    path = make_video(tmp_path / 'walk.ts', noise_frames(40))
    with RtspServer(path) as server:
        reader = open_frames(f'rtsp://me:secret@127.0.0.1:{server.port}/cam')
        assert reader.is_live and reader.name == 'cam'
        frames = list(reader)
    expected = list(open_frames(path))
    assert len(frames) >= 39  # where the last one ends, only a next one would tell
    assert all((f.image == e.image).all() for f, e in zip(frames, expected))


@pytest.mark.parametrize('scheme', ['rtsp', 'http', 'tcp'])
def test_an_address_without_answer(scheme):
    url = f'{scheme}://me:secret@127.0.0.1:{closed_port()}/cam'
    with pytest.raises(OSError) as error:
        open_frames(url)
    shown = url.replace('me:secret@', '')
    assert str(error.value) == f'{shown}: can not be opened (Connection refused).'
    with pytest.raises(OSError, match='foo://x: can not be opened .Protocol not found'):
        open_frames('foo://x')


@pytest.mark.slow
def test_an_address_that_keeps_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(av_files, 'TIMEOUT', 1)
    make_video(tmp_path / 'walk.ts', noise_frames(8))
    with MediaServer(tmp_path, silent=True) as server:
        begun = time.monotonic()
        with pytest.raises(OSError, match=r'x.ts: can not be opened \(no answer within 1 seconds'):
            open_frames(f'{server.url}/x.ts')
        assert time.monotonic() - begun < 5
    with MediaServer(tmp_path, endless=True, stalls=True) as server:
        reader = open_frames(f'{server.url}/walk.ts')
        with pytest.warns(UserWarning, match=r'walk.ts: broke off after \d+ frames \(no answer'):
            assert len(list(reader)) > 0


@pytest.mark.parametrize(
    'source, name',
    [('a/b.c.mp4', 'b.c'), (0, 'camera 0'), ('rtsp://u:p@host/x/live.sdp?a=b/c', 'live'),
     ('rtsp://u:p@host:554', 'host')],
)  # fmt: skip
def test_names_of_sources(source, name):
    assert source_name(source) == name


# ------------------------------------------------------------------------------------- no lag


def paced(count: int, pause: float, ended: list | None = None):
    """Frames that come at their own pace, as those of a camera."""
    begun = time.monotonic()
    try:
        for number in range(count):
            time.sleep(max(begun + number * pause - time.monotonic(), 0))
            yield np.full((4, 4, 3), number, np.uint8), number * pause, None
    finally:
        if ended is not None:
            ended.append(True)


def test_a_slow_consumer_gets_the_newest_frame():
    pause, count = 0.02, 50
    reader = NewestFrames(FrameReader('camera 0', lambda: paced(count, pause), is_live=True))
    begun, numbers, late = time.monotonic(), [], []
    for frame in reader:
        assert (frame.image == frame.number).all() and frame.time == frame.number * pause
        late.append(time.monotonic() - begun - frame.time)
        numbers.append(frame.number)
        time.sleep(5 * pause)
    assert numbers[0] == 0 and numbers[-1] == count - 1
    assert (np.diff(numbers) > 0).all() and len(numbers) < count / 2
    assert reader.num_read == count and reader.num_dropped == count - len(numbers)
    assert np.median(late) < 3 * pause  # all frames would be up to 4 seconds late


def test_a_quick_consumer_gets_all_frames():
    reader = NewestFrames(FrameReader('camera 0', lambda: paced(10, 0.03), is_live=True))
    assert [frame.number for frame in reader] == list(range(10))
    assert reader.num_dropped == 0


def test_who_has_enough_ends_the_camera():
    ended: list = []
    source = FrameReader('camera 0', lambda: paced(10**6, 0.01, ended), is_live=True)
    for frame in NewestFrames(source).cut(None, '0.1'):
        assert frame.time < 0.1
    assert ended


def test_errors_of_the_source_reach_the_consumer():
    def broken():
        yield np.zeros((4, 4, 3), np.uint8), 0.0, None
        raise OSError('the cable is out')

    with pytest.raises(OSError, match='the cable is out'):
        list(NewestFrames(FrameReader('camera 0', broken, is_live=True)))
