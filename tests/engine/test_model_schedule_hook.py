"""Numbers of the model that change in the course of a training."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner

from cmpose_mm.engine import ModelScheduleHook

VALUES = {0.0: 0.0, 0.25: 0.0, 0.5: 0.4, 1.0: 0.2}


@pytest.mark.parametrize(
    'part, value', [(0, 0), (0.2, 0), (0.25, 0), (0.375, 0.2), (0.5, 0.4), (0.75, 0.3), (1, 0.2)]
)
def test_values_are_linear_between_the_parts(part, value):
    assert ModelScheduleHook('method.weight', VALUES).value(part) == pytest.approx(value)


def test_before_the_first_and_after_the_last_part():
    hook = ModelScheduleHook('weight', {0.5: 3.0, 0.25: 1.0})
    assert [hook.value(part) for part in (0, 0.25, 0.5, 0.9)] == [1, 1, 3, 3]


def test_a_wrapped_model():
    model = torch.nn.Linear(1, 1)
    model.weight_of_loss = 7.0
    runner = SimpleNamespace(model=torch.nn.DataParallel(model), iter=3, max_iters=4)
    ModelScheduleHook('weight_of_loss', VALUES).before_train_iter(runner, 3)
    assert model.weight_of_loss == pytest.approx(0.3)


@pytest.mark.parametrize('values', [{}, {-0.1: 1.0}, {0.5: 1.0, 1.5: 2.0}])
def test_parts_outside_the_training(values):
    with pytest.raises(ValueError, match='values of a.b are .* from 0 to 1'):
        ModelScheduleHook('a.b', values)


@pytest.mark.parametrize('attribute', ['method.no_weight', 'nothing.weight', 'method'])
def test_an_attribute_that_is_no_number(attribute):
    model = torch.nn.Module()
    model.method = torch.nn.Linear(1, 1)
    hook = ModelScheduleHook(attribute, VALUES)
    with pytest.raises(ValueError, match=f'the model has no number {attribute!r}'):
        hook.before_run(SimpleNamespace(model=model))


@pytest.mark.parametrize('value', [0.2, 0.35])
def test_a_config_that_ends_elsewhere_is_told(value, caplog):
    model = torch.nn.Linear(1, 1)
    model.weight_of_loss = value
    runner = SimpleNamespace(model=model, logger=logging.getLogger('schedule'))
    ModelScheduleHook('weight_of_loss', VALUES).before_train(runner)
    told = 'the config has 0.35 as weight_of_loss, but training ends with 0.2' in caplog.text
    assert told == (value == 0.35)


def test_a_validation_has_the_value_of_the_config():
    model = torch.nn.Linear(1, 1)
    model.weight_of_loss = 0.2
    runner = SimpleNamespace(model=model, iter=2, max_iters=4)
    hook = ModelScheduleHook('weight_of_loss', VALUES)
    hook.before_val(runner)  # of a model that is not trained
    assert model.weight_of_loss == 0.2
    hook.before_train(runner)
    hook.before_train_iter(runner, 2)
    assert model.weight_of_loss == pytest.approx(0.4)
    hook.before_val(runner)
    assert model.weight_of_loss == 0.2
    hook.before_train_iter(runner, 2)
    assert model.weight_of_loss == pytest.approx(0.4)


class Recorder:
    """In place of the method's loss: what the weight is at each step."""

    def __init__(self, aux):
        self.aux, self.seen, self.corrupt = aux, [], aux.corrupt

    def __call__(self, tokens, seeds):
        self.seen.append(self.aux.loss_weight)
        return self.corrupt(tokens, seeds)


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch', [True, False])
def test_in_the_runner(tiny_config, synthetic_root, by_epoch):
    """Also where all of the training is one epoch."""
    extra = (
        "default_hooks['schedule'] = dict(type='ModelScheduleHook', "
        "attribute='method.aux.loss_weight', values={0.0: 0.0, 0.5: 0.4})\n"
        'train_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)\n'
        "train_dataloader['dataset']['indices'] = 2\n"
    )
    if by_epoch:
        extra += 'train_cfg = dict(max_epochs=2)\n'
    else:
        extra += (
            "train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=4)\n"
            "train_dataloader['sampler'] = dict(_delete_=True, type='InfiniteSampler')\n"
        )
    config = Config.fromfile(tiny_config(synthetic_root, extra=extra))
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    config.default_hooks.checkpoint = dict(type='CheckpointHook', interval=10)
    runner = Runner.from_cfg(config)
    runner.model.method.aux.corrupt = record = Recorder(runner.model.method.aux)
    runner.train()
    assert record.seen == pytest.approx([0.0, 0.2, 0.4, 0.4])
