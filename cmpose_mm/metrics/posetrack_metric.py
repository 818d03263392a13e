"""PoseTrack's average precision and recall by visibility in MMPose's runner."""

from __future__ import annotations

import os.path as osp
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmpose.evaluation.functional import oks_nms, soft_oks_nms, transform_pred
from mmpose.registry import METRICS
from mmpose.utils.tensor_utils import to_numpy

from cmpose_mm.evaluation.average_precision import TIE_BREAKS, average_precision
from cmpose_mm.evaluation.protocol import Protocol, get_protocol
from cmpose_mm.evaluation.report import COLUMNS, format_table, format_visibility, visibility_to_dict
from cmpose_mm.evaluation.scored_frames import RULES, Rules, ScoredSet, check_labeled, select_scored
from cmpose_mm.evaluation.visibility import (
    VISIBILITY_CLASSES,
    Reach,
    check_reach,
    recall_by_visibility,
)
from cmpose_mm.posetrack.annotations import AnnotationError, Frame, Video, frames_by_id, read_videos
from cmpose_mm.posetrack.file_names import same_image
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17
from cmpose_mm.posetrack.predictions import (
    describe_other_files,
    prediction_files,
    write_predictions,
)

_RELEASE = r'posetrack[ _-]?(?:20)?(\d\d)$'
_NAMES_IN_LOGS = {
    'Head': 'Head AP',
    'Shoulder': 'Shou AP',
    'Elbow': 'Elb AP',
    'Wrist': 'Wri AP',
    'Hip': 'Hip AP',
    'Knee': 'Knee AP',
    'Ankle': 'Ankl AP',
    'Total': 'Total AP',
    'mean7': 'mean7 AP',
}


