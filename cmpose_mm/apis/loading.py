"""Models from configs and checkpoints, and what to say where one of them is missing."""

from __future__ import annotations

import copy
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.models import build_pose_estimator
from mmpose.registry import MODELS
from torch import nn

from cmpose_mm import config_path
from cmpose_mm.config_options import merge_options
from cmpose_mm.weights import MODELS as SHIPPED
from cmpose_mm.weights import shipped_model

from .model_zoo import find_model, package_folder

CHECKPOINTS = Path('checkpoints')
"""Folder, in the working folder, where downloaded checkpoints are looked for and put."""
CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
"""Endings of config files; what has none of them is the name of a published model."""
_MISMATCH = re.compile(
    r'size mismatch for (\S+): copying a param with shape torch\.Size\((\[.*?\])\) '
    r'from checkpoint, the shape in current model is torch\.Size\((\[.*?\])\)'
)


def find_config(config: str | Path) -> str:
    """Path of a config file.

    Args:
        config: a path; ``package::path`` for a config that an OpenMMLab package ships, such as
            ``mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py``; the file name of a config of this
            package; or the name of a published model of MMPose, see `find_model`.

    Raises:
        FileNotFoundError: if there is none.
    """
    config = str(config)
    if os.path.isfile(config):
        return config
    if '::' in config:
        package, name = config.split('::', 1)
        path = package_folder(package) / 'configs' / name
        if path.is_file():
            return str(path)
        raise FileNotFoundError(f'{config}: config not found, expected it at {path}')
    if not config.endswith(CONFIG_SUFFIXES):
        return find_model(config).config
    try:
        return config_path(config)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{config}: no such config file. {error}') from None


def read_config(config: str | Path) -> Config:
    """The content of a config.

    Args:
        config: see `find_config`.

    Raises:
        FileNotFoundError: if it, or a config that it inherits from, is not there.
        ValueError: if it can't be read.
    """
    path = find_config(config)
    try:
        return Config.fromfile(path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # a config is code, which may raise anything
        text = str(error).strip() or 'without a message'
        raise ValueError(
            f'{path}: can not be read as a config ({type(error).__name__}: {text})'
        ) from error


def find_checkpoint(
    checkpoint: str | Path | None, config: str | None, download: bool = False
) -> str:
    """Path of a checkpoint file.

    Args:
        checkpoint: a path, or a URL. A URL's file is looked for in `CHECKPOINTS`. None takes the
            weights that ship with the package, or are published, for the config.
        config: path of the model's config, None for one that is in no file.
        download: allows to download a URL to there.

    Raises:
        FileNotFoundError: if it is not there; the message says what to get and where to put it.
        OSError: if a download fails.
    """
    if checkpoint is None and config is None:
        raise FileNotFoundError(
            'no checkpoint given, and the config is no file that one belongs to'
        )
    checkpoint = checkpoint or shipped_weights(config) or published_weights(config)
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
            f'{checkpoint} is not at {path}, and nothing is downloaded without being asked for; '
            f'{by_hand}, or allow the download (download=True, --download)'
        )
    CHECKPOINTS.mkdir(exist_ok=True)
    try:
        torch.hub.download_url_to_file(checkpoint, str(path))
    except OSError as error:
        raise OSError(f'{checkpoint}: download failed ({error}); {by_hand}') from error
    return str(path)


def _advice(config: str | None) -> str:
    """Where a checkpoint for a config comes from."""
    if config is None:
        return 'expected a file that training wrote'
    url = published_weights(config)
    if url is not None:
        name = url.rsplit('/', 1)[-1]
        return f'download {url} and put it at {CHECKPOINTS / name}'
    content = Config.fromfile(config)
    return (
        'none is published for this config: expected a file that training wrote, '
        f'{_last_checkpoint(content)} '
        f'(`mim train {content.get("default_scope", "mmpose")} {config}` makes it)'
    )


def _last_checkpoint(config: Config) -> Path:
    """The file that MMEngine's runner writes at the end of a config's training."""
    folder = Path(config.get('work_dir') or f'work_dirs/{Path(config.filename).stem}')
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    loop = config.get('train_cfg') or {}
    by_iteration = not hook.get('by_epoch', True)
    kind, key = ('iter', 'max_iters') if by_iteration else ('epoch', 'max_epochs')
    return folder / f'{kind}_{loop.get(key, "N")}.pth'


