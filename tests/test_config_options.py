from __future__ import annotations

import argparse
import re

import pytest
from mmengine.config import Config

from cmpose_mm import config_path
from cmpose_mm.apis.loading import find_config
from cmpose_mm.config_options import CfgOptions, lose_spaces, merge_options, parse_options


@pytest.fixture
def config() -> Config:
    return Config.fromfile(config_path('cmpose_vit_posetrack18.py'))


@pytest.mark.parametrize(
    'key',
    [
        'model.test_cfg.flip_test',
        'model.test_cfg.output_details',  # not in the config, but looked for in it
        'model.method.num_frames',
        'test_dataloader.dataset.pipeline.0.type',  # an item of a list
        'test_dataloader.dataset.stride',  # an argument of the dataset
        'test_dataloader.dataset.max_refetch',  # one of its parent's
        'test_dataloader.pin_memory',  # of the loader
        'train_cfg.val_begin',  # of the loop
        'randomness.seed',
        'work_dir',
        'resume',  # of the runner
    ],
)
def test_keys_that_have_an_effect(config, key):
    merge_options(config, {key: 7})
    node = config
    for part in key.split('.'):
        node = node[int(part)] if part.isdecimal() else node[part]
    assert node == 7


@pytest.mark.parametrize(
    'key, near',
    [
        ('model.test_cfg.flip_tset', "did you mean 'model.test_cfg.flip_test'?"),
        ('test_cfg.flip_test', "did you mean 'model.test_cfg.flip_test'?"),
        ('flip_test', "did you mean 'model.test_cfg.flip_test'?"),
        ('modl.method.num_frames', "did you mean 'model.method.num_frames'?"),
        ('model.method.frames', "did you mean 'model.method.num_frames'?"),
        ('test_dataloader.dataset.strid', "did you mean 'test_dataloader.dataset.stride'?"),
        ('test_dataloader.dataset.pipeline.99.type', 'did you mean'),
        ('model.head.zzz', '; model.head has '),
        ('model.method.num_frames.x', 'did you mean'),
        ('train_cfg.max_iters', "did you mean 'train_cfg.max_epochs'?"),  # it trains by epochs
        ('model.self', '; model has '),
    ],
)
def test_keys_that_have_none(config, key, near):
    before = config.pretty_text
    with pytest.raises(ValueError) as error:
        merge_options(config, {'model.test_cfg.flip_test': False, key: 1})
    assert str(error.value).startswith(f'cfg-options: cmpose_vit_posetrack18.py has no {key!r}; ')
    assert near in str(error.value) and '\n' not in str(error.value)
    assert config.pretty_text == before


def test_a_key_of_another_config_that_gets_the_same(config):
    single = Config.fromfile(config_path('single_frame/single_frame_vit_posetrack18.py'))
    with pytest.raises(ValueError, match="has no 'model.method.fte.num_causal'"):
        merge_options(single, {'model.method.fte.num_causal': 5})
    before = single.pretty_text
    merge_options(single, {'model.method.fte.num_causal': 5}, config)
    assert single.pretty_text == before  # it has no method, and would not be built with one


def test_configs_of_mmpose():
    """With parts of packages that need not be installed."""
    config = Config.fromfile(find_config('rtmpose-m'))
    merge_options(config, {'model.test_cfg.flip_test': False, 'custom_hooks.0.momentum': 0.1})
    with pytest.raises(ValueError, match="custom_hooks.0.zzz'"):
        merge_options(config, {'custom_hooks.0.zzz': 1})
    for key in ('custom_hooks.1.zzz', 'model.backbone.zzz'):
        with pytest.raises(ValueError, match=rf"has no '{key}'; "):
            merge_options(config, {key: 1})


def test_a_value_without_a_key(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={})
    assert parser.parse_args(['--cfg-options', 'a.b=1', 'c=[d,e]']).cfg_options == {
        'a.b': 1, 'c': ['d', 'e']
    }  # fmt: skip
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'a.b', 'c=1'])
    assert capsys.readouterr().err.endswith(
        "error: argument --cfg-options: expected KEY=VALUE, found 'a.b'\n"
    )


@pytest.mark.parametrize('value', ['[1,2', '[1,(2]', '[1,(2])'])
def test_brackets_that_do_not_match(value, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={})
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', f'a={value}'])
    said = f"expected brackets that match, found 'a={value}'"
    assert capsys.readouterr().err.endswith(f'error: argument --cfg-options: {said}\n')
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_options([f'a={value}'])


def test_spaces_of_a_path_stay(capsys):
    """MMEngine drops them, and so does mim."""
    pairs = ['a.root=/my data/x', "b='it is'", 'c=[d, e]', 'd=1, 2', 'e=/x']
    expected = {'a.root': '/my data/x', 'b': 'it is', 'c': ['d', 'e'], 'd': [1, 2], 'e': '/x'}
    assert parse_options(pairs) == expected
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={})
    more = ['--cfg-options', 'f=y z', 'e=2']
    found = parser.parse_args(['--cfg-options', *pairs, *more]).cfg_options
    assert found == {**expected, 'f': 'y z', 'e': 2} and parser.get_default('cfg_options') == {}
    assert lose_spaces(pairs) and lose_spaces(['f=y z'])
    assert not lose_spaces(['c=[d, e]', 'd=1, 2', 'e=/x']) and not lose_spaces([])
