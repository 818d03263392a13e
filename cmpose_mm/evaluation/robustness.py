"""PoseTrack-C: how a model's average precision falls when videos are corrupted.

Tests one checkpoint again and again with MMEngine's runner, each time with other transforms in the
config's own test pipeline, and sums up. `docs/robustness.md` has the definitions.

T: frames of a clip.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import inspect
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import orjson
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, TRANSFORMS
from tqdm import tqdm

from ..corruptions import (
    IMAGE_CORRUPTIONS,
    NEIGHBOR_CORRUPTIONS,
    NUM_SEVERITIES,
    SEVERITIES,
    VERSION,
    frame_of,
    occluded_points,
    random_stream,
)
from ..datasets.transforms import LoadClip
from ..posetrack.annotations import Frame, Video, read_videos
from ..posetrack.frames import image_size
from ..posetrack.joints import JOINT_NAMES
from .average_precision import average_precision
from .posetrack_metric import PoseTrackMetric
from .report import COLUMNS, ap_to_dict, format_table
from .scored_frames import RULES, select_scored
from .visibility import VISIBILITY_CLASSES, recall_by_visibility

IMAGE_MODES = ('key', 'persistent')
NEIGHBORS = 'neighbors'
"""Mode of the corruptions that befall neighbors only."""


class RobustnessError(ValueError):
    """A config, checkpoint or results file can not serve; says what was found and expected."""


@dataclass(frozen=True)
class Run:
    """One test of the model.

    Attributes:
        corruption: None for clean videos.
        severity: 1 to 5; 0 for clean videos.
        mode: 'key', 'persistent' or 'neighbors'; None for clean videos.
        repeat_key: the model gets copies of the key frame in place of its neighbors.
    """

    corruption: str | None = None
    severity: int = 0
    mode: str | None = None
    repeat_key: bool = False

    @property
    def name(self) -> str:
        """Of the run in results files: ``shot_noise/3/key/repeated``."""
        parts = [self.corruption, str(self.severity), self.mode] if self.corruption else ['clean']
        return '/'.join(parts + ['repeated'] * self.repeat_key)

    def simplest(self, num_frames: int) -> Run:
        """The run that stands for all those whose frames are equal to this one's.

        Where there are no neighbors, because the model takes one frame or gets copies of it,
        nothing befalls them, and 'key' and 'persistent' are the same.

        Args:
            num_frames: T of the model.
        """
        run = replace(self, repeat_key=self.repeat_key and num_frames > 1)
        if run.corruption is None or (num_frames > 1 and not run.repeat_key):
            return run
        if run.mode == NEIGHBORS:
            return Run(repeat_key=run.repeat_key)
        return replace(run, mode='key')


@dataclass(frozen=True)
class Subject:
    """What is tested.

    Attributes:
        cfg: config for tests, ready but for the corruption.
        num_frames: T, frames that the model gets.
        image_paths: path of the key frame by image id.
        settings: what all runs of a results file share.
    """

    cfg: Config
    num_frames: int
    image_paths: dict[int, str]
    settings: dict


def run_benchmark(
    config: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    *,
    corruptions: Sequence[str] = tuple(SEVERITIES),
    severities: Sequence[int] = tuple(range(1, NUM_SEVERITIES + 1)),
    modes: Sequence[str] = IMAGE_MODES,
    seed: int = 0,
    cfg_options: dict | None = None,
) -> dict:
    """Tests a checkpoint on clean and corrupted videos, with its neighbors and without.

    The results file is written after each test. Tests that are in it already are not repeated, so
    the same command continues after a kill, and one with more corruptions adds to it.

    Args:
        config: of a top-down model, of clips or of single frames, whose test data have the format
            of PoseTrack.
        checkpoint: its weights.
        out: results file, JSON. A folder that is missing is made.
        corruptions: names, see `SEVERITIES`.
        severities: of 1 to 5, in any order; one that is given twice counts once.
        modes: for corruptions of images, 'key' and 'persistent'.
        seed: of the corruptions.
        cfg_options: overrides of the config, by dotted keys.

    Returns:
        What the file holds: ``settings``, ``runs`` and ``summary``, see `summarize`.

    Raises:
        RobustnessError: if config, checkpoint or results file do not fit.
    """
    out, severities = Path(out), sorted(set(severities))
    subject = prepare(config, checkpoint, seed=seed, cfg_options=cfg_options)
    runs = _read_runs(out, subject.settings)
    plan = planned_runs(corruptions, severities, modes, subject.num_frames)
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {'settings': subject.settings, 'runs': runs}
    for number, run in enumerate(plan, 1):
        if run.name not in runs:
            runs[run.name] = evaluate(subject, run, title=f'[{number}/{len(plan)}] {run.name}')
            _write(out, results)
        total = _number(runs[run.name]['AP']['Total'])
        print(f'[{number}/{len(plan)}] {run.name}: AP {total:.2f}', file=sys.stderr, flush=True)
    results['summary'] = summarize(runs, corruptions, severities, modes, subject.num_frames)
    _write(out, results)
    return results


# ---- what to run -------------------------------------------------------------------------------


def cells(corruptions: Iterable[str], modes: Iterable[str]) -> dict[str, list[str]]:
    """Corruptions by mode: those of images under each of their modes, the others under their own.

    Raises:
        RobustnessError: if there is no such corruption or mode, or none is left.
    """
    corruptions, modes = list(dict.fromkeys(corruptions)), list(dict.fromkeys(modes))
    for kind, given, known in (
        ('corruption', corruptions, SEVERITIES),
        ('mode', modes, IMAGE_MODES),
    ):
        wrong = [name for name in given if name not in known]
        if wrong:
            raise RobustnessError(f'no {kind} named {wrong[0]!r}, expected {", ".join(known)}')
    table = {mode: [name for name in corruptions if name in IMAGE_CORRUPTIONS] for mode in modes}
    table[NEIGHBORS] = [name for name in corruptions if name in NEIGHBOR_CORRUPTIONS]
    table = {mode: names for mode, names in table.items() if names}
    if not table:
        raise RobustnessError('nothing to corrupt: no corruption, or none that has a mode')
    return table


def planned_runs(
    corruptions: Iterable[str], severities: Iterable[int], modes: Iterable[str], num_frames: int
) -> list[Run]:
    """The tests that a table needs, each once, clean ones first.

    Raises:
        RobustnessError: if an argument names something that there is not.
    """
    severities = list(severities)
    wrong = [s for s in severities if s not in range(1, NUM_SEVERITIES + 1)]
    if wrong or not severities:
        raise RobustnessError(f'severities are {severities}, expected some of 1 to 5')
    wanted = [Run()] + [
        Run(corruption, severity, mode)
        for mode, names in cells(corruptions, modes).items()
        for corruption in names
        for severity in severities
    ]
    both = [replace(run, repeat_key=repeat) for run in wanted for repeat in (False, True)]
    return list(dict.fromkeys(run.simplest(num_frames) for run in both))


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


def _loads_frames(cfg: dict) -> bool:
    kind = cfg['type'] if inspect.isclass(cfg['type']) else TRANSFORMS.get(cfg['type'])
    return inspect.isclass(kind) and issubclass(kind, (LoadClip, LoadImageFromFile))


def _type_name(cfg: dict) -> str:
    return getattr(cfg['type'], '__name__', str(cfg['type']))


# ---- one run -----------------------------------------------------------------------------------


def prepare(
    config: str | Path, checkpoint: str | Path, *, seed: int = 0, cfg_options: dict | None = None
) -> Subject:
    """Reads config and test data, and finds out what kind of model it is.

    Raises:
        RobustnessError: if the config has no test of PoseTrack data that loads frames, or the
            checkpoint is missing.
    """
    if not Path(checkpoint).is_file():
        raise RobustnessError(f'{checkpoint}: no such checkpoint')
    cfg = Config.fromfile(str(config))
    cfg.merge_from_dict(cfg_options or {})
    init_default_scope(cfg.get('default_scope', 'mmpose'))
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

    dataset = DATASETS.build(copy.deepcopy(data_cfg))
    inputs = dataset[0]['inputs']
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    tested = {key: cfg.get(key) for key in ('model', 'test_evaluator', 'test_cfg')}
    tested['dataset'] = data_cfg
    num_frames = len(inputs) if inputs.ndim == 4 else 1
    bbox_file = getattr(dataset, 'bbox_file', None)
    settings = {
        'benchmark': f'PoseTrack-C {VERSION}',
        'seed': seed,
        'dataset': dataset.metainfo['dataset_name'],
        'boxes': Path(bbox_file).name if bbox_file else 'ground truth',
        'frames of a clip': num_frames,
        'config': _digest(json.dumps(tested, sort_keys=True, default=str).encode()),
        'checkpoint': _digest_of_file(checkpoint),
    }
    paths = {info['img_id']: info['img_path'] for info in infos}
    return Subject(cfg, num_frames, paths, settings)


def evaluate(subject: Subject, run: Run, title: str = '') -> dict:
    """Tests the model once.

    Args:
        subject: from `prepare`.
        run: what to do to the frames.
        title: of the progress bar.

    Returns:
        ``AP`` by joint, group, ``Total`` and ``mean7``; ``recall_occluded`` in percent and the
        number of ``occluded_joints``; ``counts`` of what was scored.
    """
    seed = subject.settings['seed']
    metric, predicted = _test(subject, run, title)
    rules = RULES[metric._release()]
    names = {video.name for video in predicted}
    labels = [video for video in metric._read_labels() if video.name in names]
    ap = ap_to_dict(
        average_precision(
            select_scored(labels, predicted, rules=rules), rules=rules, tie_break=metric.tie_break
        )
    )
    if run.corruption == 'moving_occluders':
        labels = [
            replace(
                video, frames=[_hidden(f, run, seed, subject.image_paths) for f in video.frames]
            )
            for video in labels
        ]
    recall = recall_by_visibility(labels, predicted, rules=rules)
    return {
        'AP': {**ap['per_joint'], **{column: ap[column] for column in COLUMNS}},
        'recall_occluded': recall.summary()['occluded']['Total'],
        'occluded_joints': int(recall.num_gt[VISIBILITY_CLASSES.index('occluded')].sum()),
        'counts': ap['counts'],
    }


def _test(subject: Subject, run: Run, title: str) -> tuple[PoseTrackMetric, list[Video]]:
    """The metric after the test, and the predictions that it wrote."""
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
        videos = read_videos(predictions)
    del runner
    gc.collect()  # a runner and its loops refer to each other, and hold the model
    return metric, videos


class _ProgressHook(Hook):
    """Moves a bar by a step a batch."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def before_test_epoch(self, runner) -> None:
        self.bar.total = len(runner.test_dataloader)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.bar.update()


