"""PoseTrack17 as video clips; see posetrack18_clips.py for everything but the paths.

data/posetrack17/annotations/{train,val}/*.json      annolist JSON (or .mat), one file a video
data/posetrack17/images/<source>/<video>/*.jpg       frames as the labels name them
"""

_base_ = ['./posetrack18_clips.py']

data_root = 'data/posetrack17/'

train_dataloader = dict(dataset=dict(dataset_name='posetrack17', data_root=data_root))
val_dataloader = dict(dataset=dict(dataset_name='posetrack17', data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val')
test_evaluator = val_evaluator
