"""Tracking of prediction files, and the command for it, on rendered and real labels."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_files import ORDER_15, annolist, coco, person, write
from run_tools import run_tool

from cmpose_mm.evaluation import select_scored, tracking_accuracy
from cmpose_mm.pose_formats import read_pose_video
from cmpose_mm.posetrack.annotations import AnnotationError, Video, read_videos
from cmpose_mm.posetrack.predictions import write_predictions
from cmpose_mm.synthetic import Difficulty, Settings, write_dataset
from cmpose_mm.tracking import PoseTracker, assign_track_ids, write_tracked

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'track_posetrack.py'


def without_ids(videos: list[Video], seed: int = 0) -> list[Video]:
    """The videos with persons in random order and without track ids."""
    rng = np.random.default_rng(seed)

    def strip(frame):
        order = rng.permutation(len(frame.ids))
        parts = ('keypoints', 'scores', 'boxes', 'head_boxes', 'ids')
        shuffled = {name: getattr(frame, name)[order] for name in parts}
        return replace(frame, **shuffled, track_ids=np.full(len(order), -1))

    return [replace(video, frames=[strip(frame) for frame in video.frames]) for video in videos]


def assert_same_tracks(labeled: list[Video], tracked: list[Video]) -> None:
    """Ids agree but for their names."""
    for video, other in zip(labeled, tracked):
        pairs = set()
        for frame, found in zip(video.frames, other.frames):
            by_person = dict(zip(found.ids.tolist(), found.track_ids.tolist()))
            pairs |= {
                (t, by_person[i]) for t, i in zip(frame.track_ids.tolist(), frame.ids.tolist())
            }
        true, found = zip(*pairs)
        assert len(pairs) == len(set(true)) == len(set(found)), pairs
        assert set(found) == set(range(len(found)))


def test_rendered_persons_get_their_ids_back(synthetic_root) -> None:
    labeled = read_videos(Path(synthetic_root) / 'annotations' / 'train')
    assert len(labeled) == 2
    before = without_ids(labeled)
    tracked = assign_track_ids(before)
    assert_same_tracks(labeled, tracked)
    result = tracking_accuracy(select_scored(labeled, tracked))
    assert result.summary()['Total'] == 100
    assert all((f.track_ids == -1).all() for v in before for f in v.frames)  # input untouched


@pytest.mark.slow
def test_persons_who_cross_get_their_ids_back(tmp_path) -> None:
    settings = Settings(
        {'val': 2}, frames=30, height=120, width=160, difficulty=Difficulty((3, 5), crossing=1)
    )
    labeled = read_videos(write_dataset(tmp_path, settings) / 'annotations' / 'val')
    tracked = assign_track_ids(without_ids(labeled))
    result = tracking_accuracy(select_scored(labeled, tracked))
    assert result.switches.sum() == 0
    assert result.summary()['Total'] == 100


@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_persons_get_their_ids_back(real_data, split) -> None:
    labeled = read_videos(real_data / 'posetrack_clip' / 'annotations' / split)
    tracked = assign_track_ids(without_ids(labeled))
    assert_same_tracks(labeled, tracked)
    assert tracking_accuracy(select_scored(labeled, tracked)).summary()['Total'] == 100


def standing(x: float, scores=None, joints=ORDER_15, **fields) -> dict:
    rng = np.random.default_rng(5)
    points = {name: tuple(rng.uniform((x, 50), (x + 60, 250))) for name in ORDER_15}
    return person({name: points[name] for name in joints}, head=None, scores=scores, **fields)


def tracked_file(tmp_path, frames, **options) -> list[list[int]]:
    write(tmp_path / 'in.json', coco(frames))
    (video,) = assign_track_ids(read_videos(tmp_path / 'in.json'), **options)
    return [frame.track_ids.tolist() for frame in video.frames]


def test_score_of_a_person_is_the_mean_of_its_joints(tmp_path) -> None:
    half = {name: 0.9 if place < 8 else 0.1 for place, name in enumerate(ORDER_15)}
    mean = (8 * 0.9 + 7 * 0.1) / 15
    frames = [[standing(0, half), standing(300, mean - 0.01), standing(600)]]
    assert tracked_file(tmp_path, frames, min_score=mean - 0.001) == [[0, -1, 1]]


def test_absent_joints_do_not_lower_the_score(tmp_path) -> None:
    few = standing(0, 0.8, joints=ORDER_15[:3])
    assert tracked_file(tmp_path, [[few]], min_score=0.7) == [[0]]


def test_persons_without_extent_get_no_id(tmp_path) -> None:
    """No box, and less than two joints that count."""
    sure = {name: 0.9 if name == 'nose' else 0.2 for name in ORDER_15}
    frames = [[standing(0, 0.9, joints=['nose']), standing(0, sure), person({}), standing(300)]]
    assert tracked_file(tmp_path, frames, min_score=0) == [[-1, -1, -1, 0]]
    boxed = standing(0, 0.9, joints=['nose'], bbox=[0, 50, 60, 200])
    assert tracked_file(tmp_path, [[boxed]]) == [[0]]


def test_frames_without_persons_count_as_time(tmp_path) -> None:
    frames = [[standing(0)], [], [], [standing(0)]]
    assert tracked_file(tmp_path, frames, memory=2) == [[0], [], [], [0]]
    assert tracked_file(tmp_path, frames, memory=1) == [[0], [], [], [1]]


def test_each_video_starts_anew(tmp_path) -> None:
    for number in (1, 2):
        data = coco([[standing(0)], [standing(0)]], f'{number:06d}', 100 * number)
        write(tmp_path / f'{number:06d}.json', data)
    videos = assign_track_ids(read_videos(tmp_path))
    assert [[f.track_ids.tolist() for f in v.frames] for v in videos] == [[[0], [0]]] * 2


def test_box_without_extent_is_one_clear_error(tmp_path) -> None:
    write(
        tmp_path / 'in.json', coco([[standing(0)], [standing(0), standing(9, bbox=[5, 5, 0, 9])]])
    )
    message = (
        r'in.json: images/val/000001_test/000001.jpg, person 1: "bbox" is \[5.0, 5.0, 0.0, 9.0\], '
        r'expected x, y and a positive width and height\.$'
    )
    with pytest.raises(AnnotationError, match=message):
        assign_track_ids(read_videos(tmp_path / 'in.json'))


@pytest.mark.slow
def test_command_writes_what_the_function_gives(synthetic_root, tmp_path) -> None:
    labeled = read_videos(Path(synthetic_root) / 'annotations' / 'train')
    write_predictions(without_ids(labeled), tmp_path / 'in')
    command = [sys.executable, TOOL, tmp_path / 'in', tmp_path / 'out']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'there before' not in result.stderr
    shutil.copytree(tmp_path / 'out', tmp_path / 'again')
    (tmp_path / 'again' / 'of_before.json').write_text('{}')
    again = subprocess.run([*command[:3], tmp_path / 'again'], capture_output=True, text=True)
    assert again.returncode == 0
    assert 'also has 1 .json files that were there before (first: of_before.json)' in again.stderr
    written, expected = (
        read_videos(tmp_path / 'out'),
        assign_track_ids(read_videos(tmp_path / 'in')),
    )
    persons = 0
    for video, other in zip(written, expected):
        assert video.name == other.name and len(video.frames) == len(other.frames)
        for frame, wanted in zip(video.frames, other.frames):
            persons += len(frame.ids)
            assert frame.image_id == wanted.image_id
            for name in ('track_ids', 'keypoints', 'scores', 'boxes'):
                np.testing.assert_array_equal(getattr(frame, name), getattr(wanted, name))
    tracks = sum(len({i for f in video.frames for i in f.track_ids.tolist()}) for video in expected)
    assert f'{persons} persons in 2 videos, {tracks} tracks, 0 persons without id' in result.stdout


def test_everything_but_the_ids_stays(tmp_path) -> None:
    """Of a file of another joint set, of frames 5 to 8 of a video: times, scores, sizes, names."""
    joints = ['L_Eye', 'Nose', 'paw']
    images = [
        dict(id=n, file_name=f'zoo/{n:06d}.jpg', time=n / 20, width=640, height=480)
        for n in range(5, 9)
    ]
    annotations = [
        dict(
            id=2 * n + k, image_id=n, category_id=1, track_id=9 - k, score=0.328, note='a',
            keypoints=[x + n, 50, 1, x + 40 + n, 90, 1, x + n, 130, 1], scores=[0.9, 0.8, 0.7],
            bbox=[x, 40, 60, 100],
        )
        for n in (5, 6, 8)
        for k, x in enumerate((10, 300))
    ]  # fmt: skip
    category = dict(id=1, name='animal', keypoints=joints, joint_set='ap10k', skeleton=[[1, 2]])
    content = dict(images=images, annotations=annotations, categories=[category], info={'by': 'me'})
    write(tmp_path / 'zoo.json', content)
    result = run_tool(TOOL, tmp_path / 'zoo.json', tmp_path / 'out')
    assert result.returncode == 0, result.stderr
    assert '6 persons in 1 videos, 2 tracks, 0 persons without id' in result.stdout
    found = json.loads((tmp_path / 'out' / 'zoo.json').read_text())
    ids = [annotation.pop('track_id') for annotation in found['annotations']]
    assert ids == [0, 1] * 3
    for annotation in annotations:
        del annotation['track_id']
    assert found == content


def test_videos_of_one_file_are_written_apart(tmp_path) -> None:
    data = coco([[standing(0)], [standing(0)]], '000001_test', 100)
    other = coco([[standing(0), standing(300)]], '000002_test', 200)
    write(tmp_path / 'a.json', {key: data[key] + other[key] for key in ('images', 'annotations')}
          | {'categories': data['categories']})  # fmt: skip
    write_tracked(assign_track_ids(read_videos(tmp_path / 'a.json')), tmp_path / 'out')
    for name, source in (('000001_test', data), ('000002_test', other)):
        found = json.loads((tmp_path / 'out' / f'{name}.json').read_text())
        assert found['images'] == source['images']
        assert [a['id'] for a in found['annotations']] == [a['id'] for a in source['annotations']]


def test_options_of_the_command(tmp_path) -> None:
    write(tmp_path / 'in.json', coco([[standing(0, 0.5)], [], [standing(0, 0.5)]], '000009_test'))
    for options, ids in {
        (): [0, 0],
        ('--memory', 0): [0, 1],
        ('--min-score', 0.6): [-1, -1],
        ('--min-joint-score', 0.6, '--min-score', 0.1): [-1, -1],  # no joint counts: no box
    }.items():
        result = run_tool(TOOL, tmp_path / 'in.json', tmp_path / 'out', *options)
        assert result.returncode == 0, result.stderr
        data = json.loads((tmp_path / 'out' / '000009_test.json').read_text())
        assert [a['track_id'] for a in data['annotations']] == ids, options
        assert len(data['images']) == 3


def test_wrong_input_of_the_command_is_one_line(tmp_path) -> None:
    result = run_tool(TOOL, tmp_path / 'nothing', tmp_path / 'out')
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(
        'not found; expected a folder or a file of labels.'
    )
    write(tmp_path / 'in' / 'a.json', coco([[standing(0)]]))
    result = run_tool(TOOL, tmp_path / 'in', tmp_path / 'out', '--memory', -1)
    assert result.returncode == 1
    assert result.stderr.splitlines() == ['memory is -1, expected a number of frames, 0 or more.']
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'file').touch()
    result = run_tool(TOOL, tmp_path / 'in', tmp_path / 'file')
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"[Errno 17] File exists: '{tmp_path / 'file'}'"]
    for source in (tmp_path / 'in', tmp_path / 'in' / 'a.json'):
        result = run_tool(TOOL, source, tmp_path / 'in')
        assert result.returncode == 2
        assert 'expected another folder to write to' in result.stderr


def test_defaults_of_the_command_are_those_of_the_tracker() -> None:
    tracker = PoseTracker()
    text = ' '.join(run_tool(TOOL, '--help').stdout.split())
    for value in (tracker.min_score, tracker.min_joint_score, tracker.memory):
        assert f'(default: {value})' in text


@pytest.mark.slow
def test_benchmark_prints_its_tables(synthetic_root) -> None:
    labels = Path(synthetic_root) / 'annotations' / 'train'
    options = ['--seeds', '1', '--videos', '1', '--frames', '4', '--labels', str(labels)]
    script = TOOL.parents[1] / 'benchmarks' / 'tracking_accuracy.py'
    result = subprocess.run([sys.executable, script, *options], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith('| ')]
    assert len(rows) == 1 + 3 * 4 + 1 + 3
    cells = [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]
    assert ['real', 'labels', *['100.0 ± 0.0, 0 ± 0'] * 4] in cells


@pytest.mark.parametrize('form', ['coco', 'predictions'])
def test_two_videos_are_not_written_to_one_file(tmp_path, form) -> None:
    data = {'images': [], 'annotations': [], 'categories': []}
    for number, folder in enumerate(('a/b/x', 'a_b/x', 'c/y')):
        part = coco([[person({'nose': (9, 9), 'left_hip': (30, 40)})]], 'z', 10 * number + 1)
        part['images'][0]['file_name'] = f'{folder}/0.jpg'
        data['images'] += part['images']
        data['annotations'] += part['annotations']
        data['categories'] = part['categories']
    write(tmp_path / 'm.json', data)
    videos = read_videos(tmp_path / 'm.json')
    writer = write_tracked if form == 'coco' else write_predictions
    with pytest.raises(AnnotationError, match="'a_b/x' would be written to the file of 'a/b"):
        writer(videos, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    writer([videos[0], videos[2]], tmp_path / 'out')
    assert len([*(tmp_path / 'out').iterdir()]) == 2


def test_persons_without_scores_stay_without(tmp_path) -> None:
    """An annolist has none: -9999, by which the reader says so, is no score for other tools."""
    joints = {'nose': (30, 30), 'left_hip': (40, 60), 'right_hip': (50, 65)}
    data = annolist(coco([[person(joints)], [person(joints, scores={'nose': 0.5})]], 'x'))
    write(tmp_path / 'x.json', data)
    videos = read_videos(tmp_path / 'x.json')
    write_tracked(assign_track_ids(videos), tmp_path / 'out')
    first, second = json.loads((tmp_path / 'out/x.json').read_text())['annotations']
    assert 'scores' not in first and second['scores'][0] == 0.5
    again = read_videos(tmp_path / 'out/x.json')
    for before, after in zip(videos[0].frames, again[0].frames):
        np.testing.assert_array_equal(after.scores, before.scores)
    scores = read_pose_video(tmp_path / 'out/x.json').keypoint_scores
    expected = np.array(second['scores'])
    assert (expected == -9999).sum() > 0
    np.testing.assert_array_equal(scores[1], np.where(expected == -9999, np.nan, expected))
    assert np.isnan(scores[0]).all()


@pytest.mark.parametrize('folder', ['.', '..', '.clip'])
def test_file_of_a_hidden_folder_is_not_hidden(tmp_path, folder) -> None:
    data = coco([[person({'nose': (9, 9), 'left_hip': (30, 40)})]], 'v')
    data['images'][0]['file_name'] = f'{folder}/000000.jpg'
    write(tmp_path / 'walk.json', data)
    videos = assign_track_ids(read_videos(tmp_path / 'walk.json'))
    write_tracked(videos, tmp_path / 'out')
    assert len(read_videos(tmp_path / 'out')) == 1
    name = {'.clip': 'clip'}.get(folder, 'walk')
    assert [file.name for file in (tmp_path / 'out').iterdir()] == [f'{name}.json']


def test_names_that_are_not_utf8(tmp_path) -> None:
    """Python's writer escapes the bytes of such a name one by one."""
    data = coco([[person({'nose': (9, 9), 'left_hip': (30, 40)})]], 'v')
    data['images'][0]['file_name'] = 'caf\udce9/000000.jpg'
    (tmp_path / 'a.json').write_text(json.dumps(data))
    write_tracked(assign_track_ids(read_videos(tmp_path / 'a.json')), tmp_path / 'out')
    (file,) = (tmp_path / 'out').iterdir()
    assert json.loads(file.read_text())['images'] == data['images']


def test_annolists_of_a_hidden_folder_are_still_paired(tmp_path) -> None:
    """File against file, and against the files that are written of it; they have no image ids."""
    data = annolist(coco([[person({'nose': (9, 9), 'left_hip': (30, 40)})]] * 2, 'v'))
    for entry in data['annolist']:
        entry['image'][0]['name'] = f'./{Path(entry["image"][0]["name"]).name}'
    for name in ('gt', 'pred'):
        write(tmp_path / f'{name}.json', data)
    labels = read_videos(tmp_path / 'gt.json')
    assert select_scored(labels, read_videos(tmp_path / 'pred.json')).num_frames == 2
    write_predictions(labels, tmp_path / 'out')
    assert select_scored(labels, read_videos(tmp_path / 'out')).num_frames == 2