def _hidden(frame: Frame, run: Run, seed: int, image_paths: dict[int, str]) -> Frame:
    """The labels of a frame in which the joints behind the moving occluders count as occluded."""
    if frame.image_id not in image_paths or not len(frame.keypoints):
        return frame
    path = image_paths[frame.image_id]
    sequence, number = frame_of(path)
    rng = random_stream(seed, run.corruption, sequence)
    keypoints = frame.keypoints.copy()
    hidden = occluded_points(keypoints[..., :2], image_size(path), run.severity, rng, number)
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


# ---- results -----------------------------------------------------------------------------------


def summarize(
    runs: dict[str, dict],
    corruptions: Sequence[str],
    severities: Sequence[int],
    modes: Sequence[str],
    num_frames: int,
) -> dict:
    """Means over severities and corruptions.

    Args:
        runs: result of each run by its name, as `evaluate` returns it or as JSON keeps it.
        corruptions, severities, modes: of which the means are taken.
        num_frames: T of the model.

    Returns:
        ``clean``, the AP by joint, group, Total and mean7; ``recall_occluded`` and
        ``temporal_gain`` on clean videos; and ``modes``. Each mode has ``mPC`` (mean AP, by joint,
        group, Total and mean7), ``rPC`` (that in percent of clean), ``recall_occluded``,
        ``temporal_gain`` and ``corruptions``, which has for each the ``AP`` (Total) by severity,
        and ``mean``, ``recall_occluded`` and ``temporal_gain`` as means over the severities. NaN
        marks what is not defined, as the temporal gain of a single-frame model.
    """

    def values(run: Run, key: str = 'Total') -> float:
        result = runs[run.simplest(num_frames).name]
        return _number(result[key] if key == 'recall_occluded' else result['AP'][key])

    def gain(run: Run) -> float:
        return values(run) - values(replace(run, repeat_key=True)) if num_frames > 1 else np.nan

    columns = (*JOINT_NAMES, *COLUMNS)
    summary = {
        'clean': {column: values(Run(), column) for column in columns},
        'recall_occluded': values(Run(), 'recall_occluded'),
        'temporal_gain': gain(Run()),
        'modes': {},
    }
    for mode, names in cells(corruptions, modes).items():
        rows = {}
        for name in names:
            tests = [Run(name, severity, mode) for severity in severities]
            rows[name] = {
                'AP': {str(run.severity): values(run) for run in tests},
                'mean': _mean(values(run) for run in tests),
                'recall_occluded': _mean(values(run, 'recall_occluded') for run in tests),
                'temporal_gain': _mean(gain(run) for run in tests),
            }
        mpc = {
            column: _mean(
                _mean(values(Run(name, severity, mode), column) for severity in severities)
                for name in names
            )
            for column in columns
        }
        summary['modes'][mode] = {
            'mPC': mpc,
            'rPC': {column: _percent(mpc[column], summary['clean'][column]) for column in columns},
            'recall_occluded': _mean(row['recall_occluded'] for row in rows.values()),
            'temporal_gain': _mean(row['temporal_gain'] for row in rows.values()),
            'corruptions': rows,
        }
    return summary


