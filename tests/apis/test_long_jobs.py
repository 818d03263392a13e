"""Parts of videos, chosen persons, live sources and jobs that go on: the poses are the same."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from processes import quick_python
from run_tools import run_tool
from sample_videos import decode, make_video
from sample_videos import noise_frames as moving_frames
from servers import MediaServer
from test_video_inferencer import assert_same_poses, moving_boxes, noise_frames

from cmpose_cli import parse_command
from cmpose_mm.apis import (
    CsvWriter,
    VideoPoseInferencer,
    infer_command,
    open_frames,
    video_writer,
)
from cmpose_mm.apis.followed_boxes import FollowedPersons
from cmpose_mm.apis.frame_reader import FrameReader, NewestFrames
from cmpose_mm.apis.infer_command import run
from cmpose_mm.apis.journal import Journal
from cmpose_mm.pose_formats import long_table, read_pose_video, write_mot, write_openpose
from cmpose_mm.posetrack.annotations import read_videos

TOOL = str(Path(__file__).parents[2] / 'tools' / 'infer_video.py')
CMPOSE = str(Path(__file__).parents[2] / 'cmpose_cli' / '__main__.py')
COUNT = 12


@pytest.fixture
def double():
    """Models in float64, see test_video_inferencer.py."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def build(tiny_model, double):
    """Makes inferencers of one tiny model."""
    config, checkpoint = tiny_model()
    return lambda **options: VideoPoseInferencer(config, checkpoint, **options)


def in_thirds(frame):
    """A box source of three boxes side by side, of different sizes."""
    height, width = frame.image.shape[:2]
    boxes = [[0, 0, width / 3, height], [width / 3, 5, 2 * width / 3, height - 5]]
    boxes += [[2 * width / 3, 10, width, height - 20]]
    return np.array(boxes, np.float32), np.array([0.9, 0.8, 0.7], np.float32)


# ----------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    'crops, options',
    [
        ('key_frame', {}),
        ('key_frame', dict(causal=True)),
        ('key_frame', dict(detect_every=3)),
        ('track', {}),
        ('track', dict(causal=True)),
    ],
    ids=str,
)
def test_a_part_equals_the_same_frames_of_the_whole(build, crops, options):
    """The first and last frames of a part see the frames around it.

    Track crops smooth the boxes of a part anew: they are the same where persons stand still.
    """
    frames, boxes = open_frames(noise_frames(COUNT)), moving_boxes(COUNT)
    if crops == 'track':
        boxes = dict.fromkeys(range(COUNT), boxes[0])
    inferencer = build(**options, crops=crops)
    whole = list(inferencer(frames, boxes))
    part = list(inferencer(frames.cut('6f', '10f'), boxes))
    assert [result.frame.number for result in part] == [6, 7, 8, 9]
    for result in part:
        # between the frames that boxes are asked for in, they come from the track, which is new
        if result.frame.number % options.get('detect_every', 1) == 0:
            found = result.data_sample.pred_instances
            pred = whole[result.frame.number].data_sample.pred_instances
            np.testing.assert_array_equal(found.bboxes, pred.bboxes)
            np.testing.assert_allclose(found.keypoints, pred.keypoints, rtol=0, atol=1e-6)
    alone = list(inferencer(noise_frames(COUNT)[6:10], {n - 6: boxes[n] for n in range(6, 10)}))
    first = [results[0].data_sample.pred_instances.keypoints for results in (part, alone)]
    assert np.abs(first[0] - first[1]).max() > 1e-3  # there the first frame has no past


# ---------------------------------------------------------------------------------- who is wanted


