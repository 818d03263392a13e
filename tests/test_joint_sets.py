from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from cmpose_mm.apis.known_joints import known_joint_set
from cmpose_mm.apis.model_zoo import package_folder
from cmpose_mm.datasets import posetrack_metainfo
from cmpose_mm.joint_sets import DEFAULT_SIGMA, DERIVED, POSETRACK, JointSet, ToPoseTrack
from cmpose_mm.posetrack.joints import JOINT_NAMES, LIMBS

FILES = sorted((package_folder('mmpose') / 'configs' / '_base_' / 'datasets').glob('*.py'))


def meta_of(name: str) -> dict:
    (file,) = (file for file in FILES if file.stem == name)
    return parse_pose_metainfo(dict(from_file=str(file)))


@pytest.mark.parametrize('file', FILES, ids=[file.stem for file in FILES])
def test_every_joint_set_of_mmpose(file: Path):
    """Against its file, read without MMPose."""
    content: dict = {}
    exec(file.read_text(), content)
    info = content['dataset_info']
    joints = JointSet.from_meta(parse_pose_metainfo(dict(from_file=str(file))))
    assert joints.name == info['dataset_name']
    assert joints.joints == tuple(info['keypoint_info'][i]['name'] for i in range(len(joints)))
    if len(info['sigmas']):
        np.testing.assert_allclose(joints.sigmas, info['sigmas'], atol=1e-6)
    else:
        assert set(joints.sigmas) == {DEFAULT_SIGMA}
    colors = {i['name']: tuple(i['color'][::-1]) for i in info['keypoint_info'].values()}
    assert dict(zip(joints.joints, joints.joint_colors)) == colors
    limbs = {tuple(link['link']): tuple(link['color'][::-1]) for link in
             info['skeleton_info'].values()}  # fmt: skip
    assert dict(zip(joints.limbs, joints.limb_colors)) == limbs
    assert known_joint_set(joints.joints, joints.name) == joints


def test_posetracks_own():
    """What its data sets say is what is drawn and followed unasked."""
    joints = JointSet.from_meta(parse_pose_metainfo(posetrack_metainfo('posetrack17')))
    assert joints.name == 'posetrack17'
    for field in ('joints', 'sigmas', 'limbs', 'joint_colors', 'limb_colors', 'derived'):
        assert getattr(joints, field) == getattr(POSETRACK, field), field
    # From the head down: where limbs cross, the later one is on top.
    assert set(LIMBS) - set(POSETRACK.limbs) == {('left_shoulder', 'right_shoulder')}
    assert set(POSETRACK.limbs) < set(LIMBS) and len(POSETRACK.limbs) == 15
    place = POSETRACK.limbs.index
    for side in ('left', 'right'):
        upper_arm = place((f'{side}_shoulder', f'{side}_elbow'))
        forearm = place((f'{side}_elbow', f'{side}_wrist'))
        assert upper_arm < forearm < place((f'{side}_shoulder', f'{side}_hip'))


def test_posetracks_joints_with_sigmas_of_their_own():
    meta = posetrack_metainfo('posetrack18')
    sigmas = [0.01 * (number + 1) for number in range(len(POSETRACK.joints))]
    joints = JointSet.from_meta(parse_pose_metainfo(dict(meta, sigmas=sigmas)))
    assert joints.sigmas == pytest.approx(sigmas) and joints.limbs == POSETRACK.limbs