def format_summary(results: dict) -> str:
    """The tables of a benchmark in Markdown, from what `run_benchmark` returns."""
    summary, settings = results['summary'], results['settings']
    severities = _severities(summary)
    clean = summary['clean']
    blank = {f'AP {severity}': np.nan for severity in severities}
    shared = ('recall_occluded', 'temporal_gain')
    rows = {'clean': {**blank, 'mean': clean['Total'], **{key: summary[key] for key in shared}}}
    groups = {'clean': clean}
    for mode, table in summary['modes'].items():
        for name, row in table['corruptions'].items():
            rows[f'{name}, {mode}'] = {
                **row,
                **{f'AP {severity}': row['AP'][str(severity)] for severity in severities},
            }
        of_mode = {key: table[key] for key in shared}
        rows[f'mPC, {mode}'] = {**blank, 'mean': table['mPC']['Total'], **of_mode}
        groups[f'mPC, {mode}'], groups[f'rPC, {mode}'] = table['mPC'], table['rPC']
    headings = {
        **{f'AP {severity}': f'AP {severity}' for severity in severities},
        'mean': 'mean AP',
        'recall_occluded': 'recall, occluded',
        'temporal_gain': 'temporal gain',
    }
    main = {
        name: {heading: _number(row[key]) for key, heading in headings.items()}
        for name, row in rows.items()
    }
    groups = {
        name: {column: _number(value) for column, value in row.items()}
        for name, row in groups.items()
    }
    joints = {joint: {name: row[joint] for name, row in groups.items()} for joint in JOINT_NAMES}
    counts = results['runs'][Run().name]['counts']
    complete = {mode: list(table['corruptions']) for mode, table in summary['modes'].items()}
    return '\n\n'.join(
        [
            format_table(main, list(headings.values())),
            format_table(groups, COLUMNS),
            format_table(joints, list(groups)),
            'Means over '
            + ', '.join(f'{len(names)} corruptions ({mode})' for mode, names in complete.items())
            + f' and severities {", ".join(map(str, severities))}. '
            + ', '.join(f'{key}: {value}' for key, value in settings.items())
            + '. Scored: '
            + ', '.join(f'{number} {name}' for name, number in counts.items())
            + '.',
        ]
    )


