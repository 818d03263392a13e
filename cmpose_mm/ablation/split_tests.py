"""Trains a model, if asked to, and tests it on several splits of a dataset, in one process.

Splits whose label files are all in another split are scored from the predictions for that one.
"""

from __future__ import annotations

import argparse
import copy
import filecmp
import gc
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mmengine import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import EVALUATOR
from mmengine.runner import Runner
from tqdm import tqdm

from cmpose_mm.apis.loading import load_pose_model
from cmpose_mm.converters.clip_lists import films_of_clips
from cmpose_mm.evaluation.pck import PckResult, correct_keypoints
from cmpose_mm.evaluation.resampling import rank_joints
from cmpose_mm.evaluation.scored_frames import Rules, ScoredSet
from cmpose_mm.interpretability.measure import NothingSelected, measure_tokens
from cmpose_mm.interpretability.spread_data import spread_test_data
from cmpose_mm.interpretability.summary import clip_rows, deletion_rows, share_rows
from cmpose_mm.metrics import PoseTrackMetric, PoseTrackPCK
from cmpose_mm.posetrack.annotations import AnnotationError, frames_by_id, read_videos

from .runs import COPIES, TOKENS, split_labels, trained_weights

TOKEN_DRAWS = 2
"""Random selections and deletions of each kind, see `measure_tokens`."""


def train(config: Config, work_dir: Path) -> None:
    """Trains without validation, or continues; ``work_dir/trained`` tells that it is done."""
    config = copy.deepcopy(config)
    config.work_dir = str(work_dir)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    # Only then: resuming ignores `load_from`, even with nothing to resume.
    if (work_dir / 'last_checkpoint').exists():
        config.resume, config.load_from = True, trained_weights(work_dir)
    Runner.from_cfg(config).train()
    (work_dir / 'trained').touch()
    gc.collect()  # a runner and its loops refer to each other, and hold the model


def evaluate_splits(config: Config, work_dir: Path, splits: list[str]) -> None:
    """Tests the last checkpoint of a training; writes ``work_dir/<split>.json`` for each split.

    The file holds the value of each measure, by its name without the metric's prefix, and under
    ``clips`` what intervals need, see `scored_clips`. If clips cut the body, it holds no AP: joints
    outside of the picture would count as false positives.

    Args:
        config: its ``test_dataloader`` and ``test_evaluator`` define the test.
        work_dir: of the training.
        splits: folders or files of labels beside those that the config names. With `COPIES` at the
            end, the model gets copies of the key frame in place of its neighbors. Of those with
            `TOKENS`, see `measure_split_tokens`.
    """
    for split in splits:
        if TOKENS in split:
            measures = measure_split_tokens(config, work_dir, split)
            _write_measures(work_dir, split, measures)
    splits = [split for split in splits if TOKENS not in split]
    for tested, scored in group_splits(config, splits).items():
        split_config = split_test_config(config, tested)
        split_config.test_evaluator = dict(
            type='SplitEvaluator',
            metrics={split: split_test_config(config, split).test_evaluator for split in scored},
        )
        split_config.load_from, split_config.resume = trained_weights(work_dir), False
        split_config.work_dir = str(work_dir / 'tests')
        # MMEngine distinguishes the loggers of runners by this name.
        split_config.experiment_name = f'test_{tested}'
        runner = Runner.from_cfg(split_config)
        runner.test()
        for split, measures in runner.test_evaluator.measures.items():
            _write_measures(work_dir, split, measures)
        del runner
        gc.collect()


