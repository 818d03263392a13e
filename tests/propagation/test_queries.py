"""Who gets a pose in which frames, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from label_files import coco, write
from walks import keep, walk, walker

from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.propagation import common_spacing, plan_queries


@pytest.fixture
def video_of(tmp_path):
    def read(data: dict):
        (video,) = read_videos(write(tmp_path / 'a.json', data))
        return video

    return read


def asked(plan) -> list[tuple]:
    """(frame, track, frames to the label before, frames to the label after), None without one."""
    return [
        (
            int(query.frame.file_name[-10:-4]),
            query.track_id,
            query.before and query.before.distance,
            query.after and query.after.distance,
        )
        for query in plan.queries
    ]


def test_between_labels_and_at_the_ends(video_of):
    """The video ends in the middle: 10 frames, labels at 2, 5, 8."""
    plan = plan_queries(video_of(keep(walk(12), [2, 5, 8])), 3)
    assert asked(plan) == [
        (0, 0, None, 2), (1, 0, None, 1),
        (3, 0, 1, 2), (4, 0, 2, 1), (6, 0, 1, 2), (7, 0, 2, 1),
        (9, 0, 1, None), (10, 0, 2, None),
    ]  # fmt: skip
    assert (plan.labeled_frames, plan.unlabeled_frames) == (3, 9)
    assert (plan.from_one_side, plan.frames_out_of_reach) == (4, 1)


def test_no_pose_crosses_a_gap(video_of):
    plan = plan_queries(video_of(keep(walk(12), [0, 3, 7, 9, 11])), 3)
    assert [frame for frame, *_ in asked(plan)] == [1, 2, 8, 10]
    assert plan.frames_in_gaps == 3 and plan.frames_out_of_reach == 0


def test_who_enters_or_leaves_between_labels_gets_no_pose(video_of):
    """Track 1 enters between 0 and 3, track 2 leaves there; track 3 is there once, in between."""
    people = {0: [0, 2], 3: [0, 1], 6: [3, 0, 1], 9: [0, 1]}
    frames = [[walker(0, track=t) for t in people.get(n, [])] for n in range(11)]
    plan = plan_queries(video_of(coco(frames)), 3)
    found = asked(plan)
    assert [t for f, t, *_ in found if f in (1, 2)] == [0, 0]
    assert [t for f, t, *_ in found if f in (4, 5)] == [0, 1, 0, 1]
    assert [t for f, t, *_ in found if f in (7, 8)] == [0, 1, 0, 1]  # in the order of the label
    assert [t for f, t, *_ in found if f == 10] == [0, 1]
    assert plan.entering_or_leaving == 2 + 1 + 1
    assert plan.tracks_with_one_label == 2  # tracks 2 and 3


def test_a_track_with_one_label_at_the_end_is_carried_from_there(video_of):
    frames = [[walker(0, track=1)], [], [], [walker(0, track=2)]]
    plan = plan_queries(video_of(coco([[], *frames, []])), 3)
    assert asked(plan) == [(0, 1, None, 1), (5, 2, 1, None)]
    assert (plan.tracks_with_one_label, plan.entering_or_leaving) == (2, 2)


def test_who_can_not_be_followed_is_counted(video_of):
    people = [walker(0, track=None), walker(5, track=7), walker(9, track=7), walker(20, track=1)]
    plan = plan_queries(video_of(coco([people, [], people])), 2)
    assert asked(plan) == [(1, 1, 1, 1)]
    assert (plan.without_track, plan.shared_track) == (2, 4)


def test_frames_that_are_not_on_disk_get_no_pose(video_of):
    video = video_of(keep(walk(5), [0, 4]))
    plan = plan_queries(video, 4, lambda frame: not frame.file_name.endswith('2.jpg'))
    assert [frame for frame, *_ in asked(plan)] == [1, 3]
    assert plan.frames_not_on_disk == 1


def test_a_video_without_labels(video_of):
    plan = plan_queries(video_of(keep(walk(4), [])), 4)
    assert plan.queries == [] and plan.frames_out_of_reach == 4


def test_the_distance_of_labels_is_the_most_frequent_one(video_of):
    assert common_spacing([video_of(keep(walk(20), [0, 4, 8, 9, 13]))]) == 4
    assert common_spacing([video_of(keep(walk(20), [0, 2, 4, 8, 12]))]) == 2  # of two, the smaller
    with pytest.raises(AnnotationError, match='none of the 1 videos has two labeled frames'):
        common_spacing([video_of(keep(walk(20), [3]))])


def test_boxes_are_linear_and_constant_at_the_ends(video_of):
    data = keep(walk(6, speed=10), [0, 4])
    del data['annotations'][1]['bbox']
    plan = plan_queries(video_of(data), 4)
    first, end = plan.queries[0], plan.queries[-1]
    assert first.labeled_box('head_boxes').tolist() == [30 + 10, 20, 30, 40]
    assert end.labeled_box('head_boxes').tolist() == [30 + 40, 20, 30, 40]
    assert np.isnan(first.labeled_box('boxes')).all()  # one label lacks it
    # of label 4 the extent of the joints (28 x 22 pixels) times 1.3
    corners = np.array([70 - 4.2, 20 - 3.3, 98 + 4.2, 42 + 3.3])
    assert np.allclose(first.box, 0.75 * np.array([20, 10, 80, 70]) + 0.25 * corners)
    assert np.allclose(end.box, corners)


def test_reach_before_the_first_label(video_of):
    plan = plan_queries(video_of(keep(walk(12), [5, 8])), 3)
    assert [row[0] for row in asked(plan)] == [3, 4, 6, 7, 9, 10]
    assert plan.frames_out_of_reach == 4  # 0, 1, 2 and 11


def test_each_person_without_a_track_counts(video_of):
    plan = plan_queries(video_of(coco([[walker(0, track=None), walker(9, track=None)], []])), 3)
    assert (plan.without_track, plan.shared_track) == (2, 0)
