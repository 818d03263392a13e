"""One test of a model on corrupted videos, with MMEngine's runner and the config's own pipeline.

T: frames of a clip.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import inspect
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import MODELS, TRANSFORMS
from tqdm import tqdm

from cmpose_mm.apis.loading import load_weights, read_checkpoint, read_config
from cmpose_mm.config_options import merge_options
from cmpose_mm.corruptions import VERSION, frame_of, occluded_points, random_stream
from cmpose_mm.datasets.transforms import LoadClip
from cmpose_mm.engine import build_dataset
from cmpose_mm.evaluation import (
    VISIBILITY_CLASSES,
    average_precision,
    recall_by_visibility,
    select_scored,
)
from cmpose_mm.evaluation.report import COLUMNS, ap_to_dict
from cmpose_mm.metrics import PoseTrackMetric
from cmpose_mm.posetrack.annotations import Frame
from cmpose_mm.posetrack.frames import FrameTable, image_size
from cmpose_mm.whole_files import folder_sha256, sha256

from .plan import NEIGHBORS, RobustnessError, Run


@dataclass(frozen=True)
class Subject:
    """What is tested.

    Attributes:
        cfg: config for tests, ready but for the corruption.
        num_frames: T, frames that the model gets.
        image_paths: path of the key frame by image id, of frames with a sample.
        image_root: folder of the images, in which the labels name the other frames.
        settings: what all runs of a results file share.
    """

    cfg: Config
    num_frames: int
    image_paths: dict[int, str]
    image_root: str
    settings: dict


def prepare(
    config: str | Path, checkpoint: str | Path, *, seed: int = 0, cfg_options: dict | None = None
) -> Subject:
    """Reads config and test data, and finds out what kind of model it is.

    Raises:
        RobustnessError: if the config has no test of PoseTrack data that loads frames, or the
            checkpoint is missing, is none, or does not fit the config.
    """
    if not Path(checkpoint).is_file():
        raise RobustnessError(f'{checkpoint}: no such checkpoint')
    try:
        cfg = read_config(config)
        merge_options(cfg, cfg_options)
    except (OSError, ValueError) as error:
        raise RobustnessError(str(error)) from error
    missing = [key for key in ('test_dataloader', 'test_evaluator') if not cfg.get(key)]
    if missing:
        raise RobustnessError(f'{config}: no {" and no ".join(missing)}, expected both')
    cfg.test_evaluator = _posetrack_evaluator(cfg.test_evaluator, config)
    data_cfg = cfg.test_dataloader.dataset
    try:
        corrupted_pipeline(data_cfg.get('pipeline', []), Run(), seed)
    except RobustnessError as error:
        raise RobustnessError(f'{config}: {error}') from None
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.log_level = 'WARNING'

    dataset = build_dataset(cfg, 'test_dataloader')
    try:  # the runner would go on with random weights where the checkpoint has none
        content = read_checkpoint(str(checkpoint))
        load_weights(MODELS.build(cfg.model), content, f'{checkpoint} does not fit {config}')
    except ValueError as error:
        raise RobustnessError(str(error)) from error
    inputs = dataset[0]['inputs']
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    tested = {key: cfg.get(key) for key in ('model', 'test_evaluator', 'test_cfg')}
    tested['dataset'] = data_cfg
    # `LoadClip` also makes clips of one image repeated, which has no neighbors
    has_clips = hasattr(dataset, 'set_num_frames') or 'frame_paths' in infos[0]
    num_frames = len(inputs) if inputs.ndim == 4 and has_clips else 1
    bbox_file = getattr(dataset, 'bbox_file', None)
    settings = {
        'benchmark': f'PoseTrack-C {VERSION}',
        'seed': seed,
        'dataset': dataset.metainfo['dataset_name'],
        'boxes': Path(bbox_file).name if bbox_file else 'ground truth',
        'labels': _content([cfg.test_evaluator.get('ann_file'), dataset.ann_file, bbox_file]),
        'frames of a clip': num_frames,
        'config': _digest(json.dumps(tested, sort_keys=True, default=str).encode()),
        'checkpoint': sha256(checkpoint)[:16],
    }
    paths = {info['img_id']: info['img_path'] for info in infos}
    return Subject(cfg, num_frames, paths, dataset.data_prefix['img'], settings)


def evaluate(subject: Subject, run: Run, title: str = '') -> dict:
    """Tests the model once.

    Args:
        subject: from `prepare`.
        run: what to do to the frames.
        title: of the progress bar.

    Returns:
        ``AP`` by joint, group, ``Total`` and ``mean7``; ``recall_occluded`` in percent and the
        number of ``occluded_joints``; ``counts`` of what was scored.

    Raises:
        OSError: if moving occluders may hide joints of a labeled frame that is not on disk, and
            whose label has no size.
    """
    seed = subject.settings['seed']
    metric = _test(subject, run, title)
    rules, predicted = metric.rules, metric.predicted
    labels = metric.read_labels()
    if run.corruption == 'moving_occluders':
        tested = {video.name for video in predicted}
        labels = [video for video in labels if video.name in tested]
        table = FrameTable(subject.image_root)
        # also where nobody was detected: joints that are missed there may be hidden, too
        paths = {f.image_id: table.path(f.file_name) for video in labels for f in video.frames}
        paths.update(subject.image_paths)
        labels = [
            replace(video, frames=[hidden_frame(f, run, seed, paths) for f in video.frames])
            for video in labels
        ]
    scored = select_scored(labels, predicted, rules=rules, allow_missing=True)
    ap = ap_to_dict(average_precision(scored, rules=rules, tie_break=metric.tie_break))
    recall = recall_by_visibility(scored)
    return {
        'AP': {**ap['per_joint'], **{column: ap[column] for column in COLUMNS}},
        'recall_occluded': recall.summary()['occluded']['Total'],
        'occluded_joints': int(recall.num_gt[VISIBILITY_CLASSES.index('occluded')].sum()),
        'counts': ap['counts'],
    }


def corrupted_pipeline(pipeline: Sequence[dict], run: Run, seed: int) -> list[dict]:
    """A test pipeline with the transforms of a run around the one that loads the frames.

    Raises:
        RobustnessError: if no transform loads frames.
    """
    places = [place for place, cfg in enumerate(pipeline) if _loads_frames(cfg)]
    if not places:
        found = ', '.join(_type_name(cfg) for cfg in pipeline)
        raise RobustnessError(
            f'the test pipeline has no transform that loads frames (LoadClip, LoadImage or one '
            f'derived from them), found {found or "an empty one"}'
        )
    before, after = [], []
    if run.repeat_key:
        before.append(dict(type='RepeatKeyFrame'))
    if run.corruption is not None:
        cfg = dict(corruption=run.corruption, severity=run.severity, seed=seed)
        if run.mode == NEIGHBORS:
            before.append(dict(type='CorruptNeighbors', **cfg))
        else:
            after.append(dict(type='CorruptClip', mode=run.mode, **cfg))
    place = places[0]
    return [*pipeline[:place], *before, pipeline[place], *after, *pipeline[place + 1 :]]


def _test(subject: Subject, run: Run, title: str) -> PoseTrackMetric:
    """The metric after the test."""
    cfg = copy.deepcopy(subject.cfg)
    data_cfg = cfg.test_dataloader.dataset
    data_cfg.pipeline = corrupted_pipeline(data_cfg.pipeline, run, subject.settings['seed'])
    with tempfile.TemporaryDirectory() as folder:
        predictions = Path(folder, 'predictions')
        cfg.work_dir = folder
        # MMEngine keeps visualizers by name, and an old one would write into a folder that is gone.
        cfg.visualizer = dict(type='Visualizer', name=folder, vis_backends=[])
        cfg.test_evaluator.update(format_only=True, outfile_prefix=str(predictions / 'test'))
        runner = Runner.from_cfg(cfg)
        with tqdm(desc=title, unit='batch', leave=False, disable=None) as bar:
            runner.register_hook(_ProgressHook(bar))
            runner.test()
        metric = runner.test_evaluator.metrics[0]
    del runner
    gc.collect()  # a runner and its loops refer to each other, and hold the model
    return metric


class _ProgressHook(Hook):
    """Moves a bar by a step a batch."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def before_test_epoch(self, runner) -> None:
        self.bar.total = len(runner.test_dataloader)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.bar.update()


