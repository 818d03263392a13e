"""From sparse labels to poses in all frames, without a model."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from label_files import ORDER_15, coco, merged, write
from posetrack_samples import person as sample_person
from posetrack_samples import write_image, write_mat_video
from run_tools import run_tool
from walks import SHAPE, annolist_file, keep, slow_linear, walk, walker

from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17
from cmpose_mm.propagation import (
    Copy,
    Filter,
    Linear,
    Propagator,
    build_propagator,
    plan_queries,
    propagate_labels,
    sparsify_labels,
)
from cmpose_mm.propagation.pseudo_labels import answer, disagreement

TOOL = Path(__file__).parents[2] / 'tools' / 'propagate_poses.py'
WRIST = JOINT_NAMES.index('left_wrist')


@pytest.fixture
def sparse(tmp_path) -> Path:
    """Labels at 0, 4, 8 of 11 frames, of a person at constant speed."""
    return write(tmp_path / 'sparse' / 'a.json', keep(walk(11), [0, 4, 8])).parent


def poses_of(path: Path) -> list[np.ndarray]:
    (video,) = read_videos(path)
    return [frame.keypoints for frame in video.frames]


# ---- propagators -------------------------------------------------------------------------------


def test_linear_is_right_about_what_moves_at_constant_speed(sparse, tmp_path):
    propagate_labels(sparse, tmp_path / 'dense', Linear())
    truth = poses_of(write(tmp_path / 'truth.json', walk(11)))
    found = poses_of(tmp_path / 'dense')
    for number in range(9):
        np.testing.assert_allclose(found[number], truth[number], atol=1e-3)
    for number in (9, 10):  # after the last label the pose stays where it was
        np.testing.assert_allclose(found[number], truth[8], atol=1e-3)


def test_linear_equals_a_slow_reference(tmp_path):
    rng = np.random.default_rng(0)
    people = [[walker(*rng.uniform(0, 90, 2), track=t) for t in (3, 1)] for _ in range(6)]
    (video,) = read_videos(write(tmp_path / 'a.json', keep(coco(people), [0, 5])))
    queries = plan_queries(video, 5).queries
    found, _ = Linear()(queries)
    assert len(found) == 8
    first, last = video.frames[0].keypoints, video.frames[5].keypoints
    for query, pose in zip(queries, found):
        index = {3: 0, 1: 1}[query.track_id]
        number = int(query.frame.file_name[-10:-4])
        expected = slow_linear(first[index], last[index], number / 5)
        np.testing.assert_allclose(pose, expected, rtol=0, atol=1e-12)


def test_copy_takes_the_nearest_label_and_the_earlier_of_two(tmp_path):
    (video,) = read_videos(write(tmp_path / 'a.json', keep(walk(6, speed=10), [0, 4])))
    found, scores = Copy()(plan_queries(video, 4).queries)
    nose = found[:, JOINT_NAMES.index('nose'), 0] - SHAPE['nose'][0]
    assert nose.tolist() == [0, 0, 40, 40]  # frames 1, 2, 3 and, at the end, 5
    assert scores[:, 0] == pytest.approx([0.9, 0.81, 0.9, 0.9])


def test_joints_are_those_of_the_nearest_label(tmp_path):
    """One that the other label lacks stays where it is, and is not invented on its side."""
    no_wrist = [name for name in ORDER_15 if name != 'left_wrist']
    frames = [[walker(0)], [], [], [], [walker(40, joints=no_wrist)]]
    (video,) = read_videos(write(tmp_path / 'a.json', coco(frames)))
    queries = plan_queries(video, 4).queries
    for propagator in (Copy(), Linear()):
        found, scores = propagator(queries)
        assert (scores[:, WRIST] > 0).tolist() == [True, True, False]
        assert found[:2, WRIST].tolist() == [list(SHAPE['left_wrist'])] * 2


def test_propagators_with_a_model_ask_for_it(sparse, tmp_path):
    for name in ('estimate', 'warp', 'stdpose'):
        done = run_tool(TOOL, sparse, '--out', tmp_path / 'dense', '--propagator', name)
        assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
        assert 'needs a trained model and the images, expected --config and' in done.stderr
    with pytest.raises(AnnotationError, match="'copy' has no model, found --checkpoint"):
        build_propagator('copy', checkpoint='a.pth')
    with pytest.raises(AnnotationError, match="no propagator 'magic', expected one of copy"):
        build_propagator('magic')


def test_a_propagator_without_mmpose(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cmpose_mm.propagation.models', None)
    with pytest.raises(AnnotationError, match="Propagator 'warp' needs MMPose .*installation"):
        build_propagator('warp', 'c.py', 'c.pth', image_root='.')


# ---- files -------------------------------------------------------------------------------------


def test_labels_stay_and_poses_are_marked(sparse, tmp_path):
    sparse_file = sparse / 'a.json'
    done = run_tool(TOOL, sparse, '--out', tmp_path / 'dense', '--propagator', 'linear')
    assert done.returncode == 0, done.stderr
    assert '1 videos with labels in 3 of 11 frames, 4 frames apart: 8 poses with 120' in done.stdout
    assert '2 persons were asked for from one side' in done.stdout
    before = json.loads(sparse_file.read_text())
    after = json.loads((tmp_path / 'dense' / 'a.json').read_text())
    count = len(before['annotations'])
    assert json.dumps(after['annotations'][:count]) == json.dumps(before['annotations'])
    assert [after['images'][i] for i in (0, 4, 8)] == [before['images'][i] for i in (0, 4, 8)]
    assert all(image['is_labeled'] for image in after['images'])
    added = after['annotations'][count:]
    assert len(added) == 8 and all(annotation['pseudo'] is True for annotation in added)
    assert len({annotation['id'] for annotation in after['annotations']}) == 11
    first = added[0]
    assert first['image_id'] == before['images'][1]['id'] and first['track_id'] == 0
    assert first['bbox'] == [22, 10, 60, 60] and first['bbox_head'] == [32, 20, 30, 40]
    nose, ear = (3 * JOINT_NAMES_17.index(name) for name in ('nose', 'left_ear'))
    assert first['keypoints'][nose : nose + 3] == [SHAPE['nose'][0] + 2, SHAPE['nose'][1], 1]
    assert first['keypoints'][ear : ear + 3] == [0, 0, 0]
    assert first['scores'][JOINT_NAMES_17.index('nose')] == 0.9
    assert first['scores'][JOINT_NAMES_17.index('left_ear')] == 0
    (video,) = read_videos(tmp_path / 'dense')
    assert [frame.num_pseudo for frame in video.frames] == [0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1]


def test_joints_are_written_by_name(tmp_path):
    """A file whose category lists the joints in another order, under other names."""
    data = keep(walk(3), [0, 2])
    order = [n if n != 'head_bottom' else 'neck' for n in JOINT_NAMES_17][::-1]
    data['categories'][0]['keypoints'] = order
    for annotation in data['annotations']:
        rows = np.reshape(annotation['keypoints'], (17, 3))[::-1]
        annotation['keypoints'] = rows.ravel().tolist()
    propagate_labels(write(tmp_path / 'a.json', data), tmp_path / 'b.json', Linear())
    _, found, _ = poses_of(tmp_path / 'b.json')
    for name, xy in zip(JOINT_NAMES, found[0]):
        assert xy.tolist() == [SHAPE[name][0] + 2, SHAPE[name][1], 1]


def test_annolists(tmp_path):
    annolist_file(tmp_path / 'in' / 'a.json', keep(walk(6), [0, 4]))
    propagate_labels(tmp_path / 'in', tmp_path / 'out', Linear())
    before, after = (json.loads((tmp_path / d / 'a.json').read_text()) for d in ('in', 'out'))
    for place in (0, 4):
        assert after['annolist'][place] == before['annolist'][place]
    (video,) = read_videos(tmp_path / 'out')
    (truth,) = read_videos(write(tmp_path / 'truth.json', walk(6)))
    for place in (1, 2, 3):
        frame = video.frames[place]
        np.testing.assert_allclose(frame.keypoints, truth.frames[place].keypoints, atol=1e-3)
        np.testing.assert_allclose(frame.head_boxes, truth.frames[place].head_boxes, atol=1e-3)
        assert frame.pseudo.tolist() == [True] and frame.is_labeled and frame.track_ids == [0]
        assert frame.scores == pytest.approx(np.full((1, 15), 0.9 ** min(place, 4 - place)))


def test_mat_files_become_json(tmp_path):
    write_mat_video(tmp_path, 'train', 'a', [[sample_person(0)], [], [sample_person(0)]])
    propagate_labels(tmp_path / 'annotations' / 'train', tmp_path / 'out', Copy())
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['a.json']
    first, middle, last = poses_of(tmp_path / 'out')
    np.testing.assert_allclose(middle, first, atol=1e-3)


def test_a_merged_file(tmp_path):
    data = merged(keep(walk(5, name='one'), [0, 4]), keep(coco([[walker(3)]] * 3, 'two', 900), [1]))
    result = propagate_labels(write(tmp_path / 'a.json', data), tmp_path / 'b.json', Copy())
    assert result.plan.videos == 2 and result.kept.poses == 3 + 2
    one, two = read_videos(tmp_path / 'b.json')
    assert [len(frame.keypoints) for frame in one.frames + two.frames] == [1] * 8


def test_nothing_to_add_is_a_copy(tmp_path):
    file = write(tmp_path / 'in' / 'a.json', walk(4))
    result = propagate_labels(tmp_path / 'in', tmp_path / 'out', Linear())
    assert result.every == 1
    assert (tmp_path / 'out' / 'a.json').read_bytes() == file.read_bytes()
    again = propagate_labels(tmp_path / 'in', tmp_path / 'out', Linear())
    assert again.files_done_before == 1


def test_sparsify_and_propagate_a_real_video(real_data, tmp_path):
    labels = real_data / 'posetrack_clip' / 'annotations' / 'train'
    sparsify_labels(labels, tmp_path / 'sparse', 4)
    images = str(real_data / 'posetrack_clip')
    result = propagate_labels(tmp_path / 'sparse', tmp_path / 'dense', Linear(), image_root=images)
    assert result.every == 4 and result.plan.labeled_frames == 8
    (truth,), (dense,) = read_videos(labels), read_videos(tmp_path / 'dense')
    # 30 frames were labeled; three more after the last kept label get its poses
    assert [len(frame.keypoints) for frame in dense.frames] == [4] * 32 + [0] * 9
    for place in range(0, 29, 4):
        assert (dense.frames[place].keypoints == truth.frames[place].keypoints).all()


# ---- once more ---------------------------------------------------------------------------------


class Counting(Copy):
    """Counts the persons that it is asked about."""

    asked = 0

    def __call__(self, queries):
        self.asked += len(queries)
        return super().__call__(queries)


def test_two_runs_give_equal_bytes_and_a_killed_one_goes_on(tmp_path):
    for name in 'abc':
        write(tmp_path / 'in' / f'{name}.json', keep(walk(9, name=name), [0, 4, 8]))
    for out in ('first', 'second'):
        propagate_labels(tmp_path / 'in', tmp_path / out, Linear(), rules=Filter(agreement=5.0))
    for name in 'abc':
        assert (tmp_path / 'first' / f'{name}.json').read_bytes() == (
            tmp_path / 'second' / f'{name}.json'
        ).read_bytes()

    out = tmp_path / 'killed'
    with pytest.raises(KeyboardInterrupt):
        propagate_labels(tmp_path / 'in', out, Counting(), progress=after_one)
    assert [p.name for p in out.iterdir()] == ['a.json']
    (out / '.b.json.partial').write_text('{"half')
    counting = Counting()
    result = propagate_labels(tmp_path / 'in', out, counting)
    assert counting.asked == 12  # of b and c
    assert (result.files, result.files_done_before) == (3, 1)
    assert result.kept.poses == 18  # what was there counts, too
    assert sorted(p.name for p in out.iterdir()) == ['a.json', 'b.json', 'c.json']
    assert propagate_labels(tmp_path / 'in', tmp_path / 'whole', Copy()).kept == result.kept
    for name in 'abc':
        assert (out / f'{name}.json').read_bytes() == (
            tmp_path / 'whole' / f'{name}.json'
        ).read_bytes()


def after_one(files):
    yield files[0]
    raise KeyboardInterrupt


def test_files_made_in_another_way_are_refused(sparse, tmp_path):
    propagate_labels(sparse, tmp_path / 'dense', Linear())
    for change in (dict(rules=Filter(min_score=0.5)), dict(every=5), dict(every=1)):
        with pytest.raises(AnnotationError, match='is there and was made in another way'):
            propagate_labels(sparse, tmp_path / 'dense', Linear(), **change)
    with pytest.raises(AnnotationError, match='made in another way'):
        propagate_labels(sparse, tmp_path / 'dense', Copy())
    write(sparse / 'a.json', keep(walk(11, speed=3), [0, 4, 8]))
    with pytest.raises(AnnotationError, match='from other labels'):
        propagate_labels(sparse, tmp_path / 'dense', Linear())


def test_poses_are_not_propagated_twice(sparse, tmp_path):
    propagate_labels(sparse, tmp_path / 'dense', Linear())
    with pytest.raises(AnnotationError, match='8 persons of video .a. are pseudo-labels already'):
        propagate_labels(tmp_path / 'dense', tmp_path / 'again', Linear())


# ---- what is kept ------------------------------------------------------------------------------


class Fixed(Propagator):
    """Gives the answers that it was made with."""

    def __init__(self, keypoints, scores):
        self.answers = keypoints, scores

    def __call__(self, queries):
        return self.answers


def queries_of(path: Path, data: dict, every: int = 2) -> list:
    (video,) = read_videos(write(path / 'a.json', data))
    return plan_queries(video, every).queries


def test_joints_below_the_score_and_persons_of_two_joints_go(tmp_path):
    queries = queries_of(tmp_path, keep(coco([[walker(0), walker(9, track=1)]] * 3), [0, 2]))
    keypoints, scores = np.full((2, 15, 2), 5.0), np.zeros((2, 15))
    scores[0, :5] = [0.2, 0.201, 1.5, 0.9, 0.9]
    keypoints[0, 4] = 0, 7  # at the border of the image
    scores[0, 5:7], keypoints[0, 5], keypoints[0, 6, 1] = 0.9, np.inf, np.nan
    scores[1, :4] = [0.2, 0.1, 0.9, 0.9]
    poses, counts = answer(Fixed(keypoints, scores), queries, Filter())
    assert len(poses) == 1 and poses[0].track_id == 0
    assert np.flatnonzero(poses[0].present).tolist() == [1, 2, 3]
    assert (counts.poses, counts.joints, counts.joints_below_score) == (1, 3, 6)
    assert counts.persons_below_joints == 1
    poses, _ = answer(Fixed(keypoints, scores), queries, Filter(min_score=0.15))
    assert [np.flatnonzero(p.present).tolist() for p in poses] == [[0, 1, 2, 3], [0, 2, 3]]


def test_negative_scores_of_a_model_are_counted(tmp_path):
    queries = queries_of(tmp_path, keep(walk(3), [0, 2]))
    keypoints, scores = np.full((1, 15, 2), 5.0), np.full((1, 15), 0.5)
    scores[0, :4] = -0.1, 0.0, -0.2, 0.1
    poses, counts = answer(Fixed(keypoints, scores), queries, Filter(min_score=0.0))
    assert (counts.joints, counts.joints_below_score) == (12, 2)  # 0: the label lacks it
    assert poses[0].present.sum() == 12


@pytest.mark.parametrize('name', ['min_score', 'agreement'])
@pytest.mark.parametrize('value', [-0.1, float('nan'), float('inf')])
def test_thresholds_are_numbers_from_0(name, value):
    with pytest.raises(ValueError, match=f'{name} is {value}, expected a number from 0'):
        Filter(**{name: value})


def test_disagreement_needs_the_joint_in_both_answers_and_the_mean_of_the_heads(tmp_path):
    first, last = walker(0), walker(24)
    last['bbox_head'] = [54, 20, 60, 80]  # twice as large: the mean is 45
    first['keypoints'][3 * JOINT_NAMES_17.index('left_wrist') + 2] = 0
    for axis in (0, 1):
        first['keypoints'][3 * JOINT_NAMES_17.index('left_wrist') + axis] = 0
    queries = queries_of(tmp_path, coco([[first], [], [last]]))
    expected = np.full((1, 15), 24 / 45)
    expected[0, WRIST] = 0
    np.testing.assert_allclose(disagreement(Copy(), queries), expected)
    for agreement, dropped in ((24 / 45, 0), (np.nextafter(24 / 45, 0), 14)):
        assert answer(Linear(), queries, Filter(agreement=agreement))[1].joints_disagreeing == (
            dropped
        )


def test_each_added_person_has_an_id_of_its_own(tmp_path):
    data = keep(coco([[walker(0), walker(90, track=1)]] * 3), [0, 2])
    data['annotations'][0]['id'] = 100 * data['images'][1]['id']  # which the first one would get
    write(tmp_path / 'in' / 'a.json', data)
    propagate_labels(tmp_path / 'in', tmp_path / 'out', Copy())
    ids = [a['id'] for a in json.loads((tmp_path / 'out' / 'a.json').read_text())['annotations']]
    assert len(ids) == len(set(ids)) == 6


def test_disagreement_is_measured_in_head_sizes(tmp_path):
    """Both labels have heads of 30 pixels; the wrists are 12 apart, then 18."""
    first, last = walker(0), walker(0)
    for name, apart in (('left_wrist', 12), ('right_wrist', 18)):
        place = 3 * JOINT_NAMES_17.index(name)
        last['keypoints'][place] += apart
    data = coco([[first], [], [last], []])
    queries = queries_of(tmp_path, data)
    apart = disagreement(Copy(), queries)
    expected = np.zeros((2, 15))  # in the last frame there is but one label
    expected[0, [JOINT_NAMES.index('left_wrist'), JOINT_NAMES.index('right_wrist')]] = 0.4, 0.6
    np.testing.assert_allclose(apart, expected)
    poses, counts = answer(Linear(), queries, Filter(agreement=0.5))
    assert counts.joints_disagreeing == 1
    assert not poses[0].present[JOINT_NAMES.index('right_wrist')] and poses[1].present.all()
    assert answer(Linear(), queries, Filter())[1].joints_disagreeing == 0


def test_agreement_needs_labels_and_head_boxes(tmp_path):
    queries = queries_of(tmp_path, keep(walk(3), [0, 2]))
    alone = Copy()
    alone.uses_labels = False
    with pytest.raises(AnnotationError, match='this propagator uses none'):
        answer(alone, queries, Filter(agreement=0.5))
    data = keep(walk(3), [0, 2])
    del data['annotations'][0]['bbox_head']
    with pytest.raises(AnnotationError, match='track 0: has no head box .*expected one, or no'):
        answer(Copy(), queries_of(tmp_path, data), Filter(agreement=0.5))


def test_images_are_looked_for_if_a_folder_is_given(tmp_path):
    data = keep(walk(6), [0, 4])
    labels = write(tmp_path / 'in' / 'a.json', data).parent
    with pytest.raises(AnnotationError, match='holds no image, and no other video has any'):
        propagate_labels(labels, tmp_path / 'none', Copy(), image_root=str(tmp_path))
    for number in (0, 1, 3, 4, 5, 6, 7):  # 2 is missing, 6 and 7 are not in the labels
        write_image(tmp_path / f'images/val/000001_test/{number:06d}.jpg')
    done = run_tool(TOOL, labels, '--out', tmp_path / 'out', '--images', tmp_path)
    assert done.returncode == 0, done.stderr
    assert '1 frames are not on disk: none' in done.stdout
    assert '2 images are not listed in the labels: none' in done.stdout
    assert [len(pose) for pose in poses_of(tmp_path / 'out')] == [1, 1, 0, 1, 1, 1]
    # What is there was made for other frames than those that are on disk now.
    write_image(tmp_path / 'images/val/000001_test/000002.jpg')
    done = run_tool(TOOL, labels, '--out', tmp_path / 'out', '--images', tmp_path)
    assert done.returncode == 1 and 'other labels or for other frames' in done.stderr
    with pytest.raises(AnnotationError, match='for other frames'):  # before the first label, too
        propagate_labels(labels, tmp_path / 'out', Linear())


def test_images_are_listed_by_names_with_either_slash(tmp_path):
    data = keep(walk(3), [0, 2])
    for image in data['images']:
        write_image(tmp_path / image['file_name'])
        image['file_name'] = image['file_name'].replace('/', '\\')
    labels = write(tmp_path / 'in' / 'a.json', data).parent
    result = propagate_labels(labels, tmp_path / 'out', Copy(), image_root=str(tmp_path))
    assert (result.kept.poses, result.unlisted_frames) == (1, 0)


def test_all_that_is_left_out_is_told(tmp_path):
    people = {0: [walker(0), walker(9, track=None)], 2: [walker(0), walker(5, track=4)],
              9: [walker(0)] * 2}  # fmt: skip
    data = coco([people.get(number, []) for number in range(13)])
    labels = write(tmp_path / 'in' / 'a.json', data).parent
    done = run_tool(TOOL, labels, '--out', tmp_path / 'out', '--every', 2, '--agreement', 0.5)
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stdout.splitlines()[1:]] == [
        '1 times a person enters or leaves between two labels: none',
        '1 tracks have one label',
        '6 frames between labels over 2 frames apart: none',
        '2 frames 2 or more frames from any label: none',
        '1 labeled persons have no track id, they are not followed',
        '2 labeled persons share a track id in a frame, likewise',
    ]


CODE = """
import runpy, sys
for name in ('torch', 'cv2', 'mmcv', 'mmengine'):
    sys.modules[name] = None
