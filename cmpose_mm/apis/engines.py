"""What computes a pose model: torch as it is, torch.compile, or ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from mmpose.models.heads import HeatmapHead, RTMCCHead, SimCCHead
from torch import Tensor, nn

from .export import import_module_for, trace_to_onnx

ENGINES = ('torch', 'compile', 'onnx')
"""``'torch'``; ``'compile'``, torch.compile; ``'onnx'``, ONNX Runtime on the CPU."""
OPSET = 17
ONNX_HEADS = HeatmapHead, RTMCCHead, SimCCHead
"""Heads that ONNX Runtime computes, too: those that take the last map alone and compute without
conditions. A class derived from them may do anything, and stays with torch, as do all others."""


def use_engine(model: nn.Module, engine: str, device: str = 'cpu') -> None:
    """Lets an engine compute a model's backbone, where nearly all of the time goes.

    ``'onnx'`` also takes its head, if it is one of `ONNX_HEADS`, ``'compile'`` its neck and method.
    Everything else, and so every result up to the last digits, stays as it is. The first frames
    take longer, since the engine starts with them: seconds with ``'onnx'``, up to minutes with
    ``'compile'``.

    Args:
        model: a pose model in eval mode; it is changed.
        engine: one of `ENGINES`.
        device: of the model.

    Raises:
        ValueError: if there is no such engine; for ``'onnx'`` on another device than the CPU.
        NotImplementedError: for ``'compile'`` if torch is older than 2.2.
        ModuleNotFoundError: for ``'onnx'`` if ``onnx`` or ``onnxruntime`` is not installed.
    """
    if engine not in ENGINES:
        raise ValueError(f'engine is {engine!r}, expected one of {", ".join(ENGINES)}')
    if engine == 'onnx':
        if torch.device(device).type != 'cpu':
            raise ValueError(
                f"engine='onnx' computes on the CPU, found the device {device}; expected "
                "engine='compile', or device='cpu'"
            )
        model.backbone = OnnxModule(model.backbone)
        if type(model.head) in ONNX_HEADS:
            # MMPose's heads call their own forward by name, past a module in their place.
            head = OnnxModule(_OneMap(model.head))
            model.head.forward = lambda maps: head(maps[-1])
    elif engine == 'compile':
        if not hasattr(nn.Module, 'compile'):
            raise NotImplementedError(
                f"engine='compile' needs torch 2.2 or later, found {torch.__version__}"
            )
        for name in ('backbone', 'neck', 'method'):
            part = getattr(model, name, None)
            if part is not None:
                part.compile(dynamic=True)  # batches differ in size


class _OneMap(nn.Module):
    """A head as a function of its one map, also after its ``forward`` was replaced."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, ...]:
        return type(self.head).forward(self.head, (features,))


class OnnxModule(nn.Module):
    """A part of a model that ONNX Runtime computes on the CPU, with as many threads as torch has.

    It is written as ONNX to a temporary file when the first input of a size comes.

    Args:
        module: takes images or a map (N, C, H, W), returns a tensor or a sequence of tensors.

    Raises:
        ModuleNotFoundError: if ``onnx`` or ``onnxruntime`` is not installed.
        NotImplementedError: with the first input, if torch is older than 2.1.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        import_module_for('onnx', "engine='onnx'")
        self.runtime = import_module_for('onnxruntime', "engine='onnx'")
        self.module = module
        self.sessions: dict[tuple[int, ...], tuple[Any, bool]] = {}

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What the module returns, in a tuple if it returns several or a sequence of one."""
        size = tuple(inputs.shape[1:])
        if size not in self.sessions:
            self.sessions[size] = self._session(inputs)
        session, is_sequence = self.sessions[size]
        outputs = session.run(None, {'inputs': inputs.contiguous().numpy()})
        outputs = tuple(torch.from_numpy(values) for values in outputs)
        return outputs if is_sequence else outputs[0]

    def _session(self, inputs: Tensor) -> tuple[Any, bool]:
        example = inputs[:1].repeat(2, 1, 1, 1)  # a batch of one would become a constant
        outputs = self.module(example)
        is_sequence = not isinstance(outputs, Tensor)
        names = [f'output{number}' for number in range(len(outputs) if is_sequence else 1)]
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'module.onnx'
            trace_to_onnx(self.module, example, path, ['inputs', *names], OPSET)
            session = self.runtime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
        return session, is_sequence
