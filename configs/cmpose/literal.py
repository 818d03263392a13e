"""The paper's letter: none of the readings that `readings.py` may choose."""

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
