"""Checkpoints of a real runner load safely: no warning, no fallback to unpickling anything."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, load_checkpoint
from torch.utils.data import Dataset

from cmpose_mm.compat import TORCH_VERSION, checkpoint_globals

needs_weights_only = pytest.mark.skipif(
    TORCH_VERSION < (2, 6), reason='torch < 2.6 unpickles anything by default; we change nothing'
)


class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = self.layer(torch.stack(inputs))
        return {'loss': output.square().mean()} if mode == 'loss' else [output]


class ToyDataset(Dataset):
    # The kinds of arrays that MMPose's dataset metainfo holds.
    metainfo = dict(
        dataset_name='toy',
        sigmas=np.full(3, 0.1, dtype=np.float32),
        skeleton_link_colors=np.zeros((2, 3), dtype=np.uint8),
        skeleton_links=np.array([[0, 1], [1, 2]]),
        flip_indices=[0, 2, 1],
    )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.full((2,), float(index)), data_samples=index)


class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(AP=np.float64(len(results)), AR=np.float32(0.5))


class KeepScalars(Hook):
    """Puts what users' hooks put into the message hub: numpy scalars."""

    def after_train_epoch(self, runner):
        runner.message_hub.update_info('seen', np.int64(runner.iter))
        runner.message_hub.update_info('done', np.bool_(True))


def toy_runner(work_dir: Path, name: str, epochs: int, **settings) -> Runner:
    def loader():
        return dict(
            dataset=ToyDataset(), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)
        )

    return Runner(
        model=ToyModel(),
        work_dir=str(work_dir),
        experiment_name=f'{work_dir.name}_{name}',
        train_dataloader=loader(),
        val_dataloader=loader(),
        test_dataloader=loader(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
        val_evaluator=[ToyMetric(prefix='toy')],
        test_evaluator=[ToyMetric(prefix='toy')],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, save_best='toy/AP', rule='greater')
        ),
        custom_hooks=[KeepScalars()],
        randomness=dict(seed=0),
        default_scope='mmengine',
        **settings,
    )


@pytest.fixture(autouse=True)
def keep_default_scope():
    """Runners set the process-wide default scope; other tests must not see it."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with the checkpoints of a finished run, and its runner."""
    work_dir = tmp_path_factory.mktemp('trained')
    runner = toy_runner(work_dir, 'train', epochs=2)
    runner.train()
    return work_dir, runner


def loads_in_silence(capfd, action):
    """Runs `action` with warnings as errors; no log line may speak of unsafe loading."""
    if TORCH_VERSION < (2, 6):  # of which we change nothing
        return action()
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter('error', FutureWarning)
        warnings.filterwarnings('error', message='(?i).*(weights_only|pickle|unsafe|safe).*')
        result = action()
    text = ''.join(capfd.readouterr()).lower()
    for word in ('weights_only', 'could not safely', 'falling back', 'unpickl'):
        assert word not in text, text
    return result


def test_test_loads_the_checkpoint(trained, tmp_path, capfd):
    work_dir, runner = trained
    tester = toy_runner(tmp_path, 'test', epochs=2, load_from=str(work_dir / 'epoch_2.pth'))
    metrics = loads_in_silence(capfd, tester.test)
    assert metrics['toy/AP'] == 2
    for ours, theirs in zip(tester.model.parameters(), runner.model.parameters()):
        assert torch.equal(ours, theirs)


def test_resume_restores_all_of_the_run(trained, tmp_path, capfd):
    work_dir, runner = trained
    resumed = toy_runner(
        tmp_path, 'resume', epochs=3, load_from=str(work_dir / 'epoch_2.pth'), resume=True
    )
    loads_in_silence(capfd, resumed.train)
    assert resumed.epoch == 3
    hub = MessageHub.get_instance(resumed.experiment_name)
    old = MessageHub.get_instance(runner.experiment_name)
    history, old_history = (each.get_scalar('train/loss').data[0].tolist() for each in (hub, old))
    assert len(old_history) == 4 and len(history) == 6
    assert history[:4] == old_history
    assert isinstance(hub.get_scalar('train/loss'), HistoryBuffer)
    assert old.get_info('best_score') == hub.get_info('best_score') == 2


