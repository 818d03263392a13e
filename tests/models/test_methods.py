"""What every video method has to hold, run over all `<method>_tiny.py` of the configs.

A method that can not hold something names the reason in `EXEMPT`.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from processes import start_processes
from tiny_models import clip_samples, randomize_deep

from cmpose_mm import config_path
from cmpose_mm.compat import TORCH_VERSION as TORCH
from cmpose_mm.models import FrameFeatures, VideoMethod

FOLDER = Path(config_path('_base_/runtime.py')).parents[1]
CONFIGS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob('*/*_tiny.py'))

EXEMPT = {
    ('stacked_frames', 'wrong key frame'): 'it averages all frames, and has no key frame in '
    'training, where a clip has one frame',
}
STEPS_TO_LEARN = {'tdmi': 2}
"""Optimizer steps until every parameter has a gradient: layers that start at zero behind others
that do so need a second one."""

READ_HEATMAPS = ('heatmap_warp/', 'jmpose/', 'stdpose/')

every_method = pytest.mark.parametrize('name', CONFIGS)

IN_PROCESSES = {name: (name, {}) for name in CONFIGS}
IN_PROCESSES['tdmi, CLUB'] = 'tdmi/tdmi_tiny.py', dict(mi='club', mi_weight=1.0)
IN_PROCESSES['tdmi, tied gates'] = 'tdmi/tdmi_tiny.py', dict(gates='tied', mi_weight=1.0)
IN_PROCESSES['stdpose, criss-cross'] = 'stdpose/stdpose_tiny.py', dict(tff='criss_cross')
IN_PROCESSES['hkm, losses'] = 'hkm/hkm_tiny.py', dict(human_weight=1.0, keypoint_weight=1.0)
"""Config and changes of the method, of what is compared between two processes and one."""


def exempt(name: str, what: str) -> None:
    """Skips a test that a method is exempt from; the reason is shown."""
    reason = EXEMPT.get((Path(name).stem.removesuffix('_tiny'), what))
    if reason:
        pytest.skip(f'{name}: {reason}')


def model_config(name: str, **method) -> Config:
    """The tiny model without what a process draws by itself; ``method`` overrides the method."""
    config = Config.fromfile(config_path(name)).model
    config.backbone.drop_path_rate = 0.0
    config.method.update(method)
    return config


def build(name: str, **method):
    """The tiny model with random weights, in training mode with batch statistics fixed."""
    model = randomize_deep(MODELS.build(model_config(name, **method)))
    return fix_statistics(model.train())


def fix_statistics(model):
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model


def batch(model, num_clips: int = 3, num_frames: int | None = None):
    """Clips (B, T, 3, H, W), and their samples with targets, seeds and poses of the neighbors."""
    if num_frames is None:
        training = model.method.num_training_frames
        num_frames = training if model.training else model.method.num_frames
    width, height = model.head.decoder.input_size
    generator = torch.Generator().manual_seed(3)
    clips = torch.randn(num_clips, num_frames, 3, height, width, generator=generator)
    samples = clip_samples(dict_of_decoder(model), num_clips)
    key_index = model.method.key_index if num_frames > 1 else 0
    for number, sample in enumerate(samples):
        poses = np.random.default_rng(number).uniform(5, 90, (num_frames, 15, 3))
        poses[..., 2] = 1
        poses[key_index] = 0
        sample.set_metainfo(
            dict(
                key_index=key_index,
                frame_offsets=np.arange(num_frames) - key_index,
                frame_valid=np.ones(num_frames, bool),
                neighbor_poses=poses.astype(np.float32),
            )
        )
    return clips, samples


def dict_of_decoder(model) -> Config:
    """What `clip_samples` asks of a model's config."""
    decoder = model.head.decoder
    sizes = dict(input_size=decoder.input_size, heatmap_size=decoder.heatmap_size)
    return Config(dict(head=dict(decoder=dict(type='UDPHeatmap', sigma=1.5, **sizes))))


def total(losses: dict) -> torch.Tensor:
    return sum(value for key, value in losses.items() if 'loss' in key)


def gradients(model, clips, samples) -> dict[str, torch.Tensor | None]:
    model.zero_grad()
    total(model(clips, copy.deepcopy(samples), mode='loss')).backward()
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