def shipped_weights(config: str) -> str | None:
    """Path of a config's weights, if they come with the package."""
    for name, shipped in SHIPPED.items():
        if os.path.realpath(config) == os.path.realpath(config_path(shipped)):
            return shipped_model(name)[1]
    return None


def published_weights(config: str) -> str | None:
    """URL of a config's weights by the model index beside it, as OpenMMLab's packages have it."""
    config = Path(config)
    for index in sorted(config.parent.glob('*.yml')):
        try:
            content = yaml.safe_load(index.read_text(encoding='utf-8'))
        except (yaml.YAMLError, UnicodeDecodeError):  # beside a user's config may lie anything
            continue
        models = content.get('Models') or [] if isinstance(content, dict) else []
        for model in models if isinstance(models, list) else ():
            if not isinstance(model, dict):
                continue
            if Path(str(model.get('Config'))).name == config.name and model.get('Weights'):
                return model['Weights']
    return None


def load_pose_model(
    config: str | Path | Config,
    checkpoint: str | Path | None,
    device: str = 'cpu',
    cfg_options: dict | None = None,
    download: bool = False,
    kind: type = nn.Module,
) -> nn.Module:
    """Builds a pose estimator and loads all its weights.

    MMPose's ``init_model`` goes on with random weights where the checkpoint has none, and downloads
    a URL; this does neither.

    Args:
        config: see `find_config`, or a config itself.
        checkpoint: see `find_checkpoint`.
        device: for example ``'cuda:0'``.
        cfg_options: overrides of the config's fields, see `merge_options`.
        download: see `find_checkpoint`.
        kind: class that the model must be of.

    Returns:
        The model in eval mode, with ``cfg`` and ``dataset_meta`` as ``init_model`` sets them. If
        config and checkpoint name different joints, a warning says so, and the model has those of
        the checkpoint, which it was trained on.

    Raises:
        FileNotFoundError: if config or checkpoint are missing.
        ValueError: if the config can't be read, has no model, one that can't be built or of another
            kind, or no test data, or lacks a field of ``cfg_options``;
            if the checkpoint can't be read or doesn't fit the config; if neither of them names the
            joints; or the device can't be used.
    """
    if isinstance(config, Config):
        config = copy.deepcopy(config)
    else:
        config = read_config(config)
    name = config.filename or 'the config'
    missing = [key for key in ('model', 'test_dataloader') if not config.get(key)]
    if missing:
        raise ValueError(f'{name}: has no {" and no ".join(missing)}, expected both')
    merge_options(config, cfg_options)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        found = kind_name = config.model.get('type') if isinstance(config.model, dict) else None
        if isinstance(found, str):
            found = MODELS.get(found)
    if found is None:
        raise ValueError(
            f'{name}: "model.type" is {kind_name!r}, expected a model of an installed package'
        )
    if isinstance(found, type) and not issubclass(found, kind):  # before anything is downloaded
        raise ValueError(f'{name}: the model is a {found.__name__}, expected a {kind.__name__}')
    path = find_checkpoint(checkpoint, config.filename, download)
    content = read_checkpoint(path)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmpose')):
        with warnings.catch_warnings():  # of descriptions of joints that come with MMPose
            warnings.filterwarnings('ignore', 'The metainfo config file')
            of_config = dataset_meta_from_config(config, 'train')
        dataset_meta = _dataset_meta(content, of_config, path, name)
        # Not by init_model: where nobody names the joints, it takes those of COCO.
        config.model.train_cfg = None
        if 'init_cfg' in config.model.get('backbone', ()):
            config.model.backbone.init_cfg = None
        try:
            with _without_registry_warnings():
                model = revert_sync_batchnorm(build_pose_estimator(config.model))
        except (KeyError, TypeError) as error:  # a part with an unknown type or argument
            text = error.args[0] if error.args else type(error).__name__
            raise ValueError(f'{name}: the model can not be built: {text}') from error
    load_weights(model, content, f'{path} does not fit {name}')
    model.cfg, model.dataset_meta = config, dataset_meta
    try:
        return model.to(device).eval()
    except (AssertionError, RuntimeError) as error:  # the first: torch without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f'device {str(device)!r} can not be used: {reason}') from error


