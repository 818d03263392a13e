"""Tests a trained model on several splits of a data set, in one process."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path, PurePosixPath

from mmengine import Config
from mmengine.runner import Runner, find_latest_checkpoint


def evaluate_splits(
    config: Config, checkpoint: str, splits: list[str], work_dir: str
) -> dict[str, dict[str, float]]:
    """Metrics on each split.

    Args:
        config: its ``test_dataloader`` and ``test_evaluator`` say how to test.
        checkpoint: of the model.
        splits: folders or files of labels beside those that the config names.
        work_dir: receives the logs.

    Returns:
        Split -> name of the measure (without the metric's prefix) -> value.
    """
    results = {}
    for split in splits:
        split_config = split_test_config(config, split)
        split_config.load_from, split_config.resume = checkpoint, False
        split_config.work_dir = work_dir
        # MMEngine tells the loggers of runners by this name.
        split_config.experiment_name = f'test_{split}'
        metrics = Runner.from_cfg(split_config).test()
        results[split] = {name.split('/', 1)[1]: value for name, value in metrics.items()}
    return results


def split_test_config(config: Config, split: str) -> Config:
    """The config with another split's labels in the test."""
    config = copy.deepcopy(config)
    dataset = config.test_dataloader.dataset
    dataset.ann_file = str(PurePosixPath(dataset.ann_file).with_name(split))
    config.test_evaluator.ann_file = str(PurePosixPath(dataset.data_root, dataset.ann_file))
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('work_dir', help='of the training; its last checkpoint is tested')
    parser.add_argument('out', help='JSON file for the metrics')
    parser.add_argument('splits', nargs='+', help='folders of labels beside those of the config')
    args = parser.parse_args()
    results = evaluate_splits(
        Config.fromfile(args.config),
        find_latest_checkpoint(args.work_dir),
        args.splits,
        f'{args.work_dir}/tests',
    )
    Path(args.out).write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
