"""Poses of all persons in all frames of a video.

T: frames of a clip, P: persons of a frame, K: joints, C, h, w: channels and cells of features.
Boxes are x1, y1, x2, y2 in pixels of the image.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from cmpose_cli.grammar import PersonChoice, parse_persons
from cmpose_mm.datasets.codec_check import check_codec
from cmpose_mm.joint_sets import JointSet, ToPoseTrack
from cmpose_mm.models import FrameFeatures
from cmpose_mm.models.clip_preprocessor import normalize
from cmpose_mm.posetrack.frames import clip_offsets
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.persons import box_problem
from cmpose_mm.tracking import PoseTracker
from cmpose_mm.weights import shipped_model, weaknesses

from .chosen_persons import chosen_boxes
from .engines import use_engine
from .followed_boxes import FollowedPersons, PoseRefined, PoseSearch
from .journal import Journal, from_record, record_boxes, to_record
from .loading import CONFIG_SUFFIXES, clip_dataset, load_pose_model
from .person_boxes import FileBoxes, PersonDetector, boxes_by_frame, read_boxes, whole_frame
from .read_ahead import read_ahead
from .ssdlite import INSTALL, SSDLiteDetector, is_installed
from .track_crops import Crop, LinkedFrame, TrackCrops
from .video_io import FrameReader, VideoFrame, open_frames

OWN_DETECTORS = ('ssdlite', 'whole_frame')
"""Box sources that need no model of the user's."""
LOOK_EVERY = 10
"""Frames after which they look for new persons, or for a surer pose."""
READ_AHEAD = 8
"""Frames that are decoded before their turn; half of them while the model computes."""
UNSURE_BOX, SURE_POSE = 0.1, 0.4
"""Where no box of SSDLite is sure, the pose model looks into those that score `UNSURE_BOX`, too; a
pose must score `SURE_POSE` in the mean to be a person."""
OUTPUT_JOINTS = ('model', 'posetrack', 'derived')
"""The joints of the results: the model's, PoseTrack's 15, or these with missing ones computed."""
HALF_PRECISIONS = {'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass
class FramePoses:
    """One frame and the persons in it.

    Attributes:
        frame: the frame.
        data_sample: ``pred_instances`` of all P persons has ``keypoints`` (P, K, 2) in pixels of
            the image, ``keypoint_scores`` (P, K), ``bboxes`` (P, 4), ``bbox_scores`` (P,),
            ``track_ids`` (P,) int64 (-1: too uncertain for the tracker), and the crop that the
            model saw, ``input_center`` and ``input_scale`` (P, 2) in pixels of the image. The
            metainfo has their `JointSet` as ``joint_set``. With ``details`` and where there are
            persons, also the method's, each (P, ...): the names of ``detail_kinds`` in the
            metainfo, see `VideoMethod`.
    """

    frame: VideoFrame
    data_sample: PoseDataSample

    def to_dict(self) -> dict:
        """The poses in plain Python: numbers, lists and dicts that JSON can hold."""
        pred = self.data_sample.pred_instances
        persons = [
            dict(
                track_id=int(pred.track_ids[i]),
                bbox=pred.bboxes[i].tolist(),
                bbox_score=float(pred.bbox_scores[i]),
                keypoints=pred.keypoints[i].tolist(),
                keypoint_scores=pred.keypoint_scores[i].tolist(),
            )
            for i in range(len(pred.track_ids))
        ]
        return dict(
            frame=self.frame.number, time=self.frame.time, path=self.frame.path, persons=persons
        )


@dataclass
class _Waiting:
    """A key frame whose persons wait for a full batch: packed clips, or crops of T frames."""

    frame: VideoFrame
    boxes: np.ndarray
    scores: np.ndarray
    persons: list[Any]


class VideoPoseInferencer:
    """From a video to the poses of all persons in it, frame by frame.

    ::

        video -> frames -> boxes of persons -> crops of clips -> model, in batches -> track ids

    Clips, crops, flip test and decoding are those of the config's test pipeline and test dataset
    (`PoseTrackVideoDataset`): the poses are those of ``mim test`` on the same frames and boxes. A
    frame's neighbors beyond the ends of the video are the nearest frame that exists.

    Memory does not grow with the video: held are the frames of a clip and of a batch, and a few
    that a thread decodes meanwhile.

    A model may have any joints: names, limbs, colors and OKS sigmas are those of its
    ``dataset_meta``, see `JointSet`.

    Args:
        config: the config of a top-down model, of clips or of single frames; a path, the name of a
            config of this package, the name of a published model of MMPose such as ``'vitpose-b'``
            (see `find_model`), or a `Config`. None takes the small model that ships with the
            package, see `cmpose_mm.weights`.
        checkpoint: its weights, a path; for a URL see ``download``. None takes those that are
            published for the config.
        detector: box source for videos without boxes of their own: config and checkpoint of an
            MMDetection model, the name of one that is published (``'rtmdet-m'``), or a callable,
            see `person_boxes`. Or one of these two, which follow
            persons by their poses, so that frames are computed one after the other: ``'ssdlite'``,
            a small detector from PyPI (see `ssdlite`), for any number of persons; and
            ``'whole_frame'``, where the pose model itself looks for one person (see
            `followed_boxes`). None is the first of them that works with the model that ships, and
            with a ``config`` the whole frame as one person's box.
        device: for example ``'cuda:0'``.
        causal: use no future frame, and give each frame's result before the next is read, for live
            video. A model whose key frame is the last of its clips (``key_index`` T - 1) has no
            future frames anyhow. One with the key frame in the middle sees the key frame in their
            place, as it does at the end of every video in training.
        crops: ``'key_frame'`` cuts the key frame's box from all frames of the clip, as in training.
            ``'track'`` cuts each frame by the person's own smoothed box and runs the backbone once
            a (person, frame), see `track_crops`. The flip test doubles the work in both. None is
            ``'track'`` for methods that lose nothing by it (`VideoMethod.tolerates_track_crops`),
            but ``'key_frame'`` with ``details``, whose places are those of one box.
        batch_size: clips that go through the model at once. As many frames are held at most. None
            is 16, but 4 where torch computes on a CPU: there more is no faster, or slower.
        detect_every: ask the box source every n-th frame only. Between them `PoseTracker` says
            where the persons are, so frames are computed one after the other. Track crops then cut
            the frames ahead of a key frame by the key frame's box, since their own is not known,
            and once more when it is.
            None is every frame; the detectors that follow persons are asked every 10th then, and
            whenever nobody is followed.
        half: ``'bf16'`` or ``'fp16'`` computes the model under autocast. Heatmaps are decoded in
            float32.
        details: also give what the method tells about its decisions.
        joints: of the results. ``'model'``: those of the model. ``'posetrack'``: PoseTrack's 15,
            taken from the model's by their names. ``'derived'``: the same, but head_bottom and
            head_top are computed where the model lacks them, see `ToPoseTrack`.
        score_thr: from 0 to 1; the detector's boxes that score less are dropped. Those of a
            function are all taken.
        persons: which persons are wanted; None is all. ``'largest'``, ``'largest:2'``: by the area
            of their boxes. ``'center'``, ``'center:2'``: nearest to the center of the image.
            ``'640,360'``, ``'640,360:2'``: nearest to that point. These choose each frame's boxes
            before poses are computed. ``'id:0,3'``: by track id, which is known only after that.
        engine: what computes the model: ``'torch'``, ``'compile'`` (torch.compile), or
            ``'onnx'`` (ONNX Runtime, on a CPU), see `use_engine`.
        download: allows to download checkpoints that are URLs; else nothing is downloaded.
        cfg_options: overrides of the config's fields.

    Attributes:
        joints: the `JointSet` of the results; writers and `draw_poses` take it.

    Raises:
        FileNotFoundError: if a config or checkpoint is missing; says what to get.
        ValueError: for an argument out of range, a checkpoint that doesn't fit the config, or a
            model that is not top-down or lacks joints that ``joints`` asks for.

    Example::

        inferencer = VideoPoseInferencer(
            'cmpose_vit_posetrack18.py',
            'work_dirs/cmpose_vit_posetrack18/epoch_20.pth',
            detector=('mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py', 'checkpoints/rtmdet_m.pth'),
            device='cuda:0',
        )
        for result in inferencer('street.mp4'):
            print(result.frame.number, result.data_sample.pred_instances.keypoints)
    """

    def __init__(
        self,
        config: str | Path | Config | None = None,
        checkpoint: str | Path | None = None,
        *,
        detector: tuple[str, str] | Callable | str | None = None,
        device: str = 'cpu',
        causal: bool = False,
        crops: str | None = None,
        batch_size: int | None = None,
        detect_every: int | None = None,
        half: str | None = None,
        details: bool = False,
        joints: str = 'model',
        score_thr: float = 0.3,
        persons: str | PersonChoice | None = None,
        engine: str = 'torch',
        download: bool = False,
        cfg_options: dict | None = None,
    ) -> None:
        self.choice = parse_persons(persons) if isinstance(persons, str) else persons
        if crops not in (None, 'key_frame', 'track'):
            raise ValueError(f"crops is {crops!r}, expected 'key_frame', 'track' or None")
        if joints not in OUTPUT_JOINTS:
            raise ValueError(f'joints is {joints!r}, expected one of {", ".join(OUTPUT_JOINTS)}')
        if half is not None and half not in HALF_PRECISIONS:
            raise ValueError(f'half is {half!r}, expected one of {list(HALF_PRECISIONS)} or None')
        if half is not None and engine == 'onnx':
            raise ValueError(f"half={half!r} does not work with engine='onnx', expected another")
        for name, number in dict(batch_size=batch_size, detect_every=detect_every).items():
            if number is not None and number < 1:
                raise ValueError(f'{name} is {number}, expected at least 1')
        if not 0 <= score_thr <= 1:
            raise ValueError(f'score_thr is {score_thr}, expected a number from 0 to 1')
        if config is None:
            if checkpoint is not None:
                raise ValueError(
                    f'checkpoint {checkpoint} is given without the config that it was trained '
                    'with; expected both, or neither for the model that ships with cmpose_mm'
                )
            config, checkpoint = shipped_model()
            if detector is None:
                detector = 'ssdlite' if is_installed() else 'whole_frame'
            print_log(weaknesses(), 'current')
        self.model = load_pose_model(
            config, checkpoint, device, cfg_options, download, TopdownPoseEstimator
        )
        if isinstance(detector, (tuple, list)) and len(detector) == 2:
            detector = PersonDetector(*detector, device, score_thr, download)
        elif isinstance(detector, str) and not detector.endswith(CONFIG_SUFFIXES):
            if detector not in OWN_DETECTORS:
                detector = PersonDetector(detector, None, device, score_thr, download)
        elif detector is not None and not callable(detector):
            raise ValueError(
                f'detector is {detector!r}, expected a pair of config and checkpoint, the name of '
                f'a model of MMDetection, a function, or one of {", ".join(OWN_DETECTORS)}'
            )
        self.ssdlite, self.score_thr = None, score_thr
        if detector == 'ssdlite':
            self.ssdlite = SSDLiteDetector(min(UNSURE_BOX, score_thr))
        self.detector = detector
        self.device = torch.device(device)
        if batch_size is None:
            batch_size = 4 if self.device.type == 'cpu' and engine == 'torch' else 16
        self.causal, self.batch_size = causal, batch_size
        self.detect_every = detect_every
        self.half = None if half is None else HALF_PRECISIONS[half]
        if self.half is not None:
            # The head averages its heatmaps with the mirrored ones, and NumPy decodes them. It
            # calls its own forward by name, past the hooks of modules.
            self.model.head.forward = _in_float32(self.model.head.forward)
        self.model.test_cfg['output_details'] = details

        use_engine(self.model, engine, device)

        dataset = clip_dataset(self.model.cfg)
        with DefaultScope.overwrite_default_scope(self.model.cfg.get('default_scope', 'mmpose')):
            self.pipeline = Compose(dataset['pipeline'])
        self.offsets = _clip_offsets(self.model, dataset)
        self.key_index = int(np.flatnonzero(self.offsets == 0)[0])
        self.model_joints = _model_joints(self.model)
        self.to_posetrack = None
        if joints != 'model' and self.model_joints.joints != JOINT_NAMES:
            self.to_posetrack = ToPoseTrack(self.model_joints, derive=joints == 'derived')
        self.joints = self.model_joints if self.to_posetrack is None else self.to_posetrack.joints
        if details and self.to_posetrack is not None:
            raise ValueError(
                f"details are of the model's own joints, {self.model_joints}, expected "
                f"joints='model', found {joints!r}"
            )
        method = getattr(self.model, 'method', None)
        if getattr(method, 'needs_poses', False):
            raise ValueError(
                f'{type(method).__name__} takes labels of the neighboring frames, which a video '
                'does not have; expected a model that goes without (of STDPose: labels=None)'
            )
        self.needs_images = getattr(method, 'needs_images', False)
        if crops is None:
            tolerant = getattr(method, 'tolerates_track_crops', False) and len(self.offsets) > 1
            crops = 'track' if tolerant and not details else 'key_frame'
        self.crops = crops
        if self.crops == 'track' and not hasattr(self.model, 'extract_frames'):
            raise ValueError(
                "crops='track' needs a VideoTopdownPoseEstimator, "
                f'found {type(self.model).__name__}'
            )
        if self.crops == 'track' and self.needs_images:
            raise ValueError(
                f"crops='track' does not work with {type(self.model.method).__name__}, which "
                'compares the images of a clip: expected one box for all its frames, as '
                "crops='key_frame' has it"
            )

    def __call__(
        self,
        video: Any,
        boxes: str | Path | dict | Callable | None = None,
        *,
        journal: Journal | None = None,
    ) -> Iterator[FramePoses]:
        """Opens a video and gives its frames' poses, in order, as they are computed.

        Args:
            video: whatever `open_frames` takes: a file, a folder of images, a camera, images.
            boxes: in place of the detector: a file, see `read_boxes`; a dict from the frame's
                number to boxes (P, 4) and scores (P,); or a box source.
            journal: frames that it has are not computed again, the others are added to it. Tracks
                go on as in one run.

        Yields:
            One `FramePoses` a frame, also for frames without persons. Of a part of a video
            (`FrameReader.cut`) clips reach into the frames around it.

        Raises:
            OSError: if the video or a frame can't be read.
            ValueError: if the test pipeline crops persons in another size than the head's decoder
                reads, the file of boxes is wrong, or the frames differ in size; at the end, if
                boxes are given and none of them is in a frame of the video, or if nobody has a
                track id that was asked for; for a journal with ``details``, which are not stored.
        """
        decoder = getattr(self.model.head, 'decoder', None)
        check_codec(decoder, self.pipeline.transforms, 'test_dataloader.dataset.pipeline')
        frames = open_frames(video)
        if journal is not None and self.model.test_cfg['output_details']:
            raise ValueError('details are not stored, expected no journal')
        if boxes is None and isinstance(self.detector, str):
            source = self._followed_persons()
        elif boxes is None:
            source = self.detector or whole_frame
        elif callable(boxes):
            source = boxes
        else:
            source = boxes_by_frame(boxes) if isinstance(boxes, dict) else read_boxes(boxes, frames)
        return self._infer(frames, source, journal)

    @property
    def box_source(self) -> str:
        """Where boxes come from for videos without boxes of their own, in words."""
        if self.detector == 'ssdlite':
            return 'SSDLite for new persons, the last pose for those who are followed'
        if self.detector == 'whole_frame':
            return (
                'one person, looked for in the whole frame, then followed by the last pose '
                f'(for several persons: {INSTALL})'
            )
        if self.detector is None:
            return 'the whole frame as one person'
        if isinstance(self.detector, PersonDetector):
            return f'persons, by the detector {self.detector.name}'
        return 'a detector'

    def _followed_persons(self) -> FollowedPersons:
        """The box source of a new video that follows persons."""
        every = self.detect_every or LOOK_EVERY
        tracker = PoseTracker(min_score=0.0, sigmas=self.joints.sigmas)
        if self.ssdlite is None:
            search = PoseSearch(self.estimate)
            return FollowedPersons(search, every, single=True, tracker=tracker)
        search = PoseSearch(self.estimate, SURE_POSE, self.ssdlite)
        find = PoseRefined(self.ssdlite, self.estimate, self.score_thr)
        return FollowedPersons(find, every, search, tracker=tracker)

    def estimate(self, frame: VideoFrame, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses in boxes of one frame, without its neighbors; see `followed_boxes.Estimate`."""
        num_frames = len(self.offsets)
        info = dict(
            frame_offsets=self.offsets, frame_valid=self.offsets == 0, key_index=self.key_index
        )
        if hasattr(self.model, 'extract_frames') and not self.needs_images:
            crops = [self._make_crop(frame, box, 1.0) for box in boxes]
            for crop in crops:
                crop.data_sample.set_metainfo(info)
            persons, predict = [[crop] * num_frames for crop in crops], self._predict_crops
        else:
            persons = [self._pack([frame] * num_frames, frame, box, 1.0, info) for box in boxes]
            predict = self._predict_clips
        poses = [sample.pred_instances for sample in self._without_gradients(predict, persons)]
        return (
            np.concatenate([pose.keypoints for pose in poses]),
            np.concatenate([pose.keypoint_scores for pose in poses]),
        )

    def _infer(
        self, frames: FrameReader, source: Callable | FollowedPersons, journal: Journal | None
    ) -> Iterator[FramePoses]:
        # whom the box source gives is a person, whatever the score
        tracker = PoseTracker(min_score=0.0, sigmas=self.joints.sigmas)
        persons = _Persons(source, self.detect_every or 1, tracker, self.choice, journal)
        try:
            yield from self._results(frames, persons)
            persons.check_used(frames)
        finally:  # also if the caller has enough: a camera has no end
            persons.report_left_out(frames.name)

    def _results(self, frames: FrameReader, persons: _Persons) -> Iterator[FramePoses]:
        shown = np.minimum(self.offsets, 0) if self.causal else self.offsets
        items = frames.with_neighbors(-int(min(shown)), int(max(shown)))
        if not (self.causal or frames.is_live):  # which read a frame only when it is wanted
            items = read_ahead(items, READ_AHEAD)
        # The next boxes may depend on this frame's poses, and live results must not wait.
        at_once = self.causal or persons.need_poses or frames.is_live
        with closing(items):
            yield from self._results_of(items, shown, persons, at_once)

    def _results_of(
        self, items: Iterator[VideoFrame], shown: np.ndarray, persons: _Persons, at_once: bool
    ) -> Iterator[FramePoses]:
        track_crops = TrackCrops(self._make_crop) if self.crops == 'track' else None
        if track_crops is not None:
            items = map(LinkedFrame, items)
            if not persons.need_poses:
                # A frame's persons are known when it is read: it may serve an earlier key frame.
                items = (self._link(item, persons, track_crops) for item in items)
        waiting: list[_Waiting] = []
        for key, clip, exists in sliding_clips(items, shown):
            frame = key if track_crops is None else key.frame
            if frame.is_neighbor:
                continue
            valid = exists & (shown == self.offsets)
            stored = persons.stored(frame)
            if stored is not None:
                if track_crops is None:
                    persons(frame)
                else:  # its links and crops serve later frames
                    self._prepare(key, clip, valid, persons, track_crops)
                sample = from_record(stored, self._metainfo(frame))
                yield self._tracked(frame, sample, persons)
                continue
            waiting.append(self._prepare(key, clip, valid, persons, track_crops))
            count = sum(len(item.persons) for item in waiting)
            if at_once or max(count, len(waiting)) >= self.batch_size:
                yield from self._finish(waiting, persons)
                waiting = []
        yield from self._finish(waiting, persons)

    def _prepare(
        self, key, clip: list, valid: np.ndarray, persons: _Persons, track_crops
    ) -> _Waiting:
        """Cuts a key frame's persons out of its clip."""
        info = dict(frame_offsets=self.offsets, frame_valid=valid, key_index=self.key_index)
        if track_crops is not None:
            if persons.need_poses:
                self._link(key, persons, track_crops)
            clips = track_crops.clips(clip, key)
            for crops in clips:
                crops[self.key_index].data_sample.set_metainfo(info)
            return _Waiting(key.frame, key.boxes, key.scores, clips)
        boxes, scores = persons(key)
        packed = [self._pack(clip, key, box, score, info) for box, score in zip(boxes, scores)]
        return _Waiting(key, boxes, scores, packed)

    @staticmethod
    def _link(frame: LinkedFrame, persons: _Persons, track_crops: TrackCrops) -> LinkedFrame:
        track_crops.link(frame, *persons(frame.frame))
        return frame

    def _pack(
        self,
        frames: list[VideoFrame],
        key: VideoFrame,
        box: np.ndarray,
        score: float,
        info: dict | None = None,
    ) -> dict:
        """One person through the test pipeline, as the dataset hands it over."""
        images = [frame.image for frame in frames]
        return self.pipeline(
            dict(
                self.model.dataset_meta,
                img=images if hasattr(self.model, 'method') else images[0],
                img_path=key.path,
                frame_number=key.number,
                bbox=np.asarray(box, np.float32)[None],
                bbox_score=np.array([score], np.float32),
                **(info or {}),
            )
        )

    def _make_crop(self, frame: VideoFrame, box: np.ndarray, score: float) -> Crop:
        packed = self._pack([frame], frame, box, score)
        return Crop(packed['inputs'][0], packed['data_samples'])

    def _finish(self, waiting: list[_Waiting], persons: _Persons) -> Iterator[FramePoses]:
        """Runs the model on some frames' persons, and the tracker on its results."""
        results = iter(self._predict([person for item in waiting for person in item.persons]))
        samples = [self._merge(item, [next(results) for _ in item.persons]) for item in waiting]
        frames = [item.frame for item in waiting]
        persons.store(frames, samples)
        for frame, sample in zip(frames, samples):
            yield self._tracked(frame, sample, persons)

    def _tracked(self, frame: VideoFrame, sample: PoseDataSample, persons: _Persons) -> FramePoses:
        """The result of a frame; frames must come in order."""
        pred = sample.pred_instances
        pred.set_field(persons.track(frame, pred), 'track_ids')
        wanted = persons.wanted_ids(pred.track_ids)
        if not wanted.all():
            sample.pred_instances = pred[wanted]
        # a copy: the image is still a neighbor in clips to come, and who draws on it may
        return FramePoses(replace(frame, image=frame.image.copy()), sample)

    def _predict(self, persons: list) -> list[PoseDataSample]:
        """Poses of prepared persons."""
        predict = self._predict_clips if self.crops == 'key_frame' else self._predict_crops
        return self._without_gradients(predict, persons)

    def _without_gradients(self, predict: Callable, persons: list) -> list[PoseDataSample]:
        """``predict(persons)`` in the precision that was asked for."""
        autocast = nullcontext()
        if self.half is not None:
            autocast = torch.autocast(self.device.type, dtype=self.half)
        with torch.no_grad(), autocast:
            return predict(persons)

    def _predict_clips(self, packed: list[dict]) -> list[PoseDataSample]:
        """Clips through the whole model."""
        results = []
        for batch in _chunks(packed, self.batch_size):
            images = torch.stack([item['inputs'] for item in batch])
            images = normalize(self.model.data_preprocessor, images.to(self.device))
            samples = [item['data_samples'] for item in batch]
            results += self.model(images, samples, mode='predict')
        return results

    def _predict_crops(self, clips: list[list[Crop]]) -> list[PoseDataSample]:
        """Crops that the backbone has not seen through it, then all clips through the rest."""
        if not clips:
            return []
        new = {id(c): c for clip in clips for c in clip if c.features is None}.values()
        flip_test = self.model.test_cfg.get('flip_test', False)
        for batch in _chunks(list(new), self.batch_size * len(clips[0])):
            images = torch.stack([crop.image for crop in batch])
            images = normalize(self.model.data_preprocessor, images.to(self.device))
            frames = self.model.extract_frames(images)
            flipped = self.model.extract_frames(images.flip(-1)) if flip_test else None
            for number, crop in enumerate(batch):
                crop.features = frames[number]
                crop.flipped = flipped[number] if flip_test else None
        results = []
        for batch in _chunks(clips, self.batch_size):
            frames = _stacked([[crop.features for crop in clip] for clip in batch])
            flipped = None
            if flip_test:
                flipped = _stacked([[crop.flipped for crop in clip] for clip in batch])
            samples = [clip[self.key_index].data_sample for clip in batch]
            results += self.model.predict_clips(frames, flipped, samples)
        return results

    def _merge(self, item: _Waiting, results: list[PoseDataSample]) -> PoseDataSample:
        """One sample of all persons of a frame, without track ids yet."""
        metainfo = self._metainfo(item.frame)
        if results:
            first = results[0].metainfo  # which is put together each time it is asked for
            for name in ('input_size', 'detail_kinds', 'detail_grid'):
                if name in first:
                    metainfo[name] = first[name]
            found = [result.pred_instances for result in results]
            pred = _instances(
                {
                    name: np.concatenate([_array(instances.get(name)) for instances in found])
                    for name in found[0].keys()
                }
            )
            if pred.keypoints.shape[1] != len(self.model_joints):
                raise ValueError(
                    f'{self.model.cfg.filename}: the model predicts {pred.keypoints.shape[1]} '
                    f'joints, but its dataset_meta names {self.model_joints}'
                )
            if self.to_posetrack is not None:
                poses = self.to_posetrack(pred.keypoints, pred.keypoint_scores)
                pred = _instances(dict(keypoints=poses[0], keypoint_scores=poses[1]))
        else:
            pred = _instances(
                dict(
                    keypoints=np.zeros((0, len(self.joints), 2)),
                    keypoint_scores=np.zeros((0, len(self.joints)), np.float32),
                )
            )
        # With track crops the model's box is the smoothed one.
        # A copy, which the user may change: later frames are linked by these boxes.
        pred.set_field(item.boxes.copy(), 'bboxes')
        pred.set_field(item.scores.copy(), 'bbox_scores')
        for name in ('input_center', 'input_scale'):
            values = [result.get(name) for result in results]
            pred.set_field(np.array(values, np.float32).reshape(-1, 2), name)
        sample = PoseDataSample(pred_instances=pred)
        for name, value in metainfo.items():  # which `metainfo=` would copy one by one
            sample.set_field(value, name, field_type='metainfo')
        return sample

    def _metainfo(self, frame: VideoFrame) -> dict:
        shape = frame.image.shape[:2]
        return dict(
            img_path=frame.path, frame_number=frame.number, ori_shape=shape, img_shape=shape,
            joint_set=self.joints,
        )  # fmt: skip


class _Persons:
    """The boxes of each frame's persons, and their track ids.

    Boxes come from the box source, or from the tracker between; those of frames that a journal has
    from there.

    Args:
        source: box source, or one that follows persons itself.
        every: frames from one question of a box source to the next: it is asked in the first frame
            at or after each multiple of it, and in the first of all. In the others the tracker is.
        tracker: for a source that follows nobody.
        choice: which persons are wanted; None is all.
        journal: of the frames that are done; None for none.
    """

    def __init__(
        self,
        source: Callable | FollowedPersons,
        every: int,
        tracker: PoseTracker,
        choice: PersonChoice | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.source, self.every, self.tracker = source, every, tracker
        self.choice, self.journal = choice, journal
        self.follows = isinstance(source, FollowedPersons)
        self.dropped: list[str] = []
        self.num_used = self.num_unwanted = 0
        self.first: int | None = None
        self.last = -1
        self.round: int | None = None  # of the box source's questions
        self.ids: set[int] = set()
        self.notes: dict[int, dict] = {}  # of frames whose poses are not known yet

    @property
    def need_poses(self) -> bool:
        """Whether a frame's boxes depend on the poses in the frame before."""
        return self.follows or self.every > 1

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) and scores (P,) of the persons who are wanted.

        Boxes that no crop can be cut by are dropped.
        """
        if not frame.is_neighbor:
            self.first = frame.number if self.first is None else self.first
            self.last = max(self.last, frame.number)
        due, self.round = frame.number // self.every != self.round, frame.number // self.every
        stored = self.stored(frame)
        if stored is not None:
            if self.follows:
                self.source.ask_if_due(frame)
            self._count(stored['notes'])
            return record_boxes(stored)
        asked = self.follows or due
        if asked:
            ask = self.source.boxes if self.follows else self.source
            boxes, scores = _checked(ask(frame), frame)
        else:
            predicted = self.tracker.predict_boxes()
            boxes = np.asarray(predicted.boxes, np.float32)
            scores = np.asarray(predicted.scores, np.float32)
        height, width = frame.image.shape[:2]
        problems = [box_problem(box, width, height) for box in boxes]
        usable = np.array([problem is None for problem in problems], bool)
        boxes, scores = boxes[usable], scores[usable]
        wanted = np.ones(len(boxes), bool)
        if self.choice is not None and not self.choice.ids:
            wanted = chosen_boxes(self.choice, boxes, width, height)
        # a track that leaves the image is no mistake of anybody's
        dropped = [f'{p} in frame {frame.number}' for p in problems if p is not None and asked]
        notes = dict(dropped=dropped, used=len(boxes), unwanted=int(np.count_nonzero(~wanted)))
        if not frame.is_neighbor:
            self._count(notes)
            if self.journal is not None:
                self.notes[frame.number] = notes
        return boxes[wanted], scores[wanted]

    def stored(self, frame: VideoFrame) -> dict | None:
        """What the journal has of a frame."""
        if self.journal is None or frame.is_neighbor:
            return None
        return self.journal.record(frame.number)

    def store(self, frames: list[VideoFrame], samples: list[PoseDataSample]) -> None:
        """Adds frames whose poses are known to the journal."""
        if self.journal is not None and frames:
            self.journal.add(
                [
                    to_record(frame.number, sample, self.notes.pop(frame.number))
                    for frame, sample in zip(frames, samples)
                ]
            )

    def _count(self, notes: dict) -> None:
        self.dropped += notes['dropped']
        self.num_used += notes['used']
        self.num_unwanted += notes['unwanted']

    def track(self, frame: VideoFrame, pred: InstanceData) -> np.ndarray:
        """Track ids (P,) int64 of the frame's persons, whose poses are known now."""
        if self.journal is not None:
            self.journal.forget(frame.number)
        poses, boxes = (pred.keypoints, pred.keypoint_scores), (pred.bboxes, pred.bbox_scores)
        if self.follows:
            return self.source.see(frame, *boxes, *poses)
        return np.asarray(self.tracker.update(*poses, *boxes))

    def wanted_ids(self, ids: np.ndarray) -> np.ndarray:
        """(P,) bool: which persons have an id that is wanted; all, if none is named."""
        if self.choice is None or not self.choice.ids:
            return np.ones(len(ids), bool)
        wanted = np.isin(ids, self.choice.ids)
        self.ids.update(ids[ids >= 0].tolist())
        self.num_unwanted += np.count_nonzero(~wanted)
        return wanted

    def check_used(self, frames: FrameReader) -> None:
        """Says, at the end of the video, what was asked for and is not there.

        Raises:
            ValueError: if none of the boxes could be used, or nobody has one of the wanted ids.
        """
        video, is_part = frames.name, (frames.start, frames.end) != (None, None)
        there = f'{"the part of the video" if is_part else "the video"} has frames '
        there += f'{self.first} to {self.last}'
        boxes = self.source.boxes if isinstance(self.source, FileBoxes) else {}
        given = [number for number, (found, _) in boxes.items() if len(found)]
        beyond = [number for number in given if not 0 <= number <= self.last]
        if given and not self.num_used:
            why = f'the first is of frame {min(given)}'
            if self.dropped:
                why = f'the first was dropped for {self.dropped[0]}'
            elif any(self.first <= number <= self.last for number in given):
                why += f', which is not asked for (detect_every is {self.every})'
            raise ValueError(f'{video}: none of the given boxes fits, {why}; {there}')
        if beyond and not is_part:
            print_log(
                f'{video}: boxes of {len(beyond)} frames are not used, the first of frame '
                f'{min(beyond)}; {there}',
                'current',
                logging.WARNING,
            )
        missing = [track for track in (self.choice.ids if self.choice else ()) if
                   track not in self.ids]  # fmt: skip
        if missing:
            found = f'found were 0 to {max(self.ids)}' if self.ids else 'nobody has one'
            problem = f'{video}: nobody has the track id {", ".join(map(str, missing))}; {found}'
            if len(missing) == len(self.choice.ids):
                raise ValueError(problem)
            print_log(problem, 'current', logging.WARNING)

    def report_left_out(self, video: str) -> None:
        """Says, once, which persons were dropped, and how many were not wanted."""
        if self.dropped:
            print_log(
                f'{video}: {len(self.dropped)} persons dropped, the first for {self.dropped[0]}',
                'current',
                logging.WARNING,
            )
        if self.num_unwanted:
            what = 'boxes' if not self.choice.ids else 'poses'
            print_log(
                f'{video}: {self.num_unwanted} {what} of persons left out, as '
                f'{self.choice.text} asks for',
                'current',
                logging.WARNING,
            )


def _checked(persons: Any, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (P, 4) and scores (P,), float32, of what a box source gives.

    Raises:
        ValueError: if it is something else.
    """
    try:
        boxes, scores = (np.asarray(values, np.float32) for values in persons)
    except (TypeError, ValueError):
        boxes = scores = None
    if boxes is not None and boxes.size == scores.size == 0:
        return boxes.reshape(0, 4), scores.reshape(0)
    if boxes is None or boxes.shape != (len(boxes), 4) or scores.shape != (len(boxes),):
        found = 'other values' if boxes is None else f'shapes {boxes.shape} and {scores.shape}'
        raise ValueError(
            f'frame {frame.number}: the box source gives {found}, expected boxes (P, 4) and '
            'scores (P,)'
        )
    return boxes, scores


def sliding_clips(items: Iterable, offsets: np.ndarray) -> Iterator[tuple[Any, list, np.ndarray]]:
    """The clip around each item of a stream, as `FrameTable.neighbors` has it.

    Args:
        items: the frames of a video, in order.
        offsets: (T,) positions relative to the key frame, ascending, with a 0 among them.

    Yields:
        Each item, the T items of its clip, and (T,) bool which of them exist; where the clip
        reaches beyond the ends, the first or last item stands in. Of the stream no more is held, or
        read ahead, than the clip needs.
    """
    offsets = [int(offset) for offset in offsets]
    past, future = -min(offsets), max(offsets)
    held: deque = deque()
    newest, key = -1, 0  # positions in the stream

    def clip() -> tuple[Any, list, np.ndarray]:
        while newest - len(held) + 1 < key - past:
            held.popleft()
        oldest = newest - len(held) + 1
        wanted = [key + offset for offset in offsets]
        items = [held[min(max(position, 0), newest) - oldest] for position in wanted]
        exists = np.array([0 <= position <= newest for position in wanted])
        return held[key - oldest], items, exists

    for item in items:
        held.append(item)
        newest += 1
        if newest - key == future:
            yield clip()
            key += 1
    while key <= newest:
        yield clip()
        key += 1


def _clip_offsets(model: nn.Module, dataset: dict) -> np.ndarray:
    """(T,) positions of a clip's frames relative to the key frame.

    Raises:
        ValueError: if the model's key frame is not the test dataset's.
    """
    method = getattr(model, 'method', None)
    num_frames = getattr(method, 'num_frames', 1)
    offsets = clip_offsets(num_frames, dataset.get('stride', 1), dataset.get('causal', False))
    key_index = int(np.flatnonzero(offsets == 0)[0])
    expected = getattr(method, 'key_index', key_index)
    if key_index != expected:
        raise ValueError(
            f"{model.cfg.filename}: the key frame is at {expected} of the model's clips "
            f'(method.key_index) but at {key_index} of those of test_dataloader.dataset '
            f'(causal={dataset.get("causal", False)}); expected the same'
        )
    return offsets


def _stacked(clips: list[list[FrameFeatures]]) -> FrameFeatures:
    """B clips of T single frames with the leading axes (B, T)."""
    return FrameFeatures.stack([FrameFeatures.stack(clip) for clip in clips])


def _model_joints(model: nn.Module) -> JointSet:
    """The joints that a model predicts.

    Raises:
        ValueError: if its config or checkpoint names another number of joints than its head has
            channels for.
    """
    meta, name = model.dataset_meta, model.cfg.filename
    count = len(meta['keypoint_id2name'])
    channels = getattr(model.head, 'out_channels', None) or getattr(model.head, 'num_joints', count)
    if isinstance(channels, int) and channels % count:  # UDP's offsets take three a joint
        raise ValueError(
            f'{name}: model.head has {channels} channels, but dataset_meta names {count} joints '
            f'({meta["dataset_name"]})'
        )
    try:
        return JointSet.from_meta(meta, model.test_cfg.get('output_keypoint_indices'))
    except KeyError as error:
        raise ValueError(
            f'{name}: dataset_meta has no {error}, expected what MMPose saves'
        ) from error
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error


def _instances(fields: dict[str, np.ndarray]) -> InstanceData:
    """Persons with these fields, without the check of lengths that takes longer with each field."""
    instances = InstanceData()
    for name, values in fields.items():
        instances.set_field(values, name)
    return instances


def _array(values: Tensor | np.ndarray) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _in_float32(function: Callable) -> Callable:
    """The same function with all tensors that it returns in float32."""

    def called(*args, **kwargs):
        return _to_float32(function(*args, **kwargs))

    return called


def _to_float32(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_to_float32(part) for part in output)


def _chunks(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
