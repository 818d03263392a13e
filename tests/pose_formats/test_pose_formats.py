"""Each format is read back by the library that owns it, or by its documented layout."""

from __future__ import annotations

import json
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from run_tools import run_tool

from cmpose_mm.pose_formats import (
    BODY_25,
    long_table,
    read_pose_video,
    read_poses,
    write_coco_results,
    write_mot,
    write_openpose,
    write_parquet,
    write_trc,
)
from cmpose_mm.posetrack.annotations import AnnotationError

ROOT = Path(__file__).parents[2]
JOINTS = ['nose', 'left_shoulder', 'right_shoulder', 'left_hip', 'left_big_toe', 'tail']
FRAMES, RATE = 5, 20


def content(rng) -> dict:
    """Two tracks and a person without one; frame 2 is empty, track 7 misses frame 1."""
    images = [
        {'id': 1000 + 3 * n, 'file_name': f'v/{n:06d}.jpg', 'time': n / RATE} for n in range(FRAMES)
    ]
    annotations = []
    for n in (4, 3, 1, 0):  # in any order
        for track in (-1, 0, 7):
            if (track, n) in ((-1, 3), (7, 1)):
                continue
            joints = np.ones((len(JOINTS), 3))
            joints[:, :2] = rng.uniform(1, 300, (len(JOINTS), 2))
            joints[5] = 0  # nobody has a tail
            if track == 7:
                joints[1] = 0
            annotations.append(
                {
                    'id': len(annotations), 'image_id': 1000 + 3 * n, 'category_id': 1,
                    'track_id': track, 'keypoints': joints.ravel().tolist(),
                    'scores': rng.uniform(0.1, 1, len(JOINTS)).tolist(),
                    'bbox': rng.uniform(5, 90, 4).tolist(), 'score': float(rng.uniform()),
                }
            )  # fmt: skip
    category = {'id': 1, 'name': 'person', 'keypoints': JOINTS}
    return {'images': images, 'annotations': annotations, 'categories': [category]}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / 'walk.json'
    path.write_text(json.dumps(content(np.random.default_rng(0))))
    return path


def persons(file: Path):
    """(frame, annotation, (K, 3) keypoints) of the file, by frame."""
    data = json.loads(file.read_text())
    ids = [image['id'] for image in data['images']]
    rows = [
        (ids.index(a['image_id']), a, np.array(a['keypoints']).reshape(-1, 3))
        for a in data['annotations']
    ]
    return sorted(rows, key=lambda row: row[0])


def test_reader(file):
    video = read_pose_video(file)
    rows = persons(file)
    assert (video.name, video.joints) == ('walk', JOINTS)
    assert video.frames.tolist() == [frame for frame, _, _ in rows]
    assert video.frame_rate() == pytest.approx(RATE)
    for person, (_, annotation, joints) in enumerate(rows):
        absent = joints[:, 2] == 0
        assert np.array_equal(np.isnan(video.keypoints[person]).all(axis=1), absent)
        np.testing.assert_array_equal(video.keypoints[person, ~absent], joints[~absent, :2])
        assert video.keypoint_scores[person].tolist() == annotation['scores']
        assert video.boxes[person].tolist() == annotation['bbox']
        assert (video.track_ids[person], video.scores[person]) == (
            annotation['track_id'], annotation['score'],
        )  # fmt: skip


