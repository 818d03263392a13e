import subprocess
import sys

import pytest

SCRIPT = """
import sys
sys.modules.update(mmpose=None, mmcv=None, mmengine=None, mmdet=None, mmpretrain=None)
import torch
from cmpose_mm.models.cmpose import AuxReconLoss, CausalTokenFTE, CMPose, CrissCrossSTNeck
from cmpose_mm.models import ClipInput
method = CMPose(CrissCrossSTNeck(16), CausalTokenFTE(16), AuxReconLoss(), embed_dims=16)
out = method(ClipInput.of(torch.randn(2, 3, 16, 8, 6), key_index=1))
assert out.key_features.shape == (2, 16, 8, 6) and len(out.losses) == 2
from cmpose_mm.models import FrameFeatures
from cmpose_mm.models.jmpose import JMPose
from cmpose_mm.models.hkm import HKM
from cmpose_mm.models.stdpose import STDPose
from cmpose_mm.models.tdmi import TDMI
frames = FrameFeatures((torch.randn(4, 3, 16, 8, 6),), torch.randn(4, 3, 15, 8, 6))
clip = ClipInput.of(frames, key_index=1)
for method in (
    TDMI([16], num_frames=3),
    JMPose(16, num_frames=3, heatmap_scale=1),
    STDPose(16, grid=(8, 6), heatmap_scale=1),
    HKM(16, joint_cells=1),
):
    assert method(clip).key_features.shape == (4, 16, 8, 6)
from cmpose_mm.models.heatmap_warp import HeatmapWarp
assert HeatmapWarp(channels=4, num_blocks=1)(clip).heatmaps.shape == (4, 15, 8, 6)
"""


@pytest.mark.slow
def test_the_mathematics_needs_torch_alone():
    result = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
