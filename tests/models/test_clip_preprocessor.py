import pytest
import torch
from mmpose.models import PoseDataPreprocessor
from mmpose.structures import PoseDataSample

from cmpose_mm.models import ClipDataPreprocessor
from cmpose_mm.models.clip_preprocessor import normalize

SETTINGS = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def clips(num_clips=2, num_frames=3, height=12, width=10):
    return [
        torch.randint(0, 256, (num_frames, 3, height, width), dtype=torch.uint8)
        for _ in range(num_clips)
    ]


def samples(count):
    return [PoseDataSample() for _ in range(count)]


@pytest.mark.parametrize('num_frames', [1, 3, 5])
@pytest.mark.parametrize('collated', [list, torch.stack])
@pytest.mark.parametrize('extra', [dict(), dict(pad_size_divisor=8, pad_value=7)], ids=str)
def test_each_frame_is_normalized_as_mmpose_does_with_an_image(num_frames, collated, extra):
    batch = clips(num_frames=num_frames)
    data = dict(inputs=collated(batch), data_samples=samples(2))
    out = ClipDataPreprocessor(**SETTINGS, **extra)(data)
    theirs = PoseDataPreprocessor(**SETTINGS, **extra)
    for b, clip in enumerate(batch):
        expected = theirs(dict(inputs=list(clip), data_samples=samples(num_frames)))
        torch.testing.assert_close(out['inputs'][b], expected['inputs'], rtol=0, atol=0)
        for key in ('batch_input_shape', 'pad_shape'):
            found = out['data_samples'][b].metainfo[key]
            assert found == expected['data_samples'][0].metainfo[key]


def test_without_mean_no_frame_is_lost():
    batch = clips(num_frames=5)
    out = ClipDataPreprocessor()(dict(inputs=batch, data_samples=samples(2)))
    assert torch.equal(out['inputs'], torch.stack(batch).float())


def test_single_images_as_in_mmpose():
    images = [clip[0] for clip in clips()]
    data = dict(inputs=images, data_samples=samples(2))
    ours = ClipDataPreprocessor(**SETTINGS)(data)['inputs']
    theirs = PoseDataPreprocessor(**SETTINGS)(data)['inputs']
    assert torch.equal(ours, theirs) and ours.shape == (2, 3, 12, 10)


def test_the_batch_itself_is_not_changed():
    batch = clips()
    data = dict(inputs=batch, data_samples=samples(2))
    before = [clip.clone() for clip in batch]
    ClipDataPreprocessor(**SETTINGS)(data)
    assert data['inputs'] is batch and all(map(torch.equal, batch, before))


def test_clips_of_different_shapes():
    batch = clips(1) + clips(1, num_frames=5)
    message = r'one shape \(T, 3, H, W\), found \[\(3, 3, 12, 10\), \(5, 3, 12, 10\)\]'
    with pytest.raises(ValueError, match=message):
        ClipDataPreprocessor(**SETTINGS)(dict(inputs=batch, data_samples=samples(2)))


class BrighterPreprocessor(PoseDataPreprocessor):
    def forward(self, data, training=False):
        out = super().forward(data, training)
        return dict(out, inputs=out['inputs'] + 1)


@pytest.mark.parametrize(
    'kind, num_frames',
    [
        (PoseDataPreprocessor, 0),
        (BrighterPreprocessor, 0),
        (ClipDataPreprocessor, 0),
        (ClipDataPreprocessor, 3),
    ],
)
@pytest.mark.parametrize(
    'settings',
    [
        SETTINGS,
        dict(),
        dict(SETTINGS, bgr_to_rgb=False),
        dict(SETTINGS, pad_size_divisor=8, pad_value=7),
        dict(SETTINGS, pad_size_divisor=2),
        dict(bgr_to_rgb=True),
    ],
    ids=str,
)
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64], ids=str)
def test_normalize_is_the_preprocessor_outside_of_training(kind, num_frames, settings, dtype):
    batch = torch.stack(clips(num_frames=max(num_frames, 1)))
    if not num_frames:
        batch = batch[:, 0]
    preprocessor, before = kind(**settings).to(dtype), batch.clone()
    expected = preprocessor(dict(inputs=batch, data_samples=[]), False)['inputs']
    found = normalize(preprocessor, batch)
    assert found.dtype == expected.dtype and torch.equal(found, expected)
    assert torch.equal(batch, before)
