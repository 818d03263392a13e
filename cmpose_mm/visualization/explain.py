"""Pictures of the details of a method's decisions, for one person.

A prediction with details (``test_cfg.output_details=True``) has, for each person, those that its
method defines in ``detail_kinds``; in CM-Pose these are the cells it selected, the clusters it
merged, and the similarities it compared.

Images are BGR uint8. P persons, K joints, n causal tokens per joint, N = h * w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cmpose_mm.images import read_image
from cmpose_mm.joint_sets import POSETRACK, JointSet

from .causal_tokens import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    draw_similarity,
    heat_colors,
    heat_legend,
    joint_colors,
    joint_legend,
    token_grid,
)
from .layout import CAPTION_HEIGHT, GAP, captioned, pad, row, text_line
from .skeletons import draw_poses

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mmpose.structures import PoseDataSample

_JOINT = 'right_wrist'
_SCORE_THR = 0.2
_KINDS_OF_0_1 = dict(causal_tokens='cells', cluster_ids='labels', similarity='heat')
"""Predictions of version 0.1 do not name their details, which are those of CM-Pose."""


@dataclass(frozen=True)
class PersonDetails:
    """One person's prediction with the details of the method's decisions.

    Attributes:
        keypoints: (K, 2) pixels of the image.
        keypoint_scores: (K,).
        input_center, input_scale: (2,) each, the crop in pixels of the image.
        details: name of each detail -> its values: (K, n) cells, (N,) labels, (N,) or (K, N)
            heat. Each is also an attribute with that name.
        kinds: name of each detail -> ``'cells'``, ``'labels'`` or ``'heat'``, see `VideoMethod`.
        grid: (h, w), h * w = N.
        joints: the K joints.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    input_center: np.ndarray
    input_scale: np.ndarray
    details: dict[str, np.ndarray]
    kinds: dict[str, str]
    grid: tuple[int, int]
    joints: JointSet = POSETRACK

    def __getattr__(self, name: str) -> np.ndarray:
        if name == 'details' or name not in self.details:
            raise AttributeError(f'a person has no {name!r}')
        return self.details[name]


_AXES = dict(keypoints=2, keypoint_scores=1, input_center=1, input_scale=1)
"""Axes of a person's fields."""


def person_details(sample: PoseDataSample | dict, person: int = 0) -> PersonDetails:
    """One person of a prediction.

    Args:
        sample: a data sample as returned by the model, the dict that MMEngine's ``DumpResults``
            makes of it, or a flat dict with the same fields. Fields may have a leading axis for P
            persons; without it they belong to the only person. ``detail_kinds`` names the details.
            Without it, as in version 0.1, they are assumed to be those of CM-Pose. ``joint_set``
            names the joints; without it they are PoseTrack's 15.
        person: index of the person.

    Raises:
        KeyError: if the prediction lacks a field, usually because it was made without details.
        IndexError: if there is no such person.
        ValueError: if the shapes do not fit together.
    """
    fields = _fields(sample)
    kinds = fields.get('detail_kinds', _KINDS_OF_0_1)
    joints = fields.get('joint_set', POSETRACK)
    values = {
        name: _of_person(fields, name, person, _has_axis_for_persons(fields, name))
        for name in _AXES
    }
    count = len(joints)
    shapes = dict(
        keypoints=(count, 2), keypoint_scores=(count,), input_center=(2,), input_scale=(2,)
    )
    stacked = _has_axis_for_persons(fields, 'keypoint_scores')
    details = {name: _of_person(fields, name, person, stacked) for name in kinds}
    for name, shape in shapes.items():
        if values[name].shape != shape:
            raise ValueError(f'{name} of a person has shape {values[name].shape}, expected {shape}')
    width, height = values['input_scale']
    if not details:
        raise KeyError('the prediction has no details; expected a method that gives some')
    grid = fields.get('detail_grid')
    if grid is None:
        counts = [value.shape[-1] for name, value in details.items() if kinds[name] != 'cells']
        grid = token_grid(counts[0], height / width)
    for name, value in details.items():
        expected = {
            'cells': [(count, value.shape[-1])],
            'labels': [(grid[0] * grid[1],)],
            'heat': [(grid[0] * grid[1],), (count, grid[0] * grid[1])],
        }[kinds[name]]
        if value.shape not in expected:
            raise ValueError(
                f'{name} of a person has shape {value.shape}, expected '
                f'{" or ".join(map(str, expected))}'
            )
    return PersonDetails(
        **values, details=details, kinds=dict(kinds), grid=tuple(grid), joints=joints
    )