def test_coco_by_pycocotools(file, tmp_path):
    """Labels as results score 100, and pycocotools finds every number where it expects it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    assert write_coco_results(read_pose_video(file), tmp_path / 'results.json') == 10
    labels = json.loads(file.read_text())
    labels['info'] = {}
    for number, annotation in enumerate(labels['annotations'], start=1):
        points = np.array(annotation['keypoints']).reshape(-1, 3)
        points[:, 2] *= 2
        annotation.update(
            id=number, area=5000.0, iscrowd=0, num_keypoints=int((points[:, 2] > 0).sum()),
            keypoints=points.ravel().tolist(),
        )  # fmt: skip
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    ground_truth = COCO(str(tmp_path / 'labels.json'))
    results = ground_truth.loadRes(str(tmp_path / 'results.json'))
    evaluation = COCOeval(ground_truth, results, 'keypoints')
    evaluation.params.kpt_oks_sigmas = np.full(len(JOINTS), 0.05)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
    for entry, (_, annotation, joints) in zip(
        json.loads((tmp_path / 'results.json').read_text()), persons(file)
    ):
        found = np.array(entry['keypoints']).reshape(-1, 3)
        np.testing.assert_allclose(found[:, :2], joints[:, :2], atol=0.00501)
        assert found[:, 2].tolist() == (joints[:, 2] * annotation['scores']).tolist()
        assert entry['score'] == annotation['score']
        assert entry['image_id'] == annotation['image_id']


def test_mot_by_motmetrics(file, tmp_path):
    import motmetrics

    assert write_mot(read_pose_video(file), tmp_path / 'mot.txt') == 7
    table = motmetrics.io.loadtxt(str(tmp_path / 'mot.txt'), fmt='mot15-2D')
    expected = [row for row in persons(file) if row[1]['track_id'] >= 0]
    assert len(table) == len(expected)
    for frame, annotation, _ in expected:
        row = table.loc[(frame + 1, annotation['track_id'] + 1)]
        corner = np.array([row['X'], row['Y']])
        np.testing.assert_allclose(corner, annotation['bbox'][:2], atol=0.00501)
        np.testing.assert_allclose(
            [row['Width'], row['Height']], annotation['bbox'][2:], atol=0.00501
        )
        assert row['Confidence'] == pytest.approx(annotation['score'], abs=1e-4)


def test_openpose_by_its_documented_layout(file, tmp_path):
    assert write_openpose(read_pose_video(file), tmp_path / 'out') == 10
    files = sorted((tmp_path / 'out').iterdir())
    assert [f.name for f in files] == [f'walk_{n:012d}_keypoints.json' for n in range(FRAMES)]
    order = (
        'Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip '
        'LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel'
    ).split()
    assert list(BODY_25) == order
    rows = iter(persons(file))
    for number, path in enumerate(files):
        people = json.loads(path.read_text())['people']
        assert len(people) == [3, 2, 0, 2, 3][number]
        for found in people:
            frame, annotation, joints = next(rows)
            assert frame == number and found['person_id'] == [annotation['track_id']]
            points = dict(zip(order, np.array(found['pose_keypoints_2d']).reshape(25, 3)))
            source = dict(zip(JOINTS, joints))
            score = dict(zip(JOINTS, annotation['scores']))
            for theirs, ours in (
                ('Nose', 'nose'), ('RShoulder', 'right_shoulder'), ('LHip', 'left_hip'),
                ('LShoulder', 'left_shoulder'), ('LBigToe', 'left_big_toe'),
            ):  # fmt: skip
                x, y, v = source[ours]
                expected = [x, y, score[ours]] if v else [0, 0, 0]
                np.testing.assert_allclose(points[theirs], expected, atol=0.00501)
            both = [source['left_shoulder'], source['right_shoulder']]
            if all(point[2] for point in both):
                np.testing.assert_allclose(
                    points['Neck'][:2], np.mean(both, axis=0)[:2], atol=0.00501
                )
                assert points['Neck'][2] == min(score['left_shoulder'], score['right_shoulder'])
            else:
                assert not points['Neck'].any()
            for theirs in ('RElbow', 'MidHip', 'RHeel', 'LEar'):
                assert not points[theirs].any()


def test_parquet_by_pandas(file, tmp_path):
    pandas = pytest.importorskip('pandas')
    video = read_pose_video(file)
    write_parquet(video, tmp_path / 'long.parquet')
    table = pandas.read_parquet(tmp_path / 'long.parquet')
    assert sorted(table['frame'].unique()) == list(range(FRAMES))
    empty = table[table['frame'] == 2]
    assert len(empty) == 1 and empty['joint'].isna().all() and empty['time'].item() == 2 / RATE
    count = 0
    for frame, annotation, joints in persons(file):
        rows = table[(table['frame'] == frame) & (table['track_id'] == annotation['track_id'])]
        rows = rows.set_index('joint')
        for name, (x, y, v), score in zip(JOINTS, joints, annotation['scores']):
            assert (name in rows.index) == bool(v)
            if v:
                row, count = rows.loc[name], count + 1
                assert (row['x'], row['y']) == (round(x, 2), round(y, 2))
                assert (row['score'], row['person_score']) == (score, annotation['score'])
                assert row['time'] == frame / RATE
    assert count + 1 == len(table) == len(long_table(video)['x'])


def read_trc(path: Path):
    """Markers, times and (T, K, 3) positions by the layout that OpenSim documents."""
    lines = path.read_text().split('\n')
    assert lines[0].split('\t') == ['PathFileType', '4', '(X/Y/Z)', path.name]
    header = dict(zip(lines[1].split('\t'), lines[2].split('\t')))
    titles = lines[3].split('\t')
    assert titles[:2] == ['Frame#', 'Time'] and lines[5] == ''
    markers = titles[2::3]
    axes = lines[4].split('\t')
    assert axes[2:] == [f'{a}{n + 1}' for n in range(len(markers)) for a in 'XYZ']
    rows = [line.split('\t') for line in lines[6:] if line]
    assert all(len(row) == 2 + 3 * len(markers) for row in rows)
    assert int(header['NumFrames']) == len(rows) and int(header['NumMarkers']) == len(markers)
    assert header['Units'] == 'm' and float(header['DataRate']) == RATE
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    values = [[float(cell) if cell else np.nan for cell in row[2:]] for row in rows]
    return markers, [float(row[1]) for row in rows], np.array(values).reshape(len(rows), -1, 3)


def test_trc_by_its_documented_layout(file, tmp_path):
    video = read_pose_video(file)
    assert write_trc(video, tmp_path / 'trc', pixels_per_meter=50) == 7
    assert sorted(f.name for f in (tmp_path / 'trc').iterdir()) == [
        'walk_person0.trc', 'walk_person7.trc',
    ]  # fmt: skip
    for track in (0, 7):
        markers, times, values = read_trc(tmp_path / f'trc/walk_person{track}.trc')
        assert markers == JOINTS[:5]
        assert times == pytest.approx([n / RATE for n in range(FRAMES)])
        expected = np.full((FRAMES, 5, 3), np.nan)
        for frame, annotation, joints in persons(file):
            if annotation['track_id'] == track:
                there = joints[:5, 2] > 0
                expected[frame, there, 0] = joints[:5][there, 0] / 50
                expected[frame, there, 1] = -joints[:5][there, 1] / 50
                expected[frame, there, 2] = 0
        np.testing.assert_allclose(values, expected, atol=5.1e-6)


def test_trc_has_the_times_of_a_variable_frame_rate(file, tmp_path):
    data = json.loads(file.read_text())
    times = [0.1, 0.15, 0.2, 0.4, 0.45]
    for image, time in zip(data['images'], times):
        image['time'] = time
    file.write_text(json.dumps(data))
    write_trc(read_pose_video(file), tmp_path / 'own', 50)
    assert read_trc(tmp_path / 'own/walk_person0.trc')[1] == pytest.approx(times)
    write_trc(read_pose_video(file), tmp_path / 'given', 50, frame_rate=20)
    assert read_trc(tmp_path / 'given/walk_person0.trc')[1] == pytest.approx(
        [n / 20 for n in range(FRAMES)]
    )


def test_times_that_fall_are_said(file, tmp_path):
    data = json.loads(file.read_text())
    data['images'][3]['time'] = 0.01
    file.write_text(json.dumps(data))
    with pytest.raises(
        AnnotationError, match='walk: frame 3 has the time 0.01 s after 0.1 s of fr'
    ):
        write_trc(read_pose_video(file), tmp_path / 't', 10)


def test_a_track_twice_in_a_frame(file, tmp_path):
    data = json.loads(file.read_text())
    for annotation in data['annotations']:
        annotation['track_id'] = 7
    file.write_text(json.dumps(data))
    video = read_pose_video(file)
    with pytest.raises(
        AnnotationError, match='walk: track 7 is there twice in frame 0, expected o'
    ):
        write_mot(video, tmp_path / 'm.txt')
    with pytest.raises(
        AnnotationError, match='walk: track 7 is there twice in frame 0, expected o'
    ):
        write_trc(video, tmp_path / 't', 10)


def test_openpose_needs_one_of_its_joints(file, tmp_path):
    data = json.loads(file.read_text())
    data['categories'][0]['keypoints'] = ['L_Eye', 'R_Eye', 'Neck', 'tail', 'L_Hip', 'R_Hip']
    file.write_text(json.dumps(data))
    with pytest.raises(
        AnnotationError, match='walk: found the joints L_Eye, .* expected some of B'
    ):
        write_openpose(read_pose_video(file), tmp_path / 'o')
    assert not (tmp_path / 'o').exists()


def files_of(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def shorter(file: Path, num_frames: int, tracks=(0, 7)):
    """The poses of the file's first frames and of these tracks."""
    data = json.loads(file.read_text())
    data['images'] = data['images'][:num_frames]
    ids = [image['id'] for image in data['images']]
    data['annotations'] = [
        a for a in data['annotations'] if a['image_id'] in ids and a['track_id'] in tracks
    ]
    (file.parent / 'shorter').mkdir()
    (file.parent / 'shorter' / file.name).write_text(json.dumps(data))
    return read_pose_video(file.parent / 'shorter' / file.name)


