"""The optimizer wrapper for bfloat16 autocast."""

from __future__ import annotations

from pathlib import Path

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
    assert bfloat16_optim_wrapper.has_bfloat16('npu')


@pytest.mark.parametrize('capability, expected', [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_before_ampere_have_none(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: capability)
    monkeypatch.setattr(torch.version, 'hip', None)
    assert bfloat16_optim_wrapper.has_bfloat16('cuda') == expected


@pytest.mark.parametrize(
    ('machine', 'flags', 'expected'),
    [
        ('x86_64', {'avx512_bf16', 'amx_bf16'}, True),
        ('x86_64', {'avx512_bf16'}, False),
        ('AMD64', set(), False),
        ('aarch64', set(), True),
    ],
)
def test_x86_needs_tiles(machine, flags, expected, monkeypatch):
    supported = torch.backends.mkldnn.is_available()
    monkeypatch.setattr(
        torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: supported, raising=False
    )
    monkeypatch.setattr(bfloat16_optim_wrapper.platform, 'machine', lambda: machine)
    monkeypatch.setattr(bfloat16_optim_wrapper, 'cpu_flags', lambda: flags)
    assert bfloat16_optim_wrapper.has_bfloat16('cpu') == (expected and supported)


@pytest.mark.skipif(not Path('/proc/cpuinfo').exists(), reason='needs /proc/cpuinfo')
def test_flags_of_this_processor():
    listed = [
        line.split(':')[1].split()
        for line in Path('/proc/cpuinfo').read_text().splitlines()
        if line.split(':')[0].strip() in ('flags', 'Features')
    ]
    assert set(listed[0]) <= bfloat16_optim_wrapper.cpu_flags()