def _of_person(fields: dict, name: str, person: int, stacked: bool) -> np.ndarray:
    """A field's values for one person; ``stacked`` fields have an axis for persons."""
    if name not in fields:
        why = '' if name in _AXES else '; expected model.test_cfg.output_details=True'
        raise KeyError(f'the prediction has no {name}{why}')
    value = _array(fields[name])
    if not stacked:
        return value
    if not -len(value) <= person < len(value):
        raise IndexError(f'person is {person}, but the prediction has {len(value)} persons')
    return value[person]


def _has_axis_for_persons(fields: dict, name: str) -> bool:
    return name in fields and _array(fields[name]).ndim > _AXES[name]


def _fields(sample: PoseDataSample | dict) -> dict:
    """Metainfo and predicted instances in one dict."""
    if isinstance(sample, dict):
        return {**sample, **sample.get('pred_instances', {})}
    return {**sample.metainfo, **dict(sample.pred_instances.items())}


def _array(value) -> np.ndarray:
    return value.cpu().numpy() if hasattr(value, 'cpu') else np.asarray(value)


@dataclass(frozen=True)
class Panel:
    """A picture with its caption.

    Attributes:
        caption: of the picture.
        image: (H, W, 3) uint8 BGR.
        heat: (h, w) float, the values that the colors show; None if they show no values.
    """

    caption: str
    image: np.ndarray
    heat: np.ndarray | None = None


@dataclass(frozen=True)
class Explanation:
    """Pictures of one person's crop, all of one size.

    Attributes:
        pose: the predicted joints.
        details: a picture of each detail: the cells that each joint selected, in the joint's color;
            groups of cells, each in its mean color; or a value for each cell as heat. Each is also
            an attribute with the detail's name.
        joint_colors: whether a picture shows the joints' colors.
        joints: the joints of the pose.
    """

    pose: Panel
    details: dict[str, Panel]
    joint_colors: bool
    joints: JointSet = POSETRACK

    def __getattr__(self, name: str) -> Panel:
        if name == 'details' or name not in self.details:
            raise AttributeError(f'this explanation has no {name!r}')
        return self.details[name]

    @property
    def clusters(self) -> Panel:
        """The picture of CM-Pose's ``cluster_ids``."""
        return self.details['cluster_ids']

    @property
    def similarity_map(self) -> np.ndarray:
        """(h, w) float, the values behind the picture of CM-Pose's ``similarity``."""
        return self.details['similarity'].heat

    @property
    def panels(self) -> list[Panel]:
        """All panels, from left to right."""
        return [self.pose, *self.details.values()]

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR: the panels side by side with their captions and legends."""
        height = self.pose.image.shape[0]
        parts = []
        for panel in self.panels:
            parts.append(captioned(panel.image, panel.caption))
            if panel.heat is not None:
                legend = heat_legend(height, panel.heat.min(), panel.heat.max())
                parts.append(captioned(legend, ''))
        if self.joint_colors:
            parts.append(captioned(joint_legend(height, self.joints.joints), ''))
        return row(parts)

    def figure(self) -> Figure:
        """The same as a matplotlib figure: one axes per panel, a legend of joints, color bars.

        The figure is not registered with pyplot. It shows as the result of a notebook's cell (after
        ``%matplotlib inline``), and ``figure.savefig(path)`` works with any backend.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        height, width = self.pose.image.shape[:2]
        count = len(self.panels)
        figure = Figure(figsize=(count * 3.2 + 0.6, 3.2 * height / width + 1), layout='constrained')
        for axes, panel in zip(figure.subplots(1, count), self.panels):
            axes.imshow(panel.image[..., ::-1])
            axes.set_title(panel.caption)
            axes.set_axis_off()
            if panel.heat is not None:
                heat = ScalarMappable(
                    Normalize(panel.heat.min(), panel.heat.max()),
                    ListedColormap(heat_colors()[:, ::-1] / 255),
                )
                figure.colorbar(heat, ax=axes)
        if self.joint_colors:
            patches = [
                Patch(color=color[::-1] / 255, label=name.replace('_', ' '))
                for name, color in zip(self.joints.joints, joint_colors(len(self.joints)))
            ]
            figure.legend(handles=patches, loc='outside lower center', ncols=8)
        return figure


