"""Causal tokens, clusters and similarity, drawn on the person's crop.

Images are BGR uint8. K joints, n causal tokens per joint, N = h * w cells of the token grid; cell
(y, x) is token y * w + x and covers row y of h equal rows, column x of w equal columns of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmpose.structures.bbox import get_udp_warp_matrix

from cmpose_mm.posetrack.joints import JOINT_NAMES


def joint_colors(count: int = len(JOINT_NAMES)) -> np.ndarray:
    """(K, 3) uint8 BGR, one color for each of K joints, of PoseTrack's 15 by default."""
    hue = (np.arange(count) * 180 // count).astype(np.uint8)
    value = np.where(np.arange(count) % 2, 255, 190).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 235), value], axis=1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0]


def crop_person(
    image: np.ndarray, center: np.ndarray, scale: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Crops what the model saw of a person, at any resolution.

    Args:
        image: (H, W, 3) uint8, the frame.
        center, scale: (2,) each, ``input_center`` and ``input_scale`` of the sample's metainfo
            (pixels of the image).
        size: (width, height) of the result; the model's own is its ``input_size``.
    """
    warp = get_udp_warp_matrix(np.asarray(center), np.asarray(scale), 0, output_size=size)
    return cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR)


def crop_points(
    points: np.ndarray, center: np.ndarray, scale: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """(..., 2) points, converted from pixels of the image to pixels of `crop_person`'s result."""
    warp = get_udp_warp_matrix(np.asarray(center), np.asarray(scale), 0, output_size=size)
    return np.asarray(points) @ warp[:, :2].T + warp[:, 2]


def token_grid(num_tokens: int, aspect: float) -> tuple[int, int]:
    """(h, w) of a grid with ``num_tokens`` cells whose height is ``aspect`` times its width.

    Raises:
        ValueError: if there is no such grid.
    """
    height = round((num_tokens * aspect) ** 0.5)
    width = num_tokens // max(height, 1)
    if height * width != num_tokens:
        raise ValueError(f'{num_tokens} tokens do not fill a grid of aspect {aspect:.3f}')
    return height, width


def _cell_image(cells: np.ndarray, grid: tuple[int, int], crop: np.ndarray) -> np.ndarray:
    """(N, ...) values of cells, enlarged to the crop's size without interpolation."""
    cells = cells.reshape(*grid, *cells.shape[1:])
    return cv2.resize(cells, crop.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _check_cells(indices: np.ndarray, grid: tuple[int, int]) -> None:
    if indices.size and (indices.min() < 0 or indices.max() >= grid[0] * grid[1]):
        raise ValueError(
            f'cell indices are in {indices.min()}..{indices.max()}, expected 0 to '
            f'{grid[0] * grid[1] - 1} for a grid of {grid[0]} x {grid[1]}'
        )


def _check_one_value_a_cell(name: str, values: np.ndarray, grid: tuple[int, int]) -> None:
    if values.shape != (grid[0] * grid[1],):
        raise ValueError(f'{name} have shape {values.shape}, expected ({grid[0] * grid[1]},)')


def draw_causal_tokens(
    crop: np.ndarray, causal_tokens: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
    """Draws the cells that the joints selected, in the joints' colors; the rest is darkened.

    Args:
        crop: (H, W, 3) uint8 BGR.
        causal_tokens: (K, n) int cells, best first; a cell that several joints selected has the
            color of the last.
        grid: (h, w) of the tokens.

    Raises:
        ValueError: if a cell is outside the grid.
    """
    causal_tokens = np.asarray(causal_tokens)
    _check_cells(causal_tokens, grid)
    owner = np.full(grid[0] * grid[1], -1, np.int16)
    for joint, cells in enumerate(causal_tokens):
        owner[cells] = joint
    owner = _cell_image(owner, grid, crop)
    chosen = owner >= 0
    out = crop * np.float32(0.35)
    out[chosen] = 0.45 * crop[chosen] + 0.55 * joint_colors(len(causal_tokens))[owner[chosen]]
    return _draw_borders(out.astype(np.uint8), owner, chosen)


def draw_clusters(crop: np.ndarray, cluster_ids: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Draws the clusters of the other cells, each filled with its mean color and outlined.

    The picture shows what is left after merging; causal cells keep their pixels.

    Args:
        crop: (H, W, 3) uint8 BGR.
        cluster_ids: (N,) int cluster of each cell, -1 at causal cells.
        grid: (h, w) of the tokens.

    Raises:
        ValueError: if there are not h * w ids.
    """
    cluster_ids = np.asarray(cluster_ids)
    _check_one_value_a_cell('cluster_ids', cluster_ids, grid)
    ids = _cell_image(cluster_ids.astype(np.int16), grid, crop)
    merged = ids >= 0
    counts = np.bincount(ids[merged])
    sums = [
        np.bincount(ids[merged], weights=channel[merged]) for channel in np.moveaxis(crop, 2, 0)
    ]
    means = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]
    out = crop.copy()
    out[merged] = means[ids[merged]]
    return _draw_borders(out, ids, np.ones(ids.shape, bool))


def draw_similarity(
    crop: np.ndarray,
    similarity: np.ndarray,
    grid: tuple[int, int],
    marked: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a joint's similarity to each cell as heat over the crop, from smallest to largest.

    Args:
        crop: (H, W, 3) uint8 BGR.
        similarity: (N,) values, a row of S.
        grid: (h, w) of the tokens.
        marked: (n,) int cells to outline in cyan, usually the joint's causal tokens.

    Raises:
        ValueError: if there are not h * w values, or a marked cell is outside the grid.
    """
    similarity = np.asarray(similarity, np.float32)
    _check_one_value_a_cell('similarities', similarity, grid)
    least, largest = similarity.min(), similarity.max()
    strength = (similarity - least) / max(largest - least, np.finfo(np.float32).tiny)
    out = blend_heat(crop, _cell_image(strength, grid, crop))
    if marked is None:
        return out
    marked = np.asarray(marked)
    _check_cells(marked, grid)
    inside = np.zeros(len(similarity), np.uint8)
    inside[marked] = 1
    inside = _cell_image(inside, grid, crop)
    return _draw_borders(out, inside, inside > 0, color=(255, 255, 0))


def blend_heat(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The image at half brightness, covered by heat colors from red over yellow to white.

    Args:
        image: (H, W, 3) uint8 BGR.
        strength: (H, W) float, 0 to 1, which is also the opacity of the colors.
    """
    color = cv2.applyColorMap((255 * strength).astype(np.uint8), cv2.COLORMAP_HOT)
    weight = strength[..., None]
    return (0.5 * image * (1 - weight) + color * weight).astype(np.uint8)


def heat_colors() -> np.ndarray:
    """(256, 3) uint8 BGR, the result of `blend_heat` on mid-gray for strengths 0 to 1."""
    gray = np.full((1, 256, 3), 128, np.uint8)
    return blend_heat(gray, np.linspace(0, 1, 256, dtype=np.float32)[None])[0]


def _draw_borders(
    image: np.ndarray,
    ids: np.ndarray,
    where: np.ndarray,
    color: tuple[int, int, int] = (255, 255, 255),
) -> np.ndarray:
    """Draws lines between neighboring pixels of different ids, of which one is in ``where``."""
    border = np.zeros(ids.shape, bool)
    border[:, 1:] |= (ids[:, 1:] != ids[:, :-1]) & (where[:, 1:] | where[:, :-1])
    border[1:] |= (ids[1:] != ids[:-1]) & (where[1:] | where[:-1])
    image[border] = color
    return image


def joint_legend(height: int, names: Sequence[str] = JOINT_NAMES) -> np.ndarray:
    """(height, W, 3) strip with the joints' names and their colors in `draw_causal_tokens`."""
    row = height / len(names)
    size = row / 50
    strip = np.full((height, int(11 * row * 0.55) + 24, 3), 30, np.uint8)
    for i, (name, color) in enumerate(zip(names, joint_colors(len(names)).tolist())):
        y = int((i + 0.5) * row)
        cv2.rectangle(strip, (6, y - 5), (16, y + 5), color, -1)
        cv2.putText(strip, name.replace('_', ' '), (22, y + 4), cv2.FONT_HERSHEY_SIMPLEX, size,
                    (235, 235, 235), 1, cv2.LINE_AA)  # fmt: skip
    return strip


def heat_legend(height: int, least: float, largest: float) -> np.ndarray:
    """(height, W, 3) strip with `heat_colors`, from the smallest value (below) to the largest."""
    strip = np.full((height, 74, 3), 30, np.uint8)
    bar = cv2.resize(heat_colors()[::-1, None], (14, height - 12), interpolation=cv2.INTER_LINEAR)
    strip[6:-6, 6:20] = bar
    for value, y in ((largest, 14), (least, height - 7)):
        cv2.putText(strip, f'{value:.2g}', (24, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (235, 235, 235),
                    1, cv2.LINE_AA)  # fmt: skip
    return strip
