"""Every variant of the methods' sets is a model that can be built, and differs."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from cmpose_mm import config_path
from cmpose_mm.ablation.experiments import EXPERIMENTS
from cmpose_mm.ablation.records import config_digest
from cmpose_mm.ablation.variants import variant_config

METHODS = ('tdmi', 'jmpose', 'stdpose', 'hkm')
SETS = [name for name in EXPERIMENTS if name.split('/')[0] in METHODS]


@pytest.mark.parametrize('name', SETS)
@pytest.mark.slow
def test_every_variant_is_a_model(name):
    method = name.split('/')[0]
    base = Config.fromfile(config_path(f'{method}/{method}_vit_posetrack18.py'))
    seen = []
    for variant, changes in EXPERIMENTS[name].items():
        config = variant_config(base, changes)
        MODELS.build(config.model.method)
        digest = config_digest(config)
        same = [other for other, known in seen if known == digest]
        assert not same, (variant, same)  # whose results would be taken for its own
        seen.append((variant, digest))


def test_stages_that_a_model_lacks():
    base = Config.fromfile(config_path('tdmi/tdmi_small.py'))
    with pytest.raises(ValueError, match='has 1 maps, so there are no last 2 stages'):
        variant_config(base, EXPERIMENTS['tdmi/stages']['last two stages'])


@pytest.mark.parametrize('blocks', [None, [4, 3, 2, 1]])
def test_fewer_stages_are_as_deep_as_among_all(blocks):
    base = Config.fromfile(config_path('tdmi/tdmi_vit_posetrack18.py'))
    base.model.method.blocks = blocks
    seen = {}
    for name, changes in EXPERIMENTS['tdmi/stages'].items():
        method = MODELS.build(variant_config(base, changes).model.method)
        seen[name] = list(zip(method.stage_maps.stages, map(len, method.motion)))
    depths = list(enumerate(blocks or [3, 3, 2, 2]))
    assert seen == {
        'TDMI': depths, 'last stage': depths[-1:], 'last two stages': depths[-2:]
    }  # fmt: skip


@pytest.mark.parametrize('method', METHODS)
def test_models_of_the_leaderboard(method):
    config = Config.fromfile(config_path(f'{method}/{method}_small.py'))
    model = MODELS.build(config.model).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 3, 128, 96), None, mode='tensor').shape == (2, 15, 32, 24)


@pytest.mark.slow
def test_sets_are_complete_whatever_is_imported_first():
    code = (
        'from cmpose_mm.models.tdmi.ablations import SETS\n'
        'from cmpose_mm.ablation import EXPERIMENTS\n'
        'assert all(EXPERIMENTS[f"tdmi/{name}"] is SETS[name] for name in SETS)\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
