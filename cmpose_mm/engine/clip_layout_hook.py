"""Makes model, datasets, labels and checkpoint agree before anything is computed."""

from __future__ import annotations

import logging
from math import isqrt

from mmengine.config import Config
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from mmpose.models import PoseDataPreprocessor
from mmpose.registry import DATASETS, HOOKS, MODELS
from torch import nn
from torch.utils.data import BatchSampler, Dataset

from cmpose_mm.apis.loading import load_weights
from cmpose_mm.datasets.codec_check import check_codec
from cmpose_mm.models.clip_preprocessor import ClipDataPreprocessor

from .bare_model import bare_model
from .epoch_seed_hook import leaf_datasets
from .frame_head_hook import joint_names


@HOOKS.register_module()
class ClipLayoutHook(Hook):
    """Sets the clip length of the datasets from the model, and checks that they fit it.

    ``model.method.num_frames`` decides how many frames the clips have. Datasets without a
    ``num_frames`` of their own take it from there (1 for a model without a method). A dataset with
    another ``num_frames``, with its key frame at another position than ``model.method.key_index``,
    or without the neighbors' poses that the method needs is an error. So are

    - a data preprocessor for images beside a dataset of clips;
    - a pipeline that crops or labels otherwise than the head's decoder reads heatmaps, see
      `check_codec`;
    - a test or resumed training of a checkpoint that lacks weights of the model, or was trained on
      other joints, by their names, than those of the dataset;
    - ``model.test_cfg.output_keypoint_indices`` that do not give the dataset's joints in its order;
    - a start of a ViT with another ``img_size``, whose positions MMPretrain can not resize;
    - an evaluator with the labels of other images;
    - a training without a step, with a last batch that is too small for the method, or with a
      ``save_best`` that the evaluator does not give.

    A frozen backbone that begins with random weights is a warning. A training that is resumed at
    its end, since it was stopped in its last validation, validates.
    """

    def __init__(self) -> None:
        self._loaded: set[str] = set()
        self._at_end = False

    def before_run(self, runner: Runner) -> None:
        """Sets and checks the datasets of all loops that will run.

        Raises:
            ValueError: if a dataset contradicts the model; the message names both keys.
        """
        model = bare_model(runner)
        decoder = getattr(getattr(model, 'head', None), 'decoder', None)
        for name in ('train', 'val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if loop is None or isinstance(loop, dict):  # a loop that will not run is not built
                continue
            check_preprocessor(model, loop.dataloader.dataset, f'{name}_dataloader.dataset')
            if name != 'train':
                check_output_joints(model, loop, name)
                check_labels(loop, name)
            for dataset in leaf_datasets(loop.dataloader.dataset):
                transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
                check_codec(decoder, transforms, f'{name}_dataloader.dataset.pipeline')
            changed = [
                fit_clips(
                    dataset,
                    getattr(model, 'method', None),
                    f'{name}_dataloader.dataset',
                    training=name == 'train',
                )
                for dataset in leaf_datasets(loop.dataloader.dataset)
                if hasattr(dataset, 'set_num_frames')
            ]
            # Before 0.10.12, MMEngine's iteration-based loop has already started its data workers.
            iterator = getattr(loop, 'dataloader_iterator', None)
            if any(changed) and getattr(iterator, '_iterator', None) is not None:
                loop.dataloader._iterator = None  # persistent workers would keep the old datasets
                loop.dataloader_iterator = type(iterator)(loop.dataloader)

    def before_train(self, runner: Runner) -> None:
        """Checks that there is something to train on.

        Raises:
            ValueError: if the data are fewer than one batch, and such a batch is dropped; or if
                the best checkpoint is chosen by something that the evaluator does not give.
        """
        check_save_best(runner)
        warn_of_random_backbone(bare_model(runner), self._loaded)
        self._at_end = is_at_its_end(runner)
        batches = finite_batches(runner)
        if batches is not None and len(batches) == 0:
            raise ValueError(
                f'train_dataloader.batch_size is {batches.batch_size} with drop_last=True, but '
                f'each process has {len(batches.sampler)} samples, so there is nothing to train '
                'on; expected a smaller batch'
            )

    def after_train(self, runner: Runner) -> None:
        """Validates after a training that was resumed at its end."""
        if self._at_end and runner.val_loop is not None:
            runner.logger.info('The training was at its end: its last weights are validated.')
            runner.val_loop.run()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Checks the last batch of an epoch as soon as the method knows what it needs.

        Raises:
            ValueError: if it has too few clips for the method.
        """
        method = getattr(bare_model(runner), 'method', None)
        least = getattr(method, 'least_clips', 1)
        batches = finite_batches(runner) if least > 1 else None
        if batches is None or batches.drop_last or runner.max_iters < len(batches):
            return
        last = len(batches.sampler) % batches.batch_size
        if 0 < last < least:
            raise ValueError(
                f'train_dataloader.drop_last is False, and the last batch of an epoch has {last} '
                f'of {batches.batch_size} clips, but model.method of type {type(method).__name__} '
                f'compares the clips of a batch and needs at least {least}; expected '
                'drop_last=True, or another batch_size'
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Checks that a checkpoint fits the model, and the data by its joints.

        MMEngine would go on with random weights where the checkpoint has none. A training that
        begins may: it starts from another model, of other joints. A test and a resumed training
        may not.

        Raises:
            ValueError: if the checkpoint lacks weights, has others, or names other joints; in a
                training that begins, if positions of the backbone do not fit.
        """
        weights = checkpoint.get('state_dict', checkpoint)
        self._loaded = {name.removeprefix('module.') for name in weights}
        train_loop = runner._train_loop
        training = train_loop is not None and not isinstance(train_loop, dict)
        if training and not runner._resume:
            check_positions(getattr(bare_model(runner), 'backbone', None), weights)
            return
        found = joint_names((checkpoint.get('meta') or {}).get('dataset_meta') or {})
        for name in ('val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if not found or loop is None or isinstance(loop, dict):
                continue
            expected = joint_names(loop.dataloader.dataset.metainfo)
            if expected and found != expected:
                raise ValueError(
                    f'the checkpoint was trained on the joints {", ".join(found)}, but '
                    f'{name}_dataloader.dataset has {", ".join(expected)}; expected the same'
                )
        path = runner._load_from or f'the last checkpoint of {runner.work_dir}'
        config = runner.cfg.filename or 'the config'
        load_weights(bare_model(runner), checkpoint, f'{path} does not fit {config}')


def is_at_its_end(runner: Runner) -> bool:
    """Whether a training was resumed that has no step left.

    MMEngine saves the last checkpoint before the last validation.
    """
    if not runner._resume:
        return False
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    done, total = (runner.epoch, runner.max_epochs) if by_epoch else (runner.iter, runner.max_iters)
    return done >= total


def warn_of_random_backbone(model: nn.Module, loaded: set[str]) -> None:
    """Logs a warning if weights of a frozen backbone were not loaded.

    Args:
        model: to be trained.
        loaded: names of the weights that a checkpoint had.
    """
    backbone = getattr(model, 'backbone', None)
    if not getattr(model, 'freeze_backbone', False) or backbone is None:
        return
    for module in (model, *backbone.modules()):  # their files were loaded by MMEngine
        begun = getattr(module, 'init_cfg', None) or ()
        begun = begun if isinstance(begun, (list, tuple)) else [begun]
        if any(isinstance(cfg, dict) and cfg.get('type') == 'Pretrained' for cfg in begun):
            return
    names = [name for name, _ in backbone.named_parameters()]
    random = [name for name in names if f'backbone.{name}' not in loaded]
    if random:
        print_log(
            f'model.freeze_backbone is True, but {len(random)} of the {len(names)} weights of the '
            f'backbone were in no checkpoint that was loaded (first: {random[0]}), so they stay '
            'random unless the backbone loads its own; expected load_from, the checkpoint of a '
            'model with this backbone',
            'current',
            logging.WARNING,
        )


def check_preprocessor(model: nn.Module, dataset: Dataset, key: str) -> None:
    """Checks that a model whose dataset gives clips does not take their frames for channels.

    Raises:
        ValueError: if the data preprocessor is MMPose's for images.
    """
    preprocessor = getattr(model, 'data_preprocessor', None)
    clips = any(hasattr(leaf, 'set_num_frames') for leaf in leaf_datasets(dataset))
    if (
        clips
        and hasattr(model, 'method')
        and isinstance(preprocessor, PoseDataPreprocessor)
        and not isinstance(preprocessor, ClipDataPreprocessor)
    ):
        raise ValueError(
            f'model.data_preprocessor is a {type(preprocessor).__name__}, but {key} gives clips; '
            "expected type='ClipDataPreprocessor' with the same arguments"
        )


def check_output_joints(model: nn.Module, loop: BaseLoop, name: str) -> None:
    """Checks that a model that puts out some of its joints gives our metrics those of the dataset.

    Metrics take joints by their place. A head of more joints than the dataset may choose those.

    Args:
        model: whose ``test_cfg.output_keypoint_indices`` are checked.
        loop: of a validation or test.
        name: 'val' or 'test', for messages.

    Raises:
        ValueError: if they are fewer or more than the dataset's, or in another order.
    """
    chosen = (getattr(model, 'test_cfg', None) or {}).get('output_keypoint_indices')
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', [])
    if chosen is None or not any(hasattr(metric, 'check_image_ids') for metric in metrics):
        return
    joints = joint_names(loop.dataloader.dataset.metainfo)
    same_joints = getattr(getattr(model, 'head', None), 'out_channels', None) == len(joints)
    if len(chosen) != len(joints) or (same_joints and [*chosen] != [*range(len(joints))]):
        raise ValueError(
            f'model.test_cfg.output_keypoint_indices is {[*chosen]}, but {name}_evaluator scores '
            f'the {len(joints)} joints of {name}_dataloader.dataset in their order; expected None '
            'to score a model'
        )


def check_positions(backbone: nn.Module | None, weights: dict) -> None:
    """Checks that MMPretrain can resize a ViT's positions, which it does for square grids alone.

    Args:
        backbone: that gets the weights.
        weights: of the checkpoint to start from, by name.

    Raises:
        ValueError: if the checkpoint's positions are of another grid, which is not square.
    """
    own, extra = (getattr(backbone, name, None) for name in ('pos_embed', 'num_extra_tokens'))
    name = 'backbone.pos_embed'
    given = weights.get(name, weights.get(f'module.{name}'))
    if own is None or extra is None or given is None:
        return
    found, expected = given.shape[1], own.shape[1]
    fits = found == expected or (extra == 0 and found == expected + 1)  # a class token is dropped
    if not fits and isqrt(found - extra) ** 2 != found - extra:
        raise ValueError(
            f'the checkpoint to start from has positions of {found - extra} cells, but '
            f'model.backbone.img_size asks for {expected - extra}, and MMPretrain resizes those of '
            'square images alone; expected the img_size that the checkpoint was trained with: the '
            'backbone then interpolates its positions to the size of the crops'
        )


def check_labels(loop: BaseLoop, name: str) -> None:
    """Checks that the labels of a loop's evaluator are of its dataset, by its first and last image.

    Those tell also of labels without ids, whose ids count the videos: with another folder of
    labels either an id is unknown, or the last image is of another video.

    Args:
        loop: of a validation or test.
        name: 'val' or 'test', for messages.

    Raises:
        ValueError: if an image is not in the labels, or is another one there.
    """
    if (
        type(getattr(loop, 'evaluator', None)) is not Evaluator
    ):  # MMPose's for several datasets has labels for each
        return
    for dataset in leaf_datasets(loop.dataloader.dataset):
        if not len(dataset) or not hasattr(dataset, 'get_data_info'):
            continue
        paths = {
            info['img_id']: info.get('img_path')
            for info in map(dataset.get_data_info, (0, len(dataset) - 1))
            if info.get('img_id') is not None
        }
        for metric in loop.evaluator.metrics:
            if paths and hasattr(metric, 'check_image_ids'):
                try:
                    for image_id in paths:
                        metric.check_image_ids([image_id])
                    if hasattr(metric, 'check_image_paths') and None not in paths.values():
                        metric.check_image_paths(paths)
                except ValueError as error:
                    raise ValueError(
                        f'{name}_evaluator.ann_file does not belong to {name}_dataloader.dataset: '
                        f'{error}'
                    ) from error


def check_save_best(runner: Runner) -> None:
    """Checks that the evaluator gives what the best checkpoint is chosen by.

    Raises:
        ValueError: if it does not; only told where all metrics name their results.
    """
    loop = runner.val_loop
    if type(getattr(loop, 'evaluator', None)) is not Evaluator:
        return
    metrics = loop.evaluator.metrics
    if not metrics or not all(hasattr(metric, 'result_names') for metric in metrics):
        return
    given = [name for metric in metrics for name in metric.result_names]
    for hook in runner.hooks:
        wanted = (
            (getattr(hook, 'save_best', None) or []) if isinstance(hook, CheckpointHook) else []
        )
        missing = [name for name in wanted if name != 'auto' and name not in given]
        if missing:
            raise ValueError(
                f'default_hooks.checkpoint.save_best is {missing[0]!r}, which val_evaluator does '
                f'not give; expected one of {", ".join(given) or "none: it scores nothing"}'
            )


def finite_batches(runner: Runner) -> BatchSampler | None:
    """The training's batches; None unless its sampler gives as many samples as it says."""
    batches = runner.train_dataloader.batch_sampler
    known = isinstance(batches, BatchSampler) and isinstance(batches.sampler, DefaultSampler)
    return batches if known else None


def build_dataset(config: Config, loader: str) -> BaseDataset:
    """The dataset of a config's dataloader, with clips that fit the config's method.

    For use without a runner, which builds its datasets itself and fits them by `ClipLayoutHook`.

    Args:
        config: a whole config; its default scope is set.
        loader: such as 'test_dataloader'.

    Raises:
        ValueError: see `ClipLayoutHook`.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    dataset = DATASETS.build(config[loader]['dataset'])
    method = config.get('model', {}).get('method')
    if method is not None:
        method = MODELS.build(method)
    for leaf in leaf_datasets(dataset):
        if hasattr(leaf, 'set_num_frames'):
            fit_clips(leaf, method, f'{loader}.dataset', training=loader == 'train_dataloader')
    return dataset


def fit_clips(dataset, method: nn.Module | None, key: str, training: bool) -> bool:
    """Gives a dataset the method's number of frames, or checks its own.

    Args:
        dataset: a `PoseTrackVideoDataset`.
        method: of the estimator; None if it has none.
        key: config key of the dataset, for messages.
        training: whether the clips are for training.

    Returns:
        Whether the dataset was changed.

    Raises:
        ValueError: see `ClipLayoutHook`.
    """
    if hasattr(dataset, 'check_joints'):
        try:
            dataset.check_joints()
        except ValueError as error:
            raise ValueError(f'{key}: {error}') from error
    num_frames = getattr(method, 'num_frames', 1)
    if training:
        num_frames = getattr(method, 'num_training_frames', num_frames)
    changed = dataset.num_frames is None
    if changed:
        dataset.set_num_frames(num_frames)
    if method is None:
        return changed
    if dataset.num_frames != num_frames:
        raise ValueError(
            f'{key}.num_frames is {dataset.num_frames}, but model.method.num_frames asks for '
            f'{num_frames}{" in training" if training else ""}; expected the same, or no '
            f'{key}.num_frames, which then follows the model'
        )
    key_index = getattr(method, 'key_index', num_frames // 2)
    if num_frames > 1 and dataset.key_index != key_index:
        raise ValueError(
            f'{key}.causal is {dataset.causal}, so that the key frame is at {dataset.key_index} of '
            f'{num_frames} frames, but model.method.key_index is {key_index}; expected the same'
        )
    if getattr(method, 'needs_poses', False) and not dataset.neighbor_poses:
        raise ValueError(
            f'model.method of type {type(method).__name__} needs the poses of the neighbors; '
            f'expected {key}.neighbor_poses=True'
        )
    return changed
