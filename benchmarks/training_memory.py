"""Memory that one training clip needs, counted on any machine, without a GPU.

    python benchmarks/training_memory.py configs/cmpose_vit_posetrack18.py

Counts the bytes of every distinct tensor that autograd keeps between forward and backward for one
clip under bfloat16 autocast, and 16 bytes per parameter (float32 weights, gradients, AdamW's two
moments). The last column is with gradient checkpointing of a transformer's layers. A GPU needs a
little more: workspaces, fragmentation, the CUDA context (about 1 GB).
"""

from __future__ import annotations

import argparse
import platform

import torch
from costs import training_samples
from mmengine import Config
from mmengine.registry import init_default_scope
from mmengine.runner import turn_on_activation_checkpointing
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from cmpose_mm.evaluation.report import markdown_table

GIB = 2**30


def saved_bytes(model: torch.nn.Module, clip: torch.Tensor, sample: PoseDataSample) -> int:
    """Bytes of the distinct storages kept for backward, parameters excluded."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(clip, [sample])
    # `losses` keeps the graph alive up to here, and so every counted storage.
    return sum(kept.values()) if losses else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='+')
    args = parser.parse_args()
    print(f'torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}')
    rows = []
    for path in args.config:
        config = Config.fromfile(path)
        init_default_scope(config.default_scope)
        model = MODELS.build(config.model).train()
        width, height = config.model.head.decoder.input_size
        clip = torch.randn(1, config.model.method.num_frames, 3, height, width)
        (sample,) = training_samples(config, 1)
        plain = saved_bytes(model, clip, sample)
        count = sum(p.numel() for p in model.parameters())
        row = [path, f'{count / 1e6:.1f}', f'{16 * count / GIB:.2f}', f'{plain / GIB:.2f}', '-']
        layers = getattr(model.backbone, 'layers', None)
        if isinstance(layers, torch.nn.ModuleList):  # a transformer's; convolutional ones have none
            names = [f'backbone.layers.{index}' for index in range(len(layers))]
            turn_on_activation_checkpointing(model, names)
            row[-1] = f'{saved_bytes(model, clip, sample) / GIB:.2f}'
        rows.append(row)
    header = ['config', 'parameters (M)', 'weights + AdamW (GiB)', 'a clip (GiB)']
    print(markdown_table([*header, 'with checkpointing'], rows))


if __name__ == '__main__':
    main()
