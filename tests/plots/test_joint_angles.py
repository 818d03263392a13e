"""Joint angles against a slow reference, and the file of them."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from cmpose_mm.plots import JOINT_ANGLES, angles_of_joints, joint_angles, write_angles
from cmpose_mm.plots.joint_angles import angle_scores
from cmpose_mm.pose_formats import PoseVideo
from cmpose_mm.posetrack.joints import JOINT_NAMES


def slow_angle(start, middle, end) -> float:
    """By the directions of both limbs, each from the x-axis."""
    if tuple(start) == tuple(middle) or tuple(end) == tuple(middle):
        return float('nan')
    one = math.atan2(start[1] - middle[1], start[0] - middle[0])
    other = math.atan2(end[1] - middle[1], end[0] - middle[0])
    turn = abs(one - other)
    return math.degrees(min(turn, 2 * math.pi - turn))


@pytest.mark.parametrize('angle', JOINT_ANGLES)
def test_against_loops(angle):
    joints = list(np.random.default_rng(0).permutation(JOINT_NAMES))
    keypoints = np.random.default_rng(1).uniform(-50, 700, (40, 15, 2))
    start, middle, end = (joints.index(joint) for joint in JOINT_ANGLES[angle])
    keypoints[3, end] = keypoints[3, middle]
    keypoints[4, start] = np.nan
    found = joint_angles(keypoints, joints, angle)
    expected = [slow_angle(pose[start], pose[middle], pose[end]) for pose in keypoints]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert np.isnan(found[[3, 4]]).all() and np.isfinite(np.delete(found, [3, 4])).all()
    assert joint_angles(keypoints[5], joints, angle) == found[5]


def test_what_they_mean():
    """A person who stands upright, with an arm that hangs and one stretched to the side."""
    place = dict(
        left_shoulder=(0, 0), left_hip=(0, 50), left_knee=(0, 90), left_ankle=(40, 90),
        left_elbow=(0, 30), left_wrist=(0, 60),
    )  # fmt: skip
    joints, keypoints = list(place), np.array(list(place.values()), float)
    angles = {angle: joint_angles(keypoints, joints, angle) for angle in angles_of_joints(joints)}
    assert angles == dict(left_elbow=180, left_shoulder=0, left_hip=180, left_knee=90)
    keypoints[joints.index('left_elbow')] = (30, 0)
    assert joint_angles(keypoints, joints, 'left_shoulder') == 90


def test_only_angles_whose_joints_are_there_by_name():
    assert len(JOINT_ANGLES) == 8 == len(angles_of_joints(JOINT_NAMES))
    joints = [joint for joint in JOINT_NAMES if joint != 'right_hip']
    missing = {'right_shoulder', 'right_hip', 'right_knee'}
    assert set(angles_of_joints(joints)) == set(JOINT_ANGLES) - missing
    assert angles_of_joints(['L_Hip', 'L_Knee', 'L_Ankle']) == []


def test_the_file_has_a_row_for_each_person(tmp_path):
    rng = np.random.default_rng(2)
    keypoints, scores = rng.uniform(0, 99, (3, 15, 2)), rng.uniform(0, 1, (3, 15))
    keypoints[1, JOINT_NAMES.index('left_ankle')] = np.nan
    scores[1, JOINT_NAMES.index('left_ankle')] = np.nan
    video = PoseVideo(
        'v', list(JOINT_NAMES), np.arange(6), [''] * 6, np.arange(6) / 4, np.array([0, 2, 2]),
        np.array([1, -1, 1]), keypoints, scores, np.zeros((3, 4)), np.ones(3),
    )  # fmt: skip
    assert write_angles(video, video.times, tmp_path / 'a.csv') == 3
    with open(tmp_path / 'a.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['frame'], float(r['time']), r['track_id']) for r in rows] == [
        ('0', 0, '1'), ('2', 0.5, '-1'), ('2', 0.5, '1'),
    ]  # fmt: skip
    assert list(rows[0])[3:5] == ['left_elbow_angle', 'left_elbow_angle_score']
    for person, row in enumerate(rows):
        for angle, needed in JOINT_ANGLES.items():
            points = [keypoints[person, JOINT_NAMES.index(joint)] for joint in needed]
            least = min(scores[person, JOINT_NAMES.index(joint)] for joint in needed)
            if person == 1 and angle == 'left_knee':
                assert row['left_knee_angle'] == row['left_knee_angle_score'] == ''
                continue
            assert abs(float(row[f'{angle}_angle']) - slow_angle(*points)) <= 0.005001
            assert abs(float(row[f'{angle}_angle_score']) - least) < 1e-5
    assert np.isnan(angle_scores(scores, JOINT_NAMES, 'left_knee')[1])
