"""Crops and labels have to be what the head's decoder reads."""

import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap
from mmpose.datasets.transforms import GenerateTarget

from cmpose_mm.datasets.codec_check import check_codec
from cmpose_mm.datasets.transforms import ClipTopdownAffine

SIZES = dict(input_size=(96, 128), heatmap_size=(24, 32), sigma=2)


@pytest.mark.parametrize('decoder', [UDPHeatmap(**SIZES), MSRAHeatmap(**SIZES), None])
def test_what_fits(decoder, caplog):
    check_codec(
        decoder, [ClipTopdownAffine((96, 128), use_udp=isinstance(decoder, UDPHeatmap))], ''
    )
    assert not caplog.records


def test_another_input_size():
    message = r'val: ClipTopdownAffine has input_size=\(192, 256\), but model.head.decoder has \(96'
    with pytest.raises(ValueError, match=message):
        check_codec(UDPHeatmap(**SIZES), [ClipTopdownAffine((192, 256), use_udp=True)], 'val')


@pytest.mark.parametrize(
    'encoder, found',
    [
        (dict(type='MSRAHeatmap', **SIZES), "'type': 'MSRAHeatmap', 'input_size': .96, 128"),
        (dict(type='UDPHeatmap', **{**SIZES, 'input_size': (48, 64)}), "'input_size': .48, 64"),
        (dict(type='UDPHeatmap', **{**SIZES, 'heatmap_size': (12, 16)}), "'heatmap_size': .12, 16"),
    ],
)
def test_labels_of_another_codec(encoder, found):
    with pytest.raises(ValueError, match=f"train: GenerateTarget's encoder is .*{found}"):
        check_codec(UDPHeatmap(**SIZES), [GenerateTarget(encoder=encoder)], 'train')
    own = dict(encoder, **SIZES, type='UDPHeatmap')
    check_codec(UDPHeatmap(**SIZES), [GenerateTarget(encoder=own)], 'train')


@pytest.mark.parametrize('codec', [UDPHeatmap, MSRAHeatmap])
def test_another_way_of_counting_pixels_is_told(codec):
    """Published models of MMPose were trained so: they are not refused."""
    udp = codec is UDPHeatmap
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        check_codec(codec(**SIZES), [ClipTopdownAffine((96, 128), use_udp=not udp)], 'val')
        simcc = SimCCLabel((96, 128), simcc_split_ratio=2.0)
        for use_udp in (False, True):
            check_codec(simcc, [ClipTopdownAffine((96, 128), use_udp=use_udp)], 'val')
    finally:
        logger.removeHandler(handler)
    assert len(lines) == 1
    assert f'has use_udp={not udp}, but model.head.decoder is a {codec.__name__}' in lines[0]
    assert f'use_udp={udp}; poses are off by up to one pixel' in lines[0]


@pytest.mark.parametrize('decoder', [UDPHeatmap(**SIZES), MSRAHeatmap(**SIZES, unbiased=True)])
def test_poses_are_off_by_up_to_a_pixel(decoder):
    """What the warning says: labels drawn and read again, in crops of the same size as the box."""
    udp = isinstance(decoder, UDPHeatmap)
    points = np.array([[[16.0, 24.0], [48.0, 60.0], [80.0, 104.0]]])
    info = dict(
        img=np.zeros((128, 96, 3), np.uint8),
        bbox_center=np.array([[47.5, 63.5]]),
        bbox_scale=np.array([[96.0, 128.0]]),
        keypoints=points,
        keypoints_visible=np.ones((1, 3)),
    )
    error = {}
    for use_udp in (udp, not udp):
        result = ClipTopdownAffine((96, 128), use_udp=use_udp).transform(dict(info))
        heatmaps = decoder.encode(result['transformed_keypoints'], np.ones((1, 3)))['heatmaps']
        found, _ = decoder.decode(heatmaps)
        # as MMPose's estimators bring them back to the image
        found = found / (96, 128) * result['input_scale'] + result['input_center']
        error[use_udp] = np.abs(found - 0.5 * result['input_scale'] - points).max()
    assert error[udp] < 0.3  # of MSRA's: its decoder blurs
    assert 0.6 < error[not udp] - error[udp] < 1
