"""The models that ship: their files, and what loading them refuses."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from cmpose_mm import config_path, weights
from cmpose_mm.models.cmpose import AuxReconLoss, CausalTokenFTE, CMPose, CrissCrossSTNeck
from cmpose_mm.weights import checksums, release_weights, sha256, shipped_model

SHIPPED = sorted(weights.FOLDER.glob('*.pth'))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """In place of the package's folder."""
    monkeypatch.setattr(weights, 'FOLDER', tmp_path)
    return tmp_path


def test_release_of_a_checkpoint(tmp_path):
    large = torch.randn(1000, 3)
    state = {
        'conv.weight': large[:2],  # a view: its file must not hold all of it
        'bn.running_var': torch.tensor([1e-9, 1.0]),
        'bn.num_batches_tracked': torch.tensor(7),
    }
    torch.save(dict(state_dict=state, optimizer=[1], meta={}), tmp_path / 'epoch_1.pth')
    path = tmp_path / 'small.pth'
    checksum = release_weights(tmp_path / 'epoch_1.pth', path)
    assert checksum == sha256(path) == checksums(tmp_path)['small.pth']
    assert path.stat().st_size < 4000
    released = torch.load(path, weights_only=True)
    assert released.keys() == state.keys()
    assert released['conv.weight'].dtype == torch.float16
    torch.testing.assert_close(released['conv.weight'].float(), large[:2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(released['bn.running_var'], state['bn.running_var'], rtol=0, atol=0)
    assert released['bn.num_batches_tracked'] == 7

    assert release_weights(path, tmp_path / 'again.pth')  # from what was released before
    assert checksums(tmp_path).keys() == {'small.pth', 'again.pth'}
    torch.save(dict(state_dict={'w': torch.tensor([1e6])}), tmp_path / 'epoch_2.pth')
    with pytest.raises(ValueError, match='w: has a value that float16 can not hold'):
        release_weights(tmp_path / 'epoch_2.pth', path)


def test_changed_or_missing_files_are_refused(folder):
    with pytest.raises(KeyError, match='expected small, small_rendered'):
        shipped_model('large')
    with pytest.raises(FileNotFoundError, match='small.pth: not found'):
        shipped_model()
    torch.save({'w': torch.ones(2)}, folder / 'start.pth')
    release_weights(folder / 'start.pth', folder / 'small.pth')
    assert shipped_model() == (config_path('shipped/shipped_cmpose.py'), str(folder / 'small.pth'))
    with (folder / 'small.pth').open('ab') as file:
        file.write(b'x')
    with pytest.raises(ValueError, match='small.pth: SHA-256 is .* says'):
        shipped_model()


class Attack:
    def __reduce__(self):
        return print, ('code was run',)


def test_pickled_code_is_refused(tmp_path, capsys):
    torch.save(dict(state_dict={'w': Attack()}), tmp_path / 'epoch_1.pth')
    with pytest.raises(pickle.UnpicklingError):
        release_weights(tmp_path / 'epoch_1.pth', tmp_path / 'small.pth')
    assert 'code was run' not in capsys.readouterr().out


@pytest.mark.skipif(not SHIPPED, reason='the package has no weights')
@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_weights(path):
    """Plain tensors of the model of the config, all of them, in float16, and no more than 10 MB."""
    assert path.stem in weights.MODELS
    assert path.stat().st_size <= 10e6
    config, checked = shipped_model(path.stem)
    assert checked == str(path)
    card = (weights.FOLDER / 'README.md').read_text()
    assert sha256(path) in card
    state = torch.load(path, weights_only=True)
    assert all(type(value) is torch.Tensor for value in state.values())
    for name, value in state.items():
        expected = torch.float32 if 'running_' in name else torch.float16
        assert value.dtype == expected or not value.is_floating_point(), name
    init_default_scope('mmpose')
    MODELS.build(Config.fromfile(config).model).load_state_dict(state, strict=True)


def test_config_pins_every_switch():
    """A changed default must not change what the shipped weights predict."""
    method = Config.fromfile(config_path('shipped/shipped_cmpose.py')).model.method
    parts = [
        (CMPose, method),
        (CrissCrossSTNeck, method.neck),
        (CausalTokenFTE, method.fte),
        (AuxReconLoss, method.aux),
    ]
    for module, config in parts:
        names = set(inspect.signature(module).parameters)
        assert config.keys() == names | {'type'}, module.__name__