# ---- the configs -------------------------------------------------------------------------------


def subclasses(cls) -> set:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


@pytest.mark.slow
def test_every_method_of_the_package_has_a_tiny_config():
    methods = {cls for cls in subclasses(VideoMethod) if cls.__module__.startswith('cmpose_mm.')}
    built = {type(MODELS.build(model_config(name).method)) for name in CONFIGS}
    assert built == methods - {VideoMethod}


@every_method
def test_the_config_builds_in_the_runner_s_scope(name):
    config = Config.fromfile(config_path(name))
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    assert config.default_hooks.clip_layout.type == 'ClipLayoutHook'
    kinds = model.method.detail_kinds
    assert set(kinds.values()) <= {'cells', 'labels', 'heat'}


# ---- learning ----------------------------------------------------------------------------------


@every_method
def test_every_parameter_learns(name):
    """No gradient is missing at the first step; after a step (or two) none is zero.

    At the first some may be, behind layers that start at zero.
    """
    steps = STEPS_TO_LEARN.get(Path(name).stem.removesuffix('_tiny'), 1)
    model = fix_statistics(MODELS.build(model_config(name)).train())
    clips, samples = batch(model)
    first = gradients(model, clips, samples)
    assert [n for n, gradient in first.items() if gradient is None] == []
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for number in range(steps):
        optimizer.step()
        after = gradients(model, clips, samples)
        silent = [n for n, gradient in after.items() if not gradient.abs().sum() > 0]
        assert (silent == []) == (number == steps - 1), (number, silent)


@every_method
def test_the_same_seeds_give_the_same_losses(name):
    model = build(name)
    clips, samples = batch(model)
    torch.manual_seed(1)
    first = model(clips, copy.deepcopy(samples), mode='loss')
    torch.manual_seed(2)
    second = model(clips, copy.deepcopy(samples), mode='loss')
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(torch.as_tensor(first[key]), torch.as_tensor(second[key])), key


def double_batch(model):
    """Four clips in float64, and their targets too: torch 2.1 has no loss of two precisions."""
    clips, samples = batch(model, 4)
    for sample in samples:
        sample.gt_fields.heatmaps = sample.gt_fields.heatmaps.double()
    return clips.double(), samples


