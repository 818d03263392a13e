"""The cost benchmarks count, measure and report what they say; on tiny models."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from processes import quick_python

from cmpose_mm import config_path
from cmpose_mm.engine.bfloat16_optim_wrapper import has_bfloat16
from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.cmpose import CausalTokenFTE
from cmpose_mm.models.layers import ModulatedDeform

sys.path.insert(0, str(Path(__file__).parents[1] / 'benchmarks'))

import costs  # noqa: E402
import gpu_cost  # noqa: E402
import inference_cost  # noqa: E402
import training_cost  # noqa: E402
import training_memory  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        tuple(map(int, torch.__version__.split('.')[:2])) < (2, 4),
        reason='the cost benchmarks need torch >= 2.4',
    ),
]
D, LAYERS, FFN, CELLS, FRAMES, JOINTS = 32, 2, 64, 48, 3, 15
HEAD_WIDTH, ATTENTION, BLOCKS, CAUSAL, CLUSTERS = 16, 8, 2, 1, 8


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def config():
    """A CM-Pose on crops of 96 x 128 pixels."""
    config = Config.fromfile(config_path('_base_/models/cmpose_vit-s.py'))
    arch = dict(embed_dims=D, num_layers=LAYERS, num_heads=4, feedforward_channels=FFN)
    config.merge_from_dict(
        dict(
            model=dict(
                backbone=dict(arch=arch, img_size=(128, 96)),
                method=dict(
                    embed_dims=D,
                    neck=dict(num_blocks=BLOCKS, num_heads=2, attention_dims=ATTENTION),
                    fte=dict(num_causal=CAUSAL, num_neighbors=3, num_clusters=CLUSTERS),
                ),
                head=dict(
                    in_channels=D,
                    deconv_out_channels=(HEAD_WIDTH, HEAD_WIDTH),
                    decoder=dict(input_size=(96, 128), heatmap_size=(24, 32)),
                ),
            )
        )
    )
    return config


def hand_count():
    """Multiply-adds of the tiny model's parts for one of two clips, from the definitions."""
    layer = CELLS * (4 * D * D + 2 * D * FFN) + 2 * CELLS * CELLS * D
    backbone = CELLS * 3 * 16 * 16 * D + LAYERS * layer  # of one frame
    head = 16 * CELLS * HEAD_WIDTH * (D + 4 * HEAD_WIDTH) + 16 * CELLS * HEAD_WIDTH * JOINTS
    slots = CELLS + JOINTS
    # Four attention modules a block, two of them spatial; the temporal one has no matrix products.
    attention = 4 * 4 * D * ATTENTION + 2 * 2 * slots * ATTENTION
    neck = BLOCKS * FRAMES * slots * (attention + 2 * D * D)
    fusion = CELLS * FRAMES * D * D
    # Positions are projected once for all clips, to queries and keys of the two spatial modules.
    neck += BLOCKS * 2 * slots * 2 * D * ATTENTION / 2
    fte = 2 * JOINTS * D * D + (JOINTS + CELLS + CLUSTERS) * CELLS * D
    tokens = JOINTS * CAUSAL + CLUSTERS
    fte += tokens * 4 * D * D + 2 * tokens * tokens * D + tokens * 2 * D * 4 * D  # the layer
    return dict(backbone=backbone, head=head, neck=neck, fusion=fusion, fte=fte)


def test_multiply_adds_equal_a_hand_count(config):
    model, clips = costs.build_model(config).eval(), costs.random_clips(config, 2)
    count = hand_count()
    expected = {
        costs.least: 3 * count['backbone'] + count['head'],
        costs.single_frames: 3 * count['backbone'] + 3 * count['head'],
        costs.clip_model: 2 * count['backbone'] + sum(count.values()),
        costs.track_crops: sum(count.values()),
    }
    with torch.no_grad():
        for work, macs in expected.items():
            found = costs.multiply_adds(lambda work=work: work(model, clips))
            assert found == pytest.approx(2 * macs / 1e9, rel=1e-12), work.__name__


