"""Measures on a dataset where a model's causal tokens lie, and what deleting them does.

Shapes: B clips, K = 15 joints, N = h * w cells, D channels, n causal tokens per joint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cmpose_mm.evaluation.scored_frames import HEAD_SIZE_SCALE, MATCH_DISTANCE
from cmpose_mm.models import MethodOutput
from cmpose_mm.models.layers import draw_heatmaps
from cmpose_mm.posetrack.annotations import Video
from cmpose_mm.posetrack.persons import repeated_ids
from cmpose_mm.visualization.causal_tokens import crop_points

from .ceiling import label_selection
from .token_deletion import delete_tokens, draw_cells, match_cells, selected_cells
from .token_shares import (
    TokenRegions,
    TokenShares,
    chance_shares,
    random_selection,
    token_regions,
    token_shares,
)


class NothingSelected(ValueError):
    """A method selects no cells for the joints, so that there is nothing to measure."""


@dataclass
class Effect:
    """What a deletion does to labeled joints.

    Attributes:
        movement: (J,) how far each predicted joint moves, in head sizes.
        found_before, found_after: (J,) bool, whether the prediction is at most half a head size
            from the label.
        clips: (J,) int64, the number of each joint's clip.
    """

    movement: np.ndarray
    found_before: np.ndarray
    found_after: np.ndarray
    clips: np.ndarray


@dataclass
class TokenEvidence:
    """Result of `measure_tokens`.

    Attributes:
        image_ids: of the key frames of the clips measured, in their order.
        selected: shares of the causal tokens.
        other_clip: shares of another clip's causal tokens in this clip's regions. They show what is
            explained by bodies being in the middle of every crop.
        ceiling: shares of the cells that the label heatmaps would select in the place of S, see
            `label_selection`.
        random: shares of random selections, one for each draw.
        chance: shares of all cells.
        effects: what is deleted, one of `DELETIONS` -> its effect.
        found, missed: shares of the causal tokens of labeled joints that the model finds (the
            prediction is at most half a head size from the label), and of those that it misses.
            Both depend on S: they do not tell which is the cause.
        by_visibility: 'visible' (v above 0 in the labels) and 'occluded' (v is 0) -> ``found`` and
            ``missed`` of these joints alone.
    """

    image_ids: list[int]
    selected: TokenShares
    other_clip: TokenShares
    ceiling: TokenShares
    random: list[TokenShares]
    chance: TokenShares
    effects: dict[str, Effect]
    found: TokenShares | None = None
    missed: TokenShares | None = None
    by_visibility: dict[str, tuple[TokenShares, TokenShares]] = field(default_factory=dict)


DELETIONS = (
    'all causal tokens',
    'as many other cells',
    'all tokens of a random selection',
    'as many cells outside it',
    "a joint's causal tokens",
    "as many of other joints' causal tokens",
    'as many other cells, anywhere',
    "a joint's causal tokens, where the next is possible",
    'as many other cells within a head size of the joint',
    "those of a joint's causal tokens that the next can replace",
    'as many other cells, none of them farther from the joint',
)
"""The first four delete tokens for all joints at once (where more than half of the cells were
chosen, only as many of them as the rest are); the others for one joint, whose movement is measured.
*Other cells* are non-causal ones, in the last row as `match_cells` pairs them with the joint's own,
else random. Cells within a head size are not equally near: a joint that chose the nearest leaves
farther ones. Only the last two rows compare cells of like distance.

