"""Tests a trained model on several splits of a dataset, in one process."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path, PurePosixPath

from mmengine import Config
from mmengine.runner import Runner, find_latest_checkpoint


def evaluate_splits(config: Config, work_dir: Path, splits: list[str]) -> None:
    """Tests the last checkpoint of a training; writes ``work_dir/<split>.json`` for each split.

    The file holds the value of each measure, by its name without the metric's prefix.

    Args:
        config: its ``test_dataloader`` and ``test_evaluator`` define the test.
        work_dir: of the training.
        splits: folders or files of labels beside those that the config names.
    """
    for split in splits:
        split_config = split_test_config(config, split)
        split_config.load_from, split_config.resume = find_latest_checkpoint(str(work_dir)), False
        split_config.work_dir = str(work_dir / 'tests')
        # MMEngine distinguishes the loggers of runners by this name.
        split_config.experiment_name = f'test_{split}'
        metrics = Runner.from_cfg(split_config).test()
        metrics = {name.split('/', 1)[1]: value for name, value in metrics.items()}
        partial = work_dir / f'{split}.partial'
        partial.write_text(json.dumps(metrics, indent=2) + '\n')
        partial.rename(work_dir / f'{split}.json')


def split_test_config(config: Config, split: str) -> Config:
    """The config, with the test on another split's labels."""
    config = copy.deepcopy(config)
    dataset = config.test_dataloader.dataset
    dataset.ann_file = str(PurePosixPath(dataset.ann_file).with_name(split))
    evaluators = config.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        evaluator.ann_file = str(PurePosixPath(dataset.data_root, dataset.ann_file))
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('work_dir', type=Path, help='of the training')
    parser.add_argument('splits', nargs='+', help='folders of labels beside those of the config')
    args = parser.parse_args()
    evaluate_splits(Config.fromfile(args.config), args.work_dir, args.splits)


if __name__ == '__main__':
    main()