def test_persons_by_size_and_place_before_the_model(build, logged):
    frames = noise_frames(5)
    whole = list(build(detector=in_thirds)(frames))
    calls = []
    for persons, rows in [('largest:2', [0, 1]), ('center', [1]), ('119,40', [2])]:
        inferencer = build(detector=in_thirds, persons=persons)
        predict = inferencer._predict
        inferencer._predict = lambda found, predict=predict: (
            calls.append(len(found)) or predict(found)
        )
        results = list(inferencer(frames))
        for result, expected in zip(results, whole):
            pred = expected.data_sample.pred_instances
            found = result.data_sample.pred_instances
            np.testing.assert_allclose(found.keypoints, pred.keypoints[rows], atol=1e-6)
            np.testing.assert_array_equal(found.bboxes, pred.bboxes[rows])
        left = 5 * (3 - len(rows))
        assert f'frames: {left} boxes of persons left out, as {persons} asks for' in logged()
        assert sum(calls) == 5 * len(rows)
        calls.clear()


@pytest.mark.slow
def test_persons_by_track_id(build, logged):
    frames = noise_frames(5)
    whole = list(build(detector=in_thirds)(frames))
    wanted = list(build(detector=in_thirds, persons='id:2,0')(frames))
    for result, expected in zip(wanted, whole):
        pred, found = expected.data_sample.pred_instances, result.data_sample.pred_instances
        rows = np.flatnonzero(np.isin(pred.track_ids, [0, 2]))
        assert found.track_ids.tolist() == pred.track_ids[rows].tolist()
        np.testing.assert_array_equal(found.keypoints, pred.keypoints[rows])
    assert sum(len(r.data_sample.pred_instances) for r in wanted) > 0
    assert [line for line in logged() if 'left out, as id:2,0 asks for' in line]
    with pytest.raises(ValueError, match=r'^frames: nobody has the track id 99; found were 0 to'):
        list(build(detector=in_thirds, persons='id:99')(frames))
    list(build(detector=in_thirds, persons='id:0,99')(frames))
    assert [line for line in logged() if 'frames: nobody has the track id 99; found' in line]


# ------------------------------------------------------------------------------------------- live


@pytest.mark.slow
def test_live_frames_that_were_dropped(build):
    """Numbers and times stay true; a clip has the frames that there are, as if no other were."""
    images = noise_frames(30)

    def camera():
        begun = time.monotonic()
        for number, image in enumerate(images):
            time.sleep(max(begun + 0.03 * number - time.monotonic(), 0))
            yield image, 0.03 * number, None

    live = NewestFrames(FrameReader('camera 0', camera, is_live=True))
    inferencer = build(detector=in_thirds, causal=True)
    results = []
    for result in inferencer(live):
        time.sleep(0.1)
        results.append(result)
    numbers = [result.frame.number for result in results]
    assert live.num_dropped == 30 - len(numbers) > 10 and numbers[-1] == 29
    assert [r.frame.time for r in results] == [0.03 * number for number in numbers]
    again = list(inferencer([images[number] for number in numbers]))
    assert_same_poses(results, again)


def test_live_results_do_not_wait_for_a_batch(build):
    given = []

    def camera():
        for number, image in enumerate(noise_frames(6)):
            given.append(number)
            yield image, None, None

    lags = []
    for result in build(detector=in_thirds)(FrameReader('c', camera, is_live=True)):
        lags.append(given[-1] - result.frame.number)
    assert max(lags) == 1  # the clip's frame after the key frame


