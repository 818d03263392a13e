"""Pose models as files that run without MMPose: ONNX, and torch.export.

Shapes: B clips, T frames, H x W input pixels, K joints, h x w cells of a heatmap.
"""

from __future__ import annotations

import importlib
import inspect
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from mmpose.models.heads import HeatmapHead
from torch import Tensor, nn

from cmpose_mm.compat import TORCH_VERSION
from cmpose_mm.joint_sets import JointSet
from cmpose_mm.models.clip_preprocessor import normalize

from .loading import clip_dataset

METADATA_KEY = 'cmpose_mm'
"""Where an ONNX file has its metadata."""
METADATA_FILE = 'metadata.json'
"""Where a torch.export file has it."""
MIN_OPSET = 14
"""Least version of ONNX's operators that has all that these models need."""
MAX_ONE_FILE = 2**31 - 2**24
"""Bytes of weights up to which an ONNX model is one file; protobuf ends at 2 GiB."""


class HeatmapModel(nn.Module):
    """The inference path of an estimator as a function of tensors, with the normalization inside.

    Args:
        model: a `VideoTopdownPoseEstimator` with a heatmap head.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        model.frame_stride = clip_dataset(model.cfg).get('stride', 1)

    def forward(self, clips: Tensor) -> Tensor:
        """Heatmaps of the key frames, as the model computes them without flip test.

        Args:
            clips: (B, T, 3, H, W) uint8, channels BGR as OpenCV reads them, frames in the order of
                time.

        Returns:
            (B, K, h, w) float32.
        """
        frames = normalize(self.model.data_preprocessor, clips)
        return self.model.head(self.model.extract_feat(frames))


def pose_metadata(model: nn.Module) -> dict:
    """What one needs to crop persons for an exported model and to decode its heatmaps.

    Args:
        model: as `load_pose_model` gives it, with ``cfg`` and ``dataset_meta``.

    Returns:
        Values for JSON: ``config`` (file name); ``num_frames`` (T), ``key_index`` (of the frame
        whose pose it is), ``frame_stride`` (how many frames apart the frames of a clip are);
        ``input_size`` and ``heatmap_size`` (width, height), ``channel_order`` of the input;
        ``mean`` and ``std`` in the order of the model (RGB), already applied inside the model, or
        null; ``box_padding`` (factor on the person box before the crop), ``use_udp`` (pixels are
        counted from the centers of the corner pixels); ``codec`` (type and arguments of the heatmap
        decoder, for example ``sigma`` and ``blur_kernel_size``); ``joints`` (K names),
        ``flip_indices`` (joint of the other side), ``skeleton`` (pairs of joints), ``sigmas`` (K,
        of OKS) and ``joint_set`` (the data set that names the joints).

    Raises:
        ValueError: if the model takes no clips or has no heatmap head, or its test pipeline no
            ``GetBBoxCenterScale`` or no ``TopdownAffine``.
    """
    name = Path(model.cfg.filename or '').name
    if not hasattr(model, 'method'):
        raise ValueError(
            f'{name}: model is {type(model).__name__}, expected a VideoTopdownPoseEstimator'
        )
    if not isinstance(model.head, HeatmapHead) or model.head.decoder is None:
        raise ValueError(
            f'{name}: model.head is {type(model.head).__name__}, '
            'expected a HeatmapHead with a decoder'
        )
    pipeline = clip_dataset(model.cfg)['pipeline']
    # `ClipTopdownAffine` crops in the same way.
    transforms = {step['type'].removeprefix('Clip'): step for step in pipeline}
    for kind in ('GetBBoxCenterScale', 'TopdownAffine'):
        if kind not in transforms:
            raise ValueError(
                f'{name}: test_dataloader.dataset.pipeline has {", ".join(transforms)}, '
                f'expected a {kind} among them'
            )
    preprocessor, decoder = model.data_preprocessor, model.head.decoder
    arguments = {
        key: value
        for key, value in vars(decoder).items()
        if isinstance(value, (str, int, float, list, tuple)) and not key.startswith('_')
    }
    num_frames = model.method.num_frames
    statistics = dict(mean=None, std=None)
    if preprocessor._enable_normalize:
        statistics = {key: getattr(preprocessor, key).flatten().tolist() for key in statistics}
    meta, joints = model.dataset_meta, JointSet.from_meta(model.dataset_meta)
    return dict(
        config=name,
        num_frames=num_frames,
        key_index=model.key_index,
        frame_stride=clip_dataset(model.cfg).get('stride', 1),
        input_size=list(transforms['TopdownAffine']['input_size']),
        heatmap_size=list(decoder.heatmap_size),
        channel_order='BGR',
        **statistics,
        box_padding=transforms['GetBBoxCenterScale'].get('padding', 1.25),
        use_udp=transforms['TopdownAffine'].get('use_udp', False),
        codec=dict(type=type(decoder).__name__, **arguments),
        joints=[meta['keypoint_id2name'][index] for index in range(meta['num_keypoints'])],
        flip_indices=np.asarray(meta['flip_indices']).tolist(),
        skeleton=np.asarray(meta['skeleton_links']).tolist(),
        sigmas=list(joints.sigmas),
        joint_set=joints.name,
    )


def export_onnx(model: nn.Module, path: str | Path, opset: int = 17) -> None:
    """Writes a model as ONNX: ``clips`` (B, T, 3, H, W) uint8 to ``heatmaps`` (B, K, h, w).

    B is free; all other sizes are fixed. The metadata (`pose_metadata`) is JSON in the model's
    metadata under `METADATA_KEY`. Above 2 GiB of weights they go to a second file, ``<path>.data``.

    Args:
        model: a `VideoTopdownPoseEstimator` in eval mode, see `load_pose_model`.
        path: the file to write.
        opset: version of ONNX's operators, at least `MIN_OPSET` and the method's ``min_opset``.

    Raises:
        ValueError: see `pose_metadata`; if ``opset`` is too low or unknown to torch, the method
            can't be exported, ONNX lacks an operator, or the size of the batch would become a
            constant, as in Swin backbones.
        ModuleNotFoundError: if ``onnx`` is not installed.
        NotImplementedError: if torch is older than 2.1.
        OSError: if the file can't be written.
    """
    method = getattr(model, 'method', None)
    least = max(MIN_OPSET, getattr(method, 'min_opset', MIN_OPSET))
    if opset < least:
        raise ValueError(f'{path}: opset is {opset}, expected at least {least}')
    onnx = import_module_for('onnx', 'the export to ONNX')
    path, metadata = Path(path), pose_metadata(model)
    _require_exportable(model)
    large = sum(p.numel() * p.element_size() for p in model.parameters()) > MAX_ONE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        traced = f'{folder}/model.onnx'  # beside it, torch writes the weights of a large model
        module, clips = HeatmapModel(model).eval(), random_clips(model, 2)
        try:
            trace_to_onnx(module, clips, traced, names=['clips', 'heatmaps'], opset=opset)
            _check_batch_is_free(module, clips, random_clips(model, 3))
        except torch.onnx.errors.OnnxExporterError as error:  # with a page about the graph
            message = f'{path}: ONNX can not hold this model: {first_sentence(error)}'
            raise ValueError(message) from error
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        content = onnx.load(traced)
    onnx.helper.set_model_props(content, {METADATA_KEY: json.dumps(metadata)})
    second_file = Path(f'{path}.data')
    if large:
        second_file.unlink(missing_ok=True)  # onnx would append to it
    onnx.save_model(content, str(path), save_as_external_data=large, location=second_file.name)
    onnx.checker.check_model(str(path))


def trace_to_onnx(
    module: nn.Module,
    inputs: Tensor | tuple[Tensor, ...],
    path: str | Path,
    names: list[str],
    opset: int,
) -> None:
    """Writes a module as ONNX; the leading axis of inputs and outputs is free.

    It uses torch's exporter by tracing. That one does the same on torch 2.1 to 2.15, so that there
    is one way and not two; the newer one needs torch 2.6 and can't sort stably either.

    Args:
        module: in eval mode.
        inputs: an example of each input, at least two along the leading axis.
        path: the file to write.
        names: of each input, then of each output.
        opset: version of ONNX's operators.

    Raises:
        NotImplementedError: if torch is older than 2.1, which can't write attention.
        ValueError: if torch does not know the opset.
    """
    if TORCH_VERSION < (2, 1):
        raise NotImplementedError(f'ONNX needs torch 2.1 or later, found {torch.__version__}')
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    newer = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings(), _stable_argsort(opset), torch.no_grad():
        # They say that sizes become constants, which is meant: all are fixed but the leading one.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        try:
            torch.onnx.export(
                module,
                inputs,
                str(path),
                opset_version=opset,
                input_names=names[: len(inputs)],
                output_names=names[len(inputs) :],
                dynamic_axes={name: {0: 'batch'} for name in names},
                **newer,
            )
        except torch.onnx.errors.OnnxExporterError:  # of an operator
            raise
        except (RuntimeError, ValueError) as error:
            if 'unsupported' not in str(error).lower() or 'opset' not in str(error):
                raise
            raise ValueError(
                f'opset is {opset}, which torch {torch.__version__} can not write'
            ) from error


def agree(found: Tensor, expected: Tensor) -> bool:
    """Whether outputs differ by rounding alone: less than a thousandth of the largest value."""
    if found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


def first_sentence(error: Exception) -> str:
    """What an error of torch's exporters says before its page about the graph."""
    return str(error).strip().split('. ')[0].split('\n')[0] or type(error).__name__


