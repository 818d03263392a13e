"""Lines and labels follow the size of the image."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from cmpose_mm.joint_sets import JointSet
from cmpose_mm.posetrack.joints import JOINT_NAMES, LIMBS
from cmpose_mm.visualization import draw_poses
from cmpose_mm.visualization.skeletons import LEFT, RIGHT

SIZES = [(240, 320), (1080, 1920), (2160, 3840)]


def standing(height: int, width: int) -> np.ndarray:
    """(1, 15, 2) a person whose joints are below each other, the head at 40 % of the height."""
    order = [JOINT_NAMES.index('head_top')]
    order += [joint for joint in range(15) if joint not in order]
    pose = np.empty((15, 2))
    pose[order, 0] = 0.5 * width
    pose[order, 1] = (0.4 + 0.5 * np.arange(15) / 15) * height
    return pose[None]


@pytest.mark.parametrize('height, width', SIZES)
def test_a_label_is_readable_at_every_size(height, width):
    image = np.full((height, width, 3), 128, np.uint8)
    out = draw_poses(image, standing(height, width), ids=[3], scores=[0.87])
    rows, columns = np.nonzero((out[: int(0.4 * height)] == 30).all(-1))  # its dark ground
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    assert 0.3 * height < top < bottom < 0.4 * height
    assert abs((left + right) / 2 - width / 2) <= 1
    assert bottom - top >= max(12, height / 60)
    assert right - left < width / 3
    text = (out[top : bottom + 1, left : right + 1] > 200).all(-1)
    assert 0.04 < text.mean() < 0.4
    inked = np.flatnonzero(text.any(axis=1))
    assert len(inked) >= max(8, height / 120)  # height of the digits


def test_the_limbs_that_are_drawn():
    """Each by itself; the line between the shoulders is the only one of the table that is not."""
    drawn = set()
    for a, b in combinations(range(15), 2):
        pose = np.full((1, 15, 2), 20.0)
        pose[0, b] = 180
        shown = np.zeros((1, 15), bool)
        shown[0, [a, b]] = True
        if draw_poses(np.zeros((200, 200, 3), np.uint8), pose, shown)[100, 100].any():
            drawn.add(frozenset((JOINT_NAMES[a], JOINT_NAMES[b])))
    table = {frozenset(limb) for limb in LIMBS}
    assert table - drawn == {frozenset(('left_shoulder', 'right_shoulder'))}
    assert drawn <= table


def test_where_limbs_cross_the_leg_lies_on_top():
    pose = np.zeros((1, 15, 2))
    shown = np.zeros((1, 15), bool)
    for joint, place in dict(
        right_elbow=(20, 100), right_wrist=(180, 100), left_hip=(100, 20), left_knee=(100, 180)
    ).items():
        pose[0, JOINT_NAMES.index(joint)] = place
        shown[0, JOINT_NAMES.index(joint)] = True
    picture = draw_poses(np.zeros((200, 200, 3), np.uint8), pose, shown)
    assert tuple(picture[100, 100]) == LEFT and tuple(picture[100, 60]) == RIGHT


PAWS = JointSet(
    'animal', ('eye', 'paw', 'tail'), (0.1,) * 3, (('eye', 'tail'), ('paw', 'tail')),
    ((10, 20, 30), (40, 50, 60), (70, 80, 90)), ((1, 2, 200), (3, 200, 4)),
)  # fmt: skip


def test_other_joints_in_their_own_colors():
    pose = np.array([[[20, 100], [100, 20], [180, 100]]], float)
    picture = draw_poses(np.zeros((200, 200, 3), np.uint8), pose, joints=PAWS)
    for (x, y), color in zip(pose[0].astype(int), PAWS.joint_colors):
        assert tuple(picture[y, x]) == color
    assert tuple(picture[100, 100]) == (1, 2, 200)  # from eye to tail
    assert tuple(picture[60, 140]) == (3, 200, 4)  # from paw to tail
    assert not picture[60, 60].any()  # eye and paw
    hidden = draw_poses(np.zeros((200, 200, 3), np.uint8), pose, [[True, True, False]], joints=PAWS)
    assert not hidden[100, 100].any() and tuple(hidden[100, 20]) == (10, 20, 30)
    with pytest.raises(ValueError, match=r'\(1, 15, 2\), expected \(P, 3, 2\): 3 joints of animal'):
        draw_poses(picture, np.zeros((1, 15, 2)), joints=PAWS)


def test_lines_follow_the_image():
    widths = []
    for height, width in SIZES:
        pose = standing(height, width)
        pose[0, JOINT_NAMES.index('left_hip')] = 0.2 * width, 0.6 * height
        pose[0, JOINT_NAMES.index('left_knee')] = 0.2 * width, 0.9 * height
        shown = np.zeros((1, 15), bool)
        shown[0, [JOINT_NAMES.index('left_hip'), JOINT_NAMES.index('left_knee')]] = True
        image = np.zeros((height, width, 3), np.uint8)
        row = draw_poses(image, pose, shown)[int(0.75 * height)]
        widths.append(int((row > 128).any(-1).sum()))
    assert widths[0] in (2, 3)
    assert widths[0] < widths[1] < widths[2] < 12
    row = draw_poses(image, pose, shown, thickness=2)[int(0.75 * height)]  # as told, on 4K
    assert (row > 128).any(-1).sum() == widths[0]
