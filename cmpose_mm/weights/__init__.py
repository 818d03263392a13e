"""The trained models that come with the package, see ``README.md`` in this folder.

Each is a file ``NAME.pth`` that holds a plain dict from names to tensors, and nothing that runs: no
optimizer, no code. ``SHA256SUMS`` has the checksums.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cmpose_mm import config_path
from cmpose_mm.whole_files import sha256

FOLDER = Path(__file__).parent
SUMS = 'SHA256SUMS'
MODELS = {'small': 'shipped/shipped_cmpose.py', 'small_rendered': 'shipped/shipped_rendered.py'}
"""Config of each model. The first is what `VideoPoseInferencer` takes unasked."""


def shipped_model(name: str = 'small') -> tuple[str, str]:
    """Config and weights of a model of the package.

    Args:
        name: one of `MODELS`.

    Returns:
        Paths of the config and of the weights, whose checksum is right.

    Raises:
        KeyError: if there is no such model.
        FileNotFoundError: if the package lacks the file.
        ValueError: if its content is not what was shipped.
    """
    if name not in MODELS:
        raise KeyError(f'no model {name!r} ships with the package, expected {", ".join(MODELS)}')
    path = FOLDER / f'{name}.pth'
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: not found; expected the weights that ship with the package (`make model` '
            'trains them)'
        )
    expected, found = checksums(FOLDER).get(path.name), sha256(path)
    if found != expected:
        raise ValueError(f'{path}: SHA-256 is {found}, but {FOLDER / SUMS} says {expected}')
    return config_path(MODELS[name]), str(path)


def weaknesses() -> str:
    """What the small model is bad at, in one sentence."""
    return (
        'The small model that ships with cmpose_mm is for research and evaluation. It is weak at '
        'people upside down or lying, seen from behind, behind others, smaller than 60 pixels, '
        f'and at fast hands; {FOLDER / "README.md"} has its numbers and terms.'
    )


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by file name, from a folder's ``SHA256SUMS`` as ``sha256sum`` writes it."""
    file = folder / SUMS
    lines = file.read_text().splitlines() if file.is_file() else []
    return {name: checksum for checksum, name in (line.split(maxsplit=1) for line in lines)}


def release_weights(checkpoint: str | Path, path: Path) -> str:
    """Writes what a checkpoint of training has learned as a file to ship.

    Weights become float16. Statistics of batch normalization stay float32, since a small variance
    would lose its digits; so do whole numbers. The checksum goes into `SUMS` beside the file.

    Args:
        checkpoint: as MMEngine's runner writes it (needs torch 2.6 or later, which can load it
            without running code of the file), or weights released before.
        path: file to write, in an existing folder.

    Returns:
        SHA-256 of the file.

    Raises:
        ValueError: if a weight is not finite in float16.
    """
    content = torch.load(checkpoint, map_location='cpu', weights_only=True)
    weights = content.get('state_dict', content)
    weights = {name: _released(name, value) for name, value in weights.items()}
    torch.save(weights, path)
    sums = {**checksums(path.parent), path.name: sha256(path)}
    text = ''.join(f'{checksum}  {name}\n' for name, checksum in sorted(sums.items()))
    (path.parent / SUMS).write_text(text)
    return sums[path.name]


def _released(name: str, value: Tensor) -> Tensor:
    keep = not value.is_floating_point() or 'running_' in name
    value = (value if keep else value.half()).clone()  # a view would bring all it looks at
    if not value.isfinite().all():
        raise ValueError(f'{name}: has a value that float16 can not hold, expected finite weights')
    return value