def _two_processes(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    init_default_scope('mmpose')
    found = {}
    for name, (config, changes) in IN_PROCESSES.items():
        model = build(config, **changes).double()
        clips, samples = double_batch(model)
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
        half = slice(2 * rank, 2 * rank + 2)
        total(wrapped(clips[half], samples[half], mode='loss')).backward()
        found[name] = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    if rank == 0:
        torch.save(found, f'{folder}/gradients.pth')


@pytest.fixture(scope='module')
def gradients_of_two(tmp_path_factory) -> dict:
    """Of every method, the gradients that two gloo processes agree on, with half a batch each."""
    folder = str(tmp_path_factory.mktemp('gloo'))
    start_processes(_two_processes, (folder,), 2)
    return torch.load(f'{folder}/gradients.pth', weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', IN_PROCESSES)
def test_two_processes_equal_one(name, gradients_of_two):
    """In float64: gradients of a covariance are small differences of large numbers."""
    config, changes = IN_PROCESSES[name]
    model = build(config, **changes).double()
    clips, samples = double_batch(model)
    expected = gradients(model, clips, samples)
    found = gradients_of_two[name]
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = value.abs().max() + 1e-9
        torch.testing.assert_close(found[key] / scale, value / scale, rtol=0, atol=1e-4)


@every_method
def test_bfloat16(name):
    """Finite gradients, and heatmaps near those in float32."""
    model = build(name)
    clips, samples = batch(model)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(clips, samples, mode='loss')
    total(losses).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    model.eval()
    clips, _ = batch(model)
    with torch.no_grad():
        plain = model(clips, None, mode='tensor')
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed = model(clips, None, mode='tensor').float()
    assert (mixed - plain).abs().mean() < 0.05 * (plain - plain.mean()).abs().mean()


# ---- clips -------------------------------------------------------------------------------------


@every_method
def test_clips_of_another_length_are_refused(name):
    model = build(name).eval()
    clips, _ = batch(model, num_frames=model.method.num_frames + 1)
    with pytest.raises(ValueError, match=r'clips have \d frames, but .* num_frames='):
        model(clips, None, mode='tensor')


@every_method
def test_another_key_frame_is_refused(name):
    exempt(name, 'wrong key frame')
    model = build(name)
    clips, samples = batch(model)
    samples[1].set_metainfo(dict(key_index=model.method.num_frames - 1))
    with pytest.raises(ValueError, match=r'the key frame is at 2 .* expects it at 1 .*key_index'):
        model(clips, samples, mode='loss')
    with pytest.raises(ValueError, match='key_index is 3, expected 0 to 2 for 3 frames'):
        build(name, key_index=3)


@pytest.mark.parametrize('name', [name for name in CONFIGS if name.startswith(READ_HEATMAPS)])
def test_clips_without_heatmaps_are_refused(name):
    model = build(name).eval()
    model.method.register_forward_pre_hook(lambda _, clips: setattr(clips[0], 'heatmaps', None))
    expected = f'{type(model.method).__name__}: the clips have no heatmaps, expected those of model'
    with pytest.raises(ValueError, match=expected):
        model(batch(model)[0], None, mode='tensor')


@every_method
def test_one_clip_or_many(name):
    model = build(name).eval()
    clips, samples = batch(model, 4)
    model.test_cfg.update(flip_test=True, output_heatmaps=True)
    with torch.no_grad():
        whole = model(clips, copy.deepcopy(samples), mode='predict')
        alone = model(clips[2:3], copy.deepcopy(samples[2:3]), mode='predict')
    heatmaps = [np.asarray(results.pred_fields.heatmaps) for results in (whole[2], alone[0])]
    np.testing.assert_allclose(heatmaps[0], heatmaps[1], rtol=1e-4, atol=1e-5)


@every_method
def test_frames_seen_one_by_one_are_the_clip(name):
    """What track crops do, on crops that are equal to those of the clip."""
    model = build(name).eval()
    if model.method.needs_images:
        pytest.skip(f'{name}: the method compares images, track crops are refused')
    clips, samples = batch(model)
    model.test_cfg.update(flip_test=True, output_heatmaps=True)

    def one_by_one(clips):
        return FrameFeatures.stack(
            [FrameFeatures.stack([model.extract_frames(f[None])[0] for f in c]) for c in clips]
        )

    with torch.no_grad():
        expected = model(clips, copy.deepcopy(samples), mode='predict')
        found = model.predict_clips(
            one_by_one(clips), one_by_one(clips.flip(-1)), copy.deepcopy(samples)
        )
    for a, b in zip(found, expected):
        np.testing.assert_allclose(
            np.asarray(a.pred_fields.heatmaps), np.asarray(b.pred_fields.heatmaps), atol=1e-5
        )


# ---- other programs ----------------------------------------------------------------------------


class Heatmaps(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, clips):
        return self.model(clips, None, mode='tensor')


@pytest.mark.slow
@pytest.mark.skipif(TORCH < (2, 6), reason='torch.compile without graph breaks needs torch >= 2.6')
@every_method
def test_compiles_in_one_graph(name):
    model = Heatmaps(build(name).eval())
    clips, _ = batch(model.model)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend='eager')
        torch.testing.assert_close(compiled(clips), model(clips), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope='module')
def saved_models(tmp_path_factory):
    """Makes config and checkpoint of a tiny model with random weights, once for each."""
    folder = tmp_path_factory.mktemp('models')
    made: dict[tuple, tuple[str, str]] = {}

    def save(name: str, **method) -> tuple[str, str]:
        key = (name, *sorted(method.items()))
        if key not in made:
            init_default_scope('mmpose')
            config = Config.fromfile(config_path(name))
            config.model.method.update(method)
            path = folder / f'{len(made)}_{Path(name).name}'
            config.dump(path)
            model = randomize_deep(MODELS.build(config.model))
            torch.save(dict(state_dict=model.state_dict(), meta={}), path.with_suffix('.pth'))
            made[key] = str(path), str(path.with_suffix('.pth'))
        return made[key]

    return save


@pytest.mark.slow
@pytest.mark.skipif(TORCH < (2, 1), reason='ONNX needs torch >= 2.1')
@every_method
def test_onnx_computes_the_same(name, saved_models, tmp_path):
    pytest.importorskip('onnxruntime')
    from cmpose_mm.apis.export import export_onnx, largest_difference
    from cmpose_mm.apis.loading import load_pose_model

    model = load_pose_model(*saved_models(name))
    least = model.method.min_opset
    with pytest.raises(ValueError, match=f'opset is {least - 1}, expected at least {least}'):
        export_onnx(model, tmp_path / 'model.onnx', opset=least - 1)
    export_onnx(model, tmp_path / 'model.onnx', opset=least)
    assert largest_difference(model, tmp_path / 'model.onnx', batch_sizes=(1, 3)) < 1e-4


@pytest.mark.slow
@every_method
def test_torch_export_computes_the_same(name, saved_models, tmp_path):
    from cmpose_mm.apis.export import export_torch, largest_difference
    from cmpose_mm.apis.loading import load_pose_model

    if TORCH < (2, 6):
        pytest.skip('torch.export of these models needs torch >= 2.6')
    model = load_pose_model(*saved_models(name))
    export_torch(model, tmp_path / 'model.pt2')
    assert largest_difference(model, tmp_path / 'model.pt2', batch_sizes=(1, 3)) < 1e-4


def video(num_frames: int):
    """Frames of noise that moves, and a person who stands still."""
    noise = np.random.default_rng(0).integers(0, 255, (160, 200, 3), dtype=np.uint8)
    frames = [np.roll(noise, 4 * number, axis=1) for number in range(num_frames)]
    box = np.array([[40, 20, 100, 140]], np.float32), np.ones(1, np.float32)
    return frames, dict.fromkeys(range(num_frames), box)


@pytest.fixture
def double():
    """Heatmaps of random weights are so flat that the order of float32 sums moves their peaks."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_method
def test_track_crops_of_a_still_person_are_the_clips(name, saved_models, double):
    from cmpose_mm.apis import VideoPoseInferencer

    frames, boxes = video(4)
    results = {}
    for crops in ('key_frame', 'track'):
        inferencer = VideoPoseInferencer(*saved_models(name), crops=crops)
        if inferencer.model.method.needs_images:
            pytest.skip(f'{name}: the method compares images, track crops are refused')
        results[crops] = list(inferencer(frames, boxes))
    for a, b in zip(results['key_frame'], results['track']):
        a, b = (result.data_sample.pred_instances for result in (a, b))
        np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, atol=1e-5)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)


@pytest.mark.slow
@every_method
def test_details_are_drawn(name, saved_models):
    """A panel for each detail of `detail_kinds`, with the values of this person."""
    from cmpose_mm.apis import VideoPoseInferencer
    from cmpose_mm.visualization import explain

    frames, boxes = video(4)
    inferencer = VideoPoseInferencer(*saved_models(name))
    kinds = inferencer.model.method.detail_kinds
    if not kinds:
        pytest.skip(f'{name}: the method shows no details')
    inferencer.model.test_cfg['output_details'] = True
    result = list(inferencer(frames, boxes))[2]
    explanation = explain(result.data_sample, frames[2])
    assert explanation.details.keys() == kinds.keys()
    for key, kind in kinds.items():
        values = np.asarray(getattr(result.data_sample.pred_instances, key))[0]
        assert np.isfinite(values).all() and values.shape[-1] > 0
        if kind == 'heat':
            assert values.std() > 0
            shown = explanation.details[key].heat
            assert shown.shape == (8, 6) and shown.min() < shown.max()
    assert explanation.picture().std() > 0


@every_method
def test_five_frames_on_a_video_of_two(name, saved_models):
    from cmpose_mm.apis import VideoPoseInferencer

    frames, boxes = video(2)
    inferencer = VideoPoseInferencer(*saved_models(name, num_frames=5))
    assert inferencer.offsets.tolist() == [-2, -1, 0, 1, 2]
    results = list(inferencer(frames, boxes))
    assert len(results) == 2
    for result in results:
        assert np.isfinite(result.data_sample.pred_instances.keypoints).all()


def test_exemptions_are_of_methods_that_exist():
    stems = {Path(name).stem.removesuffix('_tiny') for name in CONFIGS}
    assert {method for method, _ in EXEMPT} <= stems