def measure_split_tokens(config: Config, work_dir: Path, split: str) -> dict:
    """Where the causal tokens of a training's last checkpoint lie, and what deleting them does.

    Args:
        config: of the training and its test.
        work_dir: of the training.
        split: ``<split> tokens <clips>``.

    Returns:
        ``shares`` and ``deletions``, see `cmpose_mm.interpretability.summary`, and under ``clips``
        `clip_rows` with the ``names`` and ``films`` of the clips' videos, see `scored_clips`; empty
        for a model that selects no cells.
    """
    labels, clips = split.split(TOKENS)
    config = split_test_config(config, labels)
    model = load_pose_model(config, trained_weights(work_dir), get_device())
    data = spread_test_data(config, int(clips))
    videos = read_videos(data.dataset.ann_file)
    try:
        evidence = measure_tokens(model, tqdm(data, split, unit='batch'), videos, TOKEN_DRAWS)
    except NothingSelected:
        return {}
    finally:
        del model
        gc.collect()
    parts = dict(shares=share_rows(evidence), deletions=deletion_rows(evidence))
    video_of = frames_by_id(videos)
    names = [video_of[image][0].name for image in evidence.image_ids]
    films, _ = _films(Path(data.dataset.ann_file), names)
    return {
        **{
            part: {name: values.tolist() for name, values in rows.items()}
            for part, rows in parts.items()
        },
        'clips': dict(names=names, films=films, **clip_rows(evidence)),
    }


def _write_measures(work_dir: Path, split: str, measures: dict) -> None:
    partial = work_dir / f'{split}.partial'
    partial.write_text(json.dumps(measures) + '\n')
    partial.rename(work_dir / f'{split}.json')


@EVALUATOR.register_module()
class SplitEvaluator(Evaluator):
    """Scores one test on several splits: each gets the predictions for the images that it labels.

    Args:
        metrics: for each split the configs of its metrics, all of PoseTrack's form.

    Attributes:
        measures: split -> measure -> value, see `evaluate_splits`; after the evaluation.
    """

    def __init__(self, metrics: dict[str, dict | Sequence[dict]]) -> None:
        self.splits = {split: Evaluator(configs) for split, configs in metrics.items()}
        self.images = {
            split: {*frames_by_id(read_videos(evaluator.metrics[0].ann_file))}
            for split, evaluator in self.splits.items()
        }
        super().__init__([metric for e in self.splits.values() for metric in e.metrics])
        self.measures: dict[str, dict] = {}

    def process(self, data_samples: Sequence, data_batch=None) -> None:
        """Hands each sample to the metrics of the splits that label its image."""
        for split, evaluator in self.splits.items():
            own = [s for s in data_samples if s.metainfo['img_id'] in self.images[split]]
            evaluator.process(own, None)  # the batch's inputs, which these metrics do not need

    def evaluate(self, size: int) -> dict[str, float]:
        """The values of all metrics, named ``<split>/<prefix>/<measure>``."""
        logged = {}
        for split, evaluator in self.splits.items():
            clips = clip_results(evaluator.metrics)
            values = evaluator.evaluate(size)
            logged.update({f'{split}/{name}': value for name, value in values.items()})
            measures = {name.split('/', 1)[1]: value for name, value in values.items()}
            if clips and 'ranked' not in clips:
                measures = {name: v for name, v in measures.items() if name.split()[-1] != 'AP'}
            self.measures[split] = {**measures, 'clips': clips}
        return logged


def clip_results(metrics: Sequence) -> dict:
    """`scored_clips` of metrics that have their samples, empty if none is of PoseTrack's form.

    PCK by the box is kept of a `PoseTrackPCK` that measures it, AP of a `PoseTrackMetric`.
    """
    found: dict = {}
    for metric in metrics:
        if isinstance(metric, PoseTrackMetric) and not metric.format_only:
            scored, labels = metric.select_scored(list(metric.results)), Path(metric.ann_file)
            if not isinstance(metric, PoseTrackPCK):
                found.update(scored_clips(scored, labels, rules=metric.rules))
            elif 'box' in metric.norms:
                pck = correct_keypoints(
                    scored, 'box', metric.thresholds, visible_only=metric.visible_only
                )
                found.update(scored_clips(scored, labels, pck=pck))
    return found


