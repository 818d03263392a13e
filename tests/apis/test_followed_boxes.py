"""Following persons by their poses, with a pose model that knows the truth and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from cmpose_mm.apis.followed_boxes import (
    ENLARGE,
    JOINT_SCORE,
    FollowedPersons,
    PoseRefined,
    PoseSearch,
    pose_boxes,
    refined,
    search_windows,
)
from cmpose_mm.apis.video_io import VideoFrame

WIDTH, HEIGHT = 320, 240
SHAPE = np.random.default_rng(0).uniform(-1, 1, (15, 2)) * [12, 30]
SHAPE[:4] = [[-12, -30], [12, 30], [-12, 30], [12, -30]]  # the extent is known


def person(place: tuple[float, float]) -> np.ndarray:
    """Joints (15, 2) around a place."""
    return SHAPE + place


def box_of(place: tuple[float, float]) -> np.ndarray:
    half = np.array([12, 30]) * ENLARGE
    return np.concatenate([place - half, place + half])


class World:
    """Places of persons by frame, and a pose model that sees whoever is in the middle of a box.

    It is the surer the better the box fits, and gives scores of 0.01 if nobody is there.
    """

    def __init__(self, places: list[list[tuple[float, float]]]) -> None:
        self.places, self.searched, self.found_in = places, [], []

    def frame(self, number: int) -> VideoFrame:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        return VideoFrame(image=image, number=number, time=0.04 * number)

    def estimate(self, frame, boxes):
        keypoints = np.zeros((len(boxes), 15, 2))
        scores = np.full((len(boxes), 15), 0.01)
        for row, box in enumerate(boxes):
            middle = (box[:2] + box[2:]) / 2
            inside = [
                place for place in self.places[frame.number]
                if (np.abs(place - middle) < np.maximum((box[2:] - box[:2]) / 2, 20)).all()
            ]  # fmt: skip
            if inside:
                place = min(inside, key=lambda place: np.abs(place - middle).sum())
                keypoints[row] = person(place)
                scores[row] = (
                    0.9 * 75 / max(box[3] - box[1], 75) - np.abs(place - middle).sum() / 999
                )
        self.searched.append(len(boxes))
        return keypoints, scores

    def detect(self, frame):
        self.found_in.append(frame.number)
        boxes = [box_of(place) for place in self.places[frame.number]]
        return np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.4, np.float32)

    def run(self, persons: FollowedPersons) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes and ids of every frame."""
        results = []
        for number in range(len(self.places)):
            frame = self.frame(number)
            boxes, scores = persons.boxes(frame)
            assert len(boxes) == len(scores)
            ids = persons.see(frame, boxes, scores, *self.estimate(frame, boxes))
            results.append((boxes, ids))
        return results


def test_boxes_of_poses():
    keypoints = np.stack([person((100, 100)), person((3, 100)), person((200, 100))])
    scores = np.full((3, 15), 0.5)
    scores[2, 3:] = 0.04  # too few joints that count
    boxes, found = pose_boxes(keypoints, scores, WIDTH, HEIGHT)
    assert found.tolist() == [True, True, False]
    np.testing.assert_allclose(boxes[0], box_of((100, 100)))
    np.testing.assert_allclose(boxes[1], [0, *box_of((3, 100))[1:]])
    scores[0, 1] = 0.04
    rest = np.delete(person((100, 100)), 1, axis=0)
    low, high = rest.min(0), rest.max(0)
    boxes, _ = pose_boxes(keypoints, scores, WIDTH, HEIGHT)
    margin = (ENLARGE - 1) / 2 * (high - low)
    np.testing.assert_allclose(boxes[0], np.concatenate([low - margin, high + margin]))


@pytest.mark.parametrize('size', [(320, 240), (1920, 1080), (240, 320), (100, 400)])
def test_windows_cover_the_frame(size):
    width, height = size
    windows = search_windows(width, height)
    np.testing.assert_array_equal(windows[0], [0, 0, width, height])
    parts = windows[1:]
    if len(parts):
        assert parts[0, 0] == 0 and parts[-1, 2] == pytest.approx(width)
        assert np.all(parts[1:, 0] - parts[:-1, 0] <= 0.75 * height / 2 + 1e-3)
        np.testing.assert_allclose(parts[:, 2] - parts[:, 0], 0.75 * height)


def test_search_ends_at_the_persons_box():
    world = World([[(250, 120)]])
    boxes, scores = PoseSearch(world.estimate)(world.frame(0))
    np.testing.assert_allclose(boxes, box_of((250, 120))[None], atol=1e-4)
    assert world.searched == [len(search_windows(WIDTH, HEIGHT)), 1]
    assert scores.shape == (1,)