OTHERS = (
    'walk_b_{:012d}_keypoints.json', 'a_walk_{:012d}_keypoints.json', 'walk_{:011d}_keypoints.json',
    'walk_{:012d}_keypoints.json.bak', 'walk_{:012d}_keypointsXjson', 'walk.{:012d}_keypoints.json',
    'walk_b_person{}.trc', 'a_walk_person{}.trc', 'walk_person0{}.trc', 'walk_person{}.trc.bak',
    'walk_person{}Xtrc', 'walk_person-{}.trc', 'walk.txt',
)  # fmt: skip
"""Names of files that are not walk's, for a number."""


def test_openpose_of_an_earlier_run_is_removed_and_nothing_else(file, tmp_path):
    out = tmp_path / 'o'
    write_openpose(read_pose_video(file), out)
    others = {name.format(9) for name in OTHERS}
    for name in others:
        (out / name).write_text('other')
    (out / f'walk_{9:012d}_keypoints.json').mkdir()  # no file that a writer wrote
    video = shorter(file, 2)
    with pytest.warns(UserWarning) as said:
        assert write_openpose(video, out) == 3
    assert [str(warning.message) for warning in said] == [
        f'{out}: removed 3 files of an earlier run, such as walk_{2:012d}_keypoints.json.'
    ]
    assert said[0].filename == __file__
    mine = {f'walk_{n:012d}_keypoints.json' for n in (0, 1, 9)}
    assert set(files_of(out)) == mine | others
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        write_openpose(video, out)