def scored_clips(
    scored: ScoredSet, labels: Path, *, pck: PckResult | None = None, rules: Rules | None = None
) -> dict:
    """What intervals need of each clip, for JSON.

    Args:
        scored: from `select_scored`.
        labels: folder of labels, beside whose parent ``clips.csv`` may tell the films.
        pck: hits of these clips.
        rules: of average precision, to keep what that depends on.

    Returns:
        ``names`` of the V clips; ``films``, a number for each clip's film (without ``clips.csv``
        each clip is its own); with ``pck`` its ``thresholds``, ``joints`` (V lists of J) and
        ``hits`` (V lists of R * J); with ``rules``, if all clips show the whole body, ``ranked``,
        see `RankedJoints.to_dict`.
    """
    names = [video.name for video in scored.videos]
    films, full_bodies = _films(labels, names)
    found: dict = {'names': names, 'films': films}
    if pck is not None:
        found['thresholds'] = list(pck.thresholds)
        found['joints'] = pck.num_joints.tolist()
        found['hits'] = pck.hits.reshape(len(names), -1).tolist()
    if rules is not None and full_bodies:
        found['ranked'] = rank_joints(scored, rules).to_dict()
    return found


def _films(labels: Path, names: list[str]) -> tuple[list[int], bool]:
    """A number for each clip's film, and whether all clips show the whole body."""
    table = labels.parent.parent / 'clips.csv'
    if not table.is_file():
        order = {name: n for n, name in enumerate(dict.fromkeys(names))}
        return [order[name] for name in names], True
    known = films_of_clips(table.parent)
    lacking = [name for name in names if name not in known]
    if lacking:
        raise AnnotationError(
            f'{table}: has no row for {lacking[0]} and {len(lacking) - 1} other clips of {labels}; '
            'expected all, to tell which are of one film.'
        )
    numbers = {film: n for n, film in enumerate(sorted({film for film, _ in known.values()}))}
    return [numbers[known[name][0]] for name in names], all(known[name][1] for name in names)


def group_splits(config: Config, splits: Sequence[str]) -> dict[str, list[str]]:
    """Splits to test on -> splits that are scored from these predictions, itself among them.

    A split belongs to another whose folder holds the same label files, byte for byte.
    """
    groups: dict[str, list[str]] = {}
    folders = {split: Path(split_labels(config, split)) for split in splits}

    def size(split: str) -> int:
        return len(list(folders[split].glob('*'))) if folders[split].is_dir() else 0

    for split in sorted(splits, key=lambda split: -size(split)):
        names = [p.name for p in folders[split].glob('*')] if size(split) else []
        for tested, scored in groups.items():
            if not names or tested.endswith(COPIES) != split.endswith(COPIES):
                continue
            equal, _, _ = filecmp.cmpfiles(folders[split], folders[tested], names, shallow=False)
            if len(equal) == len(names):
                scored.append(split)
                break
        else:
            groups[split] = [split]
    return groups


def split_test_config(config: Config, split: str) -> Config:
    """The config, with the test on another split's labels."""
    config = copy.deepcopy(config)
    dataset = config.test_dataloader.dataset
    if split.endswith(COPIES):
        dataset.pipeline = [dict(type='RepeatKeyFrame'), *dataset.pipeline]
    labels = split_labels(config, split)
    dataset.ann_file = str(PurePosixPath(dataset.ann_file).with_name(split.removesuffix(COPIES)))
    evaluators = config.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        evaluator.ann_file = labels
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('work_dir', type=Path, help='of the training')
    parser.add_argument('splits', nargs='*', help='folders of labels beside those of the config')
    parser.add_argument('--train', action='store_true', help='first train, without validation')
    args = parser.parse_args()
    config = Config.fromfile(args.config)
    if args.train:
        train(config, args.work_dir)
    evaluate_splits(config, args.work_dir, args.splits)


if __name__ == '__main__':
    main()
