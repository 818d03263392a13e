"""Loads the frame head's weights from the single-frame model that training starts from."""

from __future__ import annotations

import logging

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import Tensor

from .bare_model import bare_model

_HEAD, _FRAME_HEAD, _LAST_LAYER = 'head.', 'frame_head.', 'final_layer.'


@HOOKS.register_module()
class FrameHeadHook(Hook):
    """Copies the ``head`` of the loaded checkpoint into the model's ``frame_head``.

    A frame head of the checkpoint's own comes first. Nothing is done if the model has none. The
    channels of the last layer are copied by the *names* of their joints, since published models
    have other joints in another order. Joints that are missing in the checkpoint keep their random
    weights if the frame head is trained, and are an error if it is frozen.

    Args:
        joints: names of the joints of the single-frame model that training starts from, in its
            order. Only needed if the checkpoint does not name them in ``meta.dataset_meta``, as
            those of MMEngine's runner do. They say nothing of a checkpoint with a frame head.
    """

    priority = 'ABOVE_NORMAL'  # `ClipLayoutHook` checks the weights with those that it adds

    def __init__(self, joints: list[str] | None = None) -> None:
        self.joints = joints
        self._loaded = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds the frame head's weights to the checkpoint's.

        Raises:
            ValueError: if the checkpoint lacks something that the frame head needs.
        """
        model = bare_model(runner)
        if getattr(model, 'frame_head', None) is None:
            return
        weights = checkpoint.get('state_dict', checkpoint)
        self._loaded = True
        meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        joints, own_joints = joint_names(meta), joint_names(_dataset_meta(runner))
        start = {name.removeprefix('module.'): value for name, value in weights.items()}
        own = {n: value for n, value in start.items() if n.startswith(_FRAME_HEAD)}
        if own:
            if not joints or joints == own_joints:
                check_own(own, model.frame_head.state_dict(), model.frame_head_frozen)
                return
            start = {_HEAD + n.removeprefix(_FRAME_HEAD): value for n, value in own.items()}
            for name in [n for n in weights if n.removeprefix('module.').startswith(_FRAME_HEAD)]:
                del weights[name]
        elif self.joints:
            joints = self.joints
        weights.update(
            frame_head_weights(
                start,
                joints,
                model.frame_head.state_dict(),
                own_joints,
                frozen=model.frame_head_frozen,
            )
        )

    def before_train(self, runner: Runner) -> None:
        """Checks that a frozen frame head has loaded weights.

        Raises:
            ValueError: if nothing was loaded.
        """
        model = bare_model(runner)
        if getattr(model, 'frame_head', None) is None or not model.frame_head_frozen:
            return
        if not self._loaded:
            raise ValueError(
                'model.frame_head is frozen, but nothing is loaded (load_from is None); expected '
                'load_from, the checkpoint of a single-frame model, or frame_head_frozen=False'
            )


def check_own(found: dict[str, Tensor], expected: dict[str, Tensor], frozen: bool) -> None:
    """Checks the checkpoint's own frame head: what does not fit would keep its random weights.

    Raises:
        ValueError: if a weight is missing or has another shape, and the frame head is frozen.
    """
    misfits = []
    for name, value in expected.items():
        weight = found.get(_FRAME_HEAD + name)
        if weight is None and not name.endswith('.num_batches_tracked'):
            misfits.append(f'{_FRAME_HEAD}{name} is missing')
        elif weight is not None and weight.shape != value.shape:
            shapes = f'{tuple(weight.shape)}, expected {tuple(value.shape)}'
            misfits.append(f'{_FRAME_HEAD}{name} has shape {shapes}')
    if not misfits:
        return
    message = (
        f'{len(misfits)} of the {len(expected)} weights of model.frame_head are not in the '
        f'checkpoint to load (first: {misfits[0]}), and it would begin with random ones'
    )
    if frozen:
        raise ValueError(
            f'{message}, which are frozen; expected the same layers, or frame_head_frozen=False'
        )
    print_log(message, 'current', logging.WARNING)


def joint_names(meta: dict) -> list[str]:
    """Names of a dataset's joints in their order, from its meta information; [] if unknown."""
    names = meta.get('keypoint_id2name') or {}
    return [names[index] for index in sorted(names)]


def _dataset_meta(runner: Runner) -> dict:
    """Meta information of a runner's dataset."""
    for name in ('train', 'val', 'test'):
        loop = getattr(runner, f'_{name}_loop')
        if loop is not None and not isinstance(loop, dict):
            return loop.dataloader.dataset.metainfo
    return {}


def frame_head_weights(
    start: dict[str, Tensor],
    start_joints: list[str],
    own: dict[str, Tensor],
    own_joints: list[str],
    frozen: bool,
) -> dict[str, Tensor]:
    """Weights for a frame head, from those of a single-frame model.

    Args:
        start: weights of the single-frame model.
        start_joints: names of its joints, the channels of its last layer.
        own: present weights of the frame head, by names without a prefix.
        own_joints: names of the frame head's joints.
        frozen: whether the frame head is not trained.

    Returns:
        Name with the prefix ``frame_head.`` -> weight.

    Raises:
        ValueError: if the single-frame model has no head, a head of other shapes, or, with
            ``frozen``, not all the joints.
    """
    heads = {n[len(_HEAD) :]: value for n, value in start.items() if n.startswith(_HEAD)}
    last = [name for name in own if name.startswith(_LAST_LAYER)]
    if last and all(name in heads for name in last):
        found = len(heads[last[0]])
        if len(start_joints) != found:
            told = f'{len(start_joints)} names' if start_joints else 'no names'
            raise ValueError(
                f'the checkpoint to load has {found} joints and {told} of them; expected names in '
                'its meta.dataset_meta, or FrameHeadHook(joints=[...])'
            )
    missing = [joint for joint in own_joints if joint not in start_joints]
    if missing and frozen:
        raise ValueError(
            f'the checkpoint to load has no joint {", ".join(missing)}, which the frozen '
            'model.frame_head needs; expected a single-frame model of the same joints, or '
            'frame_head_frozen=False'
        )
    if missing:
        print_log(f'model.frame_head: the checkpoint has no {", ".join(missing)}', 'current')
    copied = {}
    for name, value in own.items():
        if name not in heads:
            raise ValueError(
                f'the checkpoint to load has no {_HEAD}{name}, which model.frame_head needs'
            )
        value = heads[name]
        if name in last:
            rows = own[name].clone()
            for row, joint in enumerate(own_joints):
                if joint in start_joints:
                    rows[row] = value[start_joints.index(joint)]
            value = rows
        if value.shape != own[name].shape:
            raise ValueError(
                f'{_HEAD}{name} of the checkpoint to load has shape {tuple(value.shape)}, '
                f'model.frame_head needs {tuple(own[name].shape)}'
            )
        copied[_FRAME_HEAD + name] = torch.as_tensor(value)
    return copied