def test_trc_of_an_earlier_run_is_removed_and_nothing_else(file, tmp_path):
    out = tmp_path / 't'
    write_trc(read_pose_video(file), out, 50)
    others = {name.format(9) for name in OTHERS}
    for name in others:
        (out / name).write_text('other')
    with pytest.warns(UserWarning) as said:
        assert write_trc(shorter(file, 4, tracks=[7]), out, 50) == 2
    assert [str(warning.message) for warning in said] == [
        f'{out}: removed 1 files of an earlier run, such as walk_person0.trc.'
    ]
    assert set(files_of(out)) == {'walk_person7.trc'} | others


@pytest.mark.parametrize(
    'module, write',
    [('openpose_json', write_openpose), ('trc', partial(write_trc, pixels_per_meter=50))],
)
def test_nothing_is_removed_before_all_is_written(module, write, file, tmp_path, monkeypatch):
    out = tmp_path / 'o'
    write(read_pose_video(file), out)
    before = files_of(out)

    def full(path, content):
        raise OSError('no space left')

    monkeypatch.setattr(f'cmpose_mm.pose_formats.{module}.write_whole', full)
    with pytest.raises(OSError, match='no space'):
        write(shorter(file, 2, tracks=[7]), out)
    assert files_of(out) == before


def test_images_named_from_1_have_the_numbers_that_the_file_says(tmp_path):
    data = content(np.random.default_rng(0))
    for number, image in enumerate(data['images']):
        image['file_name'], image['frame_number'] = f'walk/{number + 1:06d}.jpg', number
    file = tmp_path / 'walk.json'
    file.write_text(json.dumps(data))
    numbers = read_pose_video(file).frame_numbers().tolist()
    assert numbers == list(range(len(data['images'])))
    data['images'][1]['frame_number'] = -1
    file.write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match='"frame_number" is -1, expected a whole number'):
        read_pose_video(file)
    data['images'][1]['frame_number'] = 2**62
    file.write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match='"frame_number" is 4.*, below 10,000,000'):
        read_pose_video(file)


def test_frames_of_a_part_of_a_video_without_times_keep_their_numbers(tmp_path):
    data = content(np.random.default_rng(0))
    for number, image in enumerate(data['images'], 4):
        image.pop('time', None)
        image.update(file_name=f'walk/{number:06d}.jpg', frame_number=number, of_video=True)
    file = tmp_path / 'walk.json'
    file.write_text(json.dumps(data))
    video = read_pose_video(file)
    assert video.frame_numbers().tolist() == list(range(4, 4 + len(data['images'])))
    assert not any(video.file_names)


def test_times_in_whole_seconds_give_no_frame_rate(tmp_path):
    data = content(np.random.default_rng(0))
    for number, image in enumerate(data['images']):
        image['time'] = int(number == len(data['images']) - 1)
    file = tmp_path / 'walk.json'
    file.write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match='most frames have the time of the one before'):
        read_pose_video(file).frame_rate()


