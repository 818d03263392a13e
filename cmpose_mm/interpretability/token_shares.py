"""Shares of causal tokens that lie near their joint, near any joint, and on the body.

Shapes: K = 15 joints in the order of `JOINT_NAMES`, N = h * w cells of the feature map, cell (y, x)
at y * w + x, n causal tokens per joint. Coordinates are pixels of the model's input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmpose_mm.posetrack.joints import BODY_LIMBS, JOINT_NAMES

BONES = (
    *BODY_LIMBS,
    ('head_top', 'head_bottom'),
    ('nose', 'head_bottom'),
    ('left_shoulder', 'right_hip'),  # the diagonals fill the trunk
    ('right_shoulder', 'left_hip'),
)
"""Pairs of joints with flesh between them."""
BONE_RADIUS = 0.5  # head sizes, about that of a thigh


@dataclass
class TokenRegions:
    """Regions of one clip's cells.

    Attributes:
        near: (K, N) bool, whether the cell's center is at most a head size from the joint; all
            False if the joint is not labeled.
        distances: (K, N) of the cells' centers from the joint, in head sizes.
        body: (N,) bool, whether the cell's center is at most half a head size from a bone between
            two labeled joints (`BONES`); it replaces a mask of the body, which labels lack.
        labeled: (K,) bool.
    """

    near: np.ndarray
    distances: np.ndarray
    body: np.ndarray
    labeled: np.ndarray


def token_regions(
    joints: np.ndarray,
    labeled: np.ndarray,
    head_size: float | np.ndarray,
    grid: tuple[int, int],
    input_size: tuple[int, int],
) -> TokenRegions:
    """Regions of one clip's key frame.

    Args:
        joints: (K, 2).
        labeled: (K,) bool.
        head_size: pixels of the input, above 0; (2,) if it differs along x and y.
        grid: (h, w).
        input_size: (width, height).
    """
    centers, joints = cell_centers(grid, input_size) / head_size, joints / head_size
    distances = np.linalg.norm(centers - joints[:, None], axis=2)
    near = (distances <= 1) & labeled[:, None]
    bones = np.array([[JOINT_NAMES.index(joint) for joint in bone] for bone in BONES])
    bones = bones[labeled[bones].all(axis=1)]
    start, end = joints[bones[:, 0]], joints[bones[:, 1]]
    to_bones = distances_to_segments(centers, start, end)
    body = (to_bones <= BONE_RADIUS).any(axis=0)
    return TokenRegions(near, distances, body, labeled)


def cell_centers(grid: tuple[int, int], input_size: tuple[int, int]) -> np.ndarray:
    """(N, 2) x and y of the cells' centers; pixel centers have integer coordinates."""
    (height, width), (input_width, input_height) = grid, input_size
    x = (np.arange(width) + 0.5) * input_width / width - 0.5
    y = (np.arange(height) + 0.5) * input_height / height - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def distances_to_segments(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(S, N) distances of points (N, 2) from segments (S, 2) to (S, 2), which may be points."""
    along = end - start
    squared = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)[:, None]
    position = ((points - start[:, None]) * along[:, None]).sum(axis=2) / squared
    nearest = start[:, None] + position.clip(0, 1)[..., None] * along[:, None]
    return np.linalg.norm(points - nearest, axis=2)


@dataclass
class TokenShares:
    """Shares of selected cells of C clips, in percent; None if there are no cells to count.

    Attributes:
        own_joint: cells within a head size of the joint that chose them, among the cells of labeled
            joints.
        any_joint: cells within a head size of any labeled joint, among all cells.
        body: cells on the body, among all cells.
        by_clip: of each clip the number of cells of labeled joints, and of those within a head size
            of the joint that chose them.
    """

    own_joint: float | None
    any_joint: float | None
    body: float | None
    by_clip: list[tuple[int, int]]


def token_shares(
    selections: list[np.ndarray],
    regions: list[TokenRegions],
    joints: list[np.ndarray] | None = None,
) -> TokenShares:
    """Shares over all clips.

    Args:
        selections: for each clip, the cells (K, n) that the joints selected.
        regions: of the clips.
        joints: for each clip (K,) bool, whose cells count; None for all.
    """
    hits, totals, by_clip = np.zeros(3), np.zeros(3), []
    for clip, (cells, region) in enumerate(zip(selections, regions)):
        counted = np.ones(len(cells), bool) if joints is None else joints[clip]
        own = np.take_along_axis(region.near, cells, axis=1)[region.labeled & counted]
        cells = cells[counted]
        anywhere = region.near.any(axis=0)[cells], region.body[cells]
        hits += [inside.sum() for inside in (own, *anywhere)]
        totals += [own.size, cells.size, cells.size]
        by_clip.append((own.size, int(own.sum())))
    shares = [100 * hit / total if total else None for hit, total in zip(hits, totals)]
    return TokenShares(*shares, by_clip)


def chance_shares(regions: list[TokenRegions]) -> TokenShares:
    """Shares of all cells, the mean shares of random cells."""
    everything = [np.tile(np.arange(r.near.shape[1]), (r.near.shape[0], 1)) for r in regions]
    return token_shares(everything, regions)


def random_selection(
    num_joints: int, num_causal: int, num_cells: int, generator: np.random.Generator
) -> np.ndarray:
    """(K, n) random cells, no cell twice."""
    cells = generator.permutation(num_cells)[: num_joints * num_causal]
    return cells.reshape(num_joints, num_causal)
