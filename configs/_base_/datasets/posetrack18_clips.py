"""PoseTrack18 as video clips: paths, augmentation of the paper, PoseTrack mAP.

Expected on disk (`tools/check_posetrack.py data/posetrack18` lists what is missing):

    data/posetrack18/annotations/{train,val}/*.json      official labels, one file a video
    data/posetrack18/images/{train,val}/<video>/*.jpg    official frames

`model.method.num_frames` decides the length of the clips.

A merged file (`annotations/posetrack18_train.json`, as in MMPose's documentation) works as well.

Validation uses ground-truth boxes, so that it runs with the official data alone. Published numbers
use detected boxes; if you have a detection file:

    --cfg-options test_dataloader.dataset.bbox_file=\\
        annotations/posetrack18_val_human_detections.json
"""

data_mode = 'topdown'  # MMPose's inferencers read it, and dataset_type
dataset_type = 'PoseTrackVideoDataset'
data_root = 'data/posetrack18/'

codec = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)

# With the sampler's order, room for as many clips as it reads at once keeps every frame until its
# last clip: for 3 frames of 1280x720 pixels 354 MB in each data worker, of 1920x1080 796 MB.
train_pipeline = [
    dict(type='LoadClip', cache_clips=32),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='ClipRandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.65, 1.35),
        scale_prob=1.0,
        rotate_factor=45,
        rotate_prob=1.0,
    ),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='LoadClip', cache_clips=1),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackClipInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='GroupedFrameSampler'),
    collate_fn=dict(type='collate_clips'),
    dataset=dict(
        type=dataset_type,
        dataset_name='posetrack18',
        data_root=data_root,
        ann_file='annotations/train',
        data_prefix=dict(img=''),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        dataset_name='posetrack18',
        data_root=data_root,
        ann_file='annotations/val',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='PoseTrackMetric', ann_file=data_root + 'annotations/val', prefix='posetrack'
)
test_evaluator = val_evaluator
