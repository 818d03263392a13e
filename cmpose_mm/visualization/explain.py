"""Why a pose is where it is: what CM-Pose selected, merged and compared for one person.

A prediction with details (``test_cfg.output_details=True`` and a model with token enhancement)
carries, for each person, ``causal_tokens``, ``cluster_ids`` and ``similarity`` (see `FTEOutput`).

Images are BGR uint8. P persons, K = 15 joints, n causal tokens a joint, N = h * w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cmpose_mm.datasets.transforms import LoadClip
from cmpose_mm.posetrack.joints import JOINT_NAMES

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


@dataclass(frozen=True)
class PersonDetails:
    """One person's prediction with the decisions behind it.

    Attributes:
        keypoints: (15, 2) pixels of the image.
        keypoint_scores: (15,).
        input_center, input_scale: (2,) each, the crop in pixels of the image.
        causal_tokens: (15, n) int cells, best first.
        cluster_ids: (N,) int, -1 at causal cells.
        similarity: (15, N) float, each row sums to one.
        grid: (h, w), h * w = N.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    input_center: np.ndarray
    input_scale: np.ndarray
    causal_tokens: np.ndarray
    cluster_ids: np.ndarray
    similarity: np.ndarray
    grid: tuple[int, int]


_AXES = dict(keypoints=2, keypoint_scores=1, input_center=1, input_scale=1)
_DETAIL_AXES = dict(causal_tokens=2, cluster_ids=1, similarity=2)


def person_details(sample: PoseDataSample | dict, person: int = 0) -> PersonDetails:
    """One person of a prediction.

    Args:
        sample: a data sample as the model returns it; the dict that MMEngine's ``DumpResults``
            makes of it; or a flat dict with `PersonDetails`' fields. Fields may have a leading axis
            for P persons; without it they belong to the only one.
        person: which of the P.

    Raises:
        KeyError: if the prediction lacks a field, usually because it was made without details.
        IndexError: if it has no such person.
        ValueError: if the shapes don't fit together.
    """
    fields = _fields(sample)
    values = {}
    for name, axes in {**_AXES, **_DETAIL_AXES}.items():
        if name not in fields:
            why = (
                '; expected a model with FTE (model.method.fte) and '
                'model.test_cfg.output_details=True'
            )
            raise KeyError(f'the prediction has no {name}{why if name in _DETAIL_AXES else ""}')
        value = _array(fields[name])
        if value.ndim == axes + 1:
            if not -len(value) <= person < len(value):
                raise IndexError(f'person is {person}, but the prediction has {len(value)} persons')
            value = value[person]
        values[name] = value
    num_joints, num_cells = len(JOINT_NAMES), values['cluster_ids'].size
    expected = dict(
        keypoints=(num_joints, 2),
        keypoint_scores=(num_joints,),
        input_center=(2,),
        input_scale=(2,),
        causal_tokens=(num_joints, values['causal_tokens'].shape[-1]),
        cluster_ids=(num_cells,),
        similarity=(num_joints, num_cells),
    )
    for name, shape in expected.items():
        if values[name].shape != shape:
            raise ValueError(f'{name} of a person has shape {values[name].shape}, expected {shape}')
    width, height = values['input_scale']
    return PersonDetails(**values, grid=token_grid(num_cells, height / width))


def _fields(sample: PoseDataSample | dict) -> dict:
    """Metainfo and predicted instances in one dict."""
    if isinstance(sample, dict):
        return {**sample, **sample.get('pred_instances', {})}
    return {**sample.metainfo, **dict(sample.pred_instances.items())}


def _array(value) -> np.ndarray:
    return value.cpu().numpy() if hasattr(value, 'cpu') else np.asarray(value)