def test_search_looks_into_the_boxes_of_a_detector():
    world = World([[(60, 100)]])

    def estimate(frame, boxes):
        """Sees nobody in windows as high as the frame."""
        keypoints, scores = world.estimate(frame, boxes)
        return keypoints, np.where((boxes[:, 3] - boxes[:, 1] < HEIGHT)[:, None], scores, 0.01)

    def nearly(frame):
        boxes, scores = world.detect(frame)
        return np.concatenate([boxes + 150, boxes + 5]).astype(np.float32), np.array([0.2, 0.1])

    assert len(PoseSearch(estimate, least=0.4)(world.frame(0))[0]) == 0
    boxes, scores = PoseSearch(estimate, 0.4, nearly)(world.frame(0))
    np.testing.assert_allclose(boxes, [box_of((60, 100))], atol=1e-4)
    assert scores == pytest.approx(0.9)
    assert world.searched[-2:] == [len(search_windows(WIDTH, HEIGHT)) + 2, 1]


def test_search_gives_some_box_where_nobody_is():
    world = World([[]])
    boxes, scores = PoseSearch(world.estimate)(world.frame(0))
    assert boxes.shape == (1, 4) and scores == pytest.approx(0.01)


def test_a_moving_person_is_searched_for_once():
    places = [[(60 + 6 * n, 120 + n)] for n in range(25)]
    world = World(places)
    asked = []

    def find(frame):
        asked.append(frame.number)
        return world.detect(frame)

    results = world.run(FollowedPersons(find))
    assert asked == [0]
    for (boxes, ids), (place,) in zip(results[5:], places[5:]):
        assert ids.tolist() == [0]
        assert np.abs(boxes[0] - box_of(place)).max() < 1.5  # ahead of the pose, by its velocity


def test_who_is_lost_is_searched_for_again():
    places = [[(100, 120)]] * 5 + [[]] * 3 + [[(220, 120)]] * 4
    world = World(places)
    results = world.run(FollowedPersons(world.detect))
    # Frame 5 has the box of frame 4 still, but no pose in it.
    assert world.found_in == [0, 6, 7, 8]
    assert [len(boxes) for boxes, _ in results] == [1] * 6 + [0] * 2 + [1] * 4


def test_new_persons_are_looked_for_every_few_frames():
    places = [[(60, 120)]] * 3 + [[(60, 120), (200, 120)]] * 12
    world = World(places)
    results = world.run(FollowedPersons(world.detect, every=5))
    assert world.found_in == [0, 5, 10]
    assert [len(boxes) for boxes, _ in results] == [1] * 5 + [2] * 10
    assert {tuple(ids) for _, ids in results[5:]} == {(0, 1)}


def test_two_boxes_on_one_person_become_one():
    world = World([[(100, 120)]] * 3)

    def twice(frame):
        boxes, scores = world.detect(frame)
        return np.concatenate([boxes, boxes + 9]), np.concatenate([scores, scores])

    results = world.run(FollowedPersons(twice))
    assert [len(boxes) for boxes, _ in results] == [2, 1, 1]


def test_fallback_where_the_detector_finds_nobody():
    world = World([[(100, 120)]] * 3)
    nobody = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    results = world.run(
        FollowedPersons(lambda frame: nobody, every=10, fallback=PoseSearch(world.estimate))
    )
    np.testing.assert_allclose(results[0][0], box_of((100, 120))[None], atol=1e-4)
    assert [len(boxes) for boxes, _ in results] == [1, 1, 1]


def test_a_detectors_boxes_become_those_of_the_poses():
    world = World([[(100, 120), (200, 120)]])

    def too_large(frame):
        boxes, scores = world.detect(frame)
        return boxes + np.array([-9, -20, 3, 9], np.float32), scores

    boxes, scores = PoseRefined(too_large, world.estimate)(world.frame(0))
    np.testing.assert_allclose(boxes, [box_of((100, 120)), box_of((200, 120))], atol=1e-4)
    np.testing.assert_array_equal(scores, world.detect(world.frame(0))[1])
    assert len(PoseRefined(World([[]]).detect, world.estimate)(world.frame(0))[0]) == 0


def test_unsure_boxes_of_a_detector_are_left_out():
    world = World([[(60, 120), (120, 120), (200, 120)]])

    def detect(frame):
        return world.detect(frame)[0], np.array([0.3, 0.1, 0.29], np.float32)

    boxes, scores = PoseRefined(detect, world.estimate, least=0.3)(world.frame(0))
    np.testing.assert_allclose(boxes, [box_of((60, 120))], atol=1e-4)
    assert scores.tolist() == [np.float32(0.3)]