@contextmanager
def _without_registry_warnings() -> Iterator[None]:
    """For each layer of a config that names MMDetection's scope, MMEngine says that it is missing.

    It then takes MMPose's layer; where there is none, building fails and says so.
    """

    def wanted(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not (
            text.startswith('Failed to search registry with scope')
            or 'is not installed and its modules will not be registered' in text
        )

    logger = MMLogger.get_current_instance()
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def _dataset_meta(content: dict, of_config: dict | None, path: str, config: str) -> dict:
    """What a checkpoint says of its joints, or else its config; a warning where they differ."""
    meta = (content.get('meta') or {}).get('dataset_meta')
    if not meta or 'keypoint_id2name' not in meta:  # releases before MMPose 1.0 have none
        if of_config is None:
            raise ValueError(
                f'{path}: neither its meta.dataset_meta nor train_dataloader.dataset of {config} '
                'names the joints, expected one of them'
            )
        return of_config
    joints, expected = (list((m or meta)['keypoint_id2name'].values()) for m in (meta, of_config))
    if joints != expected:
        print_log(
            f'{path}: was trained on the joints {", ".join(joints)}, but {config} has '
            f'{", ".join(expected)}; those of the checkpoint are used',
            'current',
            logging.WARNING,
        )
    return meta


def read_checkpoint(path: str) -> dict:
    """Content of a checkpoint file, on the CPU; see `cmpose_mm.compat` for what is safe.

    Raises:
        ValueError: if it is no checkpoint, or needs code to be run.
    """
    with open(path, 'rb') as file:
        start = file.read(256).lstrip()
    if start.startswith(b'<'):
        line = start.splitlines()[0].decode('utf-8', 'replace')[:40]
        raise ValueError(
            f'{path}: is a web page (it begins with {line!r}), expected a checkpoint; the download '
            'went wrong, fetch the file itself'
        )
    try:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except OSError:
        raise
    except Exception as error:  # of many kinds, by what torch takes the file's first bytes for
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


def clip_dataset(config: Config) -> dict:
    """The test dataset that says how clips are made; of a mixture, what all its parts say.

    Returns:
        Its config. Of a mixture, the first part's, with the pipeline of the mixture if it has one.

    Raises:
        ValueError: if there is none, or parts differ in pipeline, stride or ``causal``.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    if not dataset:
        raise ValueError(f'{config.filename}: test_dataloader has no dataset, expected one')
    parts = _parts_of(dataset, [])
    for key, default in (('pipeline', []), ('stride', 1), ('causal', False)):
        values = [part.get(key, default) for part in parts]
        if any(value != values[0] for value in values):
            raise ValueError(
                f'{config.filename}: the parts of test_dataloader.dataset have different {key}, '
                'expected the same, by which clips of a video are made'
            )
    return parts[0]


def _parts_of(dataset: dict, outer: list) -> list[dict]:
    """The data sets in a mixture, however deep, each with the pipeline that makes its inputs.

    It is that of the outermost mixture that has one (`CombinedDataset`): what its parts have then
    brings their labels into one form.
    """
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    pipeline = outer or dataset.get('pipeline', [])
    if not inner:
        return [{**dataset, 'pipeline': pipeline}]
    return [part for each in inner for part in _parts_of(each, pipeline)]


def load_weights(model: nn.Module, content: dict, misfit: str) -> None:
    """Loads a checkpoint's weights, and insists on all that the model has.

    Args:
        model: gets the weights.
        content: of the checkpoint, a dict of weights or one with ``state_dict``.
        misfit: how the message begins if they do not fit.

    Raises:
        ValueError: if weights are missing or have other shapes, or the model refuses them.
    """
    weights = content.get('state_dict', content)
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise ValueError(f'{misfit}: "state_dict" is no table of weights by their names')
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    try:
        keys = model.load_state_dict(weights, strict=False)
    except (AssertionError, ValueError) as error:  # the first: a ViT of another input size
        raise ValueError(f'{misfit}: {error}') from error
    except RuntimeError as error:
        found = _MISMATCH.findall(str(error))
        if not found:
            raise ValueError(f'{misfit}: {" ".join(str(error).split())}') from error
        first, in_file, in_model = found[0]
        raise ValueError(
            f'{misfit}: {len(found)} weights have another shape (first {first}, {in_file} in the '
            f'file and {in_model} in the model); expected a checkpoint of this model'
        ) from error
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
