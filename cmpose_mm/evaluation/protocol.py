"""What becomes of a model's output before it is scored: which persons, and which scores rank."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

_CHOICES = {
    'joint_score_mode': ('keypoint', 'bbox_keypoint'),
    'score_mode': ('bbox', 'keypoint', 'bbox_keypoint', 'bbox_rle'),
    'nms_mode': ('none', 'oks_nms', 'soft_oks_nms'),
}


@dataclass(frozen=True)
class Protocol:
    """What becomes of a model's output before it is scored.

    Attributes:
        name: of the protocol in logs.
        bbox_score_thr: persons whose box scores less are dropped.
        joint_score_mode: score by which a joint is ranked: 'keypoint' is the model's own,
            'bbox_keypoint' that times the score of the box.
        score_mode: score of a person, by which NMS ranks: 'bbox', 'keypoint' (mean over the
            joints), 'bbox_keypoint' (box times the mean over joints above `keypoint_score_thr`),
            or 'bbox_rle' (box plus mean plus maximum over the joints).
        keypoint_score_thr: see `score_mode`; drops no joint.
        nms_mode: 'none', 'oks_nms' or 'soft_oks_nms'.
        nms_thr: object keypoint similarity above which the lower-ranked person is suppressed.

    Raises:
        ValueError: if a mode is none of those.
    """

    name: str = field(repr=False)
    bbox_score_thr: float
    joint_score_mode: str
    score_mode: str
    keypoint_score_thr: float
    nms_mode: str
    nms_thr: float

    def __post_init__(self) -> None:
        for mode, choices in _CHOICES.items():
            if getattr(self, mode) not in choices:
                raise ValueError(
                    f'protocol: {mode} is {getattr(self, mode)!r}, expected one of '
                    f'{", ".join(choices)}.'
                )

    def joint_scores(self, keypoint_scores: np.ndarray, bbox_score: float) -> np.ndarray:
        """The scores by which the joints of a person rank, (K,), from the model's own, (K,)."""
        if self.joint_score_mode == 'bbox_keypoint':
            return keypoint_scores * bbox_score
        return keypoint_scores

    def person_score(self, keypoint_scores: np.ndarray, bbox_score: float) -> float:
        """The score by which NMS ranks a person, from the model's own of its joints, (K,)."""
        if self.score_mode == 'bbox':
            return bbox_score
        if self.score_mode == 'keypoint':
            return np.mean(keypoint_scores)
        if self.score_mode == 'bbox_rle':
            return bbox_score + np.mean(keypoint_scores) + np.max(keypoint_scores)
        valid = keypoint_scores[keypoint_scores > self.keypoint_score_thr]
        return bbox_score * (np.mean(valid) if len(valid) else 0)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol('dcpose', 0.2, 'bbox_keypoint', 'bbox_keypoint', 0.0, 'none', 0.9),
        Protocol('mmpose', 0.4, 'keypoint', 'bbox_keypoint', 0.2, 'oks_nms', 0.9),
    )
}
"""By name: 'dcpose', by which nearly all results on video pose estimation are published, and
'mmpose', that of MMPose's ``PoseTrack18Metric`` and its configs."""


def get_protocol(protocol: str | dict | Protocol, **changes) -> Protocol:
    """A protocol by its name, or with changes.

    Args:
        protocol: a name of `PROTOCOLS`; or a dictionary with a ``name`` and the settings that
            differ, as a config can hold it; or a protocol itself.
        changes: settings that differ; None stands for the protocol's own.

    Returns:
        The protocol. If settings differ its name says so.

    Raises:
        ValueError: if there is no such protocol, setting or mode.
    """
    if isinstance(protocol, dict):
        changes = {**protocol, **changes}
        protocol = changes.pop('name', 'dcpose')
    if not isinstance(protocol, Protocol):
        if protocol not in PROTOCOLS:
            raise ValueError(f'protocol is {protocol!r}, expected one of {", ".join(PROTOCOLS)}.')
        protocol = PROTOCOLS[protocol]
    known = [f.name for f in fields(Protocol) if f.name != 'name']
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise ValueError(
            f'protocol: there is no setting {unknown[0]!r}, expected one of {", ".join(known)}.'
        )
    changed = replace(protocol, **{k: v for k, v in changes.items() if v is not None})
    return protocol if changed == protocol else replace(changed, name=f'{protocol.name}, changed')
