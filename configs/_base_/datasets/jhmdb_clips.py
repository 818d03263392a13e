"""JHMDB as video clips, one labeled person each; see posetrack18_clips.py for what is not here.

data/jhmdb/annotations/{train,test}/*.json     PoseTrack's form, as tools/convert_jhmdb.py writes it
data/jhmdb/images/{train,test}/<clip>/*.jpg    frames, as tools/extract_frames.py writes them

A converted release has other paths, which tools/convert_jhmdb.py prints. See docs/real_footage.md.

Boxes are the labeled ones: other people in the picture have no labels. PCK comes first, AP beside
it (on clips that cut the body, joints outside of the picture count as false positives).
"""

_base_ = ['./posetrack18_clips.py']

data_root = 'data/jhmdb/'

# About a quarter of the frames repeat the one before, so the neighbors are two frames away.
train_dataloader = dict(dataset=dict(data_root=data_root, stride=2))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='annotations/test', stride=2))
test_dataloader = val_dataloader

# Labels: those of the dataset, so that `ann_file` is to be changed in one place.
val_evaluator = [
    dict(type='PoseTrackPCK', norms=['box', 'torso'], prefix='posetrack'),
    dict(type='PoseTrackMetric', prefix='posetrack'),
]
test_evaluator = val_evaluator
