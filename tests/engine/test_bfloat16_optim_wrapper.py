"""The optimizer wrapper for bfloat16 autocast."""

from __future__ import annotations

import pytest
import torch
from mmengine.logging import MMLogger

from cmpose_mm.engine import BFloat16OptimWrapper, bfloat16_optim_wrapper


@pytest.mark.parametrize('supported', [True, False])
def test_float32_where_bfloat16_is_emulated(supported, monkeypatch, caplog):
    monkeypatch.setattr(bfloat16_optim_wrapper, 'has_bfloat16', lambda device: supported)
    model = torch.nn.Linear(4, 4)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    logger.removeHandler(caplog.handler)
    assert ('training in float32' in caplog.text) == (not supported)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.randn(2, 4))
    assert output.dtype == (torch.bfloat16 if supported else torch.float32)
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_an_accelerator_is_not_asked():
    assert bfloat16_optim_wrapper.has_bfloat16('cuda')