def plot_summary(results: dict, file: str | Path) -> None:
    """Draws AP over severity, a panel for each mode and a line for each corruption.

    Args:
        results: from `run_benchmark`.
        file: picture to write, in the format of its ending.
    """
    from matplotlib.figure import Figure  # slow to import, and not needed for a table

    summary = results['summary']
    severities = _severities(summary)
    figure = Figure(figsize=(4.5 * len(summary['modes']), 4), layout='constrained')
    axes = figure.subplots(1, len(summary['modes']), sharey=True, squeeze=False)[0]
    clean = _number(summary['clean']['Total'])
    for axis, (mode, table) in zip(axes, summary['modes'].items()):
        for name, row in table['corruptions'].items():
            precision = [_number(row['AP'][str(severity)]) for severity in severities]
            axis.plot([0, *severities], [clean, *precision], marker='o', ms=3, label=name)
        axis.set(title=mode, xlabel='severity', xticks=[0, *severities])
        axis.grid(alpha=0.3)
        axis.legend(fontsize='x-small')
    axes[0].set_ylabel('AP (Total)')
    figure.savefig(file, dpi=150)


def _severities(summary: dict) -> list[int]:
    table = next(iter(summary['modes'].values()))['corruptions']
    return [int(severity) for severity in next(iter(table.values()))['AP']]


def _read_runs(out: Path, settings: dict) -> dict[str, dict]:
    """Finished runs of a results file; none if there is no such file."""
    if not out.exists():
        return {}
    try:
        results = orjson.loads(out.read_bytes())
        found, runs = dict(results['settings']), dict(results['runs'])
    except (ValueError, KeyError, TypeError):
        raise RobustnessError(
            f'{out}: expected results of this benchmark (JSON with "settings" and "runs") or no '
            'such file'
        ) from None
    for key, value in settings.items():
        if found.get(key) != value:
            raise RobustnessError(
                f'{out}: its results are of {key} {found.get(key)!r}, expected {value!r}; choose '
                'another file for this test'
            )
    return runs


def _write(out: Path, results: dict) -> None:
    partial = out.with_name(out.name + '.partial')
    partial.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    partial.replace(out)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _digest_of_file(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(partial(file.read, 2**20), b''):
            digest.update(block)
    return digest.hexdigest()[:16]


def _number(value: float | None) -> float:
    """JSON has null for NaN."""
    return float('nan') if value is None else float(value)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole > 0 else float('nan')
