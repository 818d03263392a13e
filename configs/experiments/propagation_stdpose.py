"""STDPose for the 26.7 % experiment, at a size for two CPU cores; see propagation.py.

It starts from the single-frame model of the same labels, whose backbone is frozen, and whose head
is the frozen frame head; the final head, a copy of it, learns.
"""

_base_ = ['./propagation_warp.py']

model = dict(
    method=dict(
        _delete_=True,
        type='STDPose',
        in_channels=192,
        num_frames=3,
        heatmap_scale=2,
        grid=(16, 12),
        dam_channels=64,
        dam_normalize=True,
        labels=_base_.codec,
    ),
    head=dict(_delete_=True, **_base_.model.frame_head),
)

# The labels of both sides, in pixels of the crop.
changes = dict(TopdownAffine=dict(type='ClipTopdownAffine'))
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
del changes
dataset = dict(label_every=4, random_neighbors=False, stride=1)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
del dataset