def test_joints_that_the_model_leaves_out():
    joints = JointSet.from_meta(meta_of('coco'), indices=[0, 5, 6])
    assert joints.joints == ('nose', 'left_shoulder', 'right_shoulder')
    assert joints.limbs == (('left_shoulder', 'right_shoulder'),)
    np.testing.assert_allclose(joints.sigmas, [0.026, 0.079, 0.079])


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(keypoint_id2name={0: 'a', 1: 'a'}), 'joints of own: found a more than once'),
        (dict(sigmas=[0.1]), 'sigmas of own: found 1, expected 2'),
        (dict(sigmas=[0.1, 0.0]), r'sigmas of own: found 0\.0, expected above 0'),
        (dict(keypoint_colors=[[1, 2, 3]] * 3), 'joint_colors of own: found 3, expected 2'),
    ],
)
def test_wrong_meta(change, message):
    meta = dict(
        dataset_name='own', keypoint_id2name={0: 'a', 1: 'b'}, sigmas=[0.1, 0.1],
        skeleton_links=[(0, 1)], keypoint_colors=[[1, 2, 3]] * 2, skeleton_link_colors=[[1, 2, 3]],
    )  # fmt: skip
    assert JointSet.from_meta(meta).limbs == (('a', 'b'),)
    with pytest.raises(ValueError, match=message):
        JointSet.from_meta({**meta, **change})


# ---- to PoseTrack ---------------------------------------------------------------------------


def slow_posetrack(names, pose, scores):
    """One joint of one person after the other, by hand."""
    result = []
    for joint in JOINT_NAMES:
        if joint in names:
            place = names.index(joint)
            result.append((*pose[place], scores[place]))
        else:
            left, right = names.index('left_shoulder'), names.index('right_shoulder')
            x, y = ((pose[left][axis] + pose[right][axis]) / 2 for axis in (0, 1))
            if joint == 'head_top':
                nose = pose[names.index('nose')]
                x, y = nose[0] - (x - nose[0]), nose[1] - (y - nose[1])
            result.append((x, y, (scores[left] + scores[right]) / 2))
    return result


@pytest.mark.parametrize('name', ['coco', 'posetrack18', 'halpe26', 'coco_wholebody'])
def test_posetracks_joints_of_others(name):
    joints = JointSet.from_meta(meta_of(name))
    rng = np.random.default_rng(0)
    poses, scores = rng.uniform(0, 99, (3, len(joints), 2)), rng.uniform(0, 1, (3, len(joints)))
    names = ['head_bottom' if joint == 'neck' else joint for joint in joints.joints]
    convert = ToPoseTrack(joints, derive=True)
    found = convert(poses, scores)
    expected = np.array([slow_posetrack(names, p.tolist(), s) for p, s in zip(poses, scores)])
    np.testing.assert_allclose(found[0], expected[..., :2], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[..., 2], rtol=1e-12)
    assert convert.joints.joints == JOINT_NAMES
    missing = [joint for joint in JOINT_NAMES if joint not in names]
    assert dict(convert.joints.derived) == {joint: DERIVED[joint] for joint in missing}
    assert missing == dict(coco=['head_bottom', 'head_top'], posetrack18=[], halpe26=['head_top'],
                           coco_wholebody=['head_bottom', 'head_top'])[name]  # fmt: skip
    if missing:
        with pytest.raises(ValueError, match=f"no {', '.join(missing)}, .*'derived' computes"):
            ToPoseTrack(joints)


@pytest.mark.parametrize(
    'name, lacking',
    [('jhmdb', 'nose, head_top'), ('crowdpose', 'nose, head_top'), ('onehand10k', 'nose, head_b')],
)
def test_what_can_not_be_derived(name, lacking):
    with pytest.raises(ValueError, match=f'there is no {lacking}') as error:
        ToPoseTrack(JointSet.from_meta(meta_of(name)), derive=True)
    assert 'derived' not in str(error.value)


def test_nobody():
    keypoints, scores = ToPoseTrack(JointSet.from_meta(meta_of('coco')), derive=True)(
        np.zeros((0, 17, 2)), np.zeros((0, 17))
    )
    assert keypoints.shape == (0, 15, 2) and scores.shape == (0, 15)


def test_joints_of_posetrack_in_another_order_are_another_set():
    found = known_joint_set(POSETRACK.joints[::-1])
    assert found is None or found.joints == POSETRACK.joints[::-1]
