"""A tiny CM-Pose of the paper's letter in float64 against values of before the method slot.

Weights and data are sines of their positions, so that no generator of random numbers plays a part.
`python tests/models/test_stored_values.py` writes the values anew: only after a change of what the
method computes that is meant.
"""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from tiny_models import tiny_config

from cmpose_mm import config_path

FILE = Path(__file__).parent / 'stored_values.json'
VARIANTS = {
    'middle': {},
    'causal': dict(key_index=2),
    'no token enhancement': dict(fte=None),
    'union': dict(
        fte=dict(
            type='CausalTokenFTE',
            num_causal=1,
            num_neighbors=3,
            num_clusters=8,
            selection='union',
        )
    ),
}


def waves(shape, step: float) -> torch.Tensor:
    """Numbers between -1 and 1 that do not repeat."""
    count = torch.Size(shape).numel()
    return torch.sin(step * torch.arange(1, count + 1, dtype=torch.float64)).reshape(shape)


def compute(changes: dict) -> dict:
    """Losses, gradients, heatmaps and details."""
    config = tiny_config(**changes)
    letter = Config.fromfile(config_path('cmpose/literal.py')).literal
    config.method.neck.update(letter.neck)
    if config.method.fte is not None:
        config.method.fte.update({k: v for k, v in letter.fte.items() if k != 'num_clusters'})
    model = MODELS.build(config).double()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            mean = 1.0 if parameter.ndim == 1 and number % 2 == 0 else 0.0  # about: norms' weights
            parameter.copy_(mean + 0.5 * waves(parameter.shape, 0.7 + 0.01 * number))
    # Every cell of 16 x 16 pixels has a mean of its own.
    clips = waves((2, 3, 3, 8, 6), 2.7).repeat_interleave(16, 3).repeat_interleave(16, 4)
    clips = 2 * clips + waves((2, 3, 3, 128, 96), 1.3)
    samples = []
    for number in range(2):
        sample = PoseDataSample(metainfo=dict(clip_seed=1000 + 17 * number))
        sample.gt_fields = PixelData(heatmaps=waves((15, 32, 24), 0.9 + number).abs())
        weights = (waves((1, 15), 2.1 + number) > -0.5).double()
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        samples.append(sample)
    losses = model.train()(clips, samples, mode='loss')
    sum(losses.values()).backward()
    gradients: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            part = '.'.join(name.split('.')[:2])
            weighted = parameter.grad * waves(parameter.shape, 0.3)
            gradients[part] = gradients.get(part, 0.0) + weighted.sum().item()
    model.eval()
    with torch.no_grad():
        heatmaps = model(clips, None, mode='tensor')
        features = model.extract_feat(clips)[0]
        details = model.run_method(clips).details
    return dict(
        losses={name: value.item() for name, value in losses.items()},
        gradients=gradients,
        features=features[:, ::4, ::3, ::3].tolist(),
        heatmaps=heatmaps[:, ::4, ::8, ::6].tolist(),
        cells={
            name: value.tolist() for name, value in details.items() if not value.is_floating_point()
        },
        similarity=details['similarity'][:, ::7, ::5].tolist() if details else [],
    )


@pytest.mark.parametrize('name', VARIANTS)
def test_values_are_those_of_before(name, monkeypatch):
    """In float64 throughout: where the model asks for float32, processors round differently."""
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    stored, found = json.loads(FILE.read_text())[name], compute(VARIANTS[name])
    assert found['cells'] == stored['cells']
    for part in ('losses', 'gradients'):
        assert found[part].keys() == stored[part].keys()
        for key, value in stored[part].items():
            assert found[part][key] == pytest.approx(value, rel=1e-5, abs=1e-9), key
    for part in ('features', 'heatmaps', 'similarity'):
        torch.testing.assert_close(
            torch.tensor(found[part], dtype=torch.float64),
            torch.tensor(stored[part], dtype=torch.float64),
            rtol=1e-5,
            atol=1e-8,
        )


if __name__ == '__main__':
    with DefaultScope.overwrite_default_scope('mmpose'):
        FILE.write_text(json.dumps({n: compute(c) for n, c in VARIANTS.items()}) + '\n')
