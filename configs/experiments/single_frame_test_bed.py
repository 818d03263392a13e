"""The demo's single-frame model on the test bed (`docs/synthetic.md`).

Scores one split, `occluded`, with recall by visibility. Another:

    --cfg-options test_dataloader.dataset.ann_file=annotations/crowded
"""

_base_ = ['../single_frame_demo.py']

data_root = 'data/test_bed/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/occluded'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None, visibility=True)  # labels: those of the dataset
test_evaluator = val_evaluator
