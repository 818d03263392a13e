"""The tracker: against its slow reference, and on scenes whose answer is plain."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_tracker import SlowTracker

from cmpose_mm.tracking import PoseTracker

BODY = np.random.default_rng(7).uniform((0, 0), (40, 100), (15, 2))  # a pose, pixels
NO_ONE = np.zeros((0, 15, 2)), np.zeros((0, 15)), np.zeros((0, 4)), np.zeros(0)


def persons_at(*corners, bodies=None, scores=None) -> tuple[np.ndarray, ...]:
    """Persons of about 40 x 100 pixels with these top left corners, as `update` takes them."""
    corners = np.array(corners, dtype=float).reshape(-1, 1, 2)
    keypoints = corners + (BODY if bodies is None else bodies)
    boxes = np.concatenate([keypoints.min(axis=1) - 5, keypoints.max(axis=1) + 5], axis=1)
    scores = np.ones(len(boxes)) if scores is None else np.array(scores, dtype=float)
    return keypoints, np.ones(keypoints.shape[:2]), boxes, scores


def ids_of(tracker: PoseTracker, frames) -> list[list[int]]:
    return [tracker.update(*frame).tolist() for frame in frames]


def random_scene(
    rng: np.random.Generator, num_frames: int, num_joints: int = 15
) -> list[tuple[np.ndarray, ...]]:
    """Up to four persons who overlap, come and go, with noise, low scores and absent joints."""
    num_persons = rng.integers(1, 5)
    start, speed = rng.uniform(0, 120, (num_persons, 2)), rng.normal(0, 12, (num_persons, 2))
    body = np.resize(BODY, (num_joints, 2))
    bodies = body + rng.normal(0, 6, (num_persons, num_joints, 2))
    frames = []
    for number in range(num_frames):
        here = rng.permutation(np.flatnonzero(rng.random(num_persons) < 0.75))
        corners = start[here] + number * speed[here]
        noise = rng.normal(0, 3, (len(here), num_joints, 2))
        keypoints, _, boxes, _ = persons_at(*corners, bodies=bodies[here] + noise)
        joint_scores = rng.random((len(here), num_joints)) * rng.choice([0.3, 1.0], (len(here), 1))
        frames.append((keypoints, joint_scores, boxes, rng.uniform(0.2, 1, len(here))))
    return frames


@given(
    seed=st.integers(0, 2**32 - 1),
    min_similarity=st.sampled_from([0.05, 0.1, 0.4]),
    oks_weight=st.sampled_from([0.0, 0.5, 1.0]),
    memory=st.sampled_from([0, 1, 3, 30]),
    num_joints=st.sampled_from([15, 4, 26]),
)
@pytest.mark.slow
def test_equals_the_slow_reference(seed, min_similarity, oks_weight, memory, num_joints) -> None:
    options = dict(
        min_score=0.3,
        min_joint_score=0.25,
        min_similarity=min_similarity,
        oks_weight=oks_weight,
        memory=memory,
    )
    if num_joints != 15:  # of another joint set
        options['sigmas'] = np.random.default_rng(3).uniform(0.02, 0.2, num_joints).tolist()
    tracker, slow = PoseTracker(**options), SlowTracker(**options)
    for frame in random_scene(np.random.default_rng(seed), 8, num_joints):
        assert tracker.update(*frame).tolist() == slow.update(
            list(zip(*map(np.ndarray.tolist, frame)))
        )


def test_sixty_persons_in_any_order_keep_their_ids() -> None:
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(np.arange(10) * 60, np.arange(6) * 120), axis=-1).reshape(-1, 2)
    speed = rng.normal(0, 2, (60, 2))
    tracker, id_of = PoseTracker(), np.full(60, -1)
    for number in range(20):
        order = rng.permutation(60)
        noise = rng.normal(0, 1, (60, 15, 2))
        frame = persons_at(*(corners + number * speed)[order], bodies=BODY + noise)
        ids = tracker.update(*frame)
        if number == 0:
            id_of[order] = ids
            assert sorted(ids) == list(range(60))
        np.testing.assert_array_equal(id_of[order], ids)


def test_persons_who_walk_through_each_other_keep_their_ids() -> None:
    """For three frames one hides the other."""
    rng = np.random.default_rng(1)
    tracker = PoseTracker()
    seen = {0: set(), 1: set()}
    for number in range(30):
        noise = rng.normal(0, 1, (2, 15, 2))
        who = [0] if 13 <= number <= 16 else [0, 1]
        corners = np.array([(0 + 8 * number, 0), (232 - 8 * number, 0)])[who]
        ids = tracker.update(*persons_at(*corners, bodies=BODY + noise[who]))
        for person, track_id in zip(who, ids.tolist()):
            seen[person].add(track_id)
    assert seen == {0: {0}, 1: {1}}


def test_fast_persons_are_found_where_they_are_heading() -> None:
    """A person who speeds up to more than the own width a frame, past one who stands there."""
    tracker = PoseTracker()
    xs = np.cumsum([0, 10, 20, 30, 40, 50, 60, 70, 70, 70])
    frames = [persons_at((x, 0), (270, 30)) for x in xs]
    assert ids_of(tracker, frames) == [[0, 1]] * len(xs)
    # without the history, the same step is too far
    assert ids_of(PoseTracker(), frames[-2:])[1] != [0, 1]


@pytest.mark.parametrize('away, expected', [(1, 0), (10, 0), (11, 1)])
def test_return_within_the_memory_keeps_the_id(away, expected) -> None:
    """A person walks out of the image and comes back where he left."""
    tracker = PoseTracker(memory=10)
    out = [persons_at((x, 0)) for x in range(0, 80, 8)]
    ids = ids_of(tracker, [*out, *[NO_ONE] * away, *out[::-1]])
    assert ids == [[0]] * len(out) + [[]] * away + [[expected]] * len(out)


def test_hidden_person_is_found_where_he_was_heading() -> None:
    frames = [persons_at((10 * number, 0)) for number in range(30)]
    frames[10:20] = [NO_ONE] * 10
    assert ids_of(PoseTracker(), frames)[20:] == [[0]] * 10


def test_ids_are_never_used_again() -> None:
    tracker = PoseTracker(memory=0)
    ids = ids_of(tracker, [persons_at((0, 0)), NO_ONE] * 5)
    assert [i for frame in ids for i in frame] == [0, 1, 2, 3, 4]


def test_empty_frames() -> None:
    tracker = PoseTracker()
    ids = tracker.update(*NO_ONE)
    assert ids.dtype == np.int64 and ids.shape == (0,)
    expected = tracker.predict_boxes()
    assert expected.boxes.shape == (0, 4) and expected.ids.shape == expected.scores.shape == (0,)
    assert tracker.update(*persons_at((0, 0))).tolist() == [0]
    assert tracker.update(*NO_ONE).tolist() == []


def test_unsure_persons_get_no_id_and_start_no_track() -> None:
    tracker = PoseTracker(min_score=0.5)
    assert tracker.update(*persons_at((0, 0), (200, 0), scores=[0.49, 0.5])).tolist() == [-1, 0]
    assert tracker.update(*persons_at((0, 0), (200, 0), scores=[1, 0.2])).tolist() == [1, -1]


def test_joints_below_the_gate_do_not_count() -> None:
    """Sure joints tell apart two persons whose boxes do not; unsure ones would mislead."""
    other = BODY[:, ::-1] * (0.4, 2.5)
    frame = persons_at((0, 0), (0, 0), bodies=np.stack([BODY, other]))
    box = np.array([[0.0, 0, 40, 100]] * 2)
    tracker = PoseTracker(min_joint_score=0.5)
    first = tracker.update(frame[0], frame[1], box, frame[3])
    keypoints, joint_scores = frame[0].copy(), frame[1].copy()
    keypoints[:, 5:] = keypoints[::-1, 5:]
    joint_scores[:, 5:] = 0.5
    np.testing.assert_array_equal(tracker.update(keypoints, joint_scores, box, frame[3]), first)
    joint_scores[:] = 1
    keypoints[:, :5] = keypoints[::-1, :5]
    np.testing.assert_array_equal(
        tracker.update(keypoints, joint_scores, box, frame[3]), first[::-1]
    )


def test_persons_without_sure_joints_are_tracked_by_their_boxes() -> None:
    tracker = PoseTracker()
    for x in range(0, 100, 5):
        keypoints, joint_scores, boxes, scores = persons_at((x, 0), (300 - x, 0))
        ids = tracker.update(keypoints * 0, joint_scores * 0, boxes, scores)
        assert ids.tolist() == [0, 1]


@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans())
@pytest.mark.slow
def test_order_of_the_persons_does_not_matter(seed, ties) -> None:
    rng = np.random.default_rng(seed)
    one, other = PoseTracker(), PoseTracker()
    for frame in random_scene(rng, 6):
        if ties:  # whole pixels on a coarse grid, and each person twice
            frame = [np.concatenate([part, part]) for part in frame]
            for part in (frame[0], frame[2]):
                part[:] = part // 40 * 40
            frame[2][:, 2:] += 80
            frame[3][:] = 1
        order = rng.permutation(len(frame[0]))
        ids = one.update(*frame)
        shuffled = other.update(*(part[order] for part in frame))
        if ties:  # twins may swap ids with each other
            assert sorted(ids[order]) == sorted(shuffled)
            half = len(order) // 2
            pairs = [sorted((ids[p], ids[p + half])) for p in range(half)]
            back = shuffled[np.argsort(order)]
            assert pairs == [sorted((back[p], back[p + half])) for p in range(half)]
        else:
            np.testing.assert_array_equal(ids[order], shuffled)


@given(st.integers(0, 2**32 - 1))
@pytest.mark.slow
def test_ids_are_unique_in_each_frame_and_new_ones_follow_on(seed) -> None:
    tracker, used = PoseTracker(min_score=0.5), 0
    for frame in random_scene(np.random.default_rng(seed), 10):
        ids = tracker.update(*frame)
        np.testing.assert_array_equal(ids == -1, frame[3] < 0.5)
        kept = ids[ids >= 0]
        assert len(set(kept)) == len(kept)
        new = sorted(kept[kept >= used])
        assert new == list(range(used, used + len(new)))
        used += len(new)


def test_predicted_boxes_of_even_motion() -> None:
    tracker = PoseTracker()
    for number in range(60):
        frame = persons_at((5 * number, -2 * number), (900, 4 * number), scores=[0.9, 0.8])
        ids = tracker.update(*frame)
    expected = tracker.predict_boxes()
    np.testing.assert_array_equal(expected.ids, ids)
    np.testing.assert_allclose(expected.boxes, persons_at((300, -120), (900, 240))[2], atol=1e-9)
    np.testing.assert_array_equal(expected.scores, [0.9, 0.8])
    # a person who is not seen is not expected, yet not forgotten
    tracker.update(*persons_at((300, -120)))
    assert tracker.predict_boxes().ids.tolist() == [ids[0]]
    assert tracker.update(*persons_at((305, -122), (900, 244))).tolist() == ids.tolist()


def test_detection_every_fifth_frame() -> None:
    """In between, poses come from predicted boxes; the joints keep the boxes on the persons."""
    tracker = PoseTracker()
    for number in range(60):
        x = 60 * np.sin(number / 10), 300 + 60 * np.cos(number / 10)
        keypoints, joint_scores, boxes, scores = persons_at((x[0], 0), (x[1], 0))
        if number % 5:
            expected = tracker.predict_boxes()
            # twice the change of speed since the last detection; at first, that is all of it
            np.testing.assert_allclose(expected.boxes, boxes, atol=12 if number < 10 else 4.8)
            boxes, scores = expected.boxes, expected.scores
        assert tracker.update(keypoints, joint_scores, boxes, scores).tolist() == [0, 1]


BAD = {
    'box is NaN': (2, (1, 2), np.nan, r'boxes\[1, 2\] is nan, expected finite'),
    'box is infinite': (2, (0, 0), -np.inf, r'boxes\[0, 0\] is -inf, expected finite'),
    'box without width': (2, (1, slice(None)), [5, 5, 5, 9], r'boxes\[1\] is \[5.0, 5.0, 5'),
    'box of zeros': (2, (1, slice(None)), 0, r'boxes\[1\] .*, expected x1, y1, x2, y2 with x1'),
    'box upside down': (2, (0, slice(None)), [0, 9, 5, 2], r'boxes\[0\] is .* and y1 < y2'),
    'joint is NaN': (0, (1, 3, 0), np.nan, r'keypoints\[1, 3, 0\] is nan, expected finite'),
    'joint score is NaN': (1, (0, 14), np.nan, r'keypoint_scores\[0, 14\] is nan'),
    'box score is NaN': (3, 0, np.nan, r'box_scores\[0\] is nan'),
}  # fmt: skip


@pytest.mark.parametrize('part, place, value, message', BAD.values(), ids=BAD.keys())
def test_bad_values_are_one_clear_error(part, place, value, message) -> None:
    tracker = PoseTracker(memory=0)
    good = persons_at((0, 0), (200, 0))
    tracker.update(*good)
    frame = [array.copy() for array in good]
    frame[part][place] = value
    with pytest.raises(ValueError, match=message) as error:
        tracker.update(*frame)
    assert str(error.value).count('\n') == 0
    assert tracker.update(*good).tolist() == [0, 1]  # the bad frame has left no trace


@pytest.mark.parametrize(
    'part, shape, message',
    [
        (0, (2, 17, 2), r'keypoints has shape \(2, 17, 2\), expected \(2, 15, 2\)'),
        (1, (1, 15), r'keypoint_scores has shape \(1, 15\), expected \(2, 15\)'),
        (2, (2, 5), r'boxes has shape \(2, 5\), expected \(2, 4\)'),
        (3, (2, 1), r'box_scores has shape \(2, 1\), expected \(2,\)'),
    ],
)
def test_wrong_shapes_are_errors(part, shape, message) -> None:
    frame = list(persons_at((0, 0), (200, 0)))
    frame[part] = np.ones(shape)
    with pytest.raises(ValueError, match=message):
        PoseTracker().update(*frame)


@pytest.mark.parametrize(
    'option, value', [('oks_weight', 1.1), ('min_similarity', -0.1), ('memory', -1)]
)
def test_options_out_of_range_are_errors(option, value) -> None:
    with pytest.raises(ValueError, match=f'{option} is {value}, expected'):
        PoseTracker(**{option: value})


@pytest.mark.parametrize('sigmas', [[0.1, 0.0], [[0.1, 0.1]], [0.1, -1]])
def test_wrong_sigmas_are_errors(sigmas) -> None:
    with pytest.raises(ValueError, match='sigmas are .*, expected numbers above 0, one for each'):
        PoseTracker(sigmas=sigmas)


def test_input_is_neither_changed_nor_kept() -> None:
    tracker = PoseTracker()
    frame = persons_at((0, 0), (200, 0))
    before = [part.copy() for part in frame]
    tracker.update(*frame)
    for part, copy in zip(frame, before):
        np.testing.assert_array_equal(part, copy)
        part[:] = 0
    assert tracker.update(*before).tolist() == [0, 1]


def test_single_precision_input() -> None:
    frames = [persons_at((5 * n, 0), (200 - 5 * n, 0)) for n in range(30)]
    single = [[part.astype(np.float32) for part in frame] for frame in frames]
    assert ids_of(PoseTracker(), single) == ids_of(PoseTracker(), frames)


def test_needs_numpy_and_scipy_alone() -> None:
    script = (
        'import sys\n'
        'sys.modules.update(torch=None, mmpose=None, mmcv=None, mmengine=None, mmdet=None)\n'
        'sys.modules.update(cv2=None)\n'
        'import cmpose_mm.tracking\n'
    )
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