@pytest.mark.slow
def test_a_live_stream_by_the_command(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'walk.ts', moving_frames(40, 120, 160))
    model = ['--config', config, '--checkpoint', checkpoint, '--formats', 'csv']
    with MediaServer(tmp_path, endless=True, pause=0.05) as server:
        url = f'{server.url}/walk.ts'
        result = run_tool(TOOL, url, *model, '--causal', cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        with open(tmp_path / 'walk_poses.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        numbers = [int(row['frame']) for row in rows]
        dropped = re.search(r'warning: .*: (\d+) of 40 frames were dropped', result.stderr)
        assert len(numbers) + int(dropped[1] if dropped else 0) == 40
        assert [float(row['time']) for row in rows] == pytest.approx(np.array(numbers) / 10)
        result = run_tool(TOOL, url, *model, '--every-frame', '--resume', cwd=tmp_path)
        assert result.returncode == 1
        assert 'walk.ts: cannot be resumed, since a stream cannot be read again' in result.stderr
        result = run_tool(TOOL, url, *model, '--every-frame', cwd=tmp_path)
        with open(tmp_path / 'walk_poses.csv', newline='') as file:
            assert [int(row['frame']) for row in csv.DictReader(file)] == list(range(40))


# ------------------------------------------------------------------------------------- going on


SETTINGS = dict(model='tiny')


def exactly_equal(results, expected):
    assert [r.frame.number for r in results] == [r.frame.number for r in expected]
    for result, other in zip(results, expected):
        result, other = result.data_sample, other.data_sample
        assert set(result.pred_instances.keys()) == set(other.pred_instances.keys())
        assert set(result.metainfo) == set(other.metainfo)
        for name, value in other.pred_instances.items():
            assert result.pred_instances[name].dtype == value.dtype
            np.testing.assert_array_equal(result.pred_instances[name], value)


def following(build, **options):
    """An inferencer that looks for persons every fourth frame, and follows them between."""
    inferencer = build(detector=in_thirds, **options)

    def source():
        return FollowedPersons(in_thirds, every=4)

    inferencer.detector = 'whole_frame'
    inferencer._followed_persons = source
    return inferencer


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['boxes', 'batches', 'every', 'follow', 'follow-track', 'ids',
                                  'largest', 'part', 'track', 'causal'])  # fmt: skip
@pytest.mark.parametrize('stopped', [1, 5, 11])
def test_a_journal_goes_on_as_one_run(build, tmp_path, mode, stopped, logged):
    frames, boxes = open_frames(noise_frames(COUNT)), moving_boxes(COUNT)
    boxes[2][0][1] = boxes[2][0][1][[2, 3, 2, 3]]  # no area: dropped, and told
    options = dict(
        batches=dict(batch_size=5), every=dict(detect_every=3), ids=dict(persons='id:1'),
        largest=dict(persons='largest'), track=dict(crops='track'), causal=dict(causal=True),
    ).get(mode, {})  # fmt: skip
    if mode.startswith('follow'):
        crops = 'track' if mode == 'follow-track' else 'key_frame'
        inferencer, boxes = following(build, crops=crops), None
    else:
        inferencer = build(**{'crops': 'key_frame', **options})
    if mode == 'part':
        frames = frames.cut('1f', '12f')
    expected = list(inferencer(frames, boxes))
    told = logged()

    path = tmp_path / 'journal'
    journal = Journal(path, SETTINGS)
    run = inferencer(frames, boxes, journal=journal)
    for result in run:
        if result.frame.number == stopped - 1 + (mode == 'part'):
            break
    run.close()
    journal.close()
    with open(path, 'ab') as file:
        file.write(b'[{"number": 7, "fie' + b'x' * 10**5)  # as a kill leaves it

    journal = Journal(path, SETTINGS, resume=True)
    assert journal.num_stored >= stopped
    computed = []
    predict = inferencer._predict
    inferencer._predict = lambda persons: computed.extend(persons) or predict(persons)
    begun = len(logged())
    results = list(inferencer(frames, boxes, journal=journal))
    if mode == 'track':  # whose crops share a batch differs, and with it the last digits
        assert_same_poses(results, expected, atol=1e-6)
    else:
        exactly_equal(results, expected)
    assert logged()[begun:] == told
    stored = sum(len(r.data_sample.pred_instances) for r in expected[: journal.num_stored])
    total = sum(len(r.data_sample.pred_instances) for r in expected)
    if mode not in ('ids', 'follow', 'follow-track'):  # these leave out, or look for, some
        assert len(computed) == total - stored
    assert not journal._stored  # nothing is held
    lines = path.read_bytes().splitlines()[1:]
    assert [r['number'] for line in lines for r in json.loads(line)] == [
        result.frame.number for result in expected
    ]
    journal.remove()
    assert not path.exists()


def test_only_a_journal_of_the_same_job_goes_on(build, tmp_path):
    path = tmp_path / 'journal'
    journal = Journal(path, dict(a=1, b=2))
    list(build()(noise_frames(2), moving_boxes(2), journal=journal))
    journal.close()
    with pytest.raises(ValueError, match=r'journal: cannot be resumed, b was 2 and is 3; exp'):
        Journal(path, dict(a=1, b=3), resume=True)
    path.write_text('precious')
    with pytest.raises(ValueError, match=r'journal: cannot be resumed, it is no journal; del'):
        Journal(path, dict(a=1), resume=True)
    journal = Journal(path, dict(a=1))
    journal.remove()
    assert not path.exists()


def open_journal_of(*arguments):
    """The journal as the command opens it, without a model."""
    args = parse_command('infer', ['images', '--formats', 'csv', *arguments])
    (job,) = infer_command.plan(args)
    return infer_command.open_journal(job, SimpleNamespace(crops='track', box_source='any'), args)


@pytest.mark.parametrize(
    'changed, name',
    [
        ('images/1.bmp', 'video'),
        ('d.py', "detector's config"),
        ('d.pth', "detector's checkpoint"),
        ('images/images_poses.csv', None),  # an output
    ],
)
def test_other_files_of_the_same_size_are_noticed(tmp_path, monkeypatch, changed, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'images').mkdir()
    for number, image in enumerate(moving_frames(2)):
        cv2.imwrite(f'images/{number}.bmp', image)
    for file in ('d.py', 'd.pth'):
        Path(file).write_text('before')
    arguments = ['--detector', 'd.py', 'd.pth', '--out-dir', 'images']
    open_journal_of(*arguments).close()
    open_journal_of(*arguments, '--resume').close()
    path = Path(changed)
    if name is None:
        path.write_text('frame')
        open_journal_of(*arguments, '--resume').close()
        return
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(0, 1))
    with pytest.raises(ValueError, match=rf'cannot be resumed, file of {name} was .* and is'):
        open_journal_of(*arguments, '--resume')


