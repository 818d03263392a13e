"""The data to measure causal tokens on."""

from __future__ import annotations

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from cmpose_mm.engine import build_dataset


def spread_test_data(config: Config, num_clips: int) -> DataLoader:
    """Batches of at most so many samples, spread evenly over the config's test data."""
    dataset = build_dataset(config, 'test_dataloader')
    dataset.full_init()
    if len(dataset) > num_clips:
        dataset.get_subset_(np.linspace(0, len(dataset) - 1, num_clips).astype(int).tolist())
    return Runner.build_dataloader(dict(config.test_dataloader, dataset=dataset))
