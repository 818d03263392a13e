"""Joint sets: which joints a pose has, how they are drawn, and how exactly each can be located.

Everything that reads, follows, draws or writes poses takes a `JointSet`, and compares joints by
their names. PoseTrack's 15 (`POSETRACK`) are what is trained and scored here.

P: persons, K: joints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cmpose_mm.posetrack.joints import JOINT_ALIASES, JOINT_NAMES, JOINT_SIGMAS, LIMBS

LEFT, RIGHT, MIDDLE = (0, 255, 0), (0, 128, 255), (255, 153, 51)
"""BGR colors of the person's own left and right side, and of the middle."""
DEFAULT_SIGMA = float(np.mean(JOINT_SIGMAS))
"""OKS sigma of joints whose data set gives none (chosen: the mean of PoseTrack's)."""

DERIVED = {
    'head_bottom': 'midpoint of the shoulders',
    'head_top': 'twice the nose minus the midpoint of the shoulders',
}
"""Joints of PoseTrack that COCO lacks, and how they are computed from COCO's: as DetectAndTrack
(Girdhar et al., CVPR 2018) does in its evaluation, and others since."""
_SOURCES = {
    'head_bottom': ('left_shoulder', 'right_shoulder'),
    'head_top': ('left_shoulder', 'right_shoulder', 'nose'),
}
_WORDS = re.compile('[A-Z]?[a-z]+|[A-Z]+(?![a-z])')


@cache
def joint_side(*joints: str) -> str:
    """Side of a joint, or of the limb between two joints: ``left``, ``right`` or ``middle``.

    A joint is on a side if its name has the word: ``left_hip``, ``Ankle_Left``, ``L_Eye``,
    ``forelegL1``. A limb is on the side of one end if the other is on it, too, or in the middle.
    """
    words = {word.lower() for joint in joints for word in _WORDS.findall(joint)}
    sides = [side for side in ('left', 'right') if words & {side, side[0]}]
    return sides[0] if len(sides) == 1 else 'middle'


def without_side(joint: str) -> str:
    """A joint's name without the word that tells its side: equal for both joints of a pair."""
    sides = ('left', 'right', 'l', 'r')
    return _WORDS.sub(lambda word: '' if word[0].lower() in sides else word[0], joint)


def side_color(*joints: str) -> tuple[int, int, int]:
    """Color of a joint, or of the limb between two joints: `LEFT`, `RIGHT` or `MIDDLE`."""
    return dict(left=LEFT, right=RIGHT, middle=MIDDLE)[joint_side(*joints)]


@dataclass(frozen=True)
class JointSet:
    """The joints of a pose, in their order.

    Attributes:
        name: of the data set that defines them.
        joints: K names, each once.
        sigmas: K, by which OKS allows a joint to be off, relative to the person's size.
        limbs: pairs of names to draw a line between; where limbs cross, the later is on top.
        joint_colors: K colors, BGR.
        limb_colors: one color a limb, BGR.
        derived: joints that no model predicted -> how they were computed, in words.

    Raises:
        ValueError: one sentence about a name that repeats or is unknown, or a wrong count.
    """

    name: str
    joints: tuple[str, ...]
    sigmas: tuple[float, ...]
    limbs: tuple[tuple[str, str], ...]
    joint_colors: tuple[tuple[int, int, int], ...]
    limb_colors: tuple[tuple[int, int, int], ...]
    derived: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        doubles = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
        if doubles or not self.joints:
            found = f'{", ".join(doubles)} more than once' if doubles else 'none'
            raise ValueError(f'joints of {self.name}: found {found}, expected each name once')
        strange = {joint for limb in self.limbs for joint in limb} - set(self.joints)
        if strange:
            raise ValueError(
                f'limbs of {self.name}: found {", ".join(sorted(strange))}, expected its joints '
                f'{", ".join(self.joints)}'
            )
        for what, values, count in (
            ('sigmas', self.sigmas, len(self.joints)),
            ('joint_colors', self.joint_colors, len(self.joints)),
            ('limb_colors', self.limb_colors, len(self.limbs)),
        ):
            if len(values) != count:
                raise ValueError(
                    f'{what} of {self.name}: found {len(values)}, expected {count}, one each'
                )
        if min(self.sigmas) <= 0:
            raise ValueError(f'sigmas of {self.name}: found {min(self.sigmas)}, expected above 0')

    def __deepcopy__(self, memo: dict) -> JointSet:
        """Itself, as nothing in it can change: MMEngine copies the metainfo of every sample."""
        return self

    def __len__(self) -> int:
        return len(self.joints)

    def __str__(self) -> str:
        return f'{len(self)} joints of {self.name}'

    @classmethod
    def from_meta(cls, meta: dict, indices: Sequence[int] | None = None) -> JointSet:
        """The joints of an MMPose model.

        Args:
            meta: its ``dataset_meta``, as ``parse_pose_metainfo`` makes it: colors are RGB.
            indices: places of the joints that the model gives, if not all
                (``test_cfg.output_keypoint_indices``).

        Returns:
            The joint set. Where the data set gives no sigmas each is `DEFAULT_SIGMA`. The limbs of
            this package's PoseTrack data are drawn as those of `POSETRACK`.

        Raises:
            ValueError: see the class.
        """
        name = str(meta['dataset_name'])
        names = [meta['keypoint_id2name'][index] for index in range(len(meta['keypoint_id2name']))]
        # MMPose keeps them in float32
        sigmas = np.asarray(meta.get('sigmas', ()), np.float64).ravel().round(6).tolist()
        sigmas = sigmas or [DEFAULT_SIGMA] * len(names)
        colors = _bgr(meta['keypoint_colors'])
        for what, values in (('sigmas', sigmas), ('joint_colors', colors)):
            if len(values) != len(names):
                raise ValueError(
                    f'{what} of {name}: found {len(values)}, expected {len(names)}, one each'
                )
        links = [tuple(names[int(end)] for end in link) for link in meta['skeleton_links']]
        link_colors = dict(zip(links, _bgr(meta['skeleton_link_colors'])))
        kept = list(range(len(names))) if indices is None else [int(index) for index in indices]
        joints = tuple(names[index] for index in kept)
        sigmas = tuple(sigmas[index] for index in kept)
        colors = tuple(colors[index] for index in kept)
        if (joints, colors) == (POSETRACK.joints, POSETRACK.joint_colors) and set(links) == set(
            LIMBS
        ):
            return replace(POSETRACK, name=name, sigmas=sigmas)
        limbs = tuple(link for link in link_colors if set(link) <= set(joints))
        limb_colors = tuple(link_colors[limb] for limb in limbs)
        return cls(name, joints, sigmas, limbs, colors, limb_colors)


