"""Selection of the causal tokens: the cells that matter most to each joint.

Shapes: B clips, K joints, N tokens (cells of the key frame), n causal tokens per joint.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def select_exclusive(similarity: Tensor, num_causal: int) -> Tensor:
    """Each joint, in order, takes its best tokens among those not yet taken.

    The paper counts n * K causal and N - n * K other tokens, which is right only if no token is
    taken twice.

    Args:
        similarity: (B, K, N) scores, larger is better; ties go to the lower index.
        num_causal: n; n * K <= N.

    Returns:
        (B, K, n) int64 indices, best first; the n * K indices of a clip all differ.
    """
    num_tokens = int(similarity.shape[2])  # ONNX export traces sizes as tensors
    order = similarity.argsort(dim=2, descending=True, stable=True)
    # Ranks are unique, so topk, whose tie-breaking is undocumented, has no ties to break.
    ranks = order.argsort(dim=2)
    taken = torch.zeros_like(ranks[:, 0])
    selected = []
    for joint_ranks in ranks.unbind(1):
        indices = (joint_ranks + taken).topk(num_causal, dim=1, largest=False).indices
        taken = taken.scatter(1, indices, num_tokens)
        selected.append(indices)
    return torch.stack(selected, dim=1)


def select_union(similarity: Tensor, num_causal: int) -> Tensor:
    """Each joint takes its best tokens; several joints may take the same one.

    Arguments and result are as in `select_exclusive`, but indices may repeat between joints.
    """
    order = similarity.argsort(dim=2, descending=True, stable=True)
    return order[..., :num_causal]


def select_at_random(generator: torch.Generator) -> Callable[[Tensor, int], Tensor]:
    """A selection of random tokens, no token twice, as a control for `select_exclusive`.

    Args:
        generator: source of the random numbers, on the CPU.

    Returns:
        A function with the arguments and the result of `select_exclusive`; of the scores, only
        their shape matters.
    """

    def select(similarity: Tensor, num_causal: int) -> Tensor:
        num_clips, num_joints, num_cells = similarity.shape
        order = torch.rand(num_clips, num_cells, generator=generator).argsort(dim=1)
        cells = order[:, : num_joints * num_causal].to(similarity.device)
        return cells.unflatten(1, (num_joints, num_causal))

    return select


SELECTIONS = {'exclusive': select_exclusive, 'union': select_union}
