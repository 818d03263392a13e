"""The demo's CM-Pose on the test bed, from the model of `single_frame_test_bed.py`.

Scores one split, `occluded`, with recall by visibility. Another:

    --cfg-options test_dataloader.dataset.ann_file=annotations/crowded
"""

_base_ = ['../cmpose_demo.py']

model = dict(method=dict(aux=dict(loss_weight=0.1)))  # docs/evidence.md, lambda
data_root = 'data/test_bed/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/occluded'))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None, visibility=True)  # labels: those of the dataset
test_evaluator = val_evaluator

load_from = 'work_dirs/single_frame_test_bed/epoch_5.pth'
