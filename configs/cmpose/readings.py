"""The one place where the readings of CM-Pose are chosen that its configs have in common.

What is not named here is as in the paper's letter, the classes' defaults. The switches are in
`README.md`. `cmpose_literal_*` undo the readings; what they undo is named in `literal.py`.
"""

readings = dict(
    neck=dict(position='sine_cosine'),
    fte=dict(
        num_causal=4,
        num_neighbors=5,
        num_clusters=33,
        similarity_weight=0.002,
        restoring='residual',
        num_layers=1,
    ),
)