@dataclass(frozen=True)
class Panel:
    """An image (H, W, 3) uint8 BGR and what it shows."""

    caption: str
    image: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """Pictures of one person's crop, all of one size.

    Attributes:
        pose: the predicted joints.
        causal_tokens: the cells that each joint selected, in the joint's color.
        clusters: the clusters of the other cells, each in its mean color.
        similarity: how similar each cell is to the joint's token; its causal tokens are outlined.
        similarity_map: (h, w) float, the values behind it.
    """

    pose: Panel
    causal_tokens: Panel
    clusters: Panel
    similarity: Panel
    similarity_map: np.ndarray

    @property
    def panels(self) -> list[Panel]:
        """All four, from left to right."""
        return [self.pose, self.causal_tokens, self.clusters, self.similarity]

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR: the panels side by side with their captions and legends."""
        height, heat = self.pose.image.shape[0], self.similarity_map
        parts = [captioned(panel.image, panel.caption) for panel in self.panels]
        parts.append(captioned(heat_legend(height, heat.min(), heat.max()), ''))
        parts.append(captioned(joint_legend(height), ''))
        return row(parts)

    def figure(self) -> Figure:
        """The same as a matplotlib figure: one axes a panel, a legend of joints, a color bar.

        The figure is not registered with pyplot: it shows as the result of a notebook's cell (after
        ``%matplotlib inline``), and ``figure.savefig(path)`` works with any backend.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        height, width = self.pose.image.shape[:2]
        figure = Figure(figsize=(4 * 3.2 + 0.6, 3.2 * height / width + 1), layout='constrained')
        all_axes = figure.subplots(1, len(self.panels))
        for axes, panel in zip(all_axes, self.panels):
            axes.imshow(panel.image[..., ::-1])
            axes.set_title(panel.caption)
            axes.set_axis_off()
        heat = ScalarMappable(
            Normalize(self.similarity_map.min(), self.similarity_map.max()),
            ListedColormap(heat_colors()[:, ::-1] / 255),
        )
        figure.colorbar(heat, ax=all_axes[-1])
        patches = [
            Patch(color=color[::-1] / 255, label=name.replace('_', ' '))
            for name, color in zip(JOINT_NAMES, joint_colors())
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
    """Draws what the model selected, merged and compared for one person.

    In a notebook, ``explain(sample).figure()``.

    Args:
        sample: a prediction with details, see `person_details`.
        image: (H, W, 3) uint8 BGR, the frame; read from the sample's ``img_path`` by default.
        person: which person of the prediction.
        joint: the joint of the similarity map, one of `JOINT_NAMES`.
        height: of the panels in pixels; the width follows from the crop.
        score_thr: joints below this score are left out of the pose.

    Raises:
        KeyError: if the prediction has no details.
        OSError: if the frame can't be read.
        ValueError: if there is no such joint, or shapes don't fit together.
    """
    if joint not in JOINT_NAMES:
        raise ValueError(f'joint is {joint!r}, expected one of {", ".join(JOINT_NAMES)}')
    details = person_details(sample, person)
    if image is None:
        image = read_image(_fields(sample).get('img_path'))
    size = (round(height * details.input_scale[0] / details.input_scale[1]), height)
    view = (details.input_center, details.input_scale, size)
    crop = crop_person(image, *view)
    keypoints = crop_points(details.keypoints, *view)
    shown = details.keypoint_scores >= score_thr
    k = JOINT_NAMES.index(joint)
    similarity, causal = details.similarity[k], details.causal_tokens
    return Explanation(
        pose=Panel('pose', draw_poses(crop, keypoints[None], shown[None])),
        causal_tokens=Panel('causal tokens', draw_causal_tokens(crop, causal, details.grid)),
        clusters=Panel('merged clusters', draw_clusters(crop, details.cluster_ids, details.grid)),
        similarity=Panel(
            f'similarity: {joint.replace("_", " ")}',
            draw_similarity(crop, similarity, details.grid, marked=causal[k]),
        ),
        similarity_map=similarity.reshape(details.grid),
    )


def read_image(path: str | None, backend_args: dict | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR, read as the data pipeline reads it.

    Args:
        path: of the image, as the sample's metainfo names it.
        backend_args: as in `LoadClip`.

    Raises:
        OSError: if it is missing or broken.
        ValueError: if there is no path.
    """
    if path is None:
        raise ValueError('the prediction has no img_path; expected the frame as `image`')
    return LoadClip(backend_args=backend_args).transform(dict(img_path=path))['img']


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
    """One person's explanation in one frame of a video: always a picture of the same size.

    A frame without the person shows the frame, dark, and says that they are not in it.

    Args:
        image: (H, W, 3) uint8 BGR, the frame.
        sample: the frame's predictions: all persons, with ``track_ids`` (P,) and details.
        track_id: whom to show; a negative one is nobody, as in ``track_ids``.
        joint: the joint of the similarity map, one of `JOINT_NAMES`.
        size: (width, height) of the picture, at least 320 x 160.
        title: what else to say above it, for example the frame's number.
        score_thr: joints below this score are left out of the pose.

    Raises:
        KeyError: if the predictions have no ``track_ids``, or those of the person no details.
        ValueError: if ``size`` is too small, there is no such joint, or shapes don't fit together.
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
    """The image as large as the room (width, height) allows, not distorted."""
    zoom = min(room[0] / image.shape[1], room[1] / image.shape[0])
    if zoom == 1:
        return image
    size = tuple(max(1, int(zoom * side)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
