"""Models from configs and checkpoints, and what to say where one of them is missing."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmpose.apis import init_model
from torch import nn

from cmpose_mm import config_path

CHECKPOINTS = Path('checkpoints')
"""Folder, in the working folder, where downloaded checkpoints are looked for and put."""


def find_config(config: str | Path) -> str:
    """Path of a config file.

    Args:
        config: a path; ``package::path`` for a config that an OpenMMLab package ships, such as
            ``mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py``; or the name of a config of this
            package.

    Raises:
        FileNotFoundError: if there is none.
    """
    config = str(config)
    if os.path.isfile(config):
        return config
    if '::' in config:
        package, name = config.split('::', 1)
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise FileNotFoundError(f'{config}: the package {package} is not installed')
        path = Path(spec.origin).parent / '.mim' / 'configs' / name
        if path.is_file():
            return str(path)
        raise FileNotFoundError(f'{config}: config not found, expected it at {path}')
    try:
        return config_path(config)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{config}: no such config file. {error}') from None


def find_checkpoint(checkpoint: str | Path | None, config: str, download: bool = False) -> str:
    """Path of a checkpoint file.

    Args:
        checkpoint: a path, or a URL. A URL's file is looked for in `CHECKPOINTS`.
        config: path of the model's config, for the message.
        download: allows to download a URL to there.

    Raises:
        FileNotFoundError: if it is not there; the message says what to get and where to put it.
        OSError: if a download fails.
    """
    if checkpoint is None:
        raise FileNotFoundError(f'no checkpoint given for {config}; {_advice(config)}')
    checkpoint = str(checkpoint)
    if not checkpoint.startswith(('http://', 'https://')):
        if os.path.isfile(checkpoint):
            return checkpoint
        raise FileNotFoundError(f'{checkpoint}: checkpoint not found; {_advice(config)}')
    path = CHECKPOINTS / checkpoint.rsplit('/', 1)[-1]
    if path.is_file():
        return str(path)
    by_hand = f'download it by hand and put it at {path}'
    if not download:
        raise FileNotFoundError(
            f'{checkpoint} is not at {path}, and nothing is downloaded unasked; {by_hand}, '
            'or allow the download (download=True, --download)'
        )
    CHECKPOINTS.mkdir(exist_ok=True)
    try:
        torch.hub.download_url_to_file(checkpoint, str(path))
    except OSError as error:
        raise OSError(f'{checkpoint}: download failed ({error}); {by_hand}') from error
    return str(path)


def _advice(config: str) -> str:
    """Where a checkpoint for a config comes from."""
    url = published_weights(config)
    if url is not None:
        name = url.rsplit('/', 1)[-1]
        return f'download {url} and put it at {CHECKPOINTS / name}'
    return (
        'none is published for this config: expected a file that training wrote, such as '
        f'work_dirs/{Path(config).stem}/epoch_20.pth (`mim train mmpose {config}` makes it)'
    )


def published_weights(config: str) -> str | None:
    """URL of a config's weights by the model index beside it, as OpenMMLab's packages have it."""
    config = Path(config)
    for index in sorted(config.parent.glob('*.yml')):
        content = yaml.safe_load(index.read_text(encoding='utf-8'))
        models = content.get('Models') or [] if isinstance(content, dict) else []
        for model in models:
            if Path(model.get('Config', '')).name == config.name and model.get('Weights'):
                return model['Weights']
    return None


def load_pose_model(
    config: str | Path | Config,
    checkpoint: str | Path | None,
    device: str = 'cpu',
    cfg_options: dict | None = None,
    download: bool = False,
) -> nn.Module:
    """Builds a pose estimator and loads all its weights.

    MMPose's ``init_model`` goes on with random weights where the checkpoint has none, and downloads
    a URL; this does neither.

    Args:
        config: see `find_config`, or a config itself.
        checkpoint: see `find_checkpoint`.
        device: for example ``'cuda:0'``.
        cfg_options: overrides of the config's fields.
        download: see `find_checkpoint`.

    Returns:
        The model in eval mode, with ``cfg`` and ``dataset_meta`` as ``init_model`` gives them.

    Raises:
        FileNotFoundError: if config or checkpoint are missing.
        ValueError: if the checkpoint can't be read or doesn't fit the config, or the device can't
            be used.
    """
    if isinstance(config, Config):
        config = config.copy()
    else:
        config = Config.fromfile(find_config(config))
    if cfg_options:
        config.merge_from_dict(cfg_options)
    path = find_checkpoint(checkpoint, config.filename, download)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = init_model(config, None, device='cpu')
    content = read_checkpoint(path)
    load_weights(model, content, f'{path} does not fit {config.filename}')
    model.dataset_meta = content.get('meta', {}).get('dataset_meta') or model.dataset_meta
    try:
        return model.to(device).eval()
    except (AssertionError, RuntimeError) as error:  # the first: torch without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f'device {str(device)!r} can not be used: {reason}') from error


def read_checkpoint(path: str) -> dict:
    """Content of a checkpoint file, on the CPU; see `cmpose_mm.compat` for what is safe.

    Raises:
        ValueError: if it is no checkpoint, or needs code to be run.
    """
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # Of torch's text only what it found is kept: weights_only is not for the user to set.
        lines = [line.strip() for line in str(error).splitlines()]
        found = ' '.join(li for li in lines if 'weights only' not in li.lower().replace('_', ' '))
        raise ValueError(
            f'{path}: can not be read as a checkpoint; it is damaged, or needs code to be run, '
            f'which is refused ({found.strip() or type(error).__name__})'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: expected a checkpoint with "state_dict", found {type(content).__name__}'
        )
    return content


def load_weights(model: nn.Module, content: dict, misfit: str) -> None:
    """Loads a checkpoint's weights, and insists on all that the model has.

    Args:
        model: gets the weights.
        content: of the checkpoint, a dict of weights or one with ``state_dict``.
        misfit: how the message begins if they do not fit.

    Raises:
        ValueError: if weights are missing or have other shapes.
    """
    weights = content.get('state_dict', content)
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    try:
        keys = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{misfit}: {" ".join(str(error).split())}') from error
    if keys.missing_keys:
        raise ValueError(
            f"{misfit}: {len(keys.missing_keys)} of the model's weights are not in it (first "
            f'{keys.missing_keys[0]}); expected a checkpoint of this model'
        )
    if keys.unexpected_keys:
        print_log(
            f'{len(keys.unexpected_keys)} weights of the checkpoint have no place in the model '
            f'(first {keys.unexpected_keys[0]})',
            'current',
            logging.WARNING,
        )