@pytest.mark.parametrize('has_links', [True, False])
def test_a_journal_with_several_names(tmp_path, monkeypatch, has_links):
    if not has_links:  # as on FAT

        def fails(*args):
            raise PermissionError(1, 'Operation not permitted')

        monkeypatch.setattr(os, 'link', fails)
    names = [tmp_path / name for name in 'abc']
    first = Journal(names[0], SETTINGS, other_names=[names[1]])
    first.add([dict(number=0)])
    first.close()
    again = Journal(names[2], SETTINGS, True, names[:1])
    assert again.num_stored == 1
    again.remove()
    assert files_of(tmp_path) == ['b']  # is not complete
    last = Journal(names[1], SETTINGS, resume=True)
    assert last.num_stored == (1 if has_links else 0)
    last.remove()


def test_a_refused_journal_leaves_no_other_behind(tmp_path):
    first = Journal(tmp_path / 'a', SETTINGS)
    first.add([dict(number=0)])
    first.close()
    with pytest.raises(ValueError, match='a: cannot be resumed, more was None and is 1'):
        Journal(tmp_path / 'b', {**SETTINGS, 'more': 1}, True, [tmp_path / 'a'])
    assert files_of(tmp_path) == ['a']


def test_names_that_are_no_utf8(tmp_path):
    """Of a file on Linux, whose name may be any bytes."""
    settings = {**SETTINGS, 'boxes': 'caf\udce9.csv', 'detector': ['\udce9.py', {'a': '\udce9'}]}
    Journal(tmp_path / 'a', settings).close()
    assert Journal(tmp_path / 'a', settings, resume=True).num_stored == 0


