"""PoseTrack21 as video clips; see posetrack18_clips.py for everything but the paths.

data/posetrack21/posetrack_data/{train,val}/*.json   official labels, one file a video
data/posetrack21/images/{train,val}/<video>/*.jpg    the frames of PoseTrack18
"""

_base_ = ['./posetrack18_clips.py']

data_root = 'data/posetrack21/'

train_dataloader = dict(
    dataset=dict(dataset_name='posetrack21', data_root=data_root, ann_file='posetrack_data/train')
)
val_dataloader = dict(
    dataset=dict(dataset_name='posetrack21', data_root=data_root, ann_file='posetrack_data/val')
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'posetrack_data/val')
test_evaluator = val_evaluator
