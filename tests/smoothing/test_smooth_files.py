"""Smoothing of prediction files: any joints, gaps, what stays, the command, wrong input."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from run_tools import run_tool
from scipy.signal import savgol_filter

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.smoothing import smooth_files, smooth_predictions

ROOT = Path(__file__).parents[2]
FRAMES, JOINTS = 20, 6


def predictions(gone=(), track=3, time=True):
    """One person, with noise; absent from frames `gone`."""
    rng = np.random.default_rng(0)
    images = [
        {'id': 100 + n, 'file_name': f'v/{n:06d}.jpg', **({'time': n / 20} if time else {})}
        for n in range(FRAMES)
    ]
    annotations = []
    for n in range(FRAMES):
        if n in gone:
            continue
        xy = np.full((JOINTS, 2), 5.0 * n) + rng.normal(0, 1, (JOINTS, 2)) + 50
        joints = np.concatenate([xy, np.ones((JOINTS, 1))], axis=1)
        annotations.append(
            {
                'id': n, 'image_id': 100 + n, 'category_id': 1, 'track_id': track,
                'keypoints': joints.ravel().tolist(), 'scores': [0.1 * (n % 5)] * JOINTS,
                'bbox': [5.0 * n, 5.0 * n, 100, 100], 'score': 0.5,
            }
        )  # fmt: skip
    return {'images': images, 'annotations': annotations, 'categories': [{'id': 1}]}


def points(content):
    """{image id: (joints, 3)}"""
    return {a['image_id']: np.array(a['keypoints']).reshape(-1, 3) for a in content['annotations']}


def test_equals_scipy_for_any_number_of_joints():
    content = predictions()
    before = copy.deepcopy(content)
    smoothed, done = smooth_predictions(content, window=0.25, max_gap=0)
    assert content == before
    raw = np.stack(list(points(content).values()))
    expected = savgol_filter(raw[..., :2], 5, 2, axis=0)
    found = np.stack(list(points(smoothed).values()))
    np.testing.assert_allclose(found[..., :2], expected, atol=1e-12)
    assert (found[..., 2] == 1).all()
    assert (done.tracks, done.joints_filled, done.persons_added) == (1, 0, 0)
    for after, was in zip(smoothed['annotations'], content['annotations']):
        assert {k: v for k, v in after.items() if k != 'keypoints'} == {
            k: v for k, v in was.items() if k != 'keypoints'
        }
    assert smoothed['images'] == content['images']


def test_short_gaps_are_filled_and_long_ones_stay():
    gone = [0, 5, 6, 10, 11, 12, 13, 14, 19]
    content = predictions(gone)
    # One joint is missing in a person who is there.
    content['annotations'][2]['keypoints'][3:6] = [0, 0, 0]
    smoothed, done = smooth_predictions(content, window=0, max_gap=0.1)
    assert (done.persons_added, done.joints_filled) == (2, 2 * JOINTS + 1)
    raw, found = points(content), points(smoothed)
    assert sorted(found) == sorted([*raw, 105, 106])
    for place, image in enumerate((105, 106), 1):
        line = raw[104] + (raw[107] - raw[104]) * place / 3
        np.testing.assert_allclose(found[image], line, atol=1e-9)
    np.testing.assert_allclose(found[103][1], (raw[102][1] + raw[104][1]) / 2)
    added = [a for a in smoothed['annotations'] if a.get('filled')]
    assert [a['image_id'] for a in added] == [105, 106]
    assert added[0]['bbox'] == pytest.approx([25, 25, 100, 100])
    assert added[0]['scores'] == pytest.approx([0.1 * (4 + (2 - 4) / 3)] * JOINTS)
    assert added[0]['track_id'] == 3 and added[0]['score'] == 0.5
    ids = [a['id'] for a in smoothed['annotations']]
    assert len(set(ids)) == len(ids)


def test_windows_are_of_the_same_time_but_smooth_at_any_frame_rate():
    content = predictions(time=False)
    raw = points(content)
    for rate, window in ((60, 15), (20, 5), (15, 5), (4, 5)):
        smoothed, done = smooth_predictions(content, frame_rate=rate)
        found = points(smoothed)
        assert all((found[image][:, :2] != raw[image][:, :2]).all() for image in raw)
        assert done.windows == {window} and done.tracks_kept == 0
        assert f'1 tracks, window of {window} frames, 0 joints filled' in str(done)
    with pytest.raises(ValueError, match='no "time" in seconds; expected a frame rate'):
        smooth_predictions(content)


def test_what_cannot_be_smoothed_is_said():
    content = predictions(gone=range(4, FRAMES))
    smoothed, done = smooth_predictions(content)
    assert smoothed == content
    assert 'nothing smoothed' in str(done) and '1 tracks too short to be smoothed' in str(done)


def test_few_frames_over_a_long_time_are_smoothed_and_said_to_be():
    content = predictions(gone=range(4, FRAMES))
    steps = [0, 1, 3, 5, *range(6, FRAMES + 2)]
    for image, step in zip(content['images'], steps):
        image['time'] = step / 25
    smoothed, done = smooth_predictions(content)
    assert (points(smoothed)[102] != points(content)[102]).any()
    assert done.tracks_kept == 0 and 'nothing smoothed' not in str(done)


def test_a_pause_in_the_times_is_a_gap():
    """Resting at one place, then at another, with no image for 2.7 s between."""
    content = predictions()
    for n, (image, person) in enumerate(zip(content['images'], content['annotations'])):
        image['time'] = n / 20 + (2.7 if n > 9 else 0)
        person['keypoints'] = [50.0 + 200 * (n > 9), 60, 1] * JOINTS
    smoothed, done = smooth_predictions(content)
    found, raw = points(smoothed), points(content)
    for image in raw:
        np.testing.assert_allclose(found[image], raw[image], atol=1e-9)
    del content['annotations'][9:11]
    assert smooth_predictions(content)[1].persons_added == 0


@pytest.mark.filterwarnings('error')
def test_the_usual_step_is_one_that_frames_have():
    """Of three images at 0, 0.04 and 0.16 s no two are apart by the mean of both steps."""
    content = predictions()
    content['images'], content['annotations'] = (content[k][:3] for k in ('images', 'annotations'))
    for image, time in zip(content['images'], (0, 0.04, 0.16)):
        image['time'] = time
    del content['annotations'][1]  # 0.12 s lack a frame each 0.04 s
    for max_gap, filled in ((0.12, 1), (0.08, 0)):
        _, done = smooth_predictions(content, max_gap=max_gap)
        assert done.windows == {7} and done.persons_added == filled


def test_times_in_milliseconds_are_even():
    """As WebM and Matroska have them: 0, 33, 67, 100 ms, whose median is off by 1 %."""
    noise, found = np.random.default_rng(0).normal(300, 3, 400), []
    for digits in (3, 12):
        images = [dict(id=n, file_name='', time=round(n / 30, digits)) for n in range(400)]
        persons = [
            dict(id=n, image_id=n, track_id=0, keypoints=[x, 60.0, 1.0])
            for n, x in enumerate(noise.tolist())
        ]
        content = dict(images=images, annotations=persons)
        found.append(np.stack(list(points(smooth_predictions(content)[0]).values())))
    np.testing.assert_allclose(found[0], found[1], atol=0.1)


def test_steady_motion_stays_at_a_variable_frame_rate():
    content, rng = predictions(), np.random.default_rng(0)
    times = np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 10], FRAMES))
    for time, image, person in zip(times, content['images'], content['annotations']):
        image['time'] = time
        person['keypoints'] = [300 * time + 5, 60, 1] * JOINTS
    found, raw = points(smooth_predictions(content)[0]), points(content)
    for image in raw:
        np.testing.assert_allclose(found[image], raw[image], atol=1e-9)


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(window=-1), 'window is -1, expected 0 or more'),
        (dict(max_gap=-1), 'max_gap is -1, expected 0 or more'),
        (dict(frame_rate=0), 'frame_rate is 0, expected a number above 0'),
        (dict(window=1e308), r'window is 1e\+308 s, expected at most 4.5.*e\+14 s at 20'),
        (dict(max_gap=1e308), r'max_gap is 1e\+308 s, expected at most'),
        (dict(frame_rate=1e308), r'window is 0.25 s, expected .* at 1e\+308 frames a second'),
    ],
)
def test_wrong_options_are_one_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        smooth_predictions(predictions(), **options)


def test_times_that_fall_are_said():
    content = predictions()
    content['images'][7]['time'] = 0.1
    with pytest.raises(ValueError, match='image 7: "time" is 0.1 s after 0.3 s of the image befor'):
        smooth_predictions(content)


@pytest.mark.parametrize('place', [8, 10])
@pytest.mark.parametrize('field', ['bbox', 'score', 'scores'])
def test_filled_persons_have_no_value_between_one_and_none(place, field):
    content = predictions(gone=[9])
    next(a for a in content['annotations'] if a['image_id'] == 100 + place).pop(field)
    filled, whole = (
        next(a for a in smooth_predictions(c)[0]['annotations'] if a.get('filled'))
        for c in (content, predictions(gone=[9]))
    )
    if place == 8:  # the person before has none
        assert field not in filled
    else:
        before, after = (
            np.array(a[field]) for a in content['annotations'] if a['image_id'] in (108, 111)
        )
        np.testing.assert_allclose(filled[field], before * 2 / 3 + after / 3)
    for other in {'bbox', 'score', 'scores', 'keypoints'} - {field}:
        assert filled[other] == whole[other]


def test_hidden_files_are_left_out(tmp_path):
    folder = tmp_path / 'predictions'
    folder.mkdir()
    (folder / '._v.json').write_bytes(b'\0\5\x16\7')
    (folder / 'v.json').write_text(json.dumps(predictions()))
    (folder / 'w.JSON').write_text(json.dumps(predictions()))  # is none
    assert smooth_files(folder, tmp_path / 'out').tracks == 2
    assert sorted(file.name for file in (tmp_path / 'out').iterdir()) == ['v.json', 'w.JSON']


def test_persons_without_a_track_and_empty_videos_stay():
    content = predictions(track=-1)
    smoothed, done = smooth_predictions(content)
    assert smoothed == content and done.persons_without_track == FRAMES
    for annotation in content['annotations']:
        del annotation['track_id']
    assert smooth_predictions(content)[0] == content
    empty = {'images': content['images'], 'annotations': []}
    assert smooth_predictions(empty)[0] == empty


@pytest.mark.parametrize('separator', ['/', '\\'])
def test_videos_of_one_file_are_apart(separator):
    content, other = predictions(), predictions(gone=[3])
    for image in other['images']:
        image.update(id=image['id'] + 1000, file_name='w' + image['file_name'][1:])
    for annotation in other['annotations']:
        annotation['image_id'] += 1000
        annotation['id'] += 1000
    both = {key: content[key] + other[key] for key in ('images', 'annotations')}
    if separator == '\\':
        for image in both['images']:
            image['file_name'] = image['file_name'].replace('/', separator)
    smoothed, done = smooth_predictions(both)
    found = points(smoothed)
    assert (done.tracks, done.persons_added) == (2, 1)
    for part in (content, other):
        alone = points(smooth_predictions(part)[0])
        assert all(np.array_equal(found[image], joints) for image, joints in alone.items())


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda c: c.pop('images'), 'has no list "images"'),
        (lambda c: c['annotations'][4].pop('keypoints'), 'annotation 4: has no list "keypoints"'),
        (lambda c: c['annotations'][4].update(image_id=7), 'annotation 4: "image_id" is 7'),
        (
            lambda c: c['annotations'][4].update(image_id=103),
            'annotation 4: "track_id" 3 is there twice in image 103',
        ),
        (
            lambda c: c['annotations'][4]['keypoints'].append(1),
            'track 3: persons have different numbers of "keypoints"',
        ),
    ],
)
def test_wrong_files_are_one_sentence(change, said, tmp_path):
    content = predictions()
    change(content)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=f'a.json: {said}'):
        smooth_files(tmp_path / 'a.json', tmp_path / 'out.json')
    assert not (tmp_path / 'out.json').exists()


def test_a_table_is_refused(tmp_path):
    (tmp_path / 'a.csv').write_text('frame,nose_x,nose_y\n')
    with pytest.raises(AnnotationError, match=r'a\.csv: is a table; expected JSON'):
        smooth_files(tmp_path / 'a.csv', tmp_path / 'out.json')


def test_command(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    (folder / 'v.json').write_text(json.dumps(predictions([7])))
    done = run_tool(ROOT / 'cmpose_cli/__main__.py', 'smooth', folder, tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f'{tmp_path / "out"}: 1 tracks, window of 5 frames, 6 joints filled, 1 persons added, '
        '0 persons without a track id\n'
    )
    assert len(json.loads((tmp_path / 'out/v.json').read_text())['annotations']) == FRAMES
    (tmp_path / 'out/old.json').write_text('{}')
    again = run_tool(ROOT / 'cmpose_cli/__main__.py', 'smooth', folder, tmp_path / 'out')
    assert again.stdout == done.stdout and (tmp_path / 'out/old.json').exists()
    assert 'also has 1 .json files that were there before (first: old.json)' in again.stderr
    done = run_tool(ROOT / 'cmpose_cli/__main__.py', 'smooth', folder, folder)
    assert done.returncode == 1 and 'expected another place to write to' in done.stderr
    done = run_tool(ROOT / 'cmpose_cli/__main__.py', 'smooth', tmp_path / 'no', tmp_path / 'out')
    assert done.returncode == 1 and 'no: not found' in done.stderr


@pytest.mark.slow
def test_benchmark_prints_its_table(synthetic_root, tmp_path):
    """Predictions that are the labels, with ids: unchanged they have no error."""
    labels = Path(synthetic_root) / 'annotations' / 'val'
    for file in labels.iterdir():
        content = json.loads(file.read_text())
        for person in content['annotations']:
            person['scores'] = [0.9] * (len(person['keypoints']) // 3)
        (tmp_path / file.name).write_text(json.dumps(content))
    result = run_tool(
        str(ROOT / 'benchmarks' / 'smoothing.py'), labels, tmp_path, '--frame-rate', 25,
        '--windows', 0.2, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith('| ')]
    cells = [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]
    assert [row[0] for row in cells[1:]] == ['as predicted', 'One-Euro', 'Savitzky-Golay, 0.2 s']
    assert cells[1][1:6] == ['100.0', '100.0', '100.0', '100.0', '0.000']
    assert cells[1][6] == cells[1][7] and all(float(row[5]) > 0 for row in cells[2:])


def test_max_gap_is_the_longest_that_is_filled():
    """Frames at 20 a second; of a gap the frames that lack count."""
    for missing, max_gap, added in [
        (1, 0.05, 1), (1, 0.049, 1), (1, 0.04, 0), (3, 0.15, 3), (3, 0.14, 0), (1, 0, 0),
    ]:  # fmt: skip
        _, done = smooth_predictions(predictions(range(5, 5 + missing)), window=0, max_gap=max_gap)
        assert done.persons_added == added, (missing, max_gap)
    close = predictions([5])  # frames 4 and 6 are a usual step apart
    for image in close['images'][5:]:
        image['time'] -= 1 / 40
    for image in close['images'][6:]:
        image['time'] -= 1 / 40
    assert smooth_predictions(close, window=0, max_gap=0)[1].persons_added == 0


def test_a_given_frame_rate_goes_by_the_numbers_of_frames():
    """A pause is one, whether frame_number tells it, the name, or the time."""
    expected = None
    for told_by in ('time', 'frame_number', 'name'):
        content = predictions(time=False)
        for place, image in enumerate(content['images']):
            number = place if place < 10 else place + 30
            if told_by == 'time':
                image['time'] = number / 20
            elif told_by == 'frame_number':
                image['frame_number'] = number
            else:
                image['file_name'] = f'v/{number:06d}.jpg'
        rate = None if told_by == 'time' else 20
        found = points(smooth_predictions(content, frame_rate=rate)[0])
        expected = expected or found
        for image_id, joints in expected.items():
            np.testing.assert_allclose(found[image_id], joints, atol=1e-9)
    through = points(smooth_predictions(predictions(time=False), frame_rate=20)[0])
    assert np.abs(through[109] - expected[109]).max() > 0.01


def test_numbers_that_are_no_frames_are_told():
    """Names that are times in milliseconds: so far apart, nothing is a short gap."""
    content = predictions([7], time=False)
    _, done = smooth_predictions(content, frame_rate=25)
    assert done.steps == {1} and 'apart' not in str(done) and done.persons_added == 1
    for place, image in enumerate(content['images']):
        image['file_name'] = f'v/{1633024800000 + 40 * place}.jpg'
    _, done = smooth_predictions(content, frame_rate=25)
    assert done.steps == {40} and done.persons_added == 0
    assert str(done).endswith(', images 40 frames apart, by "frame_number" or name')


def test_frames_in_another_order_are_refused():
    content = predictions(time=False)
    content['images'][3:5] = reversed(content['images'][3:5])
    message = 'image 4 is frame 3 after frame 4 of the image before, by "frame_number" or name'
    with pytest.raises(ValueError, match=message):
        smooth_predictions(content, frame_rate=20)


def test_polynomials_of_a_high_order_are_refused():
    smooth_predictions(predictions(), order=8)
    with pytest.raises(ValueError, match='order is 9, expected at most 8'):
        smooth_predictions(predictions(), order=9)


def test_added_persons_have_no_head_box():
    content = predictions([5])
    for annotation in content['annotations']:
        annotation['bbox_head'] = [1.0, 2, 3, 4]
    smoothed, _ = smooth_predictions(content, max_gap=0.1)
    (added,) = (a for a in smoothed['annotations'] if a.get('filled'))
    assert 'bbox' in added and 'bbox_head' not in added


@pytest.mark.parametrize('field', ['bbox', 'score', 'scores'])
def test_filled_persons_have_nothing_of_where_they_were_before(field):
    content = predictions([5])
    for annotation in content['annotations']:
        annotation['head_box'] = [1.0, 2, 3, 4]
        if annotation['image_id'] > 105:
            annotation.pop(field)
    smoothed, _ = smooth_predictions(content, max_gap=0.1)
    (added,) = (a for a in smoothed['annotations'] if a.get('filled'))
    assert field not in added and 'head_box' not in added
    assert {'bbox', 'score', 'scores'} - {field} <= {*added}


def test_names_that_are_not_utf8(tmp_path):
    content = predictions()
    content['images'][0]['file_name'] = 'caf\udce9/000000.jpg'
    (tmp_path / 'a.json').write_text(json.dumps(content))
    smooth_files(tmp_path / 'a.json', tmp_path / 'out.json', frame_rate=20)
    smoothed = json.loads((tmp_path / 'out.json').read_text())
    assert smoothed['images'] == content['images']


def test_filled_scores_are_between_those_that_are_there():
    """-9999 stands for none where other joints of the person have one."""
    content = predictions([5])
    after = next(a for a in content['annotations'] if a['image_id'] == 106)
    after['scores'][2] = -9999.0
    smoothed, _ = smooth_predictions(content, max_gap=0.1)
    (added,) = (a for a in smoothed['annotations'] if a.get('filled'))
    scores = {a['image_id']: a['scores'] for a in content['annotations']}
    assert added['scores'][1] == pytest.approx((scores[104][1] + scores[106][1]) / 2)
    assert added['scores'][2] == pytest.approx(scores[104][2] * 2 / 3 + scores[107][2] / 3)


@pytest.mark.parametrize('other', ['truncated', 'a link to nothing'])
def test_nothing_is_written_if_a_file_is_wrong(tmp_path, other):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/a.json').write_text(json.dumps(predictions()))
    if other == 'truncated':
        (tmp_path / 'in/b.json').write_text('{"images": [')
    else:
        (tmp_path / 'in/b.json').symlink_to('gone.json')
    with pytest.raises((AnnotationError, OSError), match='b.json'):
        smooth_files(tmp_path / 'in', tmp_path / 'out', frame_rate=20)
    assert not (tmp_path / 'out').exists()