def test_a_table_of_a_part_has_no_other_frames(tmp_path):
    rows = [f'{n},{n / 20},1,{n},{n}' for n in range(5, 9)]
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,time,track_id,nose_x,nose_y', *rows]))
    video = read_poses(tmp_path / 'a.csv')
    assert long_table(video)['frame'].tolist() == [5, 6, 7, 8]
    write_openpose(video, tmp_path / 'o')
    assert [f.name[2:14] for f in sorted((tmp_path / 'o').iterdir())] == [
        f'{n:012d}' for n in range(5, 9)
    ]
    assert write_trc(video, tmp_path / 't', 10) == 4
    assert read_trc(tmp_path / 't/a_person1.trc')[1] == pytest.approx([0.25, 0.3, 0.35, 0.4])


def test_an_empty_video(tmp_path):
    data = content(np.random.default_rng(0))
    data['annotations'] = []
    (tmp_path / 'e.json').write_text(json.dumps(data))
    video = read_pose_video(tmp_path / 'e.json')
    assert write_coco_results(video, tmp_path / 'c.json') == 0
    assert json.loads((tmp_path / 'c.json').read_text()) == []
    assert write_mot(video, tmp_path / 'm.txt') == 0 and not (tmp_path / 'm.txt').read_text()
    assert write_openpose(video, tmp_path / 'o') == 0
    assert len(list((tmp_path / 'o').iterdir())) == FRAMES
    assert write_trc(video, tmp_path / 't', 10) == 0
    assert long_table(video)['frame'].tolist() == list(range(FRAMES))
    write_parquet(video, tmp_path / 'p.parquet')


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda d: d.pop('categories'), 'has no list "categories"'),
        (lambda d: d['categories'].clear(), '"categories" has no list of different names'),
        (
            lambda d: d['annotations'][3]['keypoints'].pop(),
            'annotation 3: "keypoints" has 17 numbers, expected 18 for 6 joints',
        ),
        (lambda d: d['annotations'][3].pop('keypoints'), 'annotation 3: has no list "keypoints"'),
        (lambda d: d['annotations'][3].update(scores=[1]), 'annotation 3: "scores" has 1 numbers'),
        (lambda d: d['annotations'][3].update(image_id=5), 'annotation 3: "image_id" is 5'),
        (lambda d: d['images'][0].update(file_name='w/0.jpg'), 'holds 2 videos'),
        (
            lambda d: d['annotations'][3].update(track_id='7'),
            'annotation 3: "track_id" is \'7\', expected a whole number',
        ),
        (lambda d: d['annotations'].insert(1, None), r'annotations\[1\] is missing, expected an'),
        (lambda d: d['images'].append(5), r'images\[5\] is 5, expected an object'),
        (lambda d: d['categories'].insert(0, 'a'), r"categories\[0\] is 'a', expected an object"),
        (lambda d: d['images'][1].pop('id'), r'images\[1\]: "id" is missing, expected a whole'),
        (lambda d: d['images'][1].update(id=1000), r'images\[1\]: "id" 1000 is there twice'),
        (lambda d: d['images'][1].update(time='1'), r'images\[1\]: "time" is \'1\', expected a n'),
        (
            lambda d: d['annotations'][3].update(bbox=[1, 2, 3]),
            'annotation 3: "bbox" has 3 numbers, expected x, y, width and height',
        ),
        (lambda d: d['annotations'][3].update(bbox=7), 'annotation 3: "bbox" is 7, expected'),
        (lambda d: d['annotations'][3].update(score=[]), r'annotation 3: "score" is \[\], exp'),
        (
            lambda d: d['annotations'][3].update(keypoints=[None] * 18),
            'annotation 3: "keypoints" is a list of 18 with None, expected numbers',
        ),
        (
            lambda d: d['annotations'][3]['keypoints'].__setitem__(0, 1e12),
            r'annotation 3: "keypoints" has the number 1e\+12, expected pixels below 1,000,000',
        ),
        (
            lambda d: d['categories'][0].update(skeleton=[[1, 7]]),
            r'"skeleton" has \[1, 7\], expected pairs of numbers from 1 to 6',
        ),
    ],
)
def test_wrong_files_are_one_sentence(change, said, file):
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match=rf'walk\.json: {said}'):
        read_pose_video(file)


