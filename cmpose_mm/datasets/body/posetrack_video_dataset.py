"""PoseTrack 2017, 2018 and 2021 as video clips for MMPose.

The module's path contains ``datasets.body`` on purpose: MMPose's inferencers pick the person
detector from it.
"""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

from cmpose_mm.datasets.propagation_clips import NUM_FRAMES, PropagationClips
from cmpose_mm.joint_sets import LEFT, MIDDLE, RIGHT, joint_side
from cmpose_mm.posetrack.annotations import (
    MISSING_SCORE,
    Frame,
    Video,
    frames_by_id,
    read_videos,
)
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.frames import (
    FrameTable,
    clip_offsets,
    random_clip_offsets,
    shared_folders,
)
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_SIGMAS, LIMBS
from cmpose_mm.posetrack.persons import (
    Person,
    detected_persons,
    key_frames,
    labeled_persons,
    repeated_ids,
    summarize_problems,
)

DATASET_NAMES = ('posetrack17', 'posetrack18', 'posetrack21')

_COLORS = dict(left=LEFT[::-1], right=RIGHT[::-1], middle=MIDDLE[::-1])  # RGB
# Loss weights of MMPose's PoseTrack18, by joint without its side.
_WEIGHTS = dict(elbow=1.2, wrist=1.5, knee=1.2, ankle=1.5)
_DEFAULT_NUM_FRAMES = 3
_SHOWN = 3  # cases that a message names


def posetrack_metainfo(dataset_name: str) -> dict:
    """MMPose's description of a dataset, for PoseTrack's 15 joints without the ears.

    Args:
        dataset_name: 'posetrack17', 'posetrack18' or 'posetrack21'.
    """
    keypoint_info, weights = {}, []
    for index, name in enumerate(JOINT_NAMES):
        side = joint_side(name)
        part = name.removeprefix(f'{side}_')
        keypoint_info[index] = dict(
            name=name,
            id=index,
            color=_COLORS[side],
            type='lower' if part in ('hip', 'knee', 'ankle') else 'upper',
            swap=dict(left=f'right_{part}', right=f'left_{part}', middle='')[side],
        )
        weights.append(_WEIGHTS.get(part, 1.0))
    skeleton_info = {}
    for index, (start, end) in enumerate(LIMBS):
        side = joint_side(start)
        side = side if side == joint_side(end) else 'middle'
        skeleton_info[index] = dict(link=(start, end), id=index, color=_COLORS[side])
    return dict(
        dataset_name=dataset_name,
        keypoint_info=keypoint_info,
        skeleton_info=skeleton_info,
        joint_weights=weights,
        sigmas=list(JOINT_SIGMAS),
    )