def test_three_frames_of_vitpose_b_and_the_cost_of_the_default_over_them():
    config = costs.load_config('cmpose_vit_posetrack18.py', {})
    model, clips = costs.build_model(config).eval(), costs.random_clips(config, 1)
    with torch.no_grad():
        least, ours = (
            costs.multiply_adds(lambda work=work: work(model, clips))
            for work in (costs.least, costs.clip_model)
        )
    assert least == pytest.approx(52.7, abs=0.05)
    assert ours <= 1.12 * least


def test_the_works_are_those_of_the_model(config):
    model, clips = costs.build_model(config).eval(), costs.random_clips(config, 2)
    with torch.no_grad():
        heatmaps = costs.clip_model(model, clips)
        assert torch.equal(heatmaps, model(clips, None, mode='tensor'))
        everything = costs.single_frames(model, clips)
        assert torch.equal(costs.least(model, clips), everything[1::3])
        still = clips[:, -1:].expand_as(clips)
        torch.testing.assert_close(
            costs.track_crops(model, clips), costs.clip_model(model, still), rtol=1e-4, atol=1e-5
        )


def test_training_step_leaves_the_gradients_of_the_losses(config):
    model, clips = costs.build_model(config).train(), costs.random_clips(config, 2)
    samples = costs.training_samples(config, 2)
    for _ in range(2):  # the second from empty gradients, too
        torch.manual_seed(0)  # of drop-path
        costs.training_step(model, costs.clip_losses, clips, samples)
    found = {name: p.grad.clone() for name, p in model.method.named_parameters()}
    model.zero_grad()
    torch.manual_seed(0)
    losses = model.loss(clips, samples)
    assert set(losses) == {'loss_kpt', 'loss_mask', 'loss_denoise', 'loss_similarity'}
    sum(losses.values()).backward()
    for name, parameter in model.method.named_parameters():
        torch.testing.assert_close(parameter.grad, found[name])
    assert any(gradient.abs().max() > 0 for gradient in found.values())
    costs.training_step(model, costs.least_losses, clips, samples)
    assert all(p.grad is None for p in model.method.parameters())
    assert all(p.grad is not None for p in model.backbone.parameters() if p.requires_grad)


def test_every_round_runs_all_calls_and_every_other_one_backwards():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in 'abc'}
    seconds = costs.interleaved_seconds(runs, repeats=2)
    assert ''.join(calls) == 'abc' + 'abc' + 'cba'
    assert {name: len(values) for name, values in seconds.items()} == dict(a=2, b=2, c=2)


def test_peak_memory_counts_what_lives_together():
    def run():
        first = torch.ones(100_000)
        second = first + 1  # both: 800 kB
        del first
        return second[:1] + second[1:2]

    # The allocator may round up.
    assert 800_000 <= costs.peak_memory(run) <= 810_000
    assert 400_000 <= costs.peak_memory(lambda: torch.ones(100_000)) <= 410_000


@pytest.mark.parametrize('width', [384, 768, 1280])
@pytest.mark.parametrize('num_clips', [1, 4])
def test_token_enhancement_needs_at_most_three_times_the_fused_tokens(width, num_clips):
    fte = CausalTokenFTE(width)
    tokens, keypoints = torch.randn(num_clips, 192, width), torch.randn(num_clips, 15, width)
    with torch.no_grad():
        peak = costs.peak_memory(lambda: fte(tokens, keypoints))
    # At least the enhanced tokens themselves and the restored ones.
    assert 2 <= peak / (tokens.numel() * 4) <= 3


def cells(table):
    """A markdown table's rows by header."""
    lines = [[c.strip() for c in line.strip('| ').split('|')] for line in table.splitlines()]
    return [dict(zip(lines[0], line)) for line in lines[2:]]


def test_inference_tables(config):
    works, parts = map(cells, inference_cost.measure(config, 2, repeats=2).split('\n\n'))
    assert [row['work'] for row in works] == [
        'least',
        'single frames',
        'CM-Pose',
        'one frame',
        'track crops',
    ]
    assert works[0]['GMACs ratio'] == '1.000'
    assert works[0]['time ratio'] == '1.000 (1.000-1.000)'
    assert [row['part of CM-Pose'] for row in parts] == [
        'backbone',
        'neck',
        'temporal fusion',
        'FTE',
        'head',
    ]
    assert sum(float(row['% of GMACs']) for row in parts) == pytest.approx(100, abs=0.1)
    shares = [float(row['% of time'].split()[0]) for row in parts]
    assert all(share > 0 for share in shares) and sum(shares) < 101
    assert float(parts[3]['memory']) > 1


