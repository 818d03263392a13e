"""CM-Pose's fine token enhancement (eq. 8-12).

Shapes: B clips, K joints, N tokens (cells of the key frame), D token width, n causal tokens per
joint, L clusters, h x w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    SELECTIONS,
    TransformerLayer,
    check_counts,
    check_flags,
    check_heads,
    check_not_negative,
    cluster_tokens,
    gather_tokens,
    keypoint_similarity,
    merge_tokens,
    put_tokens,
    restore_tokens,
)

RESTORING = ('replace', 'residual')


@dataclass
class FTEOutput:
    """Enhanced tokens and the decisions behind them.

    Attributes:
        tokens: (B, N, D) tokens for the head.
        causal_tokens: (B, K, n) int64 cells that each joint selected, best first.
        cluster_ids: (B, N) int64 cluster of each non-causal cell, -1 at causal cells (and
            everywhere if nothing is clustered).
        similarity: (B, K, N) float32, S of eq. 8; it sums to one over the cells.
        log_similarity: (B, K, N) float32, its logarithm, through which gradients flow.
    """

    tokens: Tensor
    causal_tokens: Tensor
    cluster_ids: Tensor
    similarity: Tensor
    log_similarity: Tensor


class CausalTokenFTE(nn.Module):
    """Keeps the tokens that matter to the joints and merges similar tokens among the others.

    ::

        keypoint tokens (B,K,D)        fused tokens (B,N,D)
                 \\                      /          |
           S = softmax(Q K^T / sqrt D) (B,K,N)      |
              |                    |                |
        top n a joint        importance s           |
              |                    |                |
        causal cells --.           |     non-causal cells
                       |           |                |
                       |           |     density-peak clusters, no gradient
                       |           |                |
                       |           '---- weighted sum of each cluster (B,L,D)
                       |                            |
            own cells keep their token    cells get their cluster's token
                       '----------- (B,N,D) --------'

    With ``num_layers``, a transformer among causal and merged tokens stands before the last step.

    Selection and clustering are not differentiable: Q and K learn only through the weights s of the
    merging. Everything from S to the merged tokens is computed in float32, even under autocast.
    Chosen, since the paper leaves it open: single-head learned projections without a bias in K (it
    would cancel in the softmax), n, k and L, exclusive selection, the importance s of a cell as the
    sum of S over the joints, normalized merging weights, and restoring the merged tokens to the
    grid for a convolutional head, where eq. 12 concatenates. Chosen against the printed
    eq. 9 and 10: squared distances are divided by D, see `pairwise_squared_distances`.

    All parameters receive gradients, except with ``causal_only``: no differentiable path then leads
    to Q and K unless there is ``similarity_weight`` or ``straight_through``, so they stay frozen at
    their initial values.

    Args:
        embed_dims: D.
        num_keypoints: K.
        num_causal: n; None scales with the grid: round(N / 48), at least 1; 4 for 16 x 12 cells.
        num_neighbors: k of the density estimate.
        num_clusters: L; None for a quarter of the N - n * K cells: 33 for 16 x 12 cells.
        selection: ``'exclusive'``: joints choose in order, and no cell is chosen twice.
            ``'union'``: each joint takes its n best cells; a cell can be chosen by several joints.
        normalize_merge: scale the merging weights to sum to one in each cluster; False is the
            literal sum of eq. 11.
        causal_only: ablation: sets non-causal cells to zero instead of merging them.
        similarity_weight: weight of ``loss_similarity``, the `similarity_loss` that tells each
            keypoint token where its joint is (*chosen*, the paper has no such loss); 0 for none.
        straight_through: multiplies each causal token by S / S, with a gradient through the
            numerator alone (*chosen*): values stay, but Q and K learn which cells help the joint
            that chose them. It matters only in training. With ``selection='union'``, a cell that
            several joints chose has a factor for each.
        restoring: what a non-causal cell gets (eq. 12 says "aggregate"). ``'replace'``: the merged
            token of its cluster, as the clustering paper restores a grid. ``'residual'``
            (*chosen*): its own token plus the merged one, times a gain for each channel that starts
            at zero, so that before training all cells keep their tokens. Without effect with
            ``causal_only``.
        num_layers: layers of a transformer among causal and merged tokens before restoring
            (*chosen*, a reading of "aggregate"), see `TransformerLayer`; they start as the
            identity. A cell that several joints chose (``'union'``) is there for each of them.
        num_heads: of these layers; divides D.

    Raises:
        ValueError: if an argument is outside these ranges.
    """

    def __init__(
        self,
        embed_dims: int,
        num_keypoints: int = 15,
        num_causal: int | None = None,
        num_neighbors: int = 5,
        num_clusters: int | None = None,
        selection: str = 'exclusive',
        normalize_merge: bool = True,
        causal_only: bool = False,
        similarity_weight: float = 0.0,
        straight_through: bool = False,
        restoring: str = 'replace',
        num_layers: int = 0,
        num_heads: int = 8,
    ):
        super().__init__()
        if selection not in [*SELECTIONS]:
            raise ValueError(
                f'CausalTokenFTE: selection is {selection!r}, expected one of {sorted(SELECTIONS)}'
            )
        sizes = {'fte.embed_dims': embed_dims, 'fte.num_keypoints': num_keypoints}
        check_counts('CausalTokenFTE', **sizes)
        flags = dict(
            normalize_merge=normalize_merge,
            causal_only=causal_only,
            straight_through=straight_through,
        )
        check_flags('CausalTokenFTE', **{f'fte.{name}': value for name, value in flags.items()})
        counts = {
            'fte.num_causal': num_causal,
            'fte.num_neighbors': num_neighbors,
            'fte.num_clusters': num_clusters,
        }
        given = {name: value for name, value in counts.items() if value is not None}
        check_counts('CausalTokenFTE', **given)
        if restoring not in [*RESTORING]:
            raise ValueError(
                f'CausalTokenFTE: restoring is {restoring!r}, expected one of {[*RESTORING]}'
            )
        check_not_negative('CausalTokenFTE', **{'fte.similarity_weight': similarity_weight})
        check_counts('CausalTokenFTE', 0, **{'fte.num_layers': num_layers})
        if num_layers:
            check_heads('CausalTokenFTE', num_heads, embed_dims, 'fte.num_heads')
        self.num_keypoints = num_keypoints
        self.num_causal = num_causal
        self.num_neighbors = num_neighbors
        self.num_clusters = num_clusters
        self.select = SELECTIONS[selection]
        self.normalize_merge = normalize_merge
        self.causal_only = causal_only
        self.similarity_weight = similarity_weight
        self.straight_through = straight_through
        self.restoring = restoring
        self.layers = nn.ModuleList(
            TransformerLayer(embed_dims, num_heads) for _ in range(num_layers)
        )
        if restoring == 'residual' and not causal_only:
            self.gain = nn.Parameter(torch.zeros(embed_dims))
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key = nn.Linear(embed_dims, embed_dims, bias=False)
        nn.init.xavier_uniform_(self.query.weight)
        nn.init.zeros_(self.query.bias)
        nn.init.xavier_uniform_(self.key.weight)
        self.similarity_learns = bool(not causal_only or similarity_weight or straight_through)
        # a schedule may begin at 0, and other processes wait for gradients of all that learns
        self.learns_by_loss_alone = bool(causal_only and similarity_weight and not straight_through)
        if not self.similarity_learns:
            self.query.requires_grad_(False)
            self.key.requires_grad_(False)

    def forward(self, tokens: Tensor, keypoint_tokens: Tensor) -> FTEOutput:
        """Enhances the fused tokens of B clips.

        Args:
            tokens: (B, N, D) fused tokens of the key frame, cell (y, x) at y * w + x.
            keypoint_tokens: (B, K, D) of the key frame.

        Raises:
            ValueError: if the grid is too small for the number of causal tokens, clusters or
                neighbors.
        """
        num_causal, num_clusters = self.sizes(tokens.shape[1])
        with torch.autocast(tokens.device.type, enabled=False):
            log_similarity = self.log_similarity(tokens, keypoint_tokens)
            similarity = log_similarity.detach().exp()
            # by its logarithm, which stays apart where S is too small for float32
            causal_tokens = self.select(log_similarity.detach(), num_causal)
            causal = torch.zeros_like(similarity[:, 0], dtype=torch.bool)
            # 1, not True: ONNX export does not support boolean scalars.
            causal = causal.scatter(1, causal_tokens.flatten(1), 1)
            if self.straight_through and self.training:
                tokens = tokens * self.gate(log_similarity, causal_tokens).to(tokens.dtype)
            if self.causal_only:
                cluster_ids, merged = torch.full_like(causal, -1, dtype=torch.int64), None
            else:
                cluster_ids = cluster_tokens(tokens, ~causal, num_clusters, self.num_neighbors)
                log_importance = log_similarity.logsumexp(dim=1)
                merged = merge_tokens(
                    tokens, cluster_ids, log_importance, num_clusters, self.normalize_merge
                )
        if self.layers:
            tokens, merged = self.aggregate(tokens, causal_tokens, merged)
        if merged is None:
            enhanced = tokens.masked_fill(~causal.unsqueeze(2), 0)
        elif self.restoring == 'residual':
            merged = restore_tokens(torch.zeros_like(tokens), merged, cluster_ids)
            enhanced = tokens + self.gain.to(tokens.dtype) * merged
        else:
            enhanced = restore_tokens(tokens, merged, cluster_ids)
        return FTEOutput(enhanced, causal_tokens, cluster_ids, similarity, log_similarity)

    @property
    def reading(self) -> dict[str, str]:
        """Switches that differ from the paper's letter and change what the module computes."""
        found = {}
        if self.restoring != 'replace':
            found['restoring'] = self.restoring
        if self.layers:
            found['num_layers'] = str(len(self.layers))
            if self.layers[0].num_heads != 8:
                found['num_heads'] = str(self.layers[0].num_heads)
        return found

    def gate(self, log_similarity: Tensor, causal_tokens: Tensor) -> Tensor:
        """Ones through which gradients flow into S at the causal tokens, (B, N, 1).

        S / S, the denominator a constant, has the gradient of log S: relative to S, whose values
        are some 1 / N, as in the normalized weights of the merging.
        """
        chosen = torch.zeros_like(log_similarity).scatter(2, causal_tokens, 1)
        log_gate = (chosen * log_similarity).sum(1)
        return (log_gate - log_gate.detach()).exp().unsqueeze(2)

    def aggregate(
        self, tokens: Tensor, causal_tokens: Tensor, merged: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Transformer layers among causal and merged tokens.

        Args:
            tokens: (B, N, D).
            causal_tokens: (B, K, n).
            merged: (B, L, D); None if there are none.

        Returns:
            ``tokens``, with the causal ones refined, and the refined merged ones.
        """
        cells = causal_tokens.flatten(1)
        x = gather_tokens(tokens.unsqueeze(1), cells)
        if merged is not None:
            x = torch.cat([x, merged.to(x.dtype)], dim=1)
        for layer in self.layers:
            x = layer(x)
        causal, others = x[:, : cells.shape[1]], x[:, cells.shape[1] :]
        return put_tokens(tokens, causal, cells), None if merged is None else others

    def log_similarity(self, tokens: Tensor, keypoint_tokens: Tensor) -> Tensor:
        """Log of S in eq. 8, (B, K, N) float32; arguments as in `forward`."""
        return keypoint_similarity(tokens, keypoint_tokens, self.query, self.key)

    def sizes(self, num_tokens: int) -> tuple[int, int]:
        """n and L for a grid of N cells, checked against it."""
        num_causal = self.num_causal or max(1, round(num_tokens / 48))
        num_other = num_tokens - num_causal * self.num_keypoints
        if num_other < 0:
            raise ValueError(
                f'CausalTokenFTE: {num_causal} causal tokens for each of {self.num_keypoints} '
                f'joints are more than the {num_tokens} cells of the feature map; expected fewer '
                'as model.method.fte.num_causal (None follows the grid), or a larger input'
            )
        if not self.causal_only and num_other < 2:
            raise ValueError(
                f'CausalTokenFTE: {num_causal} causal tokens for each of {self.num_keypoints} '
                f'joints leave {num_other} of the {num_tokens} cells of the feature map to merge, '
                'expected at least 2, from a larger input or fewer as model.method.fte.num_causal'
            )
        num_clusters = self.num_clusters or max(1, num_other // 4)
        if not self.causal_only and num_clusters > num_other:
            raise ValueError(
                f'CausalTokenFTE: num_clusters is {num_clusters}, expected at most the '
                f'{num_other} non-causal cells of the {num_tokens}; model.method.fte.num_clusters='
                'None follows the grid'
            )
        if not self.causal_only and self.num_neighbors >= num_other:
            raise ValueError(
                f'CausalTokenFTE: num_neighbors is {self.num_neighbors}, expected less than the '
                f'{num_other} non-causal cells of the {num_tokens} as '
                'model.method.fte.num_neighbors'
            )
        return num_causal, num_clusters
