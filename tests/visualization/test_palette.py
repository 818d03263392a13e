"""Who has which color, and that color-blind people can tell them apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cmpose_mm.joint_sets import LEFT, MIDDLE, RIGHT, joint_side, side_color
from cmpose_mm.visualization.palette import (
    GRAY,
    PERSON_COLORS,
    SIDE_COLORS,
    person_colors,
    text_color,
)

# Machado, Oliveira and Fernandes (2009), severity 1: what dichromats see, in linear RGB
VISION = {
    'normal': np.eye(3),
    'protanopia': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    'deuteranopia': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    'tritanopia': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def least_difference(colors, vision) -> float:
    """The smallest CIELAB distance between two BGR colors as they are seen."""
    rgb = np.array(colors, np.float64)[:, ::-1] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    return min(np.linalg.norm(a - b) for i, a in enumerate(lab) for b in lab[:i])


@pytest.mark.parametrize('vision', VISION)
def test_color_blind_people_can_tell_them_apart(vision):
    assert least_difference(PERSON_COLORS, VISION[vision]) > 15
    assert least_difference(PERSON_COLORS[:4], VISION[vision]) > 24
    assert least_difference(list(SIDE_COLORS.values()), VISION[vision]) > 30
    if vision == 'deuteranopia':  # the measure finds what is known to be hard
        assert least_difference([LEFT, RIGHT, MIDDLE], VISION[vision]) < 15


def test_successive_ids_differ():
    looks = [person_colors(track_id) for track_id in range(50)]
    for track_id in range(50 - 20):
        assert len(set(looks[track_id : track_id + 21])) == 21
    assert looks[7].limbs == looks[0].limbs and looks[7].joints != looks[0].joints
    assert person_colors(-1).limbs == GRAY and GRAY not in PERSON_COLORS


def test_text_is_readable_on_every_color():
    for color in PERSON_COLORS:
        luma = np.dot(color, (0.114, 0.587, 0.299))
        assert abs(np.mean(text_color(color)) - luma) > 100


@pytest.mark.parametrize(
    'side, names',
    [
        ('left', 'left_hip L_Hip Ankle_Left lateral_left_bow forelegL1 eyeL LHip leftHip hand_l'),
        ('right', 'right_hip R_B_Paw Mouth_Back_Right hindlegR4 RBigToe RIGHT_KNEE right-hand'),
        ('middle', 'nose neck Rump leftover upper_lip tail LR left_right Lip'),
    ],
)
def test_sides_by_names(side, names):
    """As MMPose's data sets and OpenPose write them."""
    for name in names.split():
        assert joint_side(name) == side, name
        assert side_color(name) == dict(left=LEFT, right=RIGHT, middle=MIDDLE)[side]


def test_sides_of_limbs():
    assert joint_side('left collar') == 'left' and joint_side('Root of tail') == 'middle'
    assert joint_side('neck', 'L_Hip') == 'left'
    assert joint_side('L_Hip', 'R_Hip') == joint_side('left_hip', 'right_knee') == 'middle'