def test_training_starts_from_load_from(trained, tmp_path, capfd):
    work_dir, _ = trained
    best = next(work_dir.glob('best_toy_AP*.pth'))
    finetuned = toy_runner(tmp_path, 'finetune', epochs=1, load_from=str(best))
    loads_in_silence(capfd, finetuned.train)
    assert finetuned.epoch == 1


@needs_weights_only
def test_metainfo_and_scalars_arrive_exactly(trained):
    work_dir, _ = trained
    checkpoint = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert checkpoint['meta']['dataset_meta']['dataset_name'] == 'toy'
    for key in ('sigmas', 'skeleton_link_colors', 'skeleton_links'):
        array = checkpoint['meta']['dataset_meta'][key]
        assert array.dtype == ToyDataset.metainfo[key].dtype
        np.testing.assert_array_equal(array, ToyDataset.metainfo[key])
    assert checkpoint['message_hub']['runtime_info']['seen'] == 4


@needs_weights_only
@pytest.mark.parametrize('core', ['core', '_core'])
def test_checkpoints_of_either_numpy_load(trained, tmp_path, core):
    """numpy 1 writes numpy.core..., numpy 2 numpy._core...; the other one's must load as well."""
    work_dir, _ = trained
    source = work_dir / 'epoch_2.pth'
    renamed = tmp_path / 'renamed.pth'
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(renamed, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith('data.pkl'):
                assert b'.multiarray\n' in data
                for other in (b'numpy.core.', b'numpy._core.'):
                    data = data.replace(b'c' + other, b'cnumpy.' + core.encode() + b'.')
            new.writestr(name, data)
    checkpoint = torch.load(renamed, weights_only=True)
    history = checkpoint['message_hub']['log_scalars']['train/loss'].data[0]
    assert history.shape == (4,) and history.dtype == np.float64


class Payload:
    """Unpickling it makes a folder: a hostile checkpoint would do worse."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@needs_weights_only
@pytest.mark.parametrize('resume', [False, True])
def test_hostile_checkpoint_is_refused_not_run(tmp_path, resume):
    mark = tmp_path / 'was_run'
    hostile = tmp_path / 'hostile.pth'
    torch.save(dict(state_dict={}, meta=dict(payload=Payload(mark))), hostile)
    runner = toy_runner(tmp_path, f'hostile_{resume}', 1, load_from=str(hostile), resume=resume)
    with pytest.raises(pickle.UnpicklingError):
        runner.train()
    assert not mark.exists()


@needs_weights_only
def test_nothing_but_needed_types_is_registered():
    names = set()
    for item in checkpoint_globals():
        names.add(item[1] if isinstance(item, tuple) else f'{item.__module__}.{item.__qualname__}')
    assert names == {
        'builtins.bytes',
        'mmengine.logging.history_buffer.HistoryBuffer',
        'builtins.getattr',  # a narrow one, see test_getattr_is_not_let_in
        'numpy.ndarray',
        'numpy.dtype',
        *(f'numpy.{core}.multiarray.{name}' for core in ('core', '_core')
          for name in ('_reconstruct', 'scalar')),
        *(f'numpy.dtypes.{name}DType' for name in
          ('Bool', 'UInt8', 'Int32', 'Int64', 'Float16', 'Float32', 'Float64')),
    }  # fmt: skip


@needs_weights_only
@pytest.mark.parametrize(
    'reached', [(np.ndarray, 'tofile'), (HistoryBuffer, '__init__'), (HistoryBuffer, '__dict__')]
)
def test_getattr_is_not_let_in(tmp_path, reached):
    """OneDL's own list admits `getattr`, with which a checkpoint can reach any attribute."""
    path = tmp_path / 'getattr.pth'

    class Reach:
        def __reduce__(self):
            return getattr, reached

    torch.save(dict(state_dict={}, reach=Reach()), path)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(ToyModel(), str(path), map_location='cpu')


def test_old_torch_is_left_alone(monkeypatch):
    from cmpose_mm import compat

    added = []
    monkeypatch.setattr(compat, 'TORCH_VERSION', (2, 1))
    if hasattr(torch.serialization, 'add_safe_globals'):
        monkeypatch.setattr(torch.serialization, 'add_safe_globals', added.extend)
    compat.load_checkpoints_safely()
    assert added == []
