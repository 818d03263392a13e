"""The paper's letter: none of the readings that `readings.py` may choose.

Two choices stay: the weights of the merging sum to 1 in each cluster (`normalize_merge=True`;
eq. 11 does not say so), and squared distances are divided by D (not so in eq. 9 and 10).
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