def test_training_table_and_one_call_of_backbone_and_neck(config):
    rows = {row['step']: row for row in cells(training_cost.measure(config, 2, repeats=1))}
    calls = {name: row['calls of backbone, neck'] for name, row in rows.items()}
    ours = ['primary', '+ mask', '+ denoise', 'CM-Pose']
    assert calls == {'least': '1, 0', 'single frames': '1, 0', **dict.fromkeys(ours, '1, 1')}
    macs = [float(rows[name]['GMACs over least']) for name in ['least', *ours]]
    assert macs[0] == 1 and macs[2] == macs[3] and macs == sorted(macs)


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there')
def test_without_a_gpu_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['gpu_cost.py', 'cmpose_vit_posetrack18.py'])
    with pytest.raises(SystemExit, match='torch finds no CUDA GPU here; on a CPU use'):
        gpu_cost.main()


@pytest.mark.parametrize('work', ['inference', 'training'])
@pytest.mark.parametrize('backend', [None, 'aot_eager'])
def test_gpu_rows_on_the_cpu(config, work, backend):
    model = costs.build_model(config)
    rows = gpu_cost.measure(
        config, model, work, 2, backend, repeats=2, device='cpu', peak_tflops=1e-3
    )
    assert [row[0] for row in rows] == [f'{work}, least', f'{work}, CM-Pose']
    table = cells(markdown_table(gpu_cost.HEADER, rows))
    for row in table:
        assert row['compiled'] == ('yes' if backend else 'no')
        # The peak is 1 GFLOP/s; what is printed is rounded.
        gflops = 2 * float(row['GMACs a clip']) / (float(row['ms a clip']) / 1000)
        assert float(row['MFU %']) == pytest.approx(100 * gflops, rel=0.02)
    assert table[0]['over least'] == '1.000 (1.000-1.000)'
    assert 'forward' not in vars(model.backbone)  # compiled within `measure` only


def test_peaks_of_gpus_by_name():
    names = {
        'NVIDIA H100 80GB HBM3': 989,
        'NVIDIA H100 PCIe': 756,
        'NVIDIA H100 NVL': 835,
        'NVIDIA H200': 989,
        'NVIDIA H200 NVL': 835,
        'NVIDIA A100-SXM4-80GB': 312,
        'NVIDIA L4': 121,
        'NVIDIA L40': None,
        'NVIDIA A10G': None,
    }
    assert {name: gpu_cost.known_peak(name) for name in names} == names


class ScaledExponential(torch.nn.Module):
    """Keeps its input and its output for backward, each once; the parameter does not count."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(4))

    def loss(self, clip, samples):
        return dict(loss=(clip * self.scale).exp().sum())


def test_training_memory_counts_what_backward_keeps():
    clip = torch.randn(1, 3, 5, 4)
    assert training_memory.saved_bytes(ScaledExponential(), clip, None) == 2 * 4 * clip.numel()


def run_benchmark(*command):
    script = Path(training_memory.__file__).with_name(command[0])
    result = subprocess.run(
        [quick_python(), str(script), *command[1:]], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_training_memory_command(config, tmp_path):
    config.dump(tmp_path / 'tiny.py')
    rows = run_benchmark('training_memory.py', str(tmp_path / 'tiny.py')).splitlines()
    name, *numbers = (cell.strip() for cell in rows[-1].strip('|').split('|'))
    assert name == str(tmp_path / 'tiny.py') and len(numbers) == 4


def test_evaluation_command():
    out = run_benchmark('bench_evaluation.py', '--frames', '100', '--persons', '2')
    for name in ('AP without reading', 'AP with reading', 'MOTA without reading'):
        assert re.search(rf'{name}: +[\d.]+ ms a frame', out)
    assert 0 < float(re.search(r'Total AP ([\d.]+)', out)[1]) < 100


@pytest.mark.slow(40)
def test_check_gpu_runs_its_code_on_a_cpu(tmp_path):
    script = Path(__file__).parents[1] / 'benchmarks' / 'check_gpu.py'
    command = [quick_python(), str(script), '--device', 'cpu', '--work-dir', str(tmp_path / 'work')]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    rows = [line.split('|')[1:3] for line in result.stdout.splitlines() if line.startswith('| ')]
    results = {name.strip(): held.strip() for name, held in rows[1:]}
    assert results.pop('float16') == 'skipped'
    assert results.pop('bfloat16') == ('held' if has_bfloat16('cpu') else 'skipped')
    assert set(results.values()) == {'held'} and len(results) == 6


# ---- other methods -------------------------------------------------------------------------------


def chain_count(in_channels, channels, num_blocks):
    """Multiply-adds of a chain of residual blocks for one cell."""
    first = 9 * in_channels * channels + 9 * channels**2 + in_channels * channels
    return first + (num_blocks - 1) * 18 * channels**2


def deform_count(channels, groups):
    """Of offsets, weights and the convolution itself."""
    return 9 * channels * 27 * groups + 9 * channels**2


def tdmi_count(d, c, frames, blocks, groups, gate=128):
    """Of TDMI: for one cell, and for a clip. d: channels of the head's input."""
    count = chain_count(d + c, c, 3) + c * d  # aggregation
    for number in blocks:
        count += chain_count((frames - 1) * c, c, number) + chain_count(2 * c, c, 1)
        count += deform_count(c, groups) + chain_count(c, c, 1)
    return count, 2 * 2 * c * gate  # two MLPs, the second for its detail


