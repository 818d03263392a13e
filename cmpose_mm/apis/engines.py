"""What computes a pose model: torch as it is, torch.compile, or ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .export import import_module_for, trace_to_onnx

ENGINES = ('torch', 'compile', 'onnx')
"""``'torch'``; ``'compile'``, torch.compile; ``'onnx'``, ONNX Runtime on the CPU."""
OPSET = 17


def use_engine(model: nn.Module, engine: str, device: str = 'cpu') -> None:
    """Lets an engine compute a model's backbone, where nearly all of the time goes.

    ``'compile'`` also takes its neck and method. Everything else, and so every result up to the
    last digits, stays as it is. The first frames take longer, since the engine starts with them:
    seconds with ``'onnx'``, up to minutes with ``'compile'``.

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
        model.backbone = OnnxBackbone(model.backbone)
    elif engine == 'compile':
        if not hasattr(nn.Module, 'compile'):
            raise NotImplementedError(
                f"engine='compile' needs torch 2.2 or later, found {torch.__version__}"
            )
        for name in ('backbone', 'neck', 'method'):
            part = getattr(model, name, None)
            if part is not None:
                part.compile(dynamic=True)  # batches differ in size


class OnnxBackbone(nn.Module):
    """A backbone that ONNX Runtime computes on the CPU, with as many threads as torch has.

    It is written as ONNX to a temporary file when the first images of a size come.

    Args:
        backbone: takes images (N, 3, H, W), returns a map or a sequence of maps.

    Raises:
        ModuleNotFoundError: if ``onnx`` or ``onnxruntime`` is not installed.
        NotImplementedError: with the first images, if torch is older than 2.1.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        import_module_for('onnx', "engine='onnx'")
        self.runtime = import_module_for('onnxruntime', "engine='onnx'")
        self.backbone = backbone
        self.sessions: dict[tuple[int, ...], tuple[Any, bool]] = {}

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The backbone's maps, in a tuple if it returns several or a sequence of one."""
        size = tuple(images.shape[1:])
        if size not in self.sessions:
            self.sessions[size] = self._session(images)
        session, is_sequence = self.sessions[size]
        maps = session.run(None, {'images': images.contiguous().numpy()})
        maps = tuple(torch.from_numpy(values) for values in maps)
        return maps if is_sequence else maps[0]

    def _session(self, images: Tensor) -> tuple[Any, bool]:
        example = images[:1].repeat(2, 1, 1, 1)  # a batch of one would become a constant
        maps = self.backbone(example)
        is_sequence = not isinstance(maps, Tensor)
        names = [f'map{number}' for number in range(len(maps) if is_sequence else 1)]
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Else its threads wait for the next call on full power, and torch's, which compute the head
        # meanwhile, come to nothing.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'backbone.onnx'
            trace_to_onnx(self.backbone, example, path, ['images', *names], OPSET)
            session = self.runtime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
        return session, is_sequence