# From the head down: where limbs cross, the later one lies on top. The line between the shoulders
# is left out, since the neck's two lines replace it.
_DRAWN = (
    ('nose', 'head_top'),
    ('nose', 'head_bottom'),
    ('head_bottom', 'left_shoulder'),
    ('head_bottom', 'right_shoulder'),
    ('left_shoulder', 'left_elbow'),
    ('left_elbow', 'left_wrist'),
    ('right_shoulder', 'right_elbow'),
    ('right_elbow', 'right_wrist'),
    ('left_shoulder', 'left_hip'),
    ('right_shoulder', 'right_hip'),
    ('left_hip', 'right_hip'),
    ('left_knee', 'left_hip'),
    ('left_ankle', 'left_knee'),
    ('right_knee', 'right_hip'),
    ('right_ankle', 'right_knee'),
)
POSETRACK = JointSet(
    'posetrack',
    JOINT_NAMES,
    JOINT_SIGMAS,
    _DRAWN,
    tuple(side_color(joint) for joint in JOINT_NAMES),
    tuple(side_color(*limb) for limb in _DRAWN),
)
"""PoseTrack's 15 joints."""


class ToPoseTrack:
    """Makes PoseTrack's 15 joints of poses with other joints, by their names.

    A joint may have one of the names of `JOINT_ALIASES` (``neck`` is ``head_bottom``).

    Args:
        source: the joints of the poses.
        derive: compute joints that are missing, if they are among `DERIVED`; the score of such a
            joint is the mean of the shoulders' (as there).

    Attributes:
        joints: PoseTrack's, which name what is derived.

    Raises:
        ValueError: one sentence that names what is missing.
    """

    def __init__(self, source: JointSet, derive: bool = False) -> None:
        names = list(source.joints)
        aliases = [JOINT_ALIASES.get(name, name) for name in names]
        self._places: dict[str, int] = {}
        for joint in JOINT_NAMES:
            if joint in names or joint in aliases:
                self._places[joint] = (names if joint in names else aliases).index(joint)
        missing = [joint for joint in JOINT_NAMES if joint not in self._places]
        derivable = [
            joint
            for joint in missing
            if joint in _SOURCES and all(needed in self._places for needed in _SOURCES[joint])
        ]
        lacking = [joint for joint in missing if not derive or joint not in derivable]
        if lacking:
            hint = ''
            if not derive and derivable == missing:
                hint = f"; 'derived' computes {' and '.join(missing)}"
            raise ValueError(
                f"{source}: there is no {', '.join(lacking)}, expected all of PoseTrack's 15{hint}"
            )
        self.joints = replace(
            POSETRACK, derived=tuple((joint, DERIVED[joint]) for joint in missing)
        )

    def __call__(self, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joints (P, 15, 2) and scores (P, 15) of poses (P, K, 2), (P, K)."""
        columns, joint_scores = [], []
        left, right, nose = (
            self._places[name] for name in ('left_shoulder', 'right_shoulder', 'nose')
        )
        middle = (keypoints[:, left] + keypoints[:, right]) / 2
        middle_score = (scores[:, left] + scores[:, right]) / 2
        derived = {'head_bottom': middle, 'head_top': 2 * keypoints[:, nose] - middle}
        for joint in JOINT_NAMES:
            place = self._places.get(joint)
            columns.append(derived[joint] if place is None else keypoints[:, place])
            joint_scores.append(middle_score if place is None else scores[:, place])
        return np.stack(columns, axis=1), np.stack(joint_scores, axis=1)


def _bgr(colors: Sequence) -> list[tuple[int, int, int]]:
    """RGB rows as BGR tuples."""
    return [tuple(int(value) for value in color[::-1]) for color in np.asarray(colors)]