def hidden_frame(frame: Frame, run: Run, seed: int, image_paths: dict[int, str]) -> Frame:
    """The labels of a frame in which the joints behind the moving occluders count as occluded.

    Average precision is the same with these labels: it does not look at visibility.
    """
    if frame.image_id not in image_paths or not len(frame.keypoints):
        return frame
    path = image_paths[frame.image_id]
    sequence, number = frame_of(path)
    rng = random_stream(seed, run.corruption, sequence)
    keypoints = frame.keypoints.copy()
    on_disk = Path(path).exists() or not (frame.width and frame.height)
    size = image_size(path) if on_disk else (frame.width, frame.height)
    hidden = occluded_points(keypoints[..., :2], size, run.severity, rng, number)
    # v = 0 would make a joint at (0, 0) an absent one
    keypoints[hidden & (keypoints[..., :2] != 0).any(axis=-1), 2] = 0
    return replace(frame, keypoints=keypoints)


def _posetrack_evaluator(evaluator: dict | Sequence[dict], config: str | Path) -> dict:
    """The PoseTrack metric among a config's evaluators, MMPose's replaced by ours."""
    evaluators = [evaluator] if isinstance(evaluator, dict) else list(evaluator)
    found = [e for e in evaluators if _type_name(e) in ('PoseTrackMetric', 'PoseTrack18Metric')]
    if len(found) != 1:
        raise RobustnessError(
            f'{config}: test_evaluator is {", ".join(map(_type_name, evaluators))}, expected one '
            "PoseTrackMetric or MMPose's PoseTrack18Metric: the benchmark is for PoseTrack's format"
        )
    return {**found[0], 'type': 'PoseTrackMetric'}


def _loads_frames(cfg: dict) -> bool:
    kind = cfg['type'] if inspect.isclass(cfg['type']) else TRANSFORMS.get(cfg['type'])
    return inspect.isclass(kind) and issubclass(kind, (LoadClip, LoadImageFromFile))


def _type_name(cfg: dict) -> str:
    return getattr(cfg['type'], '__name__', str(cfg['type']))


def _content(paths: Sequence[str | None]) -> str:
    """Digest of what labels and boxes hold; a path may be a file, a folder of files or None."""
    sums = [folder_sha256(p) if Path(p).is_dir() else sha256(p) for p in paths if p]
    return _digest(' '.join(sums).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
