"""PoseWarper's warping of heatmaps, in plain torch; `registration` registers it with MMPose."""

from .heatmap_warp import HeatmapWarp, WarpOffsets

__all__ = ['HeatmapWarp', 'WarpOffsets']
