"""The 26.7 % experiment: what poses are worth that were propagated from every k-th label.

STDPose claims that labels in 26.7 % of the frames (every 4th of 30), propagated to the others,
train a model nearly as well as all labels. For each seed and distance k this

  1. takes labels out of the training set until every k-th frame has some
  2. trains a single-frame model on these (variant `sparse`), and on all labels (`all labels`)
  3. trains each --model NAME CONFIG on the sparse labels, from that single-frame model
  4. propagates the sparse labels to all frames: `copy`, `linear`, `estimate` (by the sparse model),
     and each --model; scores the poses against the labels that were taken out
  5. trains the single-frame model on each of these sets, for the same number of steps
  6. tests all of them, and writes tables

Runs whose results are in --records are not repeated, interrupted ones are resumed: the same command
continues. With --jobs several seeds, data sets and distances run at a time, each with its variants
one after the other. Real footage has to be in data/jhmdb_distinct (docs/real_footage.md); the
rendered videos are made if they are not there.

  python benchmarks/propagation.py --model warp configs/experiments/propagation_warp.py
  python benchmarks/propagation.py --data rendered --every 8 --seeds 0 --model stdpose CONFIG
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine import Config
from run_options import in_one_sentence
from tqdm import tqdm

from cmpose_mm.ablation import check_section, replace_section
from cmpose_mm.ablation.records import (
    config_digest,
    format_sources,
    read_record,
    write_record,
)
from cmpose_mm.ablation.report import value
from cmpose_mm.ablation.runs import Metrics, run_once, source_of_run, train_once
from cmpose_mm.config_options import CfgOptions, merge_options
from cmpose_mm.evaluation.report import markdown_table, mean_and_spread
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.propagation import (
    PROPAGATORS,
    Propagator,
    Query,
    build_propagator,
    propagate_labels,
    score_hidden,
    sparsify_labels,
)
from cmpose_mm.synthetic import Difficulty, Settings, write_dataset

ALL, SPARSE, HIDDEN = 'all labels', 'sparse', 'hidden labels'
SPLITS = {'real': ['clean', 'clean_full_body'], 'rendered': ['val']}
CONFIGS = {
    'real': 'configs/experiments/propagation.py',
    'rendered': 'configs/experiments/propagation_rendered.py',
}
SCORES = {
    'real': (('clean', 'PCK@0.1'), ('clean_full_body', 'Total AP')),
    'rendered': (('val', 'PCK@0.1'), ('val', 'Total AP')),
}
"""Split and measure of the columns."""
RENDERED = Settings(
    videos={'train': 200, 'val': 60}, frames=30, difficulty=Difficulty(speed=3.0), seed=267
)
MODEL_FREE = ('copy', 'linear')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', nargs='+', choices=list(CONFIGS), default=list(CONFIGS),
                        help='default: both')  # fmt: skip
    parser.add_argument('--config', help='in place of the config of the single-frame model; '
                                         'with one --data')  # fmt: skip
    parser.add_argument('--splits', nargs='+', help='in place of those of --data')
    parser.add_argument('--every', type=int, nargs='+', default=[4], metavar='K', help='default: 4')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--model', nargs=2, action='append', default=[], dest='models',
                        metavar=('NAME', 'CONFIG'),
                        help='a propagator with a method, and the config to train')  # fmt: skip
    parser.add_argument('--only', nargs='+', metavar='VARIANT',
                        help=f'train only these variants, of {ALL!r}, {SPARSE!r}, copy, linear, '
                             'estimate and the names of --model')  # fmt: skip
    parser.add_argument('--jobs', type=int, default=1, help='at a time (default: 1)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/propagation'),
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--records', type=Path, default=Path('benchmarks/results/propagation'),
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--recorded', action='store_true',
                        help='train nothing: tables of the runs that --records has')  # fmt: skip
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write the tables into its section "experiment"')  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of all configs')  # fmt: skip
    args = parser.parse_args()
    if args.config and len(args.data) > 1:
        parser.error('--config: expected one --data with it.')
    for name, _ in args.models:
        if name not in PROPAGATORS or name in (*MODEL_FREE, 'estimate'):
            others = [n for n in PROPAGATORS if n not in (*MODEL_FREE, 'estimate')]
            parser.error(f'--model {name}: expected one of {", ".join(others)}.')
    if 'randomness.seed' in args.cfg_options:
        parser.error('--cfg-options randomness.seed: expected --seeds.')
    if args.jobs < 1:
        parser.error(f'--jobs {args.jobs}: expected at least 1.')
    if min(args.every) < 2:
        parser.error(f'--every {min(args.every)}: expected at least 2.')
    known = [ALL, SPARSE, *MODEL_FREE, 'estimate', *(name for name, _ in args.models)]
    unknown = [name for name in args.only or () if name not in known]
    if unknown:
        parser.error(f'--only {unknown[0]!r}: expected some of {", ".join(known)}.')
    args.variants = [name for name in known if name in (args.only or known)]
    return args


class Remembered(Propagator):
    """A propagator that answers each query once: training labels and scores ask for the same."""

    def __init__(self, propagator: Propagator) -> None:
        self.propagator = propagator
        self.uses_labels = propagator.uses_labels
        self.answers: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}

    def settings(self) -> dict:
        return self.propagator.settings()

    def __call__(self, queries: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        keys = [
            (query.frame.file_name, query.track_id)
            + tuple(label and (label.frame.file_name, label.distance) for label in
                    (query.before, query.after))
            for query in queries
        ]  # fmt: skip
        new = [index for index, key in enumerate(keys) if key not in self.answers]
        if new:
            found = self.propagator([queries[index] for index in new])
            self.answers.update(zip([keys[index] for index in new], zip(*found)))
        keypoints, scores = zip(*[self.answers[key] for key in keys])
        return np.stack(keypoints), np.stack(scores)


@dataclass
class Experiment:
    """One data set with one distance between labels and one seed."""

    args: argparse.Namespace
    data: str
    every: int
    seed: int
    models: dict[str, Config] = field(default_factory=dict)

    def __post_init__(self) -> None:
        args = self.args
        paths = [args.config or CONFIGS[self.data], *(config for _, config in args.models)]
        self.student, *models = (self._load(path, paths) for path in paths)
        self.models = {name: model for (name, _), model in zip(args.models, models)}
        self.splits = args.splits or SPLITS[self.data]
        dataset = self.student.train_dataloader.dataset
        self.root = Path(dataset.data_root)
        self.labels = self.root / dataset.ann_file
        self.image_root = str(self.root / dataset.get('data_prefix', {}).get('img', ''))
        self.folder = args.work_dir / self.data
        self.sparse = self.folder / f'every{self.every}' / 'labels' / SPARSE

    def _load(self, path: str, paths: list[str]) -> Config:
        config = Config.fromfile(path)
        options = self.args.cfg_options
        merge_options(config, options, *(Config.fromfile(other) for other in paths if options))
        config.merge_from_dict({'randomness.seed': self.seed})
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = config[loader].dataset
            if dataset.get('label_every') is not None:
                dataset.label_every = self.every
            elif dataset.get('random_neighbors'):  # as far as a pose is ever carried
                dataset.stride = self.every // 2
        return config

    def on(self, config: Config, labels: Path, name: str) -> tuple[Config, str]:
        """A config that trains on other labels, and its digest, which knows them by a name."""
        config = copy.deepcopy(config)
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            config[loader].dataset.data_root = f'{self.root}/'
        test = self.student.test_dataloader.dataset
        config.test_dataloader.dataset.ann_file = test.ann_file
        config.train_dataloader.dataset.ann_file = name
        digest = config_digest(config)
        config.train_dataloader.dataset.ann_file = str(labels.resolve())
        return config, digest

    def name_of(self, variant: str) -> str:
        """Which labels a variant trains on, for its digest: who propagated is part of it."""
        if variant == ALL:
            return ALL
        name = f'{variant}, every {self.every}'
        if variant in self.models:
            model, digest = self.on(self.models[variant], self.sparse, f'every {self.every}')
            return f'{name}, by {digest}, from {self.sparse_digest()}'
        return f'{name}, by {self.sparse_digest()}' if variant == 'estimate' else name

    def sparse_digest(self) -> str:
        return self.on(self.student, self.sparse, self.name_of(SPARSE))[1]

    def place(self, variant: str) -> Path:
        every = 'all' if variant == ALL else f'every{self.every}'
        return self.folder / every / variant.replace(' ', '_') / f'seed{self.seed}'

    def wanted(self, variant: str) -> list[str]:
        return [*self.splits, *([] if variant in (ALL, SPARSE) else [HIDDEN])]

    def recorded(self, variant: str) -> Metrics | None:
        _, digest = self.on(self.student, self.labels, self.name_of(variant))
        return read_record(self.args.records / self.data, digest, self.wanted(variant))

    def run(self, variant: str) -> Metrics:
        """Trains and tests one variant, and whatever it needs; see the module."""
        found = self.recorded(variant)
        if found is not None:
            return found
        labels, hidden = self.train_labels(variant)
        config, digest = self.on(self.student, labels, self.name_of(variant))
        measures = run_once(config, self.place(variant), self.splits, digest=digest)
        source = source_of_run(self.place(variant))
        if hidden is not None:
            measures = {**measures, HIDDEN: hidden}
        records = self.args.records / self.data
        write_record(records, variant, self.seed, digest, measures, source)
        return read_record(records, digest, self.wanted(variant))

    def train_labels(self, variant: str) -> tuple[Path, dict[str, float] | None]:
        """The labels that a variant trains on, and the scores of those that were propagated."""
        if variant == ALL:
            return self.labels, None
        if variant == SPARSE:
            return self.sparse, None
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        propagator = Remembered(
            build_propagator(
                variant, *self.model_of(variant), image_root=self.image_root, device=device
            )
        )
        out = self.folder / f'every{self.every}' / 'labels' / variant / f'seed{self.seed}'
        progress = partial(tqdm, unit=' files', delay=1, leave=False)
        kept = propagate_labels(
            self.sparse, out, propagator, every=self.every, image_root=self.image_root,
            progress=partial(progress, desc=f'propagating, {variant}'),
        ).kept  # fmt: skip
        scores = score_hidden(
            read_videos(self.labels), propagator, self.every, image_root=self.image_root,
            progress=partial(progress, desc=f'scoring, {variant}'),
        ).result  # fmt: skip
        return out, {
            'PCK@0.1': scores['PCK@0.1'],
            'Total AP': scores['Total'],
            'poses': kept.poses,
            'joints': kept.joints,
        }

    def model_of(self, variant: str) -> tuple[str, ...]:
        """Config and checkpoint of a propagator, which is trained if need be."""
        if variant in MODEL_FREE:
            return ()
        config, start = self.on(self.student, self.sparse, self.name_of(SPARSE))
        folder = self.place(SPARSE)
        checkpoint = train_once(config, folder, digest=start)
        if variant in self.models:
            config, digest = self.on(self.models[variant], self.sparse, self.name_of(SPARSE))
            config.load_from = checkpoint
            folder = self.folder / f'every{self.every}' / f'model_{variant}' / f'seed{self.seed}'
            checkpoint = train_once(config, folder, digest=f'{digest} from {start}')
        return str(folder.with_suffix('.py')), checkpoint


def run_all(
    experiment: Experiment, variants: Sequence[str] | None = None
) -> dict[str, Metrics | None]:
    """The results of its variants; None for one without a record, if nothing is to be trained."""
    do = experiment.recorded if experiment.args.recorded else experiment.run
    return {variant: do(variant) for variant in variants or experiment.args.variants}


def tables(
    results: dict[tuple[str, int], dict[str, dict[int, Metrics]]],
    splits: Sequence[str] | None = None,
) -> str:
    """For each data set and distance: test scores and scores of the propagated poses, by variant.

    Args:
        results: (data, every) -> variant -> seed -> metrics.
        splits: of the test scores; by default those of `SCORES`.
    """
    chosen = [(split, measure) for split in splits or () for measure in ('PCK@0.1', 'Total AP')]
    parts = []
    for (data, every), by_variant in results.items():
        columns = (*(chosen or SCORES[data]), (HIDDEN, 'PCK@0.1'), (HIDDEN, 'Total AP'))
        rows = []
        for variant, by_seed in by_variant.items():
            cells = [variant, len(by_seed)]
            for split, measure in columns:
                values = [value(metrics.get(split, {}), measure) for metrics in by_seed.values()]
                cells.append(mean_and_spread(values))
            added = [metrics.get(HIDDEN, {}).get('joints') for metrics in by_seed.values()]
            known = [count for count in added if count is not None]
            cells.append(f'{np.mean(known):.0f}' if known else '-')
            rows.append(cells)
        header = ['training labels', 'seeds']
        header += [f'{measure.replace("Total ", "")}, {split}' for split, measure in columns]
        header.append('joints added')
        share = 100 * np.ceil(30 / every) / 30
        parts.append(f'{data}, labels {every} frames apart ({share:.1f} % of 30 frames):')
        parts.append(markdown_table(header, rows))
    return '\n\n'.join(parts)


def main() -> None:
    in_one_sentence(run, parse_args())


def run(args: argparse.Namespace) -> None:
    """Runs the experiment and writes its tables.

    Raises:
        OSError, RuntimeError, ValueError: one sentence about what is missing, failed or wrong.
    """
    check_section(args.docs, 'experiment')
    if 'rendered' in args.data and not args.config and not args.recorded:
        root = Config.fromfile(CONFIGS['rendered']).data_root
        write_dataset(root, RENDERED, workers=os.cpu_count() or 1)
    results: dict = {}
    experiments = [
        Experiment(args, data, every, seed)
        for seed in args.seeds
        for data in args.data
        for every in args.every
    ]
    if not args.recorded:
        for experiment in experiments:
            if any(experiment.recorded(variant) is None for variant in args.variants):
                sparsify_labels(experiment.labels, experiment.sparse, experiment.every)
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context('spawn')) as pool:
        each = pool.map if args.jobs > 1 else map
        if ALL in args.variants and not args.recorded:  # one run for all distances
            first = [e for e in experiments if e.every == args.every[0]]
            list(each(partial(run_all, variants=[ALL]), first))
        done = each(run_all, experiments)
        for experiment in tqdm(experiments, 'seeds', unit='seed'):
            by_variant = results.setdefault((experiment.data, experiment.every), {})
            for variant, found in next(done).items():
                by_seed = by_variant.setdefault(variant, {})
                if found is not None:
                    by_seed[experiment.seed] = found
    text = tables(results, args.splits)
    sources = [
        measures['source']
        for by_variant in results.values()
        for by_seed in by_variant.values()
        for metrics in by_seed.values()
        for measures in list(metrics.values())[:1]
    ]
    foot = format_sources(sources) if sources else 'Not run yet.'
    print(f'{text}\n\n{foot}')
    if args.docs is not None:
        command = shlex.join(['python', *sys.argv])
        replace_section(args.docs, 'experiment', f'    {command}\n\n{text}\n\n{foot}')


if __name__ == '__main__':
    main()