def explain(
    sample: PoseDataSample | dict,
    image: np.ndarray | None = None,
    *,
    person: int = 0,
    joint: str = _JOINT,
    height: int = 384,
    score_thr: float = _SCORE_THR,
) -> Explanation:
    """Draws the details of the method's decisions for one person.

    In a notebook, use ``explain(sample).figure()``.

    Args:
        sample: a prediction with details, see `person_details`.
        image: (H, W, 3) uint8 BGR, the frame; read from the sample's ``img_path`` by default.
        person: index of the person in the prediction.
        joint: joint to draw for details with a heat map for each joint; by name.
        height: of the panels in pixels; the width follows from the crop.
        score_thr: joints below this score are left out of the pose.

    Raises:
        KeyError: if the prediction has no details.
        OSError: if the frame cannot be read.
        ValueError: if there is no such joint, or the shapes do not fit together.
    """
    names = _fields(sample).get('joint_set', POSETRACK).joints
    if joint not in names:
        raise ValueError(f'joint is {joint!r}, expected one of {", ".join(names)}')
    details = person_details(sample, person)
    if image is None:
        path = _fields(sample).get('img_path')
        if path is None:
            raise ValueError('the prediction has no img_path; expected the frame as `image`')
        image = read_image(path)
    size = (round(height * details.input_scale[0] / details.input_scale[1]), height)
    view = (details.input_center, details.input_scale, size)
    crop = crop_person(image, *view)
    keypoints = crop_points(details.keypoints, *view)
    shown = details.keypoint_scores >= score_thr
    panels = {name: _detail_panel(details, name, crop, joint) for name in details.details}
    return Explanation(
        pose=Panel('pose', draw_poses(crop, keypoints[None], shown[None], joints=details.joints)),
        details=panels,
        joint_colors='cells' in details.kinds.values(),
        joints=details.joints,
    )


def _detail_panel(person: PersonDetails, name: str, crop: np.ndarray, joint: str) -> Panel:
    """The picture of one detail over the crop; if it has heat for each joint, that of ``joint``."""
    values, kind, caption = person.details[name], person.kinds[name], name.replace('_', ' ')
    if kind == 'cells':
        return Panel(caption, draw_causal_tokens(crop, values, person.grid))
    if kind == 'labels':
        return Panel(caption, draw_clusters(crop, values, person.grid))
    marked = None
    if values.ndim == 2:
        caption += f': {joint.replace("_", " ")}'
        values = values[person.joints.joints.index(joint)]
        selected = [v for n, v in person.details.items() if person.kinds[n] == 'cells']
        marked = selected[0][person.joints.joints.index(joint)] if selected else None
    image = draw_similarity(crop, values, person.grid, marked=marked)
    return Panel(caption, image, values.reshape(person.grid))


def explanation_frame(
    image: np.ndarray,
    sample: PoseDataSample | dict,
    track_id: int,
    *,
    joint: str = _JOINT,
    size: tuple[int, int] = (1280, 384),
    title: str = '',
    score_thr: float = _SCORE_THR,
) -> np.ndarray:
    """One person's explanation in one frame of a video, in a picture of fixed size.

    If the person is not in the frame, the picture shows the darkened frame and says so.

    Args:
        image: (H, W, 3) uint8 BGR, the frame.
        sample: the frame's predictions of all persons, with ``track_ids`` (P,) and details.
        track_id: of the person to show; negative for nobody, as in ``track_ids``.
        joint: joint to draw for details with a heat map for each joint; by name.
        size: (width, height) of the picture, at least 320 x 160.
        title: further text above the picture, for example the frame's number.
        score_thr: joints below this score are left out of the pose.

    Raises:
        KeyError: if the predictions have no ``track_ids``, or the person has no details.
        ValueError: if ``size`` is too small, there is no such joint, or shapes do not fit together.
    """
    width, height = size
    if width < 320 or height < 160:
        raise ValueError(f'size is {width} x {height}, expected at least 320 x 160')
    fields = _fields(sample)
    if 'track_ids' not in fields:
        raise KeyError('the prediction has no track_ids; expected those of all persons, (P,)')
    persons = np.flatnonzero(_array(fields['track_ids']) == track_id) if track_id >= 0 else []
    room = (width - 2 * GAP, height - CAPTION_HEIGHT - 2 * GAP)
    who = f'person {track_id}' if track_id >= 0 else 'no person tracked'
    text = f'{who}, {title}' if title else who
    if len(persons):
        picture = explain(
            sample, image, person=int(persons[0]), joint=joint,
            height=room[1] - CAPTION_HEIGHT, score_thr=score_thr,
        ).picture()  # fmt: skip
    else:
        picture = (image * np.float32(0.35)).astype(np.uint8)
        text += ': not in this frame' if track_id >= 0 else ''
    canvas = pad(_fit(picture, room), size, (GAP, CAPTION_HEIGHT + GAP))
    canvas[:CAPTION_HEIGHT] = text_line(text, width)
    return canvas


def _fit(image: np.ndarray, room: tuple[int, int]) -> np.ndarray:
    """The image, resized to fit into the room (width, height) without distortion."""
    zoom = min(room[0] / image.shape[1], room[1] / image.shape[0])
    if zoom == 1:
        return image
    size = tuple(max(1, int(zoom * side)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