@METRICS.register_module()
class PoseTrackMetric(BaseMetric):
    """Average precision on PoseTrack17, 18 or 21.

    Takes the arguments of MMPose's ``PoseTrack18Metric`` and stands in for it by a change of
    ``type``; it needs no `poseval` and no particular folders. Keypoints are mapped to the 15
    joints by the names in the dataset's meta information, so that models with and without ears are
    scored alike. Videos that are not tested are left out, and the log says how many; those in which
    the dataset found no box count, wherever weak boxes are dropped.

    Emits, with the dataset's name as the prefix: ``Head AP``, ``Shou AP``, ``Elb AP``, ``Wri AP``,
    ``Hip AP``, ``Knee AP``, ``Ankl AP``, ``Total AP`` (mean over the 15 joints; also as ``AP``) and
    ``mean7 AP`` (mean of the seven groups), all in percent. The log has every joint.

    Args:
        ann_file: labels, a folder of per-video files or one merged file. By default those of the
            dataset that is evaluated.
        protocol: 'dcpose', by which nearly all results on video pose estimation are published, or
            'mmpose', that of MMPose's ``PoseTrack18Metric`` and its configs; or a dictionary with
            the name of one and what differs, or a `Protocol`.
        format_only: write the predictions and score nothing; needs `outfile_prefix`.
        outfile_prefix: its folder receives one file a video with the predictions in the official
            PoseTrack18 format. Track ids are those of the samples where they have one, as ground
            truth boxes do, and else number the persons of a frame: nothing is tracked here.
        pred_converter: `num_keypoints` and `mapping` of MMPose's ``KeypointConverter``, to score a
            model of another keypoint set; the result must be PoseTrack's 17 or 15 keypoints.
        dataset: release whose rules hold, '17', '18' or '21'; by default that at the end of the
            dataset's name (``posetrack21``), and '18' for other names.
        tie_break: see `average_precision`.
        visibility: also emit ``Recall visible``, ``Recall occluded``, ``Recall recoverable`` and
            ``Recall lost`` over all joints, in percent; the log has the groups.
        reach, stride: of the frames in which a recoverable joint is seen, see
            `recall_by_visibility`. By default both are what the clips show: the frames before and
            after the key frame, and the distance between two of them; where samples are single
            frames, both are 1. `stride` is also 1 where `reach` is given, or where the distances in
            the clips differ.
        collect_device: 'cpu' or 'gpu', for gathering over processes.
        prefix: of the names of the results; by default the dataset's name.
        settings: settings of the protocol that differ, by the names that `Protocol` and MMPose's
            ``PoseTrack18Metric`` have for them: ``bbox_score_thr=0.3``.

    Attributes:
        settings: the `Protocol`.
        predicted: the videos of the last evaluation, as they were scored or written.

    Raises:
        ValueError: if an argument has a value that is not offered. In evaluation, if a prediction
            is for an image that the labels do not have, or two samples have one id.
    """

    default_prefix = 'posetrack18'
    need_head_boxes = True

    def __init__(
        self,
        ann_file: str | None = None,
        *,
        protocol: str | dict | Protocol = 'dcpose',
        format_only: bool = False,
        outfile_prefix: str | None = None,
        pred_converter: dict | None = None,
        dataset: str | None = None,
        tie_break: str = 'stable',
        visibility: bool = False,
        reach: Reach | None = None,
        stride: int | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **settings,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        _check_choice('tie_break', tie_break, TIE_BREAKS)
        if dataset is not None:
            _check_choice('dataset', dataset, RULES)
        if format_only and outfile_prefix is None:
            raise ValueError('PoseTrackMetric: format_only needs outfile_prefix, found none.')
        if reach is not None:
            check_reach(reach, 1 if stride is None else stride)

        self.settings = get_protocol(protocol, **settings)
        self.ann_file = ann_file
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.pred_converter = pred_converter
        self.dataset = dataset
        self.tie_break = tie_break
        self.visibility, self.reach, self.stride = visibility, reach, stride
        self._named_by_dataset = prefix is None
        self.predicted: list[Video] = []
        self._labels: list[Video] | None = None
        self._frames: dict[int, tuple[Video, Frame]] = {}

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Takes the prefix from the dataset unless it was given, and reads the labels.

        Runners set this before they start, so that wrong labels end a run there and not after the
        first epoch.
        """
        self._dataset_meta = dataset_meta
        if self._named_by_dataset:
            self.prefix = dataset_meta['dataset_name']
        self._joint_names()
        self.read_labels()

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Keeps what is scored of each sample: one entry a sample, whatever it predicts.

        Raises:
            AnnotationError: if a prediction has another number of joints than the dataset.
        """
        for sample in data_samples:
            pred, gt = sample['pred_instances'], sample.get('gt_instances', {})
            found, expected = np.shape(pred['keypoints']), len(self._dataset_joints())
            if found[0] and found[1] != expected:
                raise AnnotationError(
                    f'{type(self).__name__}: {sample.get("img_path")}: the prediction has '
                    f'{found[1]} joints, the dataset {expected}; expected the same, in its order.'
                )
            result = {
                'id': sample['id'],
                'img_id': sample['img_id'],
                'img_path': sample.get('img_path'),
                'keypoints': to_numpy(pred['keypoints']),
                'keypoint_scores': to_numpy(pred['keypoint_scores']),
                'track_id': sample.get('track_id', -1),
                'box_source': sample.get('box_source', 'not told by the dataset'),
                'reach': _clip_reach(sample),
                'strides': np.unique(np.diff(sample.get('frame_offsets', ()))).tolist(),
                'ori_shape': sample.get('ori_shape'),
            }
            num_persons = len(result['keypoints'])
            # as MMPose: one-stage models score their own boxes, top-down ones were given theirs
            bbox_scores = pred.get('bbox_scores', gt.get('bbox_scores', ()))
            if len(bbox_scores) != num_persons:
                bbox_scores = np.ones(num_persons)
            result['bbox_scores'] = to_numpy(bbox_scores)
            if 'bboxes' in pred:
                result['bboxes'] = to_numpy(pred['bboxes'])
            if len(gt.get('bbox_scales', ())) == num_persons:
                result['areas'] = np.prod(to_numpy(gt['bbox_scales']), axis=1)
            else:
                extent = np.ptp(result['keypoints'], axis=1)
                result['areas'] = extent[:, 0] * extent[:, 1]
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores the samples of all processes; see the class for what comes out."""
        scored = self.select_scored(results)
        if scored is None:
            return {}
        logger = MMLogger.get_current_instance()
        result = average_precision(scored, rules=self.rules, tie_break=self.tie_break)
        if not result.num_gt.any():
            logger.warning('Nothing is scored: no joint is labeled. AP is 0, as of poseval.')
        summary = result.summary()
        joints = {joint: {'AP': ap} for joint, ap in zip(JOINT_NAMES, result.ap.tolist())}
        logger.info('\n' + format_table({'AP': summary}, COLUMNS))
        logger.info('\n' + format_table(joints, ['AP']))
        metrics = {name: summary[column] for column, name in _NAMES_IN_LOGS.items()}
        metrics['AP'] = summary['Total']
        if self.visibility:
            reach = _common_reach(results) if self.reach is None else self.reach
            stride = self.stride
            if stride is None:
                stride = _common_stride(results) if self.reach is None else 1
            recall = recall_by_visibility(scored, reach=reach, stride=stride)
            logger.info(f'Recoverable joints: neighbors up to {reach} x {stride} frames')
            logger.info('\n' + format_visibility(visibility_to_dict(recall)))
            for name, columns in recall.summary().items():
                metrics[f'Recall {name}'] = columns['Total']
        return metrics

    @property
    def result_names(self) -> list[str]:
        """Names of what comes out, as ``save_best`` takes them."""
        names = [] if self.format_only else self._result_names()
        return [f'{self.prefix}/{name}' for name in names]

    def _result_names(self) -> list[str]:
        recall = [f'Recall {name}' for name in VISIBILITY_CLASSES] if self.visibility else []
        return [*_NAMES_IN_LOGS.values(), 'AP', *recall]

    def select_scored(self, results: list[dict]) -> ScoredSet | None:
        """Pairs the samples of all processes with the labels, and logs what is scored.

        Writes the predictions if there is an `outfile_prefix`.

        Returns:
            What is scored; None with `format_only`.
        """
        logger = MMLogger.get_current_instance()
        labels = self.read_labels()
        persons = self._collect_persons(results)
        predicted = self._to_videos(persons, labels, {result['img_id'] for result in results})
        self._log_protocol(results, persons, logger)
        self.predicted = predicted
        if self.outfile_prefix is not None:
            folder = osp.dirname(self.outfile_prefix) or '.'
            write_predictions(predicted, folder)
            logger.info(f'Predictions for {len(predicted)} videos are in {folder}')
            told = describe_other_files(folder, prediction_files(predicted))
            if told:
                logger.warning(told)
        if self.format_only:
            return None

        names = {video.name for video in predicted}
        tested = {result['img_id'] for result in results}
        labels_scored = [video for video in labels if video.name in names]
        scored = select_scored(
            labels_scored, predicted, rules=self.rules, need_head_boxes=self.need_head_boxes
        )
        num_joints = sum(int(video.gt_present.sum()) for video in scored.videos)
        logger.info(
            f'Scored {len(names)} of {len(labels)} videos ({len(labels) - len(names)} without any '
            f'prediction left out): {scored.num_frames} frames, {scored.num_persons} persons, '
            f'{num_joints} joints, by the rules of PoseTrack{self.release}'
        )
        untested = [
            len(frame.keypoints)
            for video in labels_scored
            for frame in video.frames
            if len(frame.keypoints) and frame.image_id not in tested
        ]
        if untested:
            boxless = sum(
                all(frame.image_id not in tested for frame in video.frames)
                for video in labels_scored
            )
            logger.info(
                f'{len(untested)} frames with {sum(untested)} labeled persons have no sample, '
                f'among them those of {boxless} whole videos; all these joints count as missed'
            )
        return scored

    def read_labels(self) -> list[Video]:
        """The ground truth, read once."""
        if self._labels is None:
            ann_file = self.ann_file
            if ann_file is None:
                key = f'{self.dataset_meta["dataset_name"]}_ann_file'
                hub = MessageHub.get_current_instance()
                if key not in hub.runtime_info:
                    raise ValueError(
                        f'{type(self).__name__}: no ann_file given, and no dataset in test '
                        f'mode has left its own as "{key}" in the MessageHub; expected one of '
                        'the two.'
                    )
                ann_file = hub.get_info(key)
            self._labels = read_videos(ann_file, allow_unlabeled=self.format_only)
            if not self.format_only:
                check_labeled(self._labels)
                if self.need_head_boxes:  # told now, not after the first epoch
                    select_scored(self._labels, self._labels, rules=self.rules)
            self._frames = frames_by_id(self._labels)
        return self._labels

    def check_image_ids(self, image_ids: Iterable[int]) -> None:
        """Checks that the labels have some images.

        Raises:
            AnnotationError: if an id is not in the labels.
        """
        unknown = sorted({*image_ids} - self._frames.keys())
        if unknown:
            raise AnnotationError(
                f'{type(self).__name__}: predictions for {len(unknown)} image ids that the '
                f'labels do not have, for example {unknown[0]}; the labels have '
                f'{next(iter(self._frames))} and others. Expected the ann_file of the dataset '
                'that is evaluated.'
            )

    def check_image_paths(self, paths: Mapping[int, str]) -> None:
        """Checks that images are those of the labels where the labels have no ids of their own.

        The ids that PoseTrack17's labels get count the videos beside them, so those of another
        folder of labels are known here as well, and are of other images.

        Args:
            paths: image id -> file of the image.

        Raises:
            AnnotationError: if an image is another one than that of its id.
        """
        for image_id, path in paths.items():
            video, frame = self._frames[image_id]
            if not video.has_image_ids and not same_image(path, frame.file_name):
                raise AnnotationError(
                    f'{type(self).__name__}: {path} was predicted as image id {image_id}, which is '
                    f'{frame.file_name} in {video.source}; such labels have no ids, so these count '
                    'their videos. Expected the ann_file of the dataset that is evaluated.'
                )

    @property
    def release(self) -> str:
        """The release of PoseTrack whose rules hold, a key of `RULES`."""
        if self.dataset is not None:
            return self.dataset
        named = re.search(_RELEASE, self.dataset_meta['dataset_name'], re.IGNORECASE)
        return named[1] if named and named[1] in RULES else '18'

    @property
    def rules(self) -> Rules:
        """The rules of `release`."""
        return RULES[self.release]

    def _collect_persons(self, results: list[dict]) -> dict[int, list[dict]]:
        """Persons by image id: those above the box threshold that survive NMS.

        Raises:
            AnnotationError: on image ids that the labels do not have, and on repeated ids.
        """
        if not results:
            raise AnnotationError(f'{type(self).__name__}: no predictions to score.')
        self.check_image_ids(r['img_id'] for r in results)
        self.check_image_paths(
            {r['img_id']: r['img_path'] for r in results if isinstance(r.get('img_path'), str)}
        )
        samples = Counter(
            # bottom-up models predict a whole image: its id is that of the sample
            r['id'] if np.ndim(r['id']) == 0 else ('image', r['img_id'])
            for r in results
        )
        repeated = [sample for sample, count in samples.items() if count > 1]
        if repeated:
            raise AnnotationError(
                f'{type(self).__name__}: {len(repeated)} sample ids have more than one '
                f'prediction, for example {repeated[0]}; expected unique ids.'
            )

        by_image: dict[int, list[dict]] = defaultdict(list)
        for result in sorted(results, key=lambda r: r['id'] if np.ndim(r['id']) == 0 else -1):
            if self.pred_converter is not None:  # first, as MMPose's CocoMetric does
                result = {**result, **self._converted(result)}
            for index in np.flatnonzero(result['bbox_scores'] >= self.settings.bbox_score_thr):
                person = {
                    'keypoints': result['keypoints'][index],
                    'keypoint_scores': result['keypoint_scores'][index],
                    'bbox_score': result['bbox_scores'][index],
                    'area': result['areas'][index],
                    'track_id': result['track_id'],
                    'bbox': result['bboxes'][index] if 'bboxes' in result else np.full(4, np.nan),
                }
                person['score'] = self.settings.person_score(
                    person['keypoint_scores'], person['bbox_score']
                )
                by_image[result['img_id']].append(person)
        if self.settings.nms_mode != 'none':
            suppress = oks_nms if self.settings.nms_mode == 'oks_nms' else soft_oks_nms
            places, sigmas = self._joints_of_nms()
            for img_id, persons in by_image.items():
                triplets = [  # MMPose's NMS takes x, y, score
                    {**p, 'keypoints': np.c_[p['keypoints'], p['keypoint_scores']][places]}
                    for p in persons
                ]
                kept = suppress(triplets, self.settings.nms_thr, sigmas=sigmas)
                by_image[img_id] = [persons[index] for index in kept]
        return by_image

    def _to_videos(
        self, persons: dict[int, list[dict]], labels: list[Video], image_ids: set[int]
    ) -> list[Video]:
        """The predicted videos, even if nobody is left: those tested, and those without a box."""
        names, mapped = self._joint_names()
        places = [names.index(joint) for joint in JOINT_NAMES]
        image_ids = image_ids | {*self.dataset_meta.get('images_of_boxless_videos', ())}
        videos = []
        for video in labels:
            if any(frame.image_id in image_ids for frame in video.frames):
                frames = [
                    self._to_frame(frame, persons.get(frame.image_id, []), places, mapped)
                    for frame in video.frames
                ]
                videos.append(Video(video.name, frames, 'predictions', video.has_image_ids))
        return videos

    def _converted(self, result: dict) -> dict[str, np.ndarray]:
        joints = {key: result[key] for key in ('keypoints', 'keypoint_scores')}
        count, mapping = self.pred_converter['num_keypoints'], self.pred_converter['mapping']
        return transform_pred(joints, count, mapping)

    def _joints_of_nms(self) -> tuple[list[int], np.ndarray]:
        """Places of the keypoints that persons are compared by, and their sigmas, by name."""
        sigmas = np.asarray(self.dataset_meta['sigmas'])
        if self.pred_converter is None:
            return list(range(len(sigmas))), sigmas
        sigma_of = dict(zip(self._dataset_joints(), sigmas.tolist()))
        names, mapped = self._joint_names()
        places = [n for n, name in enumerate(names) if mapped[n] and name in sigma_of]
        return places, np.array([sigma_of[names[place]] for place in places])

    def _dataset_joints(self) -> list[str]:
        id2name = self.dataset_meta['keypoint_id2name']
        return [id2name[index] for index in range(len(id2name))]

    def _joint_names(self) -> tuple[list[str], np.ndarray]:
        """Names of the (converted) keypoints and whether each is predicted, (K,) bool.

        Raises:
            AnnotationError: if a joint of PoseTrack is not among them.
        """
        if self.pred_converter is None:
            names = self._dataset_joints()
            mapped = np.ones(len(names), dtype=bool)
        else:
            count = self.pred_converter['num_keypoints']
            names = list(JOINT_NAMES_17 if count == len(JOINT_NAMES_17) else JOINT_NAMES)
            mapped = np.zeros(count, dtype=bool)
            mapped[[target for _, target in self.pred_converter['mapping']]] = True
        lacking = [joint for joint in JOINT_NAMES if joint not in names]
        if lacking or len(mapped) != len(names):
            raise AnnotationError(
                f'{type(self).__name__}: the keypoints are {", ".join(names)}; expected all 15 of '
                f'PoseTrack, found none for {", ".join(lacking)}.'
            )
        return names, mapped

    def _to_frame(
        self, labeled: Frame, persons: list[dict], places: list[int], mapped: np.ndarray
    ) -> Frame:
        count = len(persons)
        keypoints = np.zeros((count, len(mapped), 3))
        scores = np.zeros((count, len(mapped)))
        boxes = np.full((count, 4), np.nan)
        track_ids = _track_ids([person['track_id'] for person in persons])
        for index, person in enumerate(persons):
            keypoints[index, :, :2] = person['keypoints']
            scores[index] = self.settings.joint_scores(
                person['keypoint_scores'], person['bbox_score']
            )
            boxes[index, :2] = person['bbox'][:2]
            boxes[index, 2:] = person['bbox'][2:] - person['bbox'][:2]
        keypoints[..., 2] = mapped  # a joint is predicted wherever it lies, also at (0, 0)
        return replace(
            labeled,
            ignore_regions=[],
            keypoints=keypoints[:, places],
            scores=scores[:, places],
            head_boxes=np.full((count, 4), np.nan),
            boxes=boxes,
            track_ids=track_ids,
            ids=np.full(count, -1),
            num_without_points=0,
            pseudo=None,
        )

    def _log_protocol(self, results: list[dict], persons: dict[int, list[dict]], logger) -> None:
        settings = self.settings
        sources = ', '.join(sorted({str(result['box_source']) for result in results}))
        found = sum(len(result['bbox_scores']) for result in results)
        kept = sum(map(len, persons.values()))
        below = sum(
            np.count_nonzero(~(result['bbox_scores'] >= settings.bbox_score_thr))
            for result in results
        )
        logger.info(
            f'Protocol {settings.name}: {settings}. Boxes: {sources}. {found} persons predicted, '
            f'{below} dropped by box score, {found - below - kept} by NMS'
        )
        broken = sum(
            not all(
                np.isfinite(person[name]).all()
                for name in ('keypoints', 'keypoint_scores', 'bbox_score')
            )
            for image in persons.values()
            for person in image
        )
        broken += sum(np.count_nonzero(np.isnan(result['bbox_scores'])) for result in results)
        if broken:
            logger.warning(
                f'{broken} predicted persons have coordinates or scores that are not finite; such '
                'coordinates count as wrong, and persons whose box has no score are dropped'
            )


def _check_choice(name: str, value: str, choices) -> None:
    if value not in choices:
        raise ValueError(
            f'PoseTrackMetric: {name} is {value!r}, expected one of {", ".join(choices)}.'
        )


def _clip_reach(sample: dict) -> tuple[int, int]:
    """Frames that the sample's clip shows before and after its key frame."""
    num_frames = len(sample.get('frame_valid', ()))
    if num_frames < 2:  # a single frame: what a clip of three would show, so that both compare
        return 1, 1
    return int(sample['key_index']), num_frames - 1 - int(sample['key_index'])


def _track_ids(given: list) -> np.ndarray:
    """(P,) the ids that persons of a frame have; the others get numbers that nobody has."""
    ids = [int(track) if np.ndim(track) == 0 and track >= 0 else -1 for track in given]
    free = iter(sorted({*range(len(ids))} - {*ids}))
    return np.array([next(free) if track < 0 else track for track in ids], dtype=np.int64)


def _common_stride(results: list[dict]) -> int:
    """The distance between neighboring frames of all clips; 1 if it differs, or is not told."""
    found = {stride for result in results for stride in result['strides']}
    return found.pop() if len(found) == 1 else 1


def _common_reach(results: list[dict]) -> Reach:
    """The reach of all clips; one number if it is the same on both sides."""
    found = sorted({result['reach'] for result in results})
    if len(found) > 1:
        raise AnnotationError(
            f'PoseTrackMetric: the clips show {" or ".join(map(str, found))} frames before and '
            'after their key frames; expected clips of one kind, or reach to be given.'
        )
    before, after = found[0]
    return before if before == after else (before, after)
