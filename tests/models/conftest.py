import pytest
import torch


@pytest.fixture(autouse=True)
def fixed_random_numbers():
    """Every test draws the same numbers, alone or after others."""
    torch.manual_seed(0)
