"""Heatmaps of labels are those of MMPose's codec."""

import numpy as np
import pytest
import torch
from mmpose.codecs import UDPHeatmap

from cmpose_mm.models.layers import draw_heatmaps

CODECS = [
    dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2),
    dict(input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5),
    dict(input_size=(60, 40), heatmap_size=(15, 10), sigma=1.2),
]


def poses(input_size, num_clips=4, num_frames=3, num_joints=15):
    """Joints inside, at the borders, and so far outside that nothing of them is drawn."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-0.4, 1.4, (num_clips, num_frames, num_joints, 3)) * [*input_size, 1]
    values[..., 2] = rng.uniform(size=values.shape[:-1]) < 0.8
    values[0, 0, :4, :2] = [[0, 0], [-0.4, 3], [input_size[0] - 1, input_size[1] - 1], [4.5, 8]]
    return values.astype(np.float32)


@pytest.mark.parametrize('codec', CODECS)
def test_they_are_those_of_the_codec(codec):
    """To what float32 coordinates allow, but for joints at the left and upper border where 3 sigma
    is no whole number."""
    values, theirs = poses(codec['input_size']), UDPHeatmap(**codec)
    heatmaps = draw_heatmaps(
        torch.from_numpy(values), codec['heatmap_size'][::-1], codec['input_size'], codec['sigma']
    )
    scale, compared = theirs.scale_factor, 0
    for clip, frame in np.ndindex(values.shape[:2]):
        pose = values[clip, frame]
        expected = theirs.encode(pose[None, :, :2], pose[None, :, 2].copy())['heatmaps']
        found = heatmaps[clip, frame].numpy()
        same = (pose[:, :2] / scale > 3 * codec['sigma'] + 1).all(axis=1)
        if codec['sigma'] == 2:
            same[:] = True
        np.testing.assert_allclose(found[same], expected[same], rtol=0, atol=2e-6)
        compared += (expected[same].max(axis=(1, 2)) > 0).sum()
    assert compared > 20