def stopped_run(arguments, monkeypatch, count=2):
    """Runs the command, and breaks it off, as an error does, in frame `count`."""

    class Stopping(CsvWriter):
        def write(self, result):
            if result.frame.number == count:
                raise OSError('no room')
            super().write(result)

    with monkeypatch.context() as patch:
        patch.setattr('cmpose_mm.apis.infer_command.CsvWriter', Stopping)
        with pytest.raises(OSError, match='no room'):
            run(parse_command('infer', arguments), SimpleNamespace(made=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    'before, after, left',
    [
        (['--out-dir', 'o', '--formats', 'json', 'csv'], ['--out-dir', 'o', '--formats', 'csv'],
         ['.v_poses.json.journal']),
        (['--out-dir', 'o', '--formats', 'json', 'csv'],
         ['--out-dir', 'o', '--formats', 'csv', 'json'], []),
        (['--out-json', 'a.json', '--out-csv', 'b/b.csv'], ['--out-csv', 'b/b.csv'],
         ['.a.json.journal']),
        (['--out-csv', 'b.csv', '--causal-tokens', 't.mp4', '--joint', 'nose'],
         ['--out-csv', 'b.csv'], ['.t.mp4.journal']),
    ],
)  # fmt: skip
def test_other_outputs_than_before_are_no_finished_job(
    tiny_model, tmp_path, monkeypatch, before, after, left
):
    """Each output that a run left incomplete stays so until a run has written it to the end."""
    config, checkpoint = tiny_model()
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / 'v.mp4', moving_frames(6, 64, 96))
    model = ['v.mp4', '--config', config, '--checkpoint', checkpoint, '--crops', 'key_frame']
    model += ['--batch-size', '1']
    stopped_run([*model, *before], monkeypatch)
    args = parse_command('infer', [*model, *after, '--resume'])
    stop = SimpleNamespace(made=False)
    assert run(args, stop).num_done == 1
    (table,) = tmp_path.rglob('*.csv')
    assert table.read_text().splitlines()[-1].startswith('5,')
    assert [path.name for path in tmp_path.rglob('*.journal')] == left
    assert len(run(args, stop).skipped) == 1


def test_a_run_without_a_frame_leaves_nothing(tiny_model, tmp_path, monkeypatch):
    config, checkpoint = tiny_model()
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'images').mkdir()
    for number, image in enumerate(moving_frames(2)):
        cv2.imwrite(str(tmp_path / 'images' / f'{number}.png'), image)
    first = tmp_path / 'images' / '0.png'
    whole = first.read_bytes()
    first.write_bytes(whole[:100])
    model = ['images', '--config', config, '--checkpoint', checkpoint, '--formats', 'json', 'csv']
    args, stop = parse_command('infer', [*model, '--out-dir', 'o']), SimpleNamespace(made=False)
    with pytest.raises(OSError, match='truncated'):
        run(args, stop)
    assert files_of(tmp_path / 'o') == []
    first.write_bytes(whole)
    args.resume = True
    assert run(args, stop).num_done == 1
    assert files_of(tmp_path / 'o') == ['images_poses.csv', 'images_poses.json']
    assert len(run(args, stop).skipped) == 1


def test_a_pipe_is_never_removed(tiny_model, tmp_path, monkeypatch):
    config, checkpoint = tiny_model()
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'images').mkdir()
    cv2.imwrite('images/0.png', moving_frames(1)[0])
    Path('images/0.png').write_bytes(Path('images/0.png').read_bytes()[:100])
    os.mkfifo('pipe')
    reader = os.open('pipe', os.O_RDONLY | os.O_NONBLOCK)
    model = ['images', '--config', config, '--checkpoint', checkpoint, '--out-csv', 'pipe']
    try:
        with pytest.raises(OSError, match='truncated'):
            run(parse_command('infer', model), SimpleNamespace(made=False))
    finally:
        os.close(reader)
    assert Path('pipe').is_fifo()


@pytest.mark.parametrize('source', ['0', 'http://127.0.0.1:1/a.ts'])
def test_streams_cannot_be_resumed(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'p.csv').write_text('made before')
    args = parse_command('infer', [source, '--out-csv', 'p.csv', '--resume'])
    with pytest.raises(ValueError, match=r'(camera 0|/a.ts): cannot be resumed, since a stream'):
        run(args, SimpleNamespace(made=False))


