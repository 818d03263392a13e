"""Published models by name, in the index that MMPose ships."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from cmpose_mm.apis.loading import find_config
from cmpose_mm.apis.model_zoo import find_model, package_folder, published_models

FOLDER = package_folder('mmpose')


@pytest.mark.parametrize(
    'name, config',
    [
        ('vitpose-b', 'td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192'),  # an alias
        ('rtmpose-m', 'rtmpose-m_8xb256-420e_body8-256x192'),  # MMPose's own choice for persons
        ('RTMPose-S', 'rtmpose-s_8xb256-420e_body8-256x192'),
        ('hrnet-w48', 'td-hm_hrnet-w48_8xb32-210e_coco-256x192'),
        ('hrnet-w48-posetrack18', 'td-hm_hrnet-w48_8xb64-20e_posetrack18-256x192'),
        ('hrnet-w48-posetrack18-384x288', 'td-hm_hrnet-w48_8xb64-20e_posetrack18-384x288'),
        ('rtmpose-m-halpe26', 'rtmpose-m_8xb512-700e_body8-halpe26-256x192'),
        ('hrnet-w32-wholebody', 'td-hm_hrnet-w32_8xb64-210e_coco-wholebody-256x192'),
        ('rtmpose-m-ap10k', 'rtmpose-m_8xb64-210e_ap10k-256x256'),
        ('res50-jhmdb', 'td-hm_res50_8xb64-20e_jhmdb-sub1-256x256'),
        ('td-reg_res50_8xb64-210e_coco-256x192', 'td-reg_res50_8xb64-210e_coco-256x192'),
    ],
)
def test_names(name, config):
    model = find_model(name)
    assert model.name == config
    assert os.path.isfile(model.config) and model.weights.startswith('https://')
    assert find_config(name) == model.config


def test_every_model_of_the_index_is_found_by_its_config():
    """Against a reading of the index by hand."""
    expected = {}
    for file in yaml.safe_load((FOLDER / 'model-index.yml').read_text())['Import']:
        for entry in yaml.safe_load((FOLDER / file).read_text())['Models']:
            expected.setdefault(entry['Config'], entry.get('Weights'))
    assert len(expected) > 300
    for config, weights in expected.items():
        stem = config.rsplit('/', 1)[-1][: -len('.py')]
        model = find_model(stem)
        assert (model.config, model.weights) == (str(FOLDER / config), weights)
        assert find_model(model.short).short == model.short
    assert len(published_models(FOLDER)) == len(expected)


@pytest.mark.parametrize(
    'name, near',
    [('vitpos-b', 'vitpose-b'), ('hrnet-w48-posetrak18', 'hrnet-w48-posetrack18'), ('', 'none')],
)
def test_a_name_that_is_none(name, near):
    with pytest.raises(FileNotFoundError, match=rf'mmpose has no model of this name; .*{near}'):
        find_model(name)


def test_a_package_that_is_not_there():
    with pytest.raises(FileNotFoundError, match='the package nowhere is not installed'):
        find_model('rtmdet-m', 'nowhere')


def test_the_names_in_the_docs():
    docs = Path(__file__).parents[2] / 'docs' / 'inference.md'
    table = docs.read_text().split('| name | model |')[1].split('\n\n')[0]
    names = re.findall(r'`([\w-]+)`', ''.join(line.split('|')[1] for line in table.split('\n')[2:]))
    assert len(names) >= 15
    for name in names:
        joints = re.search(rf'`{name}`.*', table).group().split('joints')[0]
        parsed = parse_pose_metainfo(_metainfo(find_model(name).config))
        assert f'{parsed["num_keypoints"]}' in joints, name


def _metainfo(config: str) -> dict:
    dataset = Config.fromfile(config).train_dataloader.dataset
    return dataset.get('metainfo') or DATASETS.get(dataset.type).METAINFO


@pytest.mark.full_stack
def test_detectors():
    model = find_model('rtmdet-m', 'mmdet')
    assert model.name == 'rtmdet_m_8xb32-300e_coco' and model.weights.endswith('.pth')
