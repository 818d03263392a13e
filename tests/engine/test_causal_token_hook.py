"""CausalTokenVisualizationHook in real training runs: what arrives in TensorBoard and on disk."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cmpose_mm.engine import CausalTokenVisualizationHook
from cmpose_mm.visualization import explain

EXTRA = """
train_cfg = dict(max_epochs=2, val_interval=1)
visualizer = dict(name={name!r}, vis_backends=[
    dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
val_dataloader['batch_size'] = 2
default_hooks['explain'] = dict(type='CausalTokenVisualizationHook', {arguments})
model['test_cfg'] = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False)
"""


@pytest.fixture
def train(tiny_config, synthetic_root):
    """Trains two epochs, each with a validation, and hands back the runner."""

    def run(name: str, arguments: str, extra: str = '') -> Runner:
        text = EXTRA.format(name=name, arguments=arguments) + extra
        runner = Runner.from_cfg(Config.fromfile(tiny_config(synthetic_root, name, text)))
        runner.train()
        return runner

    return run


def tensorboard_images(runner: Runner) -> dict[str, dict[int, np.ndarray]]:
    """Images in the run's event files, BGR, by name and step."""
    runner.visualizer.close()
    files = list(Path(runner.work_dir).rglob('events.out.tfevents.*'))
    assert files
    events = EventAccumulator(str(files[0].parent), size_guidance={'images': 0})
    events.Reload()
    return {
        tag: {
            event.step: cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), 1)
            for event in events.Images(tag)
        }
        for tag in events.Tags()['images']
    }


@pytest.mark.slow
def test_pictures_of_every_validation_arrive_and_the_model_stays_as_it_was(train):
    runner = train('hook', "interval=2, max_samples=2, joint='nose', score_thr=0.0")
    iterations = len(runner.train_dataloader)
    assert len(runner.val_dataloader.dataset) > 2 * 2  # otherwise max_samples would limit nothing

    images = tensorboard_images(runner)
    assert sorted(images) == ['causal_tokens_00000', 'causal_tokens_00002']
    for name, steps in images.items():
        assert list(steps) == [iterations, 2 * iterations]
        for step, image in steps.items():
            (path,) = Path(runner.work_dir).rglob(f'{name}_{step}.png')
            np.testing.assert_array_equal(cv2.imread(str(path)), image)

    # The last validation's pictures are those of the final weights' predictions.
    assert 'output_details' not in runner.model.test_cfg  # as it was
    assert runner.model.test_cfg['flip_test']
    runner.model.eval()
    predictions = []
    runner.model.test_cfg['output_details'] = True
    for batch in runner.val_dataloader:
        with torch.no_grad():
            predictions += runner.model.val_step(batch)
    for index in (0, 2):
        expected = explain(predictions[index], joint='nose', score_thr=0.0).picture()
        image = images[f'causal_tokens_{index:05d}'][2 * iterations]
        part = image[-expected.shape[0] - 6 : -6, 6 : 6 + expected.shape[1]]
        np.testing.assert_array_equal(part, expected)


@pytest.mark.slow
def test_a_model_without_details_is_reported_once(train, caplog):
    with caplog.at_level(logging.WARNING):
        runner = train('plain', 'interval=1', "model['method']['fte'] = None\n")
    assert tensorboard_images(runner) == {}
    log = next(Path(runner.work_dir).rglob('*.log')).read_text()
    assert log.count('CausalTokenVisualizationHook draws nothing') == 1


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='interval is 0, expected at least 1'):
        CausalTokenVisualizationHook(interval=0)
    with pytest.raises(ValueError, match='max_samples is 0'):
        CausalTokenVisualizationHook(max_samples=0)
    with pytest.raises(ValueError, match="joint is 'wrist', expected one of nose"):
        CausalTokenVisualizationHook(joint='wrist')


@pytest.mark.slow
def test_other_joints_are_drawn_too(train, caplog):
    """Of a set without the joint that is asked for, the first."""
    names = [f'joint {index}' for index in range(15)]
    runner = train('hook', 'interval=2, max_samples=1')
    metainfo = runner.val_dataloader.dataset._metainfo
    metainfo['keypoint_id2name'] = dict(enumerate(names))
    metainfo['dataset_name'] = 'others'
    hook = CausalTokenVisualizationHook(interval=1, max_samples=1)
    hook.before_val_epoch(runner)
    runner.model.eval()
    with torch.no_grad():
        outputs = runner.model.val_step(next(iter(runner.val_dataloader)))
    with caplog.at_level(logging.WARNING):
        hook.after_val_iter(runner, 0, None, outputs)
    hook.after_val_epoch(runner)
    assert 'joint_set' not in outputs[0].metainfo
    log = next(Path(runner.work_dir).rglob('*.log')).read_text()
    assert 'the data has no right_wrist; joint 0 is drawn' in log
