"""Names of PoseTrack's body joints and how its releases order them.

Everywhere in this package a pose is 15 joints in the order of `JOINT_NAMES`. Label files come in
other orders (17 joints with ears, or point ids) and are mapped to it by name.
"""

from __future__ import annotations

JOINT_NAMES_17 = (
    'nose',
    'head_bottom',
    'head_top',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)
"""Keypoints of PoseTrack18 and 21 files. The ears are placeholders and always (0, 0, 0)."""

JOINT_NAMES = tuple(name for name in JOINT_NAMES_17 if not name.endswith('_ear'))
"""The 15 joints that are labeled and scored."""

_SIGMAS = dict(
    nose=0.026,
    head_bottom=0.025,
    head_top=0.025,
    shoulder=0.079,
    elbow=0.072,
    wrist=0.062,
    hip=0.107,
    knee=0.087,
    ankle=0.089,
)
JOINT_SIGMAS = tuple(_SIGMAS[n.replace('left_', '').replace('right_', '')] for n in JOINT_NAMES)
"""How far labelers differ on a joint, relative to the person's size; those of MMPose's
PoseTrack18."""

JOINT_GROUPS = {
    'Head': ('head_top', 'head_bottom', 'nose'),
    'Shoulder': ('left_shoulder', 'right_shoulder'),
    'Elbow': ('left_elbow', 'right_elbow'),
    'Wrist': ('left_wrist', 'right_wrist'),
    'Hip': ('left_hip', 'right_hip'),
    'Knee': ('left_knee', 'right_knee'),
    'Ankle': ('left_ankle', 'right_ankle'),
}
"""The seven columns of published PoseTrack tables and the joints that each one averages."""

JOINT_ALIASES = {'neck': 'head_bottom', 'upper_neck': 'head_bottom'}
"""Other names of the same joints, as some releases write them."""

POSETRACK17_POINT_IDS = {
    0: 'right_ankle',
    1: 'right_knee',
    2: 'right_hip',
    3: 'left_hip',
    4: 'left_knee',
    5: 'left_ankle',
    6: 'right_wrist',
    7: 'right_elbow',
    8: 'right_shoulder',
    9: 'left_shoulder',
    10: 'left_elbow',
    11: 'left_wrist',
    12: 'head_bottom',
    13: 'nose',
    14: 'head_top',
}
"""The `id` of a point in PoseTrack17's annolist."""

BODY_LIMBS = (
    ('left_ankle', 'left_knee'),
    ('left_knee', 'left_hip'),
    ('right_ankle', 'right_knee'),
    ('right_knee', 'right_hip'),
    ('left_hip', 'right_hip'),
    ('left_shoulder', 'left_hip'),
    ('right_shoulder', 'right_hip'),
    ('left_shoulder', 'right_shoulder'),
    ('left_shoulder', 'left_elbow'),
    ('right_shoulder', 'right_elbow'),
    ('left_elbow', 'left_wrist'),
    ('right_elbow', 'right_wrist'),
)
"""Pairs of joints that a limb or an edge of the trunk connects, below the neck."""

LIMBS = BODY_LIMBS + (
    ('nose', 'head_bottom'),
    ('nose', 'head_top'),
    ('head_bottom', 'left_shoulder'),
    ('head_bottom', 'right_shoulder'),
)
"""The whole skeleton of the 15 joints, in the order of MMPose's PoseTrack18."""

_EAR_LIMBS = (
    ('head_bottom', 'head_top'),
    ('nose', 'head_bottom'),
    ('nose', 'head_top'),
    ('head_bottom', 'left_ear'),
    ('head_top', 'right_ear'),
    ('left_ear', 'left_shoulder'),
    ('right_ear', 'right_shoulder'),
)
SKELETON_17 = tuple(
    tuple(JOINT_NAMES_17.index(joint) + 1 for joint in limb) for limb in BODY_LIMBS + _EAR_LIMBS
)
"""The `skeleton` of official PoseTrack18 files: pairs of 1-based places in `JOINT_NAMES_17`."""
