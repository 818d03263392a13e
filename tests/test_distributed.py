"""Real processes (gloo) train and validate like one."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
import torch
from mmengine import Config
from mmengine.hooks import SyncBuffersHook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from processes import start_processes

from cmpose_mm.ablation import last_validation

# Plain SGD without clipping: a step shows the gradients as they are. No drop-path: its draws belong
# to a process. Everything else random belongs to a clip. MMEngine's sampler gives two processes the
# batches of one.
SETTINGS = """
model['backbone']['drop_path_rate'] = 0.0
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05)
)
model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
train_dataloader.update(num_workers=0, persistent_workers=False)
train_dataloader['sampler'] = dict(type='DefaultSampler', shuffle=True)
val_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
"""
STEPS = 2


def freeze_normalization(model: torch.nn.Module) -> None:
    """Keeps batch normalization, which the head has, at its running statistics."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module


def train(rank: int, world_size: int, config_path: str, out: str) -> None:
    """Trains, records the gradients of the first steps, validates; rank 0 writes the record.

    In float64 throughout: in float32 the gradients of two halves of a batch differ from those of
    the whole by 1e-4 on some processors.
    """
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # where model and preprocessor ask for float32
    config = Config.fromfile(config_path)
    if world_size > 1:
        # MMEngine's own initialization asserts CUDA.
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{out}.store', rank=rank, world_size=world_size
        )
        config.launcher = 'pytorch'
        os.environ['LOCAL_RANK'] = str(rank)
    runner = Runner.from_cfg(config)
    steps: list[dict[str, torch.Tensor]] = []

    def record(optimizer, *_) -> None:
        if len(steps) < STEPS:
            model = runner.model.module if world_size > 1 else runner.model
            steps.append({name: p.grad.clone() for name, p in model.named_parameters()})

    freeze_normalization(runner.model)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.optimizer.register_step_pre_hook(record)
    runner.train()
    if rank == 0:
        torch.save(steps, out)


def run(world_size: int, config_path: str, out: str) -> list[dict[str, torch.Tensor]]:
    start_processes(train, (world_size, config_path, out), world_size)
    return torch.load(out, weights_only=True)


def _average_buffers(rank: int, world_size: int, config_path: str, out: str) -> None:
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.store', rank=rank, world_size=world_size
    )
    model = build_from(config_path)
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    SyncBuffersHook().after_train_epoch(SimpleNamespace(model=wrapped))
    if rank == 0:
        torch.save(model.state_dict(), out)


def build_from(config_path: str) -> torch.nn.Module:
    init_default_scope('mmpose')
    return MODELS.build(Config.fromfile(config_path).model)


@pytest.mark.slow
def test_checkpoints_of_three_processes_can_be_loaded(tiny_config, synthetic_root, tmp_path):
    """MMEngine's hook, which is in every config, sums buffers before it divides."""
    path, out = tiny_config(synthetic_root, 'three'), str(tmp_path / 'three.pth')
    start_processes(_average_buffers, (3, path, out), 3)
    state = torch.load(out, weights_only=True)
    assert 'fte.restoring=residual' in bytes(state['method.reading_as_text'].tolist()).decode()
    build_from(path).load_state_dict(state)


@pytest.mark.slow(25)
def test_two_processes_equal_one_with_the_doubled_batch(tiny_config, synthetic_root, tmp_path):
    def config(name: str, batch_size: int) -> str:
        extra = SETTINGS + f'train_dataloader["batch_size"] = {batch_size}\n'
        return tiny_config(synthetic_root, name, extra)

    one = run(1, config('one', 4), str(tmp_path / 'one.pth'))
    two = run(2, config('two', 2), str(tmp_path / 'two.pth'))
    assert len(one) == len(two) == STEPS
    for expected, found in zip(one, two):
        scale = {name: gradient.abs().max() + 1e-9 for name, gradient in expected.items()}
        torch.testing.assert_close(
            {name: gradient / scale[name] for name, gradient in found.items()},
            {name: gradient / scale[name] for name, gradient in expected.items()},
            rtol=0,
            atol=1e-9,
        )
    # The auxiliary tasks take part: the neck learns from them.
    assert any('neck' in name and one[0][name].abs().max() > 0 for name in one[0])


@pytest.mark.slow
def test_validation_is_the_same_from_two_processes(tiny_config, synthetic_root, tmp_path):
    """Validation samples are split unevenly, and none is repeated or lost."""
    # One sample a batch: the predictions of an untrained model hang on the last bit.
    alone = SETTINGS + 'optim_wrapper["optimizer"]["lr"] = 0.0\nval_dataloader["batch_size"] = 1\n'
    alone += 'val_dataloader["dataset"]["indices"] = 5\n'
    results, persons = {}, {}
    for world_size in (1, 2):
        name = f'metric{world_size}'
        written = tmp_path / f'predictions{world_size}'
        extra = alone + f'val_evaluator["outfile_prefix"] = {str(written) + "/"!r}\n'
        run(world_size, tiny_config(synthetic_root, name, extra), str(tmp_path / f'{name}.pth'))
        results[world_size] = last_validation(tmp_path / name)
        (file,) = written.glob('*.json')
        persons[world_size] = json.loads(file.read_text())['annotations']
    assert len(persons[1]) == 5
    assert persons[1] == persons[2]
    assert results[1] == pytest.approx(results[2], nan_ok=True)