@DATASETS.register_module()
class PoseTrackVideoDataset(BaseCocoStyleDataset):
    """One sample for each person box in a labeled frame, with the frames around it.

    A labeled frame is the *key frame* of its clips. Its neighbors are the nearest frames that
    exist in the video's folder, labeled or not. At a video's ends the nearest existing frame
    stands in for those beyond, and ``frame_valid`` says so.

    Keypoints are the 15 of `JOINT_NAMES`. ``keypoints_visible`` is 1 for every *labeled* joint,
    which includes occluded ones (v = 0 with coordinates): they weigh in the loss as they count in
    the evaluation.

    The pipeline gets, besides what MMPose's top-down datasets give: ``video`` (name),
    ``frame_number`` (int, as labeled), ``frame_paths`` (T paths), ``frame_valid`` ((T,) bool),
    ``key_index`` (int), ``track_id`` (int, -1 unknown), ``box_source`` ('ground_truth' or the
    detection file's name) and ``clip_seed`` (int in [0, 2**63), for randomness inside the model).
    ``img_path`` is the key frame's path. ``PackClipInputs`` keeps them all as metainfo.

    **Randomness.** A sample depends on (seed, epoch, index) alone, see `set_epoch`: not on the
    worker that makes it, nor on how long the process has lived.

    **Bad input.** Structural errors raise when the dataset is built: an unreadable file, two frames
    with one image id, a video's folder that is missing or empty, a key frame not on disk. Persons
    that can't be used are dropped, counted and logged once: an annotation that can't be read (a
    wrong keypoint count, NaN), no labeled joint, a box without area or outside the image.
    Annotation ids that repeat are counted and logged, and samples get running numbers in their
    place. ``docs/data.md`` has the whole list.

    Args:
        dataset_name: 'posetrack17', 'posetrack18' or 'posetrack21'; the metric and predictions go
            by it.
        num_frames: T, frames of a clip; None for as many as the model wants (`ClipLayoutHook`
            tells), and 3 where there is no model.
        stride: distance between two frames of a clip, in existing frames.
        causal: only past frames; the key frame is the last of the clip, otherwise at T // 2.
        random_neighbors: draw other neighbors at every fetch, within the span of the fixed ones
            (see `random_clip_offsets`: stride 1 leaves nothing to chance). For training only.
        neighbor_poses: also give the same person's labeled poses in the other frames of the clip,
            ``neighbor_keypoints`` (T, 15, 2) and ``neighbor_visible`` (T, 15), found by track id
            and never those of the key frame. Persons without a track id get none, and are counted.
            Goes with ground-truth boxes, and with `ClipTopdownAffine` and `ClipRandomFlip` in the
            pipeline.
        label_every: k; gives clips [label before, frame, label after] for a method that propagates
            labels which are k frames apart, see `PropagationClips`. It implies ``neighbor_poses``,
            and T = 3.
        label_dropout: see `PropagationClips`.
        pseudo_weight: weight in the loss of joints that nobody labeled (pseudo-labels, see
            `cmpose_mm.propagation`): 1, or 'score' for the score of each joint, cut to [0, 1]. Goes
            with `PackClipInputs` in the pipeline, which puts ``label_weights`` (1, 15) into effect.
        ann_file: folder of per-video files or one merged file, see `read_videos`.
        bbox_file: detected boxes to use in place of the labeled ones, see `read_detections`; only
            with ``test_mode``. A path that doesn't exist is taken relative to ``data_root``. In a
            video without any labeled frame, as in test sets, all frames with a box are key frames.
        metainfo: description of the joints in place of the release's, for another name or other
            sigmas and weights; its joints must be the 15.
        **kwargs: see ``BaseCocoStyleDataset``. ``data_prefix=dict(img=...)`` is the folder that
            ``file_name`` in the labels starts from; ``filter_cfg=dict(bbox_score_thr=...)`` drops
            detections; ``data_mode`` must be 'topdown'.

    Raises:
        ValueError: for an argument out of range, a wrong label file, or a dataset without samples.
        FileNotFoundError: if a key frame is not on disk.
    """

    METAINFO: dict = posetrack_metainfo('posetrack18')
    has_numbers = False  # samples have numbers in place of ids
    first_number = 0  # that is added to them, see `ConcatDataset`

    def __init__(
        self,
        dataset_name: str = 'posetrack18',
        num_frames: int | None = None,
        stride: int = 1,
        causal: bool = False,
        random_neighbors: bool = False,
        neighbor_poses: bool = False,
        label_every: int | None = None,
        label_dropout: float = 0.2,
        pseudo_weight: int | str = 1,
        *,
        ann_file: str = '',
        bbox_file: str | None = None,
        metainfo: dict | None = None,
        data_root: str | None = None,
        test_mode: bool = False,
        **kwargs,
    ) -> None:
        if 'random_neighbours' in kwargs:
            warnings.warn('random_neighbours is called random_neighbors now', FutureWarning, 2)
            random_neighbors = kwargs.pop('random_neighbours')
        if dataset_name not in DATASET_NAMES:
            raise ValueError(f'dataset_name must be one of {DATASET_NAMES}, got {dataset_name!r}')
        if kwargs.get('data_mode', 'topdown') != 'topdown':
            raise ValueError(f'data_mode must be "topdown" for clips, got {kwargs["data_mode"]!r}')
        if random_neighbors and test_mode:
            raise ValueError('random_neighbors is for training, but test_mode is on')
        if neighbor_poses and bbox_file:
            raise ValueError('neighbor_poses needs labeled boxes, but bbox_file is given')
        if pseudo_weight not in (1, 'score'):
            raise ValueError(f"pseudo_weight must be 1 or 'score', got {pseudo_weight!r}")
        self.pseudo_weight = pseudo_weight
        self.label_every, self.label_dropout = label_every, label_dropout
        if label_every is not None:
            if label_every < 2:
                raise ValueError(f'label_every must be at least 2, got {label_every}')
            if not 0 <= label_dropout < 1:
                raise ValueError(f'label_dropout must be in [0, 1), got {label_dropout}')
            if causal or random_neighbors or stride != 1 or bbox_file:
                raise ValueError(
                    'label_every decides which frames a clip has: expected no causal, '
                    'random_neighbors, stride or bbox_file beside it'
                )
            stride, neighbor_poses = label_every, True
        self.stride, self.causal = stride, causal
        self.set_num_frames(num_frames)
        self.random_neighbors, self.neighbor_poses = random_neighbors, neighbor_poses
        # (epoch, seed), in memory that data workers see: those that live on learn a new epoch.
        self._epoch_and_seed = torch.tensor([0 if test_mode else -1, 0]).share_memory_()
        if bbox_file and data_root and not os.path.exists(bbox_file):
            bbox_file = os.path.join(data_root, bbox_file)
        super().__init__(
            ann_file=ann_file,
            bbox_file=bbox_file,
            metainfo=posetrack_metainfo(dataset_name) if metainfo is None else metainfo,
            data_root=data_root,
            test_mode=test_mode,
            **kwargs,
        )

    # ---- clips -------------------------------------------------------------------------------

    def set_num_frames(self, num_frames: int | None) -> None:
        """Changes T; see the class. Data workers that run already keep theirs."""
        if self.label_every is not None and num_frames not in (None, NUM_FRAMES):
            raise ValueError(
                f'num_frames is {num_frames}, expected {NUM_FRAMES} with label_every: '
                '[label before, frame, label after]'
            )
        self.num_frames = num_frames
        length = _DEFAULT_NUM_FRAMES if num_frames is None else num_frames
        self.offsets = clip_offsets(length, self.stride, self.causal)

    @property
    def key_index(self) -> int:
        """Position of the key frame in the clips."""
        return int(np.flatnonzero(self.offsets == 0)[0])

    def check_joints(self) -> None:
        """Checks that the meta information describes the joints that samples have.

        Raises:
            ValueError: if it has other joints than PoseTrack's 15, or another order.
        """
        names = self.metainfo['keypoint_id2name']
        names = [names[index] for index in sorted(names)]
        if names != list(JOINT_NAMES):
            raise ValueError(
                f"metainfo has the {len(names)} joints {', '.join(names)}; expected PoseTrack's "
                f'{len(JOINT_NAMES)}, which samples have: {", ".join(JOINT_NAMES)}'
            )

    # ---- samples -----------------------------------------------------------------------------

    def set_epoch(self, epoch: int, seed: int) -> None:
        """Makes all samples follow from (seed, epoch, index), in every data worker.

        `EpochSeedHook` calls this before each training epoch. A training dataset for which nobody
        has called it draws from the process's own generators, as MMPose's datasets do; in test
        mode epoch and seed are then 0.

        Args:
            epoch: >= 0.
            seed: any integer of 64 bits.
        """
        if epoch < 0:
            raise ValueError(f'epoch must be >= 0, got {epoch}')
        # A copy of a dataset (`get_subset`) has lost the sharing.
        self._epoch_and_seed.share_memory_()
        self._epoch_and_seed.copy_(torch.tensor([epoch, seed]))

    def _sample_seeds(self, index: int) -> np.ndarray:
        """Three independent uint64 numbers: for python's generator, for numpy's, for the model."""
        epoch, seed = self._epoch_and_seed.tolist()
        if epoch < 0:
            return np.random.randint(0, 2**63, size=3, dtype=np.uint64)
        return np.random.SeedSequence([seed % 2**64, epoch, index]).generate_state(3, np.uint64)

    @force_full_init
    def prepare_data(self, idx: int) -> dict:
        """Makes one sample.

        Raises:
            ValueError: if the pipeline returns None, where MMEngine would go on to try other random
                samples, a thousand times by default.
        """
        info = self.get_data_info(idx)
        info['dataset'] = self  # MMPose's mixing transforms want it
        if self.has_numbers:
            info['id'] += self.first_number
        seeds = self._sample_seeds(info['sample_idx'])
        info['clip_seed'] = int(seeds[2] >> np.uint64(1))
        with _random_state(seeds[0], seeds[1]):
            if self.label_every is not None:
                info.update(self.propagation_clips.draw(info['file_name'], info['track_id']))
            else:
                info.update(self._clip(info['file_name']))
                if self.neighbor_poses:
                    info.update(self._neighbor_poses(info))
            sample = self.pipeline(info)
        if sample is None:
            raise ValueError(
                f'the pipeline returned None for sample {idx}, '
                f'{info["img_path"]} (video {info["video"]})'
            )
        return sample

    def _clip(self, file_name: str) -> dict:
        """The frames around a key frame."""
        offsets = self.offsets
        if self.random_neighbors:
            offsets = random_clip_offsets(len(offsets), self.stride, self.causal)
        paths, valid = self.frame_table.neighbors(file_name, offsets)
        return dict(
            frame_paths=paths, frame_offsets=offsets, frame_valid=valid, key_index=self.key_index
        )

    def _neighbor_poses(self, info: dict) -> dict[str, np.ndarray]:
        """Labeled poses of a sample's person in the other frames of its clip."""
        poses = np.zeros((len(info['frame_paths']), len(JOINT_NAMES), 3), np.float32)
        for pose, path in zip(poses, info['frame_paths']):
            if path != info['img_path']:
                labeled = self._poses.get((path, info['track_id']))
                if labeled is not None:
                    pose[:, :2] = labeled[:, :2]
                    pose[:, 2] = (labeled != 0).any(axis=1)
        return dict(neighbor_keypoints=poses[..., :2], neighbor_visible=poses[..., 2])

    @force_full_init
    def key_frames(self) -> list[tuple[str, int]]:
        """The key frame of each sample: its video's folder and its position there.

        Positions count the frames on disk. Two samples share a key frame if their pairs are equal,
        and frames of their clips if the positions are near.
        """
        names = (BaseDataset.get_data_info(self, index)['file_name'] for index in range(len(self)))
        return [(self.frame_table.folder(n), self.frame_table.position(n)) for n in names]

    # ---- reading -----------------------------------------------------------------------------

    def load_data_list(self) -> list[dict]:
        """Reads labels (and detections), checks them against the disk, and logs what was found."""
        unreadable: list[str] = []
        detected = bool(self.bbox_file)
        videos = read_videos(self.ann_file, problems=unreadable, allow_unlabeled=detected)
        frames_by_id(videos)  # raises if two frames share an id
        self.frame_table = FrameTable(self.data_prefix['img'])
        frames = key_frames(videos, detected)
        frames = [(v, f) for v, f in frames if f.image_id % self.sample_interval == 0]
        self._key_images = [(video.name, frame.image_id) for video, frame in frames]
        dropped: list[str] = []
        repeated: list[str] = []
        if detected:
            detections = read_detections(self.bbox_file, videos, problems=dropped)
            frames = [(v, f) for v, f in frames if f.image_id in detections]
            self._check_on_disk(frames)
            persons = list(detected_persons(frames, detections, self.frame_table))
        else:
            frames = [(v, f) for v, f in frames if len(f.keypoints)]
            self._check_on_disk(frames)
            persons = list(labeled_persons(frames, self.frame_table))
            repeated = repeated_ids(frames)
        data_list = [self._sample(person) for person in persons if person.problem is None]
        if self.neighbor_poses:
            self._poses = self._tracked_poses(videos)
            if self.label_every is not None:
                self.propagation_clips = PropagationClips(
                    self.frame_table, self._poses, self.label_every, self.label_dropout,
                    not self.test_mode,
                )  # fmt: skip
                self._check_labels_near(data_list)
            untracked = sum(info['track_id'] < 0 for info in data_list)
            if untracked:
                dropped.append(f'the neighbor poses of {untracked} persons without a track id')
        if repeated or any(info['id'] == -1 for info in data_list):
            # Detections and PoseTrack17 have no ids, but samples must be told apart.
            self.has_numbers = True
            for index, info in enumerate(data_list):
                info['id'] = index

        self._log(
            f'{self.ann_file}: {len(videos)} videos, {sum(len(v.frames) for v in videos)} frames, '
            f'{len(frames)} key frames, {len(data_list)} samples with boxes from '
            f'{self.bbox_file or "ground truth"}'
        )
        for sentence in shared_folders(videos, self.frame_table):
            self._log(sentence, logging.WARNING)
        pseudo = sum(video.num_pseudo for video in videos)
        if pseudo:
            self._log(
                f'{pseudo} persons are pseudo-labels; the weight of their joints in the loss is '
                f'{"their score" if self.pseudo_weight == "score" else 1}'
            )
        if repeated:
            self._log(
                f'{len(repeated)} persons have an annotation id that was there before (first: '
                f'{repeated[0]}); the samples are numbered instead',
                logging.WARNING,
            )
        if unreadable:
            dropped.append(
                f'{len(unreadable)} annotations can not be read (first: {unreadable[0]})'
            )
        dropped += summarize_problems(persons)
        unmarked = sum(len(f.keypoints) for v in videos for f in v.frames if not f.is_labeled)
        if unmarked and not detected:
            dropped.append(f'{unmarked} persons of frames that are not marked as labeled')
        if dropped:
            self._log(
                'dropped, tools/check_posetrack.py lists each case: ' + '; '.join(dropped),
                logging.WARNING,
            )
        return data_list

    def _check_labels_near(self, data_list: list[dict]) -> None:
        """Logs how many samples can be given labels.

        Raises:
            ValueError: if none can: a method that propagates labels would learn from none.
        """
        clips = self.propagation_clips
        given = sum(bool(clips.labels_near(i['file_name'], i['track_id'])) for i in data_list)
        if data_list and not given:
            raise ValueError(
                f'{self.ann_file}: label_every is {clips.every}, but no person is labeled again, '
                f'by its track id, in the {clips.every} frames before and after; expected the '
                'distance between labels'
            )
        self._log(
            f'{given} of {len(data_list)} samples have labels of their track within '
            f'{clips.every} frames'
        )

    def _tracked_poses(self, videos: list[Video]) -> dict[tuple[str, int], np.ndarray]:
        """Path of a frame and track id -> the joints (15, 3) of that person there.

        A track id that a frame has twice belongs to nobody. Persons without a joint have no pose.
        """
        poses: dict[tuple[str, int], np.ndarray | None] = {}
        for video in videos:
            for frame in video.frames:
                path = self.frame_table.path(frame.file_name)
                for track, joints in zip(frame.track_ids.tolist(), frame.keypoints):
                    if track >= 0:
                        poses[path, track] = None if (path, track) in poses else joints
        return {key: j for key, j in poses.items() if j is not None and j.any()}

    def filter_data(self) -> list[dict]:
        """Applies ``filter_cfg`` as MMPose does; logs what went, raises if nothing is left."""
        data_list = super().filter_data()
        if len(data_list) < len(self.data_list):
            self._log(
                f'{len(self.data_list) - len(data_list)} of {len(self.data_list)} samples dropped '
                f'by filter_cfg {self.filter_cfg}'
            )
        if not data_list:
            boxes = f'detections in {self.bbox_file}' if self.bbox_file else 'persons'
            raise ValueError(
                f'{self.ann_file}: no sample left; expected labeled frames with {boxes}'
            )
        if self.test_mode and self._indices is None:
            # `PoseTrackMetric` is to miss these, and not to take them for videos outside the test.
            found = {info['video'] for info in data_list}
            boxless = [image for video, image in self._key_images if video not in found]
            if boxless:
                self._metainfo['images_of_boxless_videos'] = boxless
        return data_list

    def _sample(self, person: Person) -> dict:
        """What is kept of one person; see the class for the keys."""
        frame = person.frame
        info = dict(
            img_id=frame.image_id,
            img_path=self.frame_table.path(frame.file_name),
            file_name=frame.file_name,
            video=person.video.name,
            frame_number=frame.number,
            category_id=np.array(1),
            bbox=person.box[None].astype(np.float32),
            bbox_score=np.array([person.score], np.float32),
        )
        if self.bbox_file:
            # Dummy keypoints, as MMPose's datasets give them.
            info.update(
                id=-1,
                track_id=-1,
                box_source=os.path.basename(self.bbox_file),
                keypoints=np.zeros((1, len(JOINT_NAMES), 2), np.float32),
                keypoints_visible=np.ones((1, len(JOINT_NAMES)), np.float32),
            )
        else:
            keypoints = frame.keypoints[person.index]
            info.update(
                id=int(frame.ids[person.index]),
                track_id=int(frame.track_ids[person.index]),
                box_source='ground_truth',
                keypoints=keypoints[None, :, :2].astype(np.float32),
                keypoints_visible=(keypoints != 0).any(axis=1)[None].astype(np.float32),
            )
            if self.pseudo_weight == 'score':
                info['label_weights'] = _label_weights(person)
        return info

    def _check_on_disk(self, key_frames: list[tuple[Video, Frame]]) -> None:
        """Raises FileNotFoundError unless all key frames are in their videos' folders."""
        missing = [
            f'{self.frame_table.path(frame.file_name)} (video {video.name})'
            for video, frame in key_frames
            if not self.frame_table.exists(frame.file_name)
        ]
        if missing:
            raise FileNotFoundError(
                f'{self.ann_file}: {len(missing)} of {len(key_frames)} key frames are not on disk, '
                f'first {", ".join(missing[:_SHOWN])}; expected them under '
                f'data_prefix img={self.data_prefix["img"]!r} '
                '(tools/check_posetrack.py lists them all)'
            )

    def _log(self, message: str, level: int = logging.INFO) -> None:
        name = self._metainfo['dataset_name']
        print_log(f'{type(self).__name__} {name}: {message}', logger='current', level=level)


def _label_weights(person: Person) -> np.ndarray:
    """(1, 15) weights of a person's joints in the loss: 1, of pseudo-labels their scores.

    Raises:
        ValueError: if a pseudo-label has no scores.
    """
    frame, index = person.frame, person.index
    if frame.pseudo is None or not frame.pseudo[index]:
        return np.ones((1, len(JOINT_NAMES)), np.float32)
    labeled = (frame.keypoints[index] != 0).any(axis=1)
    scores = frame.scores[index]
    if (scores[labeled] == MISSING_SCORE).any():
        raise ValueError(
            f"{person}: is a pseudo-label without scores; expected them for pseudo_weight='score'"
        )
    return np.where(labeled, scores.clip(0, 1), 0)[None].astype(np.float32)


@contextmanager
def _random_state(python_seed: np.uint64, numpy_seed: np.uint64) -> Iterator[None]:
    """Seeds python's and numpy's global generators and gives them back as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(int(python_seed))
    np.random.seed([int(numpy_seed) >> 32, int(numpy_seed) % 2**32])
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