@pytest.fixture
def short_video(tiny_model, tmp_path, monkeypatch):
    """v.mp4 with a frame whose time goes back, in the working folder; gives the arguments."""
    config, checkpoint = tiny_model()
    monkeypatch.chdir(tmp_path)
    Path('v.mp4').touch()
    times = [0, 0.1, 0.05, 0.3]

    def frames():
        return ((image, time, None) for image, time in zip(moving_frames(4, 64, 96), times))

    def opened(source):
        return FrameReader('v', frames, 4, 8)

    monkeypatch.setattr(infer_command, 'open_frames', opened)
    Path('boxes.csv').write_text(
        'frame,x1,y1,x2,y2\n' + ''.join(f'{n},5,3,60,60\n' for n in range(4))
    )
    return ['v.mp4', '--config', config, '--checkpoint', checkpoint, '--boxes', 'boxes.csv']


def test_plots_of_times_that_go_back(short_video, tmp_path, capsys):
    args, stop = parse_command('infer', [*short_video, '--plots', 'p']), SimpleNamespace(made=False)
    assert run(args, stop).written == ['p/v.csv', 'p']
    told = [line for line in capsys.readouterr().err.splitlines() if 'warning' in line]
    assert told == ['warning: v.mp4: its times go back, so the plots go by 8 frames a second']
    with open('p/v_angles.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert {float(row['time']) for row in rows} == {0, 0.125, 0.25, 0.375}
    assert not list(tmp_path.rglob('*.journal'))


def test_plots_that_lack_are_drawn_from_the_table(short_video, tmp_path, monkeypatch, capsys):
    arguments = [*short_video, '--out-csv', 'x.csv', '--resume']
    stop, plots = SimpleNamespace(made=False), ['--plots', 'p']
    calls = []

    def fails(*args, **options):
        calls.append(args)
        raise OSError('no room')

    with monkeypatch.context() as patch:
        patch.setattr(infer_command, 'write_plots', fails)
        with pytest.raises(OSError, match='no room'):
            run(parse_command('infer', [*arguments, *plots]), stop)
        assert calls and not list(tmp_path.rglob('*.journal'))  # the table is complete
        with pytest.raises(OSError, match='no room'):
            run(parse_command('infer', [*arguments, *plots]), stop)
    assert len(run(parse_command('infer', arguments), stop).skipped) == 1  # nobody asks for plots
    monkeypatch.setattr(infer_command, 'make_inferencer', None)  # nothing is computed
    table = Path('x.csv').read_bytes()

    def drawn():
        capsys.readouterr()
        outcome = run(parse_command('infer', [*arguments, *plots]), stop)
        assert (outcome.num_done, len(outcome.skipped)) in [(1, 0), (0, 1)]
        told = 'is done already (x.csv), ' + ('but for its plots' if outcome.num_done else 'skip')
        assert told in capsys.readouterr().err
        return outcome.written == ['p']

    assert drawn() and not drawn()
    for lacks in ('p/x_angles.csv', 'p/x_id0.png'):
        Path(lacks).unlink()
        assert drawn() and Path(lacks).exists() and not drawn()
    os.utime('p/x_id0.png', ns=(0, 0))  # older than the table: of another run
    assert drawn() and not drawn()
    assert Path('x.csv').read_bytes() == table


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('way', ['boxes', 'follow'])
def test_a_killed_command_goes_on(tiny_model, tmp_path, monkeypatch, way):
    # x264 can make different files of the same frames, even in one thread (its AVX-512 code, seen
    # on a busy virtual machine); MPEG-4 never did, so what is compared is what was drawn.
    monkeypatch.setattr(video_writer, '_ENCODERS', ('mpeg4',))
    tool = tmp_path / 'mpeg4.py'
    tool.write_text(
        'import runpy\n'
        'from cmpose_mm.apis import video_writer\n'
        "video_writer._ENCODERS = ('mpeg4',)\n"
        f"runpy.run_path({TOOL!r}, run_name='__main__')\n"
    )
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'long.mp4', moving_frames(90, 64, 96), audio_codec='aac')
    model = ['--config', config, '--checkpoint', checkpoint, '--batch-size', '5', '--smooth']
    model += ['--crops', 'key_frame']  # track crops share other batches, so last digits differ
    if way == 'follow':
        model += ['--box-source', 'whole_frame']
    else:
        rows = [f'{n},{5 + n % 7},3,60,60\n{n},40,{2 + n % 3},95,60\n' for n in range(90)]
        (tmp_path / 'boxes.csv').write_text('frame,x1,y1,x2,y2\n' + ''.join(rows))
        model += ['--boxes', 'boxes.csv']
    outputs = ['--formats', 'video', 'json', 'csv', '--out-dir']
    whole = run_tool(TOOL, 'long.mp4', *model, *outputs, 'whole', cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    process = subprocess.Popen(
        [quick_python(), tool, 'long.mp4', *model, *outputs, 'parts'],
        stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    progress = b''
    while not re.search(rb'\b[1-9]\d+/90', progress):
        progress += os.read(process.stderr.fileno(), 4096)
        assert process.poll() is None, progress
    process.send_signal(signal.SIGKILL)
    process.communicate()
    journal = tmp_path / 'parts' / '.long_poses.mp4.journal'
    time.sleep(0.5)  # the fork ends with its caller
    assert journal.exists()

    wrong = run_tool(
        TOOL, 'long.mp4', *model, *outputs, 'parts', '--resume', '--causal', cwd=tmp_path
    )
    assert wrong.returncode == 1
    assert 'journal: cannot be resumed, causal was False and is True; exp' in wrong.stderr
    result = run_tool(TOOL, 'long.mp4', *model, *outputs, 'parts', '--resume', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    done = int(re.search(r'long.mp4: goes on after (\d+) frames', result.stderr)[1])
    assert 10 <= done < 90
    assert files_of(tmp_path / 'parts') == files_of(tmp_path / 'whole')
    for name in ('long_poses.json', 'long_poses.csv'):
        contents = [(tmp_path / folder / name).read_bytes() for folder in ('whole', 'parts')]
        assert contents[0] == contents[1]
    (images, times), (others, other_times) = (
        decode(str(tmp_path / folder / 'long_poses.mp4')) for folder in ('whole', 'parts')
    )
    assert times == other_times and len(images) == 90
    assert all((image == other).all() for image, other in zip(images, others))

    again = run_tool(TOOL, 'long.mp4', *model, *outputs, 'parts', '--resume', cwd=tmp_path)
    assert again.returncode == 0
    assert 'long.mp4: is done already (' in again.stderr and 'model: ' not in again.stderr


# ---------------------------------------------------------------------------------- several videos


@pytest.mark.slow
def test_several_videos_of_which_one_fails(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    videos = tmp_path / 'videos'
    videos.mkdir()
    for number, name in enumerate(['a', 'b', 'c']):
        make_video(videos / f'{name}.mp4', moving_frames(3 + number, 64, 96))
    content = (videos / 'b.mp4').read_bytes()
    (videos / 'b.mp4').write_text('no video')
    model = ['--config', config, '--checkpoint', checkpoint, '--out-dir', 'out']
    result = run_tool(TOOL, 'videos', 'no.mp4', *model, cwd=tmp_path)
    assert result.returncode == 1
    told = [line for line in result.stderr.splitlines() if line.startswith('infer_video: ')]
    assert len(told) == 2
    assert told[0].startswith('infer_video: videos/b.mp4: failed: videos/b.mp4: is no readable')
    assert told[1].startswith('infer_video: no.mp4: failed: no.mp4: not found')
    assert 'Traceback' not in result.stderr and result.stderr.count('model: ') == 1
    assert result.stdout.endswith('Videos: 2 done, 2 failed: videos/b.mp4, no.mp4\n')
    for name, count in [('a', 3), ('c', 5)]:
        (video,) = read_videos(tmp_path / 'out' / f'{name}_poses.json')
        assert len(video.frames) == count
        assert len(decode(str(tmp_path / 'out' / f'{name}_poses.mp4'))[0]) == count
    assert len(files_of(tmp_path / 'out')) == 4
    alone = run_tool(TOOL, 'videos/c.mp4', *model[:4], '--out-json', 'c.json', cwd=tmp_path)
    assert alone.returncode == 0
    poses = [json.loads(Path(tmp_path / f).read_text()) for f in ('out/c_poses.json', 'c.json')]
    assert [a['track_id'] for a in poses[0]['annotations']] == [
        a['track_id'] for a in poses[1]['annotations']
    ]
    assert poses[0]['images'] == poses[1]['images']

    (videos / 'b.mp4').write_bytes(content)
    result = run_tool(TOOL, 'videos', *model, '--resume', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count('is done already') == 2
    assert result.stdout.endswith('Videos: 1 done, 2 skipped\n')
    assert len(read_videos(tmp_path / 'out' / 'b_poses.json')[0].frames) == 4


@pytest.mark.slow
@pytest.mark.parametrize('file', ['posetrack18_mini/videos', 'sports2d', 'opencv'])
def test_parts_of_real_videos_equal_the_whole(real_data, tiny_model, tmp_path, file):
    """The command on a part, and resumed, against its run on the whole video.

    `sports2d` is a folder with demo.mp4 of the PyPI package sports2d (BSD-3), `opencv` one with
    vtest.avi of Debian's opencv-doc.
    """
    config, checkpoint = tiny_model()
    videos = (path for path in (real_data / file).rglob('*') if path.suffix in ('.mp4', '.avi'))
    video = next(iter(sorted(videos)), None)
    if video is None:
        pytest.skip(f'CMPOSE_TEST_DATA has no video in {file}')
    model = ['--config', config, '--checkpoint', checkpoint, '--formats', 'json', '--out-dir']
    frames = [(frame.number, frame.time) for frame in open_frames(str(video)).cut(None, '40f')]
    first, last = frames[len(frames) // 3], frames[2 * len(frames) // 3]
    parts = dict(
        whole=['--end', f'{len(frames)}f'],
        frames=['--start', f'{first[0]}f', '--end', f'{last[0]}f'],
        seconds=['--start', f'{first[1]:.6f}', '--end', f'0:0:{last[1]:09.6f}'],
    )
    poses = {}
    for name, options in parts.items():
        result = run_tool(TOOL, video, *options, '--batch-size', 1, *model, name, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        (file,) = (tmp_path / name).glob('*.json')
        poses[name] = json.loads(file.read_text())
    images = poses['whole']['images'][first[0] : last[0]]
    assert len(images) > 1 and len(poses['whole']['images']) == len(frames)
    expected = [a['keypoints'] for a in poses['whole']['annotations']][first[0] : last[0]]
    for name in ('frames', 'seconds'):
        assert poses[name]['images'] == images
        assert [a['keypoints'] for a in poses[name]['annotations']] == expected


def test_a_part_is_drawn_and_converted_by_its_frame_numbers(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', moving_frames(8, 64, 96))
    result = run_tool(
        TOOL, 'v.mp4', '--config', config, '--checkpoint', checkpoint, '--start', '5f',
        '--end', '0.7', '--out-json', 'p.json', '--out-csv', 'p.csv', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with open(tmp_path / 'p.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['frame'], row['time']) for row in rows] == [('5', '0.500000'), ('6', '0.600000')]
    video = read_pose_video(tmp_path / 'p.json')
    assert video.frame_numbers().tolist() == [5, 6]
    assert long_table(video)['frame'][[0, -1]].tolist() == [5, 6]
    write_mot(video, tmp_path / 'p.txt')
    assert [line.split(',')[0] for line in open(tmp_path / 'p.txt')] == ['6', '7']
    write_openpose(video, tmp_path / 'op')
    assert files_of(tmp_path / 'op') == [f'p_{n:012d}_keypoints.json' for n in (5, 6)]
    for poses in ('p.json', 'p.csv'):
        drawn = run_tool(CMPOSE, 'draw', 'v.mp4', poses, 'o.mp4', '--joint-thr', -9, cwd=tmp_path)
        assert drawn.returncode == 0, drawn.stderr
        assert drawn.stdout == 'o.mp4: 2 persons in 8 frames\n'
        change = [
            np.abs(image.astype(int) - plain).max()
            for image, plain in zip(decode(str(tmp_path / 'o.mp4'))[0],
                                    decode(str(tmp_path / 'v.mp4'))[0])
        ]  # fmt: skip
        assert min(change[5:7]) > 120 > max(change[:5] + change[7:])
