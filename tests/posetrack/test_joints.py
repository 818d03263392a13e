"""One table of limbs, of which all others are made."""

from __future__ import annotations

from cmpose_mm.posetrack.joints import BODY_LIMBS, JOINT_NAMES, JOINT_NAMES_17, LIMBS, SKELETON_17


def test_the_skeleton_of_official_files() -> None:
    """As PoseTrack18's label files write it."""
    assert [list(limb) for limb in SKELETON_17] == [
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
        [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ]  # fmt: skip
    assert JOINT_NAMES_17[16 - 1] == 'left_ankle' and JOINT_NAMES_17[2 - 1] == 'head_bottom'


def test_limbs_connect_all_joints_and_are_the_same_on_both_sides() -> None:
    assert {joint for limb in LIMBS for joint in limb} == set(JOINT_NAMES)
    assert len({frozenset(limb) for limb in LIMBS}) == len(LIMBS) == 16

    def mirrored(joint: str) -> str:
        if joint.startswith('left_'):
            return joint.replace('left_', 'right_')
        return joint.replace('right_', 'left_')

    sides = {frozenset(map(mirrored, limb)) for limb in LIMBS}
    assert sides == {frozenset(limb) for limb in LIMBS}
    assert LIMBS[: len(BODY_LIMBS)] == BODY_LIMBS
    assert not any(joint.startswith(('head', 'nose')) for limb in BODY_LIMBS for joint in limb)
