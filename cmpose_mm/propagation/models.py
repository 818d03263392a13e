"""Propagators with a model, which need MMPose; built by `build_propagator`.

Persons are cut out, warped and decoded by the config's test pipeline, as in ``mim test``.

T = 3 frames of a clip, K joints of the model, n queries.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from tqdm import tqdm

from cmpose_mm.apis.loading import clip_dataset, find_checkpoint, find_config, load_pose_model
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.frames import FrameTable, clip_offsets
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.persons import box_problem, clip_box
from cmpose_mm.whole_files import sha256

from .propagators import ModelKind, Propagator
from .queries import Query


class ModelPropagator(Propagator):
    """What propagators with a model share; a subclass says which clip the model sees.

    Args:
        name: of the propagator.
        config, checkpoint: of the model.
        image_root: folder that the labels' file names start from.
        device: for example ``'cuda:0'``.
        batch_size: persons that go through the model at once.

    Raises:
        FileNotFoundError, ValueError: see `load_pose_model`.
        AnnotationError: if the model lacks one of PoseTrack's joints.
    """

    def __init__(
        self,
        name: str,
        config: str,
        checkpoint: str,
        image_root: str,
        device: str = 'cpu',
        batch_size: int = 16,
    ) -> None:
        self.name, self.batch_size = name, batch_size
        self.model = load_pose_model(config, checkpoint, device)
        self.table = FrameTable(image_root)
        self.files = Path(find_config(config)), Path(find_checkpoint(checkpoint, config))
        self.dataset = clip_dataset(self.model.cfg)
        with DefaultScope.overwrite_default_scope(self.model.cfg.get('default_scope', 'mmpose')):
            self.pipeline = Compose(self.dataset['pipeline'])
        found = self.model.dataset_meta['keypoint_id2name']
        self.joints = [found[index] for index in sorted(found)]
        lacking = [joint for joint in JOINT_NAMES if joint not in self.joints]
        if lacking:
            raise AnnotationError(
                f'{config}: the model has no joint {", ".join(lacking)}, expected all '
                f"{len(JOINT_NAMES)} of PoseTrack's."
            )
        self.places = [self.joints.index(joint) for joint in JOINT_NAMES]

    def settings(self) -> dict:
        """See `Propagator`."""
        config, checkpoint = self.files
        return {
            'propagator': self.name,
            'config': config.name,
            'config_sha256': hashlib.sha256(self.model.cfg.pretty_text.encode()).hexdigest(),
            'checkpoint': checkpoint.name,
            'checkpoint_sha256': sha256(checkpoint),
        }

    def __call__(self, queries: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        """See `Propagator`. Persons whose box is not in the image, or of whom the model sees no
        label, get no joints."""
        keypoints = np.zeros((len(queries), len(JOINT_NAMES), 2))
        scores = np.zeros(keypoints.shape[:2])
        boxes = [self._box(query) for query in queries]
        usable = [index for index, box in enumerate(boxes) if box is not None]
        starts = range(0, len(usable), self.batch_size)
        for start in tqdm(starts, self.name, unit='batch', delay=2, leave=False, disable=None):
            chosen = usable[start : start + self.batch_size]
            batch = [self.pipeline(self._sample(queries[i], boxes[i])) for i in chosen]
            # Decoding divides blank heatmaps, of joints that a label lacks, by their maximum.
            with torch.no_grad(), np.errstate(invalid='ignore'):
                samples = self.model.test_step(pseudo_collate(batch))
            for index, sample in zip(chosen, samples):
                pose = sample.pred_instances
                keypoints[index] = np.asarray(pose.keypoints)[0, self.places]
                scores[index] = np.asarray(pose.keypoint_scores)[0, self.places]
        finite = np.isfinite(keypoints).all(axis=-1) & np.isfinite(scores)
        keypoints[~finite], scores[~finite] = 0, 0
        return keypoints, scores

    def clip(self, query: Query) -> dict:
        """What the model sees of a query besides its box: entries for the pipeline."""
        raise NotImplementedError

    def _box(self, query: Query) -> np.ndarray | None:
        """(4,) x1, y1, x2, y2 cut to the image, as in training; None if it is not in it."""
        size = self.table.size_of(query.frame)
        box = query.box
        return None if box_problem(box, *size) else clip_box(box, *size)

    def _sample(self, query: Query, box: np.ndarray) -> dict:
        return dict(
            self.model.dataset_meta,
            img_path=self.table.path(query.frame.file_name),
            video=query.video.name,
            frame_number=query.frame.number,
            track_id=query.track_id,
            bbox=box[None].astype(np.float32),
            bbox_score=np.ones(1, np.float32),
            **self.clip(query),
        )


class EstimatePropagator(ModelPropagator):
    """Estimates the pose in the frame; of the labels only the boxes are used.

    Any model will do, also one of clips, which sees the frame's neighbors as in a test.
    """

    uses_labels = False

    def __init__(self, *args) -> None:
        super().__init__(*args)
        method = getattr(self.model, 'method', None)
        self.offsets = None
        if method is not None:
            dataset = self.dataset
            self.offsets = clip_offsets(
                method.num_frames, dataset.get('stride', 1), dataset.get('causal', False)
            )

    def clip(self, query: Query) -> dict:
        """See `ModelPropagator`."""
        if self.offsets is None:
            return {}
        paths, valid = self.table.neighbors(query.frame.file_name, self.offsets)
        return dict(
            frame_paths=paths,
            frame_offsets=self.offsets,
            frame_valid=valid,
            key_index=int(np.flatnonzero(self.offsets == 0)[0]),
        )


class LabelPropagator(ModelPropagator):
    """A video method on clips [label before, frame, label after], with the labeled poses.

    The poses are ``clip.poses`` of the method. Where a label is missing, the frame itself takes its
    place in the clip, at the distance of the other label, with ``valid`` False and no pose. A label
    whose image is missing counts as missing, and a warning tells of it.

    Args:
        kind: the method that the model must have, and whether it gets one label or both.
        others: see `ModelPropagator`.

    Raises:
        AnnotationError: if the model has another method, one for other clips, or one that does not
            look at labels.
    """

    def __init__(self, name: str, kind: ModelKind, config: str, *args) -> None:
        super().__init__(name, config, *args)
        self.kind = kind
        method = getattr(self.model, 'method', None)
        if type(method).__name__ != kind.method:
            raise AnnotationError(
                f'{config}: the model has the method {type(method).__name__}, expected '
                f'{kind.method} for the propagator {name!r}.'
            )
        if kind.labels_option and getattr(method, kind.labels_option) is None:
            raise AnnotationError(
                f'{config}: model.method.{kind.labels_option} is None, so the model does not see '
                'the labels; expected one that was trained to propagate them, as '
                'configs/stdpose/stdpose_propagate.py does.'
            )
        if (method.num_frames, method.key_index) != (3, 1):
            raise AnnotationError(
                f'{config}: the method has {method.num_frames} frames with the key frame at '
                f'{method.key_index}, expected 3 and 1 for [label before, frame, label after].'
            )

    def clip(self, query: Query) -> dict:
        """See `ModelPropagator`."""
        query = self._on_disk(query)
        labels = [query.before, query.after]
        if self.kind.nearest_only:
            labels = [label if label is query.nearest else None for label in labels]
        frame = self.table.path(query.frame.file_name)
        paths, offsets, valid = [frame] * 3, np.zeros(3, int), np.array([False, True, False])
        xy, visible = np.zeros((3, len(self.joints), 2)), np.zeros((3, len(self.joints)))
        for place, label, other, sign in ((0, *labels, -1), (2, *labels[::-1], 1)):
            offsets[place] = sign * (label or other).distance
            if label is not None:
                paths[place], valid[place] = self.table.path(label.frame.file_name), True
                xy[place, self.places] = label.keypoints[:, :2]
                visible[place, self.places] = label.present
        return dict(
            frame_paths=paths,
            frame_offsets=offsets,
            frame_valid=valid,
            key_index=1,
            neighbor_keypoints=xy.astype(np.float32),
            neighbor_visible=visible.astype(np.float32),
        )

    def _box(self, query: Query) -> np.ndarray | None:
        seen = self._on_disk(query)
        return None if seen.before is seen.after is None else super()._box(query)

    def _on_disk(self, query: Query) -> Query:
        """The query without the labels whose image, which the model has to see, is missing."""
        labels = {}
        for side in ('before', 'after'):
            label = getattr(query, side)
            if label is not None and not self.table.exists(label.frame.file_name):
                warnings.warn(
                    f'{self.table.path(label.frame.file_name)}: not on disk; poses next to it come '
                    'from the label on the other side alone, if there is one',
                    stacklevel=2,
                )
                label = None
            labels[side] = label
        return replace(query, **labels)