def test_of_single_persons_the_surer_one_stays():
    places = [[(60, 120)]] * 3 + [[(60, 120), (200, 120)]] * 12

    def run(score):
        world = World(places)

        def find(frame):
            boxes, _ = world.detect(frame)
            return boxes[-1:], np.array([score], np.float32)

        return world.run(FollowedPersons(find, every=5, single=True))

    unsure, sure = run(0.7), run(1.2)  # the pose that is followed has 0.9
    assert all(len(boxes) == 1 for boxes, _ in unsure + sure)
    np.testing.assert_allclose(unsure[-1][0][0], box_of((60, 120)), atol=1)
    np.testing.assert_allclose(sure[4][0][0], box_of((60, 120)), atol=1)
    np.testing.assert_allclose(sure[5][0][0], box_of((200, 120)), atol=1)
    assert sure[5][1] != sure[4][1]  # another person, another track


# ---- bounds and orders, in images of 200 x 200 pixels ----------------------------------------


def square(x: float, y: float, side: float = 40) -> np.ndarray:
    """Joints (15, 2): the corners of a square, and its middle."""
    corners = [[x, y], [x + side, y], [x, y + side], [x + side, y + side]]
    return np.array(corners + [[x + side / 2, y + side / 2]] * 11)


def nobody(frame) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


def one(box: list[float], score: float):
    return lambda frame: (np.array([box], np.float32), np.array([score], np.float32))


def image(number: int) -> VideoFrame:
    return VideoFrame(image=np.zeros((200, 200, 3), np.uint8), number=number)


def see(persons: FollowedPersons, number: int, poses: list, scores: list) -> None:
    """Shows poses; a score of one pose, or of each of its joints."""
    scores = np.stack([np.broadcast_to(score, 15) for score in scores]).astype(float)
    poses = np.array(poses, float)
    boxes, found = pose_boxes(poses, scores, 200, 200)
    boxes = np.where(found[:, None], boxes, [40, 40, 90, 90])
    persons.see(image(number), boxes, np.ones(len(boxes), np.float32), poses, scores)


def test_four_joints_that_are_just_sure_enough_have_a_box_and_a_line_has_none():
    corners = square(0, 0)[None, :4]
    assert pose_boxes(corners, np.full((1, 4), JOINT_SCORE), 99, 99)[1].all()
    assert not pose_boxes(corners[:, :3], np.ones((1, 3)), 99, 99)[1].any()
    flat = corners * [1, 0] + [0, 50]
    assert not pose_boxes(flat, np.ones((1, 4)), 99, 99)[1].any()


def test_a_box_scores_the_mean_of_its_joints():
    corners, scores = square(0, 0)[None, :4], np.array([[0.9, 0.1, 0.1, 0.1]])
    _, found = refined(lambda frame, boxes: (corners, scores), image(0), np.zeros((1, 4)))
    assert found == pytest.approx([0.3])


def test_the_fallback_is_asked_only_while_nobody_is_followed():
    asked = []

    def fallback(frame):
        asked.append(frame.number)
        return nobody(frame)

    persons = FollowedPersons(nobody, every=1, fallback=fallback)
    persons.boxes(image(0))
    see(persons, 0, [square(50, 50)], [0.9])
    persons.boxes(image(1))
    assert asked == [0]


def test_boxes_that_overlap_by_less_than_half_are_of_two_persons():
    """30 of 70 pixels: 0.43."""
    persons = FollowedPersons(one([65, 45, 115, 95], 1.0), every=1)
    see(persons, 0, [square(50, 50)], [0.9])
    assert len(persons.boxes(image(1))[0]) == 2


def test_a_single_person_stays_unless_another_is_clearly_surer():
    persons = FollowedPersons(one([150, 150, 199, 199], 0.95), every=1, single=True)
    see(persons, 0, [square(50, 50)], [0.9])
    assert persons.boxes(image(1))[0][0, 0] < 100


def test_boxes_of_who_walks_out_end_at_the_border():
    persons = FollowedPersons(nobody)
    for number in range(6):
        see(persons, number, [square(100 + 11 * number, 50)], [0.9])
    assert persons.followed[0, 2] <= 199


@pytest.mark.parametrize('scores', [[0.12] + [0.06] * 14, [0.9] * 3 + [0.01] * 12])
def test_who_is_hardly_seen_is_not_followed(scores):
    """One joint that is a little surer does not count for all, and three sure ones make no box."""
    persons = FollowedPersons(nobody)
    see(persons, 0, [square(50, 50)], [scores])
    assert len(persons.followed) == 0


def test_of_two_poses_of_one_person_the_surer_stays():
    persons = FollowedPersons(nobody)
    see(persons, 0, [square(50, 50), square(51, 50)], [0.5, 0.9])
    assert persons.sureness == pytest.approx([0.9])
    persons = FollowedPersons(nobody)
    see(persons, 0, [square(50, 50), square(62, 50)], [0.5, 0.9])  # overlap of 0.61
    assert len(persons.followed) == 2


def test_sureness_is_of_those_that_are_followed():
    persons = FollowedPersons(nobody)
    see(persons, 0, [square(10, 50), square(120, 50)], [0.06, 0.9])
    assert persons.sureness == pytest.approx([0.9])
