"""HeatmapWarp: the warp against loops, what it may see, and where it starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmpose.registry import KEYPOINT_CODECS
from slow_warp import deformed

from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.heatmap_warp import HeatmapWarp, WarpOffsets
from cmpose_mm.models.layers import draw_heatmaps

K, H, W = 3, 7, 6
CODEC = dict(input_size=(24, 28), sigma=1.0)


def method(**changes) -> HeatmapWarp:
    settings = dict(num_joints=K, channels=4, num_blocks=2, dilations=(1, 2), **CODEC)
    return HeatmapWarp(**{**settings, **changes}).eval()


def random_method(**changes) -> HeatmapWarp:
    """Offsets of about a cell, kernels near the identity."""
    made = method(**changes)
    with torch.no_grad():
        for offset, conv in zip(made.warp.offsets, made.warp.convs):
            offset.weight.normal_(std=0.5)
            conv.weight += 0.1 * torch.randn_like(conv.weight)
    return made


def clip(num_clips=2, num_frames=3, **more) -> ClipInput:
    heatmaps = torch.rand(num_clips, num_frames, K, H, W)
    maps = (torch.zeros(num_clips, num_frames, 1, 1, 1),)
    return ClipInput.of(FrameFeatures(maps, heatmaps), num_frames // 2, **more)


def poses(num_clips=2, num_frames=3) -> torch.Tensor:
    """All joints labeled, inside the input, in all frames but the key frame."""
    given = torch.rand(num_clips, num_frames, K, 3) * torch.tensor([23.0, 27.0, 1.0])
    given[..., 2] = 1
    given[:, num_frames // 2] = 0
    return given


# ---- the warp ----------------------------------------------------------------------------------


@pytest.mark.parametrize('backend', ['torchvision', 'grid_sample'])
def test_warp_equals_loops(backend):
    """Offsets reach beyond the borders; each joint has its own."""
    made = random_method(backend=backend).double()
    source, difference = torch.rand(2, 2, K, H, W).double()
    with torch.no_grad():
        features = made.warp.chain(difference)
        found = made.warp(source, difference)
        for number in range(2):
            parts = []
            for offset, conv, dilation in zip(made.warp.offsets, made.warp.convs, (1, 2)):
                displaced = offset(features)[number].reshape(K, 9, 2, H, W).numpy()
                assert np.abs(displaced).max() > 1
                parts.append(
                    deformed(source[number].numpy(), displaced, conv.weight.numpy(), dilation)
                )
            np.testing.assert_allclose(found[number].numpy(), sum(parts) / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize('backend, tolerance', [('torchvision', 1e-6), ('grid_sample', 4e-6)])
def test_untrained_it_copies(backend, tolerance):
    warp = WarpOffsets(15, 128, 20, (3, 6, 12, 18, 24), backend).eval()
    source, difference = torch.rand(2, 1, 15, 64, 48)
    torch.testing.assert_close(warp(source, difference), source, rtol=0, atol=tolerance)
    assert [conv.dilation for conv in warp.offsets] == [(d, d) for d in (3, 6, 12, 18, 24)]
    assert len(warp.chain) == 20 and warp.offsets[0].out_channels == 2 * 9 * 15


def test_offsets_read_the_difference_at_the_dilation_of_the_taps():
    """A change of the difference reaches as far as the chain (two blocks: 4) and the dilation."""
    made = random_method(dilations=(3,))
    difference = torch.zeros(1, K, 31, 31)
    source = torch.rand(1, K, 31, 31)
    moved = difference.clone()
    moved[..., 15, 15] = 5
    with torch.no_grad():
        apart = (made.warp(source, difference) - made.warp(source, moved)).abs().sum((0, 1))
    rows = apart.sum(1).nonzero().flatten()
    assert 15 - rows.min() <= 4 + 3 and rows.max() - 15 <= 4 + 3
    assert rows.max() - rows.min() >= 2 * 3


# ---- what is warped ----------------------------------------------------------------------------


def test_training_warps_a_predicted_heatmap_of_one_neighbor():
    """The labels of the neighbors change nothing: in propagation the key frame has none, either."""
    made = random_method().train()
    given = clip(8, seeds=torch.arange(8))
    drawn = made._draw(given, given.valid[:, [0, 2]])
    assert set(drawn.tolist()) == {0, 1}
    found = made(given).heatmaps
    with_poses = clip(8, seeds=torch.arange(8), poses=poses(8))
    with_poses.heatmaps = given.heatmaps
    torch.testing.assert_close(made(with_poses).heatmaps, found, rtol=0, atol=0)
    rows = torch.arange(8)
    source = given.heatmaps[rows, drawn * 2]
    expected = made.warp(source, given.heatmaps[:, 1] - source)
    torch.testing.assert_close(found, expected)


def test_training_draws_a_frame_that_exists():
    made = method().train()
    valid = torch.ones(64, 3, dtype=torch.bool)
    valid[:, 0] = False
    given = clip(64, seeds=torch.arange(64), valid=valid)
    assert made._draw(given, valid[:, [0, 2]]).tolist() == [1] * 64
    assert len(made._draw(clip(64), torch.zeros(64, 2, dtype=torch.bool))) == 64  # and no seeds


def test_propagation_warps_the_label_by_predicted_heatmaps():
    made = random_method()
    given = clip(poses=poses())
    found = made(given).heatmaps
    labels = draw_heatmaps(given.poses, (H, W), **CODEC)
    key = given.heatmaps[:, 1]
    expected = sum(made.warp(labels[:, i], key - given.heatmaps[:, i]) for i in (0, 2)) / 2
    torch.testing.assert_close(found, expected)


def test_one_label_alone_counts_and_without_any_there_is_nothing():
    made = random_method()
    given = clip(poses=poses())
    given.poses[0, 2] = 0  # of the first clip one label
    given.poses[1] = 0  # of the second none
    given.poses[0, 0, 1] = 0  # and one joint less
    found = made(given).heatmaps
    labels = draw_heatmaps(given.poses, (H, W), **CODEC)
    expected = made.warp(labels[:1, 0], given.heatmaps[:1, 1] - given.heatmaps[:1, 0])
    torch.testing.assert_close(found[:1, [0, 2]], expected[:, [0, 2]])
    assert found[0, 1].abs().max() == 0 and found[1].abs().max() == 0


def test_frames_that_replace_missing_ones_do_not_count():
    made = random_method()
    valid = torch.tensor([[True, True, False], [False, True, False]])
    given = clip(valid=valid, poses=poses())
    other = clip(valid=valid, poses=given.poses.clone())
    other.heatmaps = given.heatmaps.clone()
    other.heatmaps[:, 2], other.poses[:, 2] = 0.5, 0.5
    torch.testing.assert_close(made(given).heatmaps, made(other).heatmaps)
    assert made(given).heatmaps[1].abs().max() == 0
    # without labels a clip of one frame gives what the frame head says
    alone = clip(valid=valid)
    torch.testing.assert_close(made(alone).heatmaps[1], alone.heatmaps[1, 1])


def test_the_pose_of_the_key_frame_plays_no_role():
    made = random_method()
    given = clip(poses=poses())
    found = made(given).heatmaps
    given.poses[:, 1] = 7.0
    torch.testing.assert_close(made(given).heatmaps, found, rtol=0, atol=0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(num_frames=1), 'num_frames is 1, expected at least 2'),
        (dict(dilations=()), r'dilations is \(\), expected a list of whole numbers'),
        (dict(sigma=0), 'sigma is 0, expected a number above 0'),
        (dict(backend='mmcv'), "model.method.backend is 'mmcv', expected one of"),
        (dict(input_size=96), 'model.method.input_size is 96, expected a list of whole numbers'),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        method(**change)


def test_heatmaps_of_other_joints():
    given = clip()
    with pytest.raises(ValueError, match=r'num_joints is \d+, but model.frame_head gives 1 joints'):
        random_method()(replace(given, heatmaps=given.heatmaps[:, :, :1]))


@pytest.mark.slow
def test_it_learns_to_follow():
    """Blobs that move by up to two cells: after some steps the warp beats copying by far."""
    torch.manual_seed(0)
    codec = dict(input_size=(64, 64), sigma=1.5)
    made = HeatmapWarp(2, channels=16, num_blocks=2, dilations=(1, 2), **codec).train()
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)

    def pair(num_clips=16):
        before = torch.rand(num_clips, 2, 3) * 36 + 14
        after = before.clone()
        after[..., :2] += 8 * torch.randint(-1, 2, (num_clips, 1, 2))
        return [draw_heatmaps(each, (16, 16), **codec) for each in (before, after)]

    for _ in range(60):
        before, after = pair()
        optimizer.zero_grad()
        (made.warp(before, after - before) - after).square().mean().backward()
        optimizer.step()
    made.eval()
    before, after = pair(64)
    with torch.no_grad():
        error = (made.warp(before, after - before) - after).square().mean()
    assert error < 0.5 * (before - after).square().mean()


# ---- label heatmaps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    'codec',
    [
        dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2),
        dict(type='UDPHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3),
        dict(
            type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3, unbiased=True
        ),
    ],
)
def test_label_heatmaps_are_those_of_the_codec(codec):
    """Also at borders, outside of the crop, and for joints that are not labeled."""
    rng = np.random.default_rng(0)
    width, height = codec['input_size']
    xy = rng.uniform((-40, -40), (width + 40, height + 40), (1, 400, 2)).astype(np.float32)
    visible = (rng.uniform(size=(1, 400)) > 0.2).astype(np.float32)
    xy = np.where(visible[..., None] > 0, xy, 0)
    expected = KEYPOINT_CODECS.build(codec).encode(xy, visible)['heatmaps']
    poses = torch.from_numpy(np.concatenate([xy, visible[..., None]], axis=-1))
    size = codec['heatmap_size'][::-1]
    found = draw_heatmaps(
        poses[0], size, codec['input_size'], codec['sigma'], udp=codec['type'] == 'UDPHeatmap'
    )
    assert expected.max() > 0.9
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)