def test_command(file, tmp_path):
    def convert(*arguments):
        return run_tool(ROOT / 'cmpose_cli/__main__.py', 'convert', file, *arguments)

    done = convert('mot', tmp_path / 'm.txt')
    assert done.returncode == 0, done.stderr
    assert '7 persons in 5 frames; 3 without a track id or box left out' in done.stdout
    done = convert('trc', tmp_path / 't', '--pixels-per-meter', '100', '--frame-rate', '10')
    assert done.returncode == 0, done.stderr
    assert '0.400000' in (tmp_path / 't/walk_person0.trc').read_text()
    assert 'without a track id left out' in done.stdout
    for arguments, said in (
        (('trc', tmp_path / 't'), '--pixels-per-meter: expected with the format trc'),
        (('coco', file), 'holds the poses; expected another place'),
        (
            ('mot', tmp_path / 'm', '--frame-rate', '9'),
            '--frame-rate: expected with the format trc',
        ),
    ):
        done = convert(*arguments)
        assert done.returncode == 2 and said in done.stderr
    for value, shown in (('0', '0.0'), ('inf', 'inf')):
        done = convert('trc', tmp_path / 't', '--pixels-per-meter', value)
        assert done.returncode == 1 and f'pixels_per_meter is {shown}' in done.stderr
    data = json.loads(file.read_text())
    for image in data['images']:
        del image['time']
    file.write_text(json.dumps(data))
    done = convert('trc', tmp_path / 't', '--pixels-per-meter', '9')
    assert done.returncode == 1
    assert done.stderr == 'walk: the images have no "time" in seconds; expected a frame rate.\n'


def test_a_table_is_converted_as_its_json(tmp_path):
    """What `cmpose infer` writes in both forms."""
    joints = ['a', 'b']
    lines = ['frame,time,track_id,score,x1,y1,x2,y2,a_x,a_y,a_score,b_x,b_y,b_score']
    lines += ['0,0.0,4,0.5,1,2,11,22,3,4,0.9,5,6,0.8', '1,0.1,4,0.6,2,2,12,22,4,4,0.7,,,']
    lines += ['1,0.1,5,0.7,3,3,13,23,,,,,,']
    (tmp_path / 'walk.csv').write_text('\n'.join(lines))
    content = dict(
        images=[dict(id=n, file_name='', time=n / 10) for n in range(2)],
        categories=[dict(keypoints=joints)],
        annotations=[
            dict(image_id=0, track_id=4, score=0.5, bbox=[1, 2, 10, 20], scores=[0.9, 0.8],
                 keypoints=[3, 4, 1, 5, 6, 1]),
            dict(image_id=1, track_id=4, score=0.6, bbox=[2, 2, 10, 20], scores=[0.7, 0],
                 keypoints=[4, 4, 1, 0, 0, 0]),
            dict(image_id=1, track_id=5, score=0.7, bbox=[3, 3, 10, 20], scores=[0, 0],
                 keypoints=[0, 0, 0, 0, 0, 0]),
        ],
    )  # fmt: skip
    (tmp_path / 'walk.json').write_text(json.dumps(content))
    command = ROOT / 'cmpose_cli/__main__.py'
    for kind in ('mot', 'coco'):
        written = []
        for name in ('walk.csv', 'walk.json'):
            done = run_tool(command, 'convert', tmp_path / name, kind, tmp_path / f'{name}.out')
            assert done.returncode == 0, done.stderr
            written.append((tmp_path / f'{name}.out').read_text().replace('.0', ''))
        assert len(written[0]) > 30 and written[0] == written[1]


def test_what_is_no_json_and_no_table_of_commas(tmp_path):
    for name, text in (('a.json', 'frame;x'), ('a.csv', 'frame;nose_x;nose_y\n0;1;2\n')):
        (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=r'a\.json: not valid JSON'):
        read_pose_video(tmp_path / 'a.json')
    with pytest.raises(AnnotationError, match=r'a\.csv: the columns are separated by semicolons'):
        read_poses(tmp_path / 'a.csv')


def test_any_encoding_but_no_numbers_that_are_none(file):
    expected = read_pose_video(file)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content), encoding='utf-16')
    np.testing.assert_array_equal(read_pose_video(file).keypoints, expected.keypoints)
    content['annotations'][1]['keypoints'][3] = float('nan')
    file.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=r'annotation 1: "keypoints" has a number that is n'):
        read_pose_video(file)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda c: [i.update(frame_number=n // 2) for n, i in enumerate(c['images'])],
         'frame 0 is there twice in "images"'),
        (lambda c: c['annotations'][2].update(category_id=2),
         'annotation 2: "category_id" is 2, expected 1 .person.'),
        (lambda c: c['annotations'][2].update(iscrowd=1), 'annotation 2: "iscrowd" is set'),
        (lambda c: c['categories'].append(dict(c['categories'][0], id=2)),
         '2 "categories" have a list of "keypoints", expected one'),
    ],
)  # fmt: skip
def test_what_is_no_person_of_the_video_is_refused(tmp_path, change, message):
    data = content(np.random.default_rng(0))
    change(data)
    (tmp_path / 'a.json').write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match=message):
        read_pose_video(tmp_path / 'a.json')


