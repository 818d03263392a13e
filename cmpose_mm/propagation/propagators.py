"""Propagators: from labels of a person in other frames to the pose in this one.

n queries, 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError

from .queries import Label, Query

SCORE_PER_FRAME = 0.9
"""Of a pose without a model: the score of a joint is this to the power of the frames to the nearest
label. *Chosen*: something that ranks a joint by how far it has been carried."""


class Propagator:
    """Answers queries; a subclass implements ``__call__``.

    Attributes:
        uses_labels: whether the pose comes from the labels, and not from the image alone.
    """

    uses_labels = True

    def __call__(self, queries: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        """Poses of persons.

        Args:
            queries: n, of any videos.

        Returns:
            (n, 15, 2) x, y in pixels of the image, and (n, 15) scores; a score of 0 or less is no
            joint.
        """
        raise NotImplementedError

    def settings(self) -> dict:
        """What decides the result, as JSON can hold it."""
        raise NotImplementedError


class Copy(Propagator):
    """The pose of the nearest label; the earlier one on ties."""

    def __call__(self, queries: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        """See `Propagator`."""
        keypoints = np.array([query.nearest.keypoints[:, :2] for query in queries])
        return keypoints.reshape(-1, 15, 2), _scores(queries)

    def settings(self) -> dict:
        """See `Propagator`."""
        return {'propagator': 'copy'}


class Linear(Propagator):
    """Joints move along straight lines, at constant speed, from one label to the other.

    The joints are those of the nearest label, as with `Copy`; one that the other label lacks, or
    all if there is no other, stay where they were.
    """

    def __call__(self, queries: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        """See `Propagator`."""
        keypoints = np.zeros((len(queries), 15, 2))
        for pose, query in zip(keypoints, queries):
            pose[:] = query.nearest.keypoints[:, :2]
            if query.other is not None:
                both = query.nearest.present & query.other.present
                pose[both] = query.interpolate(lambda label: label.keypoints[:, :2])[both]
        return keypoints, _scores(queries)

    def settings(self) -> dict:
        """See `Propagator`."""
        return {'propagator': 'linear'}


@dataclass(frozen=True)
class ModelKind:
    """A propagator that needs a model.

    Attributes:
        what: it does, in a few words.
        method: registry name of the video method that its model must have, which receives clips
            [label before, frame, label after] and the labeled poses. None: any model that estimates
            poses; it receives the frame as in a test, and no labels.
        nearest_only: the method receives the nearest label alone.
        labels_option: argument of the method that is None where it does not look at labels.
    """

    what: str
    method: str | None
    nearest_only: bool = False
    labels_option: str | None = None


PROPAGATORS: dict[str, type[Propagator] | ModelKind] = {
    'copy': Copy,
    'linear': Linear,
    'estimate': ModelKind('estimates the pose without labels', None),
    'warp': ModelKind('warps the nearest label, as PoseWarper does', 'HeatmapWarp', True),
    'stdpose': ModelKind('estimates the pose with both labels', 'STDPose', labels_option='labels'),
}
"""By name. A model that propagates in its own way is one more entry with its method's name."""


def build_propagator(
    name: str,
    config: str | None = None,
    checkpoint: str | None = None,
    *,
    image_root: str | None = None,
    device: str = 'cpu',
    batch_size: int = 16,
) -> Propagator:
    """A propagator by its name.

    Args:
        name: key of `PROPAGATORS`.
        config, checkpoint: of the model, where the propagator has one.
        image_root: folder that the labels' file names start from, for models.
        device: of the model.
        batch_size: persons that go through the model at once.

    Raises:
        AnnotationError: one sentence if there is no such propagator, or it lacks a model or images,
            or MMPose, or was given a model that it does not have.
    """
    kind = PROPAGATORS.get(name)
    given = [key for key, value in (('config', config), ('checkpoint', checkpoint)) if value]
    if kind is None:
        raise AnnotationError(
            f'There is no propagator {name!r}, expected one of {", ".join(PROPAGATORS)}.'
        )
    if not isinstance(kind, ModelKind):
        if given:
            raise AnnotationError(f'Propagator {name!r} has no model, found --{given[0]}.')
        return kind()
    values = {'config': config, 'checkpoint': checkpoint, 'images': image_root}
    missing = [f'--{key}' for key, value in values.items() if value is None]
    if missing:
        raise AnnotationError(
            f'Propagator {name!r} {kind.what}: it needs a trained model and the images, expected '
            f'{" and ".join(missing)}.'
        )
    try:
        from .models import EstimatePropagator, LabelPropagator
    except ImportError as error:
        raise AnnotationError(
            f'Propagator {name!r} needs MMPose ({error}), see the installation in README.'
        ) from error

    if kind.method is None:
        return EstimatePropagator(name, config, checkpoint, image_root, device, batch_size)
    return LabelPropagator(name, kind, config, checkpoint, image_root, device, batch_size)


def one_sided(query: Query, side: str) -> Query:
    """The query with one of its labels, ``'before'`` or ``'after'``."""
    return replace(query, **{'before': None, 'after': None, side: getattr(query, side)})


def _scores(queries: list[Query]) -> np.ndarray:
    def of(label: Label) -> np.ndarray:
        return np.where(label.present, SCORE_PER_FRAME**label.distance, 0.0)

    return np.array([of(query.nearest) for query in queries]).reshape(-1, 15)
