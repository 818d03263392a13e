"""The joint sets of MMPose's data sets, found by the names of their joints.

All of MMPose's files are read for it, in a tenth of the time that ``parse_pose_metainfo`` takes
(0.14 and 1.7 s). Tests compare with that.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from functools import cache

from cmpose_mm.joint_sets import POSETRACK, JointSet

from .model_zoo import package_folder

_JOINT_COLOR, _LIMB_COLOR = (255, 128, 0), (96, 96, 255)
"""RGB where a data set gives none, as MMPose's ``parse_pose_metainfo`` has them."""


def known_joint_set(joints: Sequence[str], name: str = '') -> JointSet | None:
    """The joint set that has these joints, in their order.

    Args:
        joints: names.
        name: of the data set. A set of this name may have more joints. Without a name it is the
            first in the order of MMPose's files, in which COCO comes before those that took over
            its joints.

    Returns:
        PoseTrack's 15 or one of MMPose's. None if there is none.
    """
    joints = tuple(joints)
    if joints == POSETRACK.joints:
        return POSETRACK
    for found in _mmpose_joint_sets():
        if joints == found.joints and name in ('', found.name):
            return found
    for found in _mmpose_joint_sets():
        if name == found.name and set(joints) <= set(found.joints):
            return _part(found, joints)
    return None


def _part(whole: JointSet, joints: tuple[str, ...]) -> JointSet:
    places = [whole.joints.index(joint) for joint in joints]
    limbs = [place for place, limb in enumerate(whole.limbs) if set(limb) <= set(joints)]
    return JointSet(
        whole.name,
        joints,
        tuple(whole.sigmas[place] for place in places),
        tuple(whole.limbs[place] for place in limbs),
        tuple(whole.joint_colors[place] for place in places),
        tuple(whole.limb_colors[place] for place in limbs),
    )


@cache
def _mmpose_joint_sets() -> tuple[JointSet, ...]:
    """Those that the installed MMPose defines, in the order of its files."""
    files = sorted((package_folder('mmpose') / 'configs/_base_/datasets').glob('*.py'))
    infos = [runpy.run_path(str(file)).get('dataset_info') for file in files]
    return tuple(_joint_set(info) for info in infos if info)


def _joint_set(info: dict) -> JointSet:
    """The joint set of a ``dataset_info``, as MMPose's files have it."""
    points = [info['keypoint_info'][place] for place in sorted(info['keypoint_info'])]
    limbs = [info['skeleton_info'][place] for place in sorted(info['skeleton_info'])]
    names = [point['name'] for point in points]
    return JointSet.from_meta(
        dict(
            dataset_name=info['dataset_name'],
            keypoint_id2name=dict(enumerate(names)),
            keypoint_colors=[point.get('color', _JOINT_COLOR) for point in points],
            skeleton_links=[[names.index(end) for end in limb['link']] for limb in limbs],
            skeleton_link_colors=[limb.get('color', _LIMB_COLOR) for limb in limbs],
            sigmas=info.get('sigmas', ()),
        )
    )
