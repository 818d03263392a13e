"""What README shows works as shown."""

import re
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from cmpose_mm import config_path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / 'README.md').read_text()


def code_block(start: str) -> str:
    """The indented block whose first line begins with ``start``, without its indentation."""
    lines = README[README.index(f'\n    {start}') + 1 :].splitlines()
    block = []
    for line in lines:
        if line and not line.startswith('    '):
            break
        block.append(line[4:])
    return '\n'.join(block)


@pytest.mark.slow
def test_the_example_of_a_method_runs_in_the_estimator(tmp_path, monkeypatch):
    init_default_scope('mmpose')
    method, config = code_block('# my_methods.py').split('# in a config')
    (tmp_path / 'my_methods.py').write_text(method)
    (tmp_path / 'my_mean.py').write_text(f'#{config}')
    monkeypatch.syspath_prepend(tmp_path)
    config = Config.fromfile(str(tmp_path / 'my_mean.py'))
    model = MODELS.build(config.model).eval()
    with torch.no_grad():
        heatmaps = model(torch.zeros(1, 3, 3, 256, 192), None, mode='tensor')
    assert heatmaps.shape == (1, 15, 64, 48)


def test_the_inheritance_example_parses(tmp_path):
    path = tmp_path / 'my_cmpose.py'
    path.write_text(code_block('# my_cmpose.py').split('mim train')[0])
    config = Config.fromfile(str(path))
    assert config.train_dataloader.batch_size == 8
    assert config.model.method.type == 'CMPose'


def test_files_and_configs_it_names_exist():
    for target in re.findall(r'\]\((?!http)([^)#]+)', README):
        assert (ROOT / target).exists(), target
    for name in set(re.findall(r'`(cmpose_vit[\w-]*\.py)`', README)):
        config_path(name)