def test_another_category_without_joints_may_stand_first(tmp_path, file):
    data = json.loads(file.read_text())
    data['categories'].insert(0, dict(id=7, name='ball'))
    (tmp_path / 'a.json').write_text(json.dumps(data))
    assert read_pose_video(tmp_path / 'a.json').joints == read_pose_video(file).joints


def test_names_of_images_stay_beside_times(tmp_path):
    """A file of an earlier version has made-up names, which are its ids."""
    data = content(np.random.default_rng(0))
    for start, ids, names in [(1, 1000, True), (0, 0, False), (12, 10003420012, False)]:
        images = [
            dict(id=ids + n, file_name=f'v/{start + n:06d}.jpg', time=n / RATE) for n in range(3)
        ]
        (tmp_path / 'a.json').write_text(json.dumps({**data, 'images': images, 'annotations': []}))
        video = read_pose_video(tmp_path / 'a.json')
        assert any(video.file_names) == names
        assert video.frame_numbers().tolist() == [(0 if names else start) + n for n in range(3)]


def test_coco_boxes_are_there_for_all_or_for_none(tmp_path, file):
    data = json.loads(file.read_text())
    whole = data['annotations'][3]
    whole['bbox'] = []
    file.write_text(json.dumps(data))
    write_coco_results(read_pose_video(file), tmp_path / 'c.json')
    entries = json.loads((tmp_path / 'c.json').read_text())
    assert all('bbox' in entry for entry in entries)
    joints = np.array(whole['keypoints']).reshape(-1, 3)
    joints = joints[joints.any(axis=1), :2]
    expected = [*joints.min(axis=0), *np.ptp(joints, axis=0)]
    (found,) = (
        entry['bbox'] for entry in entries
        if entry['image_id'] == whole['image_id'] and entry['score'] == whole['score']
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=0.02)
    for annotation in data['annotations']:
        annotation['bbox'] = []
    file.write_text(json.dumps(data))
    write_coco_results(read_pose_video(file), tmp_path / 'c.json')
    assert not any('bbox' in entry for entry in json.loads((tmp_path / 'c.json').read_text()))


