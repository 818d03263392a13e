"""Whether a pipeline crops and labels as the head's decoder reads heatmaps."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mmengine.logging import print_log
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.datasets.transforms import GenerateTarget, TopdownAffine


def check_codec(decoder, transforms: Iterable, key: str) -> None:
    """Checks the crops and target heatmaps of a pipeline against the head's decoder.

    Otherwise poses come out scaled or shifted, and nothing says so. Some published models of MMPose
    were trained with a ``use_udp`` that does not fit the kind of their heatmaps (`UDPHeatmap` goes
    with it, `MSRAHeatmap` without), so this is a warning alone.

    Args:
        decoder: of the head, one of MMPose's codecs; nothing is checked where it is None.
        transforms: of a pipeline, built.
        key: of the pipeline in the config, for messages.

    Raises:
        ValueError: if a crop has another ``input_size``, or training targets are of another codec,
            by its type, ``input_size`` and ``heatmap_size``.
    """
    input_size = getattr(decoder, 'input_size', None)
    if input_size is None:
        return
    kind = type(decoder).__name__
    for transform in transforms:
        name = type(transform).__name__
        if isinstance(transform, TopdownAffine):
            if tuple(transform.input_size) != tuple(input_size):
                raise ValueError(
                    f'{key}: {name} has input_size={tuple(transform.input_size)}, but '
                    f'model.head.decoder has {tuple(input_size)}; expected the same'
                )
            udp = isinstance(decoder, UDPHeatmap)
            if isinstance(decoder, (MSRAHeatmap, UDPHeatmap)) and transform.use_udp != udp:
                print_log(
                    f'{key}: {name} has use_udp={transform.use_udp}, but model.head.decoder is a '
                    f'{kind}, whose heatmaps are meant for use_udp={udp}; poses are off by up to '
                    'one pixel of the input',
                    'current',
                    logging.WARNING,
                )
        elif isinstance(transform, GenerateTarget) and not isinstance(transform.encoder, list):
            found, expected = _summary(transform.encoder), _summary(decoder)
            if found != expected:
                raise ValueError(
                    f"{key}: {name}'s encoder is {found}, but model.head.decoder is {expected}; "
                    'expected the same'
                )


def _summary(codec) -> dict:
    sizes = {name: getattr(codec, name, None) for name in ('input_size', 'heatmap_size')}
    sizes = {name: tuple(size) for name, size in sizes.items() if size is not None}
    return {'type': type(codec).__name__, **sizes}
