"""What computes a pose model: torch as it is, torch.compile, or ONNX Runtime."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

from .export import agree, first_sentence, import_module_for, trace_to_onnx

ENGINES = ('torch', 'compile', 'onnx')
"""``'torch'``; ``'compile'``, torch.compile; ``'onnx'``, ONNX Runtime on the CPU."""
OPSET = 17


def use_engine(model: nn.Module, engine: str, device: str = 'cpu') -> None:
    """Lets an engine compute the parts of a model where nearly all of the time goes.

    ``'onnx'`` takes backbone and heads, ``'compile'`` backbone, neck and method. Everything else,
    and so every result up to the last digits, stays as it is. The first frames take longer, since
    the engine starts with them: seconds with ``'onnx'``, up to minutes with ``'compile'``.

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
        for name in ('head', 'frame_head'):
            head = getattr(model, name, None)
            if head is not None:
                head.forward = _HeadForward(head)  # what calls it stays
    elif engine == 'compile':
        if not hasattr(nn.Module, 'compile'):
            raise NotImplementedError(
                f"engine='compile' needs torch 2.2 or later, found {torch.__version__}"
            )
        for name in ('backbone', 'neck', 'method'):
            part = getattr(model, name, None)
            if part is not None:
                part.compile(dynamic=True)  # batches differ in size


class OnnxModule(nn.Module):
    """A module that ONNX Runtime computes on the CPU, with as many threads as torch has.

    It is written as ONNX to a temporary file when the first inputs of a size come, and compared.
    What ONNX cannot hold stays with torch, and the log says so: some operators, outputs in lists of
    lists, modules in which the size of the batch becomes a constant.

    Args:
        module: takes tensors whose leading axis is that of the batch, and treats the items of a
            batch alike; returns a tensor or a sequence of tensors.

    Raises:
        ModuleNotFoundError: if ``onnx`` or ``onnxruntime`` is not installed.
        NotImplementedError: with the first inputs, if torch is older than 2.1.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        import_module_for('onnx', "engine='onnx'")
        self.runtime = import_module_for('onnxruntime', "engine='onnx'")
        self.module = module
        self.sessions: dict[tuple[tuple[int, ...], ...], tuple[Any, bool]] = {}

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What the module returns; a sequence becomes a tuple."""
        sizes = tuple(tuple(values.shape[1:]) for values in inputs)
        if sizes not in self.sessions:
            self.sessions[sizes] = self._session(inputs)
        session, is_sequence = self.sessions[sizes]
        if session is None:
            return self.module(*inputs)
        outputs = self._run(session, inputs)
        return outputs if is_sequence else outputs[0]

    def _session(self, inputs: tuple[Tensor, ...]) -> tuple[Any, bool]:
        two, three = (
            tuple(torch.randn(count, *values.shape[1:], generator=draw) for values in inputs)
            for count, draw in ((2, torch.Generator()), (3, torch.Generator()))
        )
        outputs = self.module(*three)
        is_sequence = not isinstance(outputs, Tensor)
        outputs = outputs if is_sequence else (outputs,)
        if not _all_tensors(outputs):
            return self._without_session('its outputs are nested')
        errors = self.runtime.capi.onnxruntime_pybind11_state
        cannot = (
            errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.NotImplemented,
            errors.RuntimeException,
        )  # fmt: skip
        try:
            session = self._written(two, len(outputs))
            found = self._run(session, three)
        except OnnxExporterError as error:
            return self._without_session(first_sentence(error))
        except cannot as error:
            return self._without_session(str(error).splitlines()[0])
        if not all(map(agree, found, outputs)):
            return self._without_session('ONNX Runtime computes something else')
        return session, is_sequence

    def _written(self, inputs: tuple[Tensor, ...], num_outputs: int) -> Any:
        """The session of the module; a batch of one would become a constant in it."""
        names = [f'input{n}' for n in range(len(inputs))]
        names += [f'output{n}' for n in range(num_outputs)]
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Else its threads wait for the next call on full power, and others, such as those of the
        # next part, come to nothing.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 4  # errors are told by the exception
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'module.onnx'
            trace_to_onnx(self.module, inputs, path, names, OPSET)
            return self.runtime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )

    @staticmethod
    def _run(session: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given = {f'input{n}': values.contiguous().numpy() for n, values in enumerate(inputs)}
        outputs = session.run(None, {each.name: given[each.name] for each in session.get_inputs()})
        return tuple(torch.from_numpy(values) for values in outputs)

    def _without_session(self, why: str) -> tuple[None, bool]:
        module = self.module.head if isinstance(self.module, _OfMaps) else self.module
        kind = type(module).__name__
        print_log(f"engine='onnx': {kind} stays with torch: {why}", 'current', logging.WARNING)
        return None, True


class _OfMaps(nn.Module):
    """A head as a module of maps, each an argument of its own."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head, self.compute = head, head.forward
        self.training = head.training  # torch's exporter puts all parts into the mode of the whole

    def forward(self, *maps: Tensor) -> Any:
        return self.compute(maps)


class _HeadForward:
    """Takes the place of a head's ``forward``."""

    def __init__(self, head: nn.Module) -> None:
        self.compute, self.onnx = head.forward, OnnxModule(_OfMaps(head))

    def __call__(self, maps: Sequence) -> Any:
        return self.onnx(*maps) if _all_tensors(maps) else self.compute(maps)


def _all_tensors(values: Sequence) -> bool:
    return all(isinstance(value, Tensor) for value in values)