def test_images_some_frames_apart_are_numbered_by_their_names(tmp_path):
    """As `cmpose smooth` takes them: every fourth frame of a video at 20 frames a second."""
    data = content(np.random.default_rng(0))
    for n, image in enumerate(data['images']):
        image.pop('time')
        image['file_name'] = f'v/{100 + 4 * n:06d}.jpg'
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(data))
    video = read_pose_video(path)
    assert video.frame_numbers().tolist() == [0, 4, 8, 12, 16]
    times = video.seconds(video.frame_numbers(), 20)
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8])
    write_mot(video, tmp_path / 'a.txt')
    lines = (tmp_path / 'a.txt').read_text().splitlines()
    assert {line.split(',')[0] for line in lines} == {'1', '5', '13', '17'}
    command = ROOT / 'cmpose_cli' / '__main__.py'
    for arguments in (['convert', path, 'mot', 'b.txt'], ['plot', path, '.', '--frame-rate', 20]):
        done = run_tool(command, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith('; images 4 frames apart, by their names\n')
    for image in data['images']:
        image['frame_number'] = int(image['file_name'][2:8])
    path.write_text(json.dumps(data))
    assert read_pose_video(path).numbering() == ''  # the file says so itself
    for image in data['images']:
        del image['frame_number']
    for names in ('left', 'unordered', 'far apart'):
        for n, image in enumerate(data['images']):
            number = {'left': 'left', 'unordered': 9 - n, 'far apart': 10**8 * n}[names]
            image['file_name'] = f'v/{number}.jpg'
        path.write_text(json.dumps(data))
        assert read_pose_video(path).frame_numbers().tolist() == [0, 1, 2, 3, 4], names


def test_names_of_images_that_are_apart_are_those_of_images(tmp_path):
    """With times, too, though PoseTrack's ids end in the numbers of the names."""
    data = content(np.random.default_rng(0))
    images = [
        dict(id=10003420000 + n, file_name=f'v/{n:06d}.jpg', time=n / RATE) for n in (0, 4, 8)
    ]
    (tmp_path / 'a.json').write_text(json.dumps({**data, 'images': images, 'annotations': []}))
    video = read_pose_video(tmp_path / 'a.json')
    assert video.file_names == [image['file_name'] for image in images]
    assert video.frame_numbers().tolist() == [0, 4, 8]


def test_equal_times_are_no_times(tmp_path):
    data = content(np.random.default_rng(0))
    for image in data['images']:
        image['time'] = 1.0
    (tmp_path / 'a.json').write_text(json.dumps(data))
    video = read_pose_video(tmp_path / 'a.json')
    with pytest.raises(AnnotationError, match='all times are 1 s; expected a frame rate'):
        video.seconds(video.frame_numbers())


def test_parquet_files_of_a_folder_have_one_schema(tmp_path, file):
    """Also of a video with nobody in it, whose joints are all unknown."""
    dataset = pytest.importorskip('pyarrow.dataset')
    data = json.loads(file.read_text())
    (tmp_path / 'nobody.json').write_text(json.dumps({**data, 'annotations': []}))
    (tmp_path / 'tables').mkdir()
    rows = 0
    for name in ('nobody', 'walk'):
        video = read_pose_video(tmp_path / f'{name}.json')
        write_parquet(video, tmp_path / 'tables' / f'{name}.parquet')
        rows += len(long_table(video)['frame'])
    table = dataset.dataset(tmp_path / 'tables').to_table()
    assert table.num_rows == rows and str(table.schema.field('joint').type) == 'string'


def test_file_names_that_are_not_utf8(tmp_path, file):
    file = file.rename(tmp_path / 'caf\udce9.json')
    video = read_pose_video(file)
    write_trc(video, tmp_path / 'trc', 100)
    for written in (tmp_path / 'trc').iterdir():
        assert r'caf\udce9_person' in written.read_text('utf-8')
    assert set(long_table(video)['video']) == {r'caf\udce9'}


@pytest.mark.parametrize('width', ['64', [64], {}, None, 0, -64, 64.5])
def test_sizes_that_are_no_pixels_are_unknown(width, file):
    data = json.loads(file.read_text())
    data['images'][0].update(width=width, height=48)
    file.write_text(json.dumps(data))
    assert read_pose_video(file).image_size is None
    data['images'][0].update(width=64.0)
    file.write_text(json.dumps(data))
    assert read_pose_video(file).image_size == (64, 48)


def edited(file: Path, change) -> Path:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return file


def test_coco_scores_and_ids(file, tmp_path):
    """A person without a score has the mean of its joints; the track 0 is one, -1 is none."""
    edited(file, lambda data: [a.pop('score') for a in data['annotations']])
    write_coco_results(read_pose_video(file), tmp_path / 'results.json')
    entries = json.loads((tmp_path / 'results.json').read_text())
    for entry, (_, annotation, joints) in zip(entries, persons(file)):
        scores = [s for s, there in zip(annotation['scores'], joints[:, 2]) if there]
        assert entry['score'] == pytest.approx(sum(scores) / len(scores))
        assert entry.get('track_id', -1) == annotation['track_id']


def test_a_joint_in_the_corner_is_one_and_a_missing_score_is_none(file):
    def change(data):
        first = data['annotations'][0]
        first['keypoints'][:3] = 0, 0, 1
        first['scores'][1] = -9999

    edited(file, change)
    video = read_pose_video(file)
    (changed,) = [n for n, x in enumerate(video.keypoint_scores) if np.isnan(x[1])]
    assert video.keypoints[changed, 0].tolist() == [0, 0]
    assert np.isnan(video.keypoint_scores).sum() == 1


def test_a_place_far_to_the_left_is_refused(file):
    edited(file, lambda data: data['annotations'][0]['keypoints'].__setitem__(0, -1e12))
    with pytest.raises(AnnotationError, match=r'has the number -1e\+12, expected pixels below'):
        read_pose_video(file)


def test_track_0_twice_in_a_frame(file):
    def change(data):
        (found,) = [a for a in data['annotations'] if a['image_id'] == 1000 and a['track_id'] == 0]
        data['annotations'].append(dict(found, id=99))

    video = read_pose_video(edited(file, change))
    with pytest.raises(AnnotationError, match='track 0 is there twice in frame 0'):
        video.check_tracks()
