import pytest
import torch
from mmengine.registry import DefaultScope


@pytest.fixture(scope='module', autouse=True)
def mmpose_scope():
    """Configs name MMPose's modules without a prefix, as in MMPose's runner."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture(autouse=True)
def fixed_random_numbers():
    """Every test draws the same numbers, alone or after others."""
    torch.manual_seed(0)
