"""A tiny model with drawn weights, and videos to run it on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS


@pytest.fixture
def tiny_model(tiny_config, synthetic_root, tmp_path) -> Callable[..., tuple[str, str]]:
    """Writes config and checkpoint of a tiny CM-Pose; argument: further config lines."""

    def write(extra: str = '', name: str = 'tiny') -> tuple[str, str]:
        config = tiny_config(synthetic_root, name, extra)
        init_default_scope('mmpose')
        model = MODELS.build(Config.fromfile(config).model)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data = torch.empty(parameter.shape, dtype=torch.float32)
            parameter.data.normal_(std=0.2, generator=generator)
        checkpoint = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=model.state_dict()), checkpoint)
        return config, str(checkpoint)

    return write


@pytest.fixture
def clip_folder(synthetic_root) -> str:
    """The frames of the validation video."""
    return str(next((Path(synthetic_root) / 'images' / 'val').iterdir()))


@pytest.fixture
def clip_labels(synthetic_root) -> str:
    """The labels of the validation video."""
    return str(next((Path(synthetic_root) / 'annotations' / 'val').iterdir()))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """A function that gives what MMEngine's logger was given as a warning."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)
