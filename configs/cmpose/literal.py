"""The paper's letter: without the readings that docs/causal_tokens.md compares.

Choices that stay: the weights of the merging sum to 1 in each cluster (`normalize_merge=True`;
eq. 11 does not say so), squared distances are divided by D (not so in eq. 2, 3, 9 and 10), and no
gradient flows through the targets of the auxiliary tasks (open in eq. 2 and 3).
"""

literal = dict(
    neck=dict(position=None, grid=None, temporal='slot', feed_forward=None, feed_forward_dims=None),
    fte=dict(
        num_clusters=33,
        similarity_weight=0.0,
        straight_through=False,
        restoring='replace',
        num_layers=0,
    ),
)