def _check_batch_is_free(module: nn.Module, example: Tensor, others: Tensor) -> None:
    """Raises a ValueError if a module traced with one batch computes another batch wrongly."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(module, example, check_trace=False)
        expected = module(others)
        try:
            same = agree(traced(others), expected)
        except RuntimeError:  # sizes that do not fit
            same = False
    if not same and bool(expected.isfinite().all()):
        raise ValueError(
            'can not hold this model for batches of any size: when it is traced, the size of the '
            f'batch becomes a constant in {type(module.model.backbone).__name__} or what follows it'
        )


def _require_exportable(model: nn.Module) -> None:
    reason = getattr(model.method, 'not_exportable', None)
    if reason is not None:
        raise ValueError(reason)


@contextmanager
def _stable_argsort(opset: int) -> Iterator[None]:
    """Teaches the exporter argsort with ``stable``, by ONNX's TopK.

    In ONNX's definition, of equal values the one with the lower index comes first in either
    direction, which is what stable means.
    """
    helper = torch.onnx.symbolic_helper

    def argsort(graph, values, *args):
        dim = helper._get_const(args[-2], 'i', 'dim')
        descending = helper._get_const(args[-1], 'i', 'descending')
        shape = graph.op('Shape', values)
        length = graph.op('Gather', shape, graph.op('Constant', value_t=torch.tensor([dim])))
        return graph.op('TopK', values, length, axis_i=dim, largest_i=descending, outputs=2)[1]

    torch.onnx.register_custom_op_symbolic('aten::argsort', argsort, opset)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic('aten::argsort', opset)


def export_torch(model: nn.Module, path: str | Path) -> None:
    """Writes a model as torch.export's file, to load without MMPose and without this package.

    Input, output and metadata as in `export_onnx`; the metadata is in the file's `METADATA_FILE`::

        files = {'metadata.json': ''}
        program = torch.export.load('pose.pt2', extra_files=files)
        heatmaps = program.module()(clips)

    Args:
        model: a `VideoTopdownPoseEstimator` in eval mode, see `load_pose_model`.
        path: the file to write, ending in .pt2.

    Raises:
        ValueError: see `pose_metadata`; if the method or the backbone can't be exported.
        NotImplementedError: if torch is older than 2.6.
    """
    if TORCH_VERSION < (2, 6):
        raise NotImplementedError(
            f'{path}: torch.export needs torch 2.6 or later for these models, '
            f'found {torch.__version__}; export to ONNX, or with a newer torch'
        )
    metadata = pose_metadata(model)
    _require_exportable(model)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    clips = random_clips(model, 2)
    with torch.no_grad():
        try:
            program = torch.export.export(
                HeatmapModel(model).eval(),
                (clips,),
                dynamic_shapes=({0: torch.export.Dim('batch', min=1)},),
            )
        except (RuntimeError, ValueError) as error:  # torch's reasons have many types
            message = f'{path}: torch.export can not write this model: {first_sentence(error)}'
            raise ValueError(message) from error
    with open(path, 'wb') as file:  # an OSError where it can't be written
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})


def largest_difference(model: nn.Module, path: str | Path, batch_sizes=(1, 2, 5)) -> float:
    """Largest difference between the heatmaps of an exported file and those of MMPose's path.

    The file is run by onnxruntime or torch on the CPU, on random clips; the model with its own data
    preprocessor.

    Args:
        model: the model that was exported.
        path: the file, .onnx or .pt2.
        batch_sizes: values of B.

    Returns:
        The difference; NaN if one of them is.

    Raises:
        ModuleNotFoundError: if ``onnxruntime`` is not installed.
    """
    run = _load_onnx(path) if Path(path).suffix == '.onnx' else torch.export.load(path).module()
    differences = []
    with torch.no_grad():
        for seed, size in enumerate(batch_sizes):
            clips = random_clips(model, size, seed)
            batch = model.data_preprocessor(dict(inputs=clips, data_samples=[]))
            expected = model(batch['inputs'], None, mode='tensor').cpu().numpy()
            differences.append(np.abs(np.asarray(run(clips.cpu())) - expected).max())
    return float(np.max(differences))  # max() loses NaN


def _load_onnx(path: str | Path) -> Callable[[Tensor], np.ndarray]:
    """An ONNX file as a function of clips, run by onnxruntime on the CPU."""
    runtime = import_module_for('onnxruntime', 'the export to ONNX')
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda clips: session.run(None, {'clips': clips.numpy()})[0]


def random_clips(model: nn.Module, batch_size: int, seed: int = 0) -> Tensor:
    """(B, T, 3, H, W) uint8 noise in the size that a model's test pipeline makes."""
    width, height = pose_metadata(model)['input_size']
    generator = torch.Generator().manual_seed(seed)
    shape = (batch_size, model.method.num_frames, 3, height, width)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return clips.to(next(model.parameters()).device)


def import_module_for(name: str, user: str) -> ModuleType:
    """A module that only `user` needs.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{name} is not installed, and {user} needs it: pip install {name}'
        ) from error