Causal tokens are kept unchanged, while with ``restoring='replace'`` the other tokens are merged, so
copies of a deleted one remain. Deleting any selection therefore moves poses more than deleting as
many other cells. Running the method with a *random selection* shows by how much; its movements are
measured from the poses predicted with that selection.
"""


@dataclass
class _Sums:
    image_ids: list[int] = field(default_factory=list)
    regions: list[TokenRegions] = field(default_factory=list)
    selections: list[np.ndarray] = field(default_factory=list)
    by_labels: list[np.ndarray] = field(default_factory=list)
    visible: list[np.ndarray] = field(default_factory=list)
    effects: dict[str, list[np.ndarray]] = field(default_factory=dict)


@torch.no_grad()
def measure_tokens(
    model: torch.nn.Module,
    batches: Iterable[dict],
    labels: list[Video],
    draws: int = 5,
    seed: int = 0,
) -> TokenEvidence:
    """Measures where causal tokens lie, and what happens without them.

    Tokens are deleted from the head's input, so the selection does not change. Without flip test.

    Args:
        model: a `VideoTopdownPoseEstimator` in eval mode, whose method selects cells for each
            joint, as CM-Pose's token enhancement does.
        batches: of its test data, with ground-truth boxes.
        labels: of that data; head sizes come from them.
        draws: number of random selections, and of random deletions of each kind.
        seed: of both.

    Raises:
        NothingSelected: if the method selects no cells.
        ValueError: if a sample is not in the labels.
    """
    head_sizes = annotated_head_sizes(labels)
    visible = {
        (frame.image_id, number): points[:, 2] > 0
        for video in labels
        for frame in video.frames
        for number, points in zip(frame.ids.tolist(), frame.keypoints)
    }
    generator = torch.Generator().manual_seed(seed)
    sums = _Sums()
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        clip = model.clip_input(model.extract_clips(data['inputs']), data['data_samples'])
        out = model.call_method(clip)
        selected = _selected_cells(model, out)
        with model.method.selecting_at_random(generator):
            control = model.call_method(clip)
        grid = tuple(out.key_features.shape[2:])
        truth = [_truth(sample, head_sizes) for sample in data['data_samples']]
        regions = [
            token_regions(*values, grid, sample.metainfo['input_size'])
            for values, sample in zip(truth, data['data_samples'])
        ]
        keys = [(s.metainfo['img_id'], s.metainfo['id']) for s in data['data_samples']]
        sums.image_ids += [image_id for image_id, _ in keys]
        sums.visible += [visible[key] for key in keys]
        sums.regions += regions
        sums.selections += list(selected.cpu().numpy())
        sums.by_labels += list(_selected_by_labels(model, truth, grid, selected.shape[2]))
        _add_effects(sums, model, out, control, truth, regions, draws, generator)

    rng = np.random.default_rng(seed)
    num_cells = sums.regions[0].near.shape[1]
    random = [
        token_shares(
            [random_selection(*cells.shape, num_cells, rng) for cells in sums.selections],
            sums.regions,
        )
        for _ in range(draws)
    ]
    # Neighbors in the data show the same scene; clips half the data's length apart do not.
    half = len(sums.selections) // 2
    others = sums.selections[half:] + sums.selections[:half]
    effects = {name: _joined(sums.effects[name]) for name in DELETIONS}
    labeled = np.stack([region.labeled for region in sums.regions])
    found = np.zeros_like(labeled)
    found[labeled] = effects["a joint's causal tokens"].found_before  # of each labeled joint
    seen = np.stack(sums.visible)

    def by_success(among: np.ndarray) -> tuple[TokenShares, TokenShares]:
        parts = among & found, among & ~found
        return tuple(token_shares(sums.selections, sums.regions, list(part)) for part in parts)

    of_found, of_missed = by_success(labeled)
    return TokenEvidence(
        image_ids=sums.image_ids,
        selected=token_shares(sums.selections, sums.regions),
        other_clip=token_shares(others, sums.regions),
        ceiling=token_shares(sums.by_labels, sums.regions),
        random=random,
        chance=chance_shares(sums.regions),
        effects=effects,
        found=of_found,
        missed=of_missed,
        by_visibility={
            'visible': by_success(labeled & seen),
            'occluded': by_success(labeled & ~seen),
        },
    )


def _selected_cells(model, out: MethodOutput) -> Tensor:
    """(B, K, n) cells that each joint selected."""
    for name, kind in model.detail_kinds.items():
        if kind == 'cells' and name in out.details:
            return out.details[name]
    raise NothingSelected(
        f'{type(model.method).__name__} selects no cells for the joints; expected a method with a '
        "detail of the kind 'cells', such as CMPose whose fte is not None"
    )


def _selected_by_labels(
    model, truth: list[tuple], grid: tuple[int, int], num_causal: int
) -> np.ndarray:
    """(B, K, n) cells that the labels would select, with the heatmaps that the head learned."""
    joints, labeled = (torch.from_numpy(np.stack(part)) for part in list(zip(*truth))[:2])
    decoder = model.head.decoder
    heatmaps = draw_heatmaps(
        torch.cat([joints, labeled.unsqueeze(2)], dim=2),
        decoder.heatmap_size[::-1],
        decoder.input_size,
        decoder.sigma,
        udp=_is_udp(decoder),
    )
    return label_selection(heatmaps, labeled, grid, num_causal).numpy()


def _joined(parts: list[np.ndarray]) -> Effect:
    movement, before, after, clips = np.concatenate(parts, axis=1)
    return Effect(movement, before > 0, after > 0, clips.astype(np.int64))


def annotated_head_sizes(labels: list[Video]) -> dict[tuple[int, int], float]:
    """(image id, annotation id) -> head size in pixels of the image.

    Empty if annotation ids are missing or repeat: the dataset then numbers its samples otherwise.
    """
    frames = [(video, frame) for video in labels for frame in video.frames]
    if repeated_ids(frames) or any((frame.ids == -1).any() for _, frame in frames):
        return {}
    sizes = {}
    for video in labels:
        for frame in video.frames:
            diagonals = np.hypot(*frame.head_boxes[:, 2:].T)
            for number, diagonal in zip(frame.ids.tolist(), diagonals.tolist()):
                sizes[frame.image_id, number] = HEAD_SIZE_SCALE * diagonal
    return sizes


def _truth(sample, head_sizes: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (K, 2) in pixels of the input, whether they are labeled (K,), and the head size (2,).

    The head size, in pixels of the input, is given along x and y, as UDP's pixels are not quite
    square.
    """
    info = sample.metainfo
    key = info['img_id'], info['id']
    if not head_sizes.get(key, 0) > 0:
        raise ValueError(
            f'{info["img_path"]}: no labeled head for annotation {info["id"]}; expected labels '
            'with head boxes and an annotation id of its own for each person, and ground-truth '
            'boxes'
        )
    crop = info['input_center'], info['input_scale'], info['input_size']
    joints = crop_points(sample.gt_instances.keypoints[0], *crop)
    labeled = np.asarray(sample.gt_instances.keypoints_visible[0]) > 0
    zoom = (np.array(info['input_size']) - 1) / info['input_scale']  # as in MMPose's UDP
    return joints, labeled, head_sizes[key] * zoom