folder = sys.argv[1]
for name in ('sparsify_posetrack', 'propagate_poses', 'eval_propagation'):
    sys.argv[1:] = ['--help']
    try:
        runpy.run_path(f'{folder}/{name}.py', run_name='__main__')
    except SystemExit as end:
        assert not end.code
"""


def test_the_tools_need_no_framework():
    done = subprocess.run([sys.executable, '-c', CODE, TOOL.parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('usage:') == 3


def test_inputs_are_not_changed(sparse, tmp_path):
    before = copy.deepcopy((sparse / 'a.json').read_bytes())
    propagate_labels(sparse, tmp_path / 'dense', Linear())
    assert (sparse / 'a.json').read_bytes() == before


def test_image_ids_near_the_largest(tmp_path):
    """A hundred times such an id, from which annotation ids count on, is no number of JSON."""
    data = keep(walk(5), [0, 4])
    ids = {image['id']: 2**62 + n for n, image in enumerate(data['images'])}
    for entry in data['images']:
        entry['id'] = ids[entry['id']]
    for entry in data['annotations']:
        entry['image_id'] = ids[entry['image_id']]
    write(tmp_path / 'a.json', data)
    propagate_labels(tmp_path / 'a.json', tmp_path / 'out.json', Linear())
    found = json.loads((tmp_path / 'out.json').read_text())['annotations']
    numbers = [annotation['id'] for annotation in found]
    assert len(found) == 5 and len(set(numbers)) == 5 and max(numbers) < 2**63
