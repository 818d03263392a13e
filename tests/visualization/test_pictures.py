"""Pictures of poses and of causal tokens: what is drawn is where it should be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cmpose_mm.joint_sets import POSETRACK, JointSet
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.visualization import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    draw_poses,
    joint_colors,
    joint_legend,
    prediction_sheet,
    side_color,
)
from cmpose_mm.visualization.causal_tokens import token_grid
from cmpose_mm.visualization.skeletons import LEFT, MIDDLE, RIGHT

GRID = (4, 3)


@pytest.fixture
def gray() -> np.ndarray:
    return np.full((80, 60, 3), 100, np.uint8)  # cells of 20 x 20


def spread_pose() -> np.ndarray:
    """(15, 2) joints far from each other."""
    return np.stack([20 + 40 * (np.arange(15) % 5), 20 + 60 * (np.arange(15) // 5)], 1).astype(
        float
    )


def test_joints_are_drawn_in_the_color_of_their_side():
    image = np.zeros((200, 240, 3), np.uint8)
    out = draw_poses(image, spread_pose()[None])
    for name, (x, y) in zip(JOINT_NAMES, spread_pose().astype(int)):
        assert tuple(out[y, x]) == side_color(name)
    assert not image.any()  # not changed


def test_side_colors():
    assert side_color('left_wrist') == side_color('left_hip', 'left_knee') == LEFT
    assert side_color('head_bottom', 'right_shoulder') == RIGHT
    assert side_color('nose') == side_color('left_hip', 'right_hip') == MIDDLE


def test_hidden_joints_and_their_limbs_are_left_out():
    image = np.zeros((200, 240, 3), np.uint8)
    shown = np.zeros((1, 15), bool)
    shown[0, [JOINT_NAMES.index('left_hip'), JOINT_NAMES.index('left_ankle')]] = True
    out = draw_poses(image, spread_pose()[None], shown)
    x, y = spread_pose()[JOINT_NAMES.index('left_hip')].astype(int)
    assert tuple(out[y, x]) == LEFT
    out[y - 8 : y + 9, x - 8 : x + 9] = 0
    x, y = spread_pose()[JOINT_NAMES.index('left_ankle')].astype(int)
    out[y - 8 : y + 9, x - 8 : x + 9] = 0
    assert not out.any()  # no limb: the knee between them is not shown


def test_nobody_and_wrong_shapes():
    image = np.full((10, 10, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_poses(image, np.zeros((0, 15, 2))), image)
    with pytest.raises(ValueError, match=r'shape \(15, 2\), expected \(P, 15, 2\)'):
        draw_poses(image, np.zeros((15, 2)))


def test_joint_colors_differ():
    colors = joint_colors().astype(int)
    distance = np.abs(colors[:, None] - colors[None]).sum(-1) + 1000 * np.eye(15, dtype=int)
    assert distance.min() > 60


def test_causal_tokens_have_their_joints_colors_and_the_rest_is_dark(gray):
    causal = np.full((15, 1), 0)
    causal[3], causal[8] = 5, 11  # cell 5 is row 1, column 2; cell 11 row 3, column 2
    out = draw_causal_tokens(gray, causal, GRID)
    for joint, (row, column) in {14: (0, 0), 3: (1, 2), 8: (3, 2)}.items():
        expected = 0.45 * 100 + 0.55 * joint_colors()[joint].astype(float)
        np.testing.assert_allclose(out[row * 20 + 10, column * 20 + 10], expected, atol=1)
    assert tuple(out[50, 10]) == (35, 35, 35)
    assert (gray == 100).all()


def test_causal_tokens_outside_the_grid_are_refused(gray):
    with pytest.raises(ValueError, match=r'0\.\.12, expected 0 to 11 for a grid of 4 x 3'):
        draw_causal_tokens(gray, np.array([[0, 12]]), GRID)


def test_clusters_are_filled_with_their_mean_and_outlined(gray):
    gray[:, :20] = 0
    ids = np.array([0, 0, -1] + [1] * 9)
    out = draw_clusters(gray, ids, GRID)
    assert tuple(out[10, 10]) == tuple(out[10, 30]) == (50, 50, 50)  # half 0, half 100
    assert tuple(out[10, 50]) == (100, 100, 100)  # a causal cell keeps its pixels
    assert tuple(out[50, 30]) == (66, 66, 66)  # three cells of 0, six of 100
    assert tuple(out[20, 30]) == (255, 255, 255)  # border of clusters 0 and 1
    assert tuple(out[10, 20]) != (255, 255, 255)  # within cluster 0
    with pytest.raises(ValueError, match=r'shape \(2,\), expected \(12,\)'):
        draw_clusters(gray, ids[:2], GRID)


def test_crop_and_its_points_agree_with_the_pipelines_crop():
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(image, (150, 90), 3, (255, 255, 255), -1)
    view = (np.array([140.0, 100.0]), np.array([90.0, 120.0]), (192, 256))
    crop = crop_person(image, *view)
    x, y = crop_points(np.array([150.0, 90.0]), *view)
    rows, columns = np.nonzero(crop[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=0.5)
    # UDP's convention: the middles of the outer pixels are the corners of the box.
    assert crop_points(np.array([140.0, 100.0]), *view) == pytest.approx([95.5, 127.5])


def test_legend_shows_every_color():
    strip = joint_legend(300)
    assert strip.shape[0] == 300
    for color in joint_colors():
        assert (strip == color).all(axis=-1).any()


def test_token_grid():
    assert token_grid(192, 128 / 96) == (16, 12)
    assert token_grid(192, 256 / 192) == (16, 12)
    with pytest.raises(ValueError, match='191 tokens'):
        token_grid(191, 4 / 3)


def prediction(path: str, video: str, number: int, person: int) -> dict:
    rng = np.random.default_rng([number, person])
    return dict(
        id=person, video=video, frame_number=number, img_path=path, input_size=(96, 128),
        input_center=np.array([60.0 + 60 * person, 70.0]), input_scale=np.array([60.0, 80.0]),
        pred_instances=dict(
            keypoints=rng.uniform(20, 120, (1, 15, 2)), keypoint_scores=np.ones((1, 15)),
            causal_tokens=rng.permutation(192)[:60].reshape(1, 15, 4),
            similarity=np.full((1, 15, 192), 1 / 192, np.float32),
            cluster_ids=rng.integers(-1, 33, (1, 192)),
        ),
    )  # fmt: skip


def test_prediction_sheet(tmp_path):
    path = str(tmp_path / '0.png')
    cv2.imwrite(path, np.full((120, 160, 3), 90, np.uint8))
    samples = [prediction(path, 'a', 0, 0), prediction(path, 'a', 1, 0)]
    samples += [prediction(path, 'b', 0, 0), prediction(path, 'b', 0, 1)]
    sheet = prediction_sheet(samples)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3
    np.testing.assert_array_equal(sheet, prediction_sheet(samples[::-1][1:] + samples[-1:]))
    # Frame b, with two persons, comes first: more is drawn over the gray of its frame.
    first, second = (sheet[40:320, x : x + 400] for x in (6, 412))
    assert (first != 90).any(-1).sum() > (second != 90).any(-1).sum() > 0


def test_prediction_sheet_names_what_is_missing(tmp_path):
    path = str(tmp_path / '0.png')
    cv2.imwrite(path, np.full((120, 160, 3), 90, np.uint8))
    plain = prediction(path, 'a', 0, 0)
    del plain['pred_instances']['causal_tokens']
    with pytest.raises(KeyError, match='no causal_tokens'):
        prediction_sheet([plain])
    with pytest.raises(OSError, match='gone.png: image can not be read'):
        prediction_sheet([prediction(str(tmp_path / 'gone.png'), 'a', 0, 0)])


def test_prediction_sheet_of_other_joints(tmp_path):
    path = str(tmp_path / '0.png')
    cv2.imwrite(path, np.full((120, 160, 3), 90, np.uint8))
    sample = prediction(path, 'a', 0, 0)
    rng = np.random.default_rng(0)
    names = (*POSETRACK.joints, 'left_ear', 'right_ear')
    color = (1, 2, 3)
    joints = JointSet('17', names, (0.1,) * 17, (('nose', 'left_ear'),), (color,) * 17, (color,))
    sample['joint_set'] = joints
    sample['pred_instances'].update(
        keypoints=rng.uniform(20, 120, (1, 17, 2)), keypoint_scores=np.ones((1, 17)),
        causal_tokens=rng.permutation(192)[:68].reshape(1, 17, 4),
        similarity=np.full((1, 17, 192), 1 / 192, np.float32),
    )  # fmt: skip
    sheet = prediction_sheet([sample])
    legend = joint_legend(250, names)
    assert (sheet == color).all(-1).any()  # the pose over the frame
    assert cv2.matchTemplate(sheet, legend, cv2.TM_SQDIFF).min() == 0  # it is somewhere