def appearance_count(c, frames, groups):
    """Of what TDMI-ST adds, without what the aggregation saves."""
    count = chain_count((frames - 1) * c, c, 2) + chain_count(2 * c, c, 1)
    return count + 4 * deform_count(c, groups) + chain_count(2 * c, c, 3)


def jmpose_count(d, c, frames, joints, layers, heads, groups):
    sides = (frames - 1) // 2
    count = 2 * chain_count(sides * c, c, 2) + 9 * 2 * c * c
    count += chain_count(frames * joints + c, c, 1) + deform_count(c, groups)
    attention = 4 * c * c + 3 * 9 * c + 2 * heads * (c // heads) ** 2
    count += layers * (2 * chain_count(c, c, 1) + 2 * attention + 9 * (2 * c * c + 2 * c * c))
    return count + chain_count(d + 2 * c, c, 3) + c * d


def method_macs(name, **changes):
    """GMACs of a config's method alone, on maps of the sizes that its backbone gives."""
    config = costs.load_config(name, {f'model.method.{k}': v for k, v in changes.items()})
    method = MODELS.build(config.model.method).eval()
    width, height = config.model.head.decoder.heatmap_size
    scale, joints = (1, 15) if 'hrnet' in name else (4, 15)
    count = method.num_frames
    stages = method.in_channels if hasattr(method, 'in_channels') else [method.out_channels]
    frames = FrameFeatures(
        tuple(torch.zeros(1, count, c, height // scale, width // scale) for c in stages),
        torch.zeros(1, count, joints, height, width),
    )
    clip = ClipInput.of(frames, method.key_index)
    with torch.no_grad():
        found = costs.multiply_adds(lambda: method(clip))
    return found, height * width // scale**2


HRNET, VIT = dict(d=48, c=48, groups=12), dict(d=768, c=128, groups=8)


def test_tdmi_equals_a_hand_count():
    for name, sizes, projection in (
        ('tdmi/tdmi_hrnet-w48_posetrack18.py', HRNET, 0),
        ('tdmi/tdmi_vit_posetrack18.py', VIT, 4 * 5 * 768 * 128),
    ):
        found, cells = method_macs(name)
        of_cell, of_clip = tdmi_count(frames=5, blocks=(3, 3, 2, 2), **sizes)
        expected = (cells * (of_cell + projection) + of_clip) / 1e9
        assert found == pytest.approx(expected, rel=1e-9), name
    found, cells = method_macs('tdmi/tdmi_hrnet-w48_posetrack18.py', appearance=True)
    of_cell, of_clip = tdmi_count(frames=5, blocks=(3, 3, 2, 2), **HRNET)
    expected = cells * (of_cell + appearance_count(48, 5, 12)) + of_clip
    assert found == pytest.approx(expected / 1e9, rel=1e-9)


def test_jmpose_equals_a_hand_count():
    sizes = dict(frames=5, joints=15, layers=2, heads=8)
    found, cells = method_macs('jmpose/jmpose_hrnet-w48_posetrack18.py')
    expected = cells * jmpose_count(**HRNET, **sizes) / 1e9
    assert found == pytest.approx(expected, rel=1e-9)
    found, cells = method_macs('jmpose/jmpose_vit_posetrack18.py')
    of_cell = jmpose_count(**VIT, **sizes) + 5 * 768 * 128 + 5 * 15 * 16 * 15
    assert found == pytest.approx(cells * of_cell / 1e9, rel=1e-9)


def test_deformable_convolutions_count_in_both_forms():
    x, cond = torch.randn(2, 24, 6, 5, requires_grad=True), torch.randn(2, 7, 6, 5)
    convolution = 2 * 30 * 9 * 24 * 24
    expected = convolution + 2 * 30 * 9 * 7 * 27 * 12
    for backend in ('torchvision', 'grid_sample'):
        module = ModulatedDeform(24, 7, backend=backend)
        found = costs.multiply_adds(lambda module=module: module(x, cond))
        assert found == pytest.approx(expected / 1e9, rel=1e-9), backend
        out, _ = module(x, cond)
        found = costs.multiply_adds(lambda out=out: out.sum().backward())
        # For the input and the weights of the convolution; for offsets and weights, which do not
        # look at the condition's gradient, the weights alone.
        assert found == pytest.approx((convolution + expected) / 1e9, rel=1e-9), backend


def test_tables_of_other_methods():
    config = costs.load_config('jmpose/jmpose_tiny.py', {})
    config.model.method.num_frames = 3
    works, parts = map(cells, inference_cost.measure(config, 2, repeats=1).split('\n\n'))
    assert [row['work'] for row in works][2] == 'JM-Pose'
    names = [row['part of JM-Pose'] for row in parts]
    assert names == ['backbone', 'frame head', 'method', 'head']
    assert sum(float(row['% of GMACs']) for row in parts) == pytest.approx(100, abs=0.1)
    config = costs.load_config('cmpose/cmpose_tiny.py', {'model.method.aux': None})
    rows = {row['step']: row for row in cells(training_cost.measure(config, 2, repeats=1))}
    assert list(rows) == ['least', 'single frames', 'CM-Pose']
    config = costs.load_config('tdmi/tdmi_tiny.py', {'model.freeze_backbone': True})
    rows = {row['step']: row for row in cells(training_cost.measure(config, 2, repeats=1))}
    assert list(rows) == ['least', 'single frames', 'TDMI']
    assert rows['TDMI']['calls of backbone, method'] == '1, 1'
    assert float(rows['TDMI']['GMACs over least']) > 1


def layer_count(d, queries, read):
    """Of a transformer layer in which so many tokens read from so many."""
    projections = 2 * queries * d**2 + 2 * read * d**2
    return projections + 2 * queries * read * d + 8 * queries * d**2


def test_stdpose_equals_a_hand_count():
    for frames in (3, 5):
        found, cells = method_macs('stdpose/stdpose_vit_posetrack18.py', num_frames=frames)
        d, c, tokens = 768, 256, frames * 192
        masks = 192 * ((frames - 1) * d * c + 4 * 9 * c**2 + c * d)
        fusion = layer_count(d, tokens, tokens) + layer_count(d, 192, tokens)
        synthesis = 64 * 48 * 9 * frames * 15 + 192 * 16 * 15 * d
        assert cells == 192
        expected = masks + fusion + synthesis + 192 * 3 * d**2
        assert found == pytest.approx(expected / 1e9, rel=1e-9)


def test_hkm_equals_a_hand_count():
    for frames in (3, 5):
        found, _ = method_macs('hkm/hkm_vit_posetrack18.py', num_frames=frames)
        d, heads, points, sides = 768, 8, 4, 2
        similarity = 2 * (15 * d**2 + 15 * d**2) + 15 * (192 + 96) * d
        visual = layer_count(d, 111, 111) + layer_count(d, 60, 75)
        read = (frames - 1) * heads * points * 3 * 96 * d  # offsets and weights of all points
        motion = (frames - 1) * 192 * d**2 + read + sides * 96 * d**2
        expected = similarity + visual + motion + 96 * (1 + sides) * d**2
        assert found == pytest.approx(expected / 1e9, rel=1e-9)
