"""What the command `cmpose infer` does; its arguments are in `cmpose_cli.infer`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from tqdm import tqdm

from cmpose_mm.config_options import parse_options
from cmpose_mm.plots import need_matplotlib, write_plots
from cmpose_mm.pose_formats import read_pose_csv
from cmpose_mm.smoothing import smooth_live
from cmpose_mm.visualization import PoseOverlay, explanation_frame
from cmpose_mm.visualization.overlay import overlay_of
from cmpose_mm.weights import weaknesses

from .pose_files import CsvWriter, PoseTrackWriter
from .video_inferencer import FramePoses, VideoPoseInferencer
from .video_io import VideoWriter, open_frames

INTERRUPTED = 128 + signal.SIGINT


class Overlay:
    """Writes the frames with their poses."""

    def __init__(
        self, writer: VideoWriter, joint_thr: float, overlay: PoseOverlay, frame_rate: float
    ) -> None:
        self.writer, self.joint_thr, self.overlay = writer, joint_thr, overlay
        self.frame_rate = frame_rate

    def write(self, result: FramePoses) -> None:
        pred, frame = result.data_sample.pred_instances, result.frame
        image = self.overlay.draw(
            frame.image,
            pred.keypoints,
            pred.keypoint_scores >= self.joint_thr,
            pred.track_ids,
            pred.bbox_scores,
            pred.bboxes,
            frame.number / self.frame_rate if frame.time is None else frame.time,
        )
        self.writer.write(image, frame.time)


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
    name = frames.name.replace(' ', '_')
    if args.plots:
        need_matplotlib()
        args.out_csv = args.out_csv or os.path.join(args.plots, f'{name}.csv')
    if not any((args.out_video, args.out_json, args.out_csv, args.causal_tokens)):
        args.out_video, args.out_json = f'{name}_poses.mp4', f'{name}_poses.json'
    written = output_files(args)
    detector = args.box_source
    if args.detector:
        config, checkpoint = args.detector
        detector = (config, checkpoint or None)
    device = args.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    inferencer = VideoPoseInferencer(
        args.config or args.model,
        args.checkpoint,
        detector=detector,
        device=device,
        causal=args.causal,
        crops=args.crops,
        batch_size=args.batch_size,
        detect_every=args.detect_every,
        half=args.half,
        details=args.causal_tokens is not None,
        joints=args.joints,
        score_thr=args.score_thr,
        download=args.download,
        cfg_options=parse_options(args.cfg_options),
    )
    joints = inferencer.joints
    if args.causal_tokens and args.joint not in joints.joints:
        raise ValueError(f'--joint: found {args.joint}, expected one of {", ".join(joints.joints)}')
    overlay = overlay_of(args, joints)
    derived = ''.join(f', {joint} derived: {how}' for joint, how in joints.derived)
    name = Path(inferencer.model.cfg.filename).stem
    tqdm.write(f'model: {name}, {joints}{derived}', file=sys.stderr)
    tqdm.write(f'device: {device}', file=sys.stderr)
    tqdm.write(f'boxes: {args.boxes or inferencer.box_source}', file=sys.stderr)
    if args.config is None and args.model is None:
        tqdm.write(weaknesses(), file=sys.stderr)
    results = inferencer(frames, args.boxes)
    frame_rate = args.frame_rate or frames.frame_rate or 25
    if args.smooth:
        results = smooth_live(results, frame_rate)
    audio_from = args.video if os.path.isfile(args.video) and not frames.paths else None

    num_frames = num_persons = 0
    opened: list[str] = []
    try:
        with ExitStack() as files:
            writers = []

            def enter(file: str, writer):
                opened.append(file)
                return files.enter_context(writer)

            if args.out_video:
                video = VideoWriter(args.out_video, frame_rate, audio_from)
                writer = enter(args.out_video, video)
                writers.append(Overlay(writer, args.joint_thr, overlay, frame_rate))
            if args.out_json:
                poses = PoseTrackWriter(args.out_json, frames.name, joints)
                writers.append(enter(args.out_json, poses))
            if args.out_csv:
                writers.append(enter(args.out_csv, CsvWriter(args.out_csv, joints)))
            if args.causal_tokens:
                video = VideoWriter(args.causal_tokens, frame_rate)
                tokens = enter(args.causal_tokens, video)
                writers.append(CausalTokens(tokens, args.person, args.joint))
            for result in tqdm(results, total=frames.num_frames, unit=' frames'):
                for writer in writers:
                    writer.write(result)
                num_frames += 1
                num_persons += len(result.data_sample.pred_instances.track_ids)
                if stop.made:
                    break
    except ValueError:
        if not num_persons:  # such as boxes of which none fits: no file looks like a result
            for file in opened:
                Path(file).unlink(missing_ok=True)
        raise
    if not num_persons:
        warn(f'{frames.name}: nobody was found in {num_frames} frames')
    elif args.plots:
        written += draw_plots(args, frame_rate)
    return written


def draw_plots(args: argparse.Namespace, frame_rate: float) -> list[str]:
    """Plots the table that was written; returns the folder if there is something in it."""
    video = read_pose_csv(args.out_csv)
    if (video.track_ids < 0).all():
        warn(f'{args.plots}: no plots, since nobody has a track id')
        return []
    rate = None if np.isfinite(video.times).sum() > 1 else frame_rate
    progress = partial(tqdm, delay=1, leave=False, desc='plotting', unit=' persons')
    done = write_plots(
        video, args.plots, joint_thr=args.joint_thr, frame_rate=rate, progress=progress
    )
    tqdm.write(f'plots: {done}', file=sys.stderr)
    return [args.plots]


def warn(message: Warning | str, *_) -> None:
    """Prints a line beside the progress bar; in place of `warnings.showwarning`."""
    tqdm.write(f'warning: {message}', file=sys.stderr)


class WarnHandler(logging.Handler):
    """Prints what is logged in the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def main(args: argparse.Namespace) -> int:
    """Runs the command `cmpose infer`.

    Args:
        args: as `cmpose_cli.infer` parses them.

    Returns:
        The exit status: 0; 1 after a sentence about what is wrong; `INTERRUPTED`.
    """
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
        print(f'{args.name}: {error.args[0] if isinstance(error, KeyError) else error}',
              file=sys.stderr)  # fmt: skip
        return 1
    print('Written: ' + ', '.join(str(Path(file)) for file in written))
    return INTERRUPTED if stop.made else 0