def _add_effects(sums, model, out, control, truth, regions, draws, generator) -> None:
    """Deletes tokens in one batch; adds (4, J) per deletion, what `Effect` has."""
    features = out.key_features
    joints, labeled = (np.stack(values) for values in list(zip(*truth))[:2])
    head_sizes = np.stack([size for *_, size in truth])[:, None]
    predicted = _predict(model, features)
    first = len(sums.regions) - len(regions)
    clips = np.arange(first, len(sums.regions))[:, None].repeat(joints.shape[1], axis=1)

    def add(name: str, moved: np.ndarray, counted: np.ndarray, before: np.ndarray) -> None:
        movement = np.linalg.norm((moved - before) / head_sizes, axis=2)
        found = [
            np.linalg.norm((points - joints) / head_sizes, axis=2) <= MATCH_DISTANCE
            for points in (before, moved)
        ]
        rows = np.stack([movement, *found, clips])[:, counted]
        sums.effects.setdefault(name, []).append(rows)

    own = selected_cells(_selected_cells(model, out), features[0, 0].numel())
    causal = own.any(1)
    its_own, of_others, anywhere, its_own_where_possible, nearby, *matched = DELETIONS[4:]
    near = torch.from_numpy(np.stack([region.near for region in regions])).to(own.device)
    number = own.sum(2)
    rest = (~causal).unsqueeze(1).expand_as(own)
    possible = ((near & rest).sum(2) >= number).cpu().numpy() & labeled
    for selection, names in ((out, DELETIONS[:2]), (control, DELETIONS[2:4])):
        chosen = selected_cells(_selected_cells(model, selection), causal.shape[1]).any(1)
        total = torch.minimum(chosen.sum(1), (~chosen).sum(1))
        before = _predict(model, selection.key_features)
        for _ in range(draws):
            for name, allowed in zip(names, (chosen, ~chosen)):
                cells = draw_cells(allowed, total, generator)
                moved = _predict(model, delete_tokens(selection.key_features, cells))
                add(name, moved, labeled, before)
    for _ in range(draws):
        for name, allowed, counted in (
            (of_others, causal.unsqueeze(1) & ~own, labeled),
            (anywhere, rest, labeled),
            (nearby, rest & near, possible),
        ):
            deleted = draw_cells(allowed, number, generator)
            add(name, _predict_one_by_one(model, features, deleted), counted, predicted)
    moved = _predict_one_by_one(model, features, own)
    add(its_own, moved, labeled, predicted)
    add(its_own_where_possible, moved, possible, predicted)
    pairs = [
        match_cells(cells, free, distances)
        for region, *masks in zip(regions, own.cpu().numpy(), rest.cpu().numpy())
        for cells, free, distances in zip(*masks, region.distances)
    ]
    for name, cells in zip(matched, np.stack(pairs, axis=1)):
        counted = cells.any(1).reshape(labeled.shape) & labeled
        deleted = torch.from_numpy(cells).reshape(own.shape).to(own.device)
        add(name, _predict_one_by_one(model, features, deleted), counted, predicted)


def _predict(model, features: Tensor) -> np.ndarray:
    """(B, K, 2) joints in pixels of the input, from the head's input."""
    return _decode(model, model.head.forward((features,)))


def _predict_one_by_one(model, features: Tensor, deleted: Tensor) -> np.ndarray:
    """(B, K, 2): joint k predicted without the cells ``deleted[:, k]``, (B, K, N) bool."""
    maps = features.repeat_interleave(deleted.shape[1], 0)
    heatmaps = model.head.forward((delete_tokens(maps, deleted.flatten(0, 1)),))
    heatmaps = heatmaps.unflatten(0, deleted.shape[:2])
    return _decode(model, heatmaps.diagonal(dim1=1, dim2=2).permute(0, 3, 1, 2))


def _is_udp(decoder) -> bool:
    return type(decoder).__name__ == 'UDPHeatmap'


def _decode(model, heatmaps: Tensor) -> np.ndarray:
    """(B, K, 2) in pixels of the input, 0 to size - 1; MMPose's UDP decoder gives 0 to size."""
    points = np.concatenate([pose.keypoints for pose in model.head.decode(heatmaps)])
    size = np.array(model.head.decoder.input_size)
    return points * ((size - 1) / size) if _is_udp(model.head.decoder) else points
