"""What the command `cmpose infer` does; its arguments are in `cmpose_cli.infer`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from tqdm import tqdm

from cmpose_cli import parse_command
from cmpose_mm.config_options import parse_options
from cmpose_mm.plots import need_matplotlib, plot_files, write_plots
from cmpose_mm.pose_formats import read_pose_csv
from cmpose_mm.posetrack.file_names import numbers_in_names
from cmpose_mm.posetrack.frames import IMAGE_SUFFIXES
from cmpose_mm.smoothing import smooth_live
from cmpose_mm.version import __version__
from cmpose_mm.visualization import PoseOverlay, explanation_frame
from cmpose_mm.visualization.overlay import overlay_of
from cmpose_mm.weights import weaknesses

from .av_files import is_url, shown_path
from .frame_reader import NewestFrames, source_name
from .journal import Journal, journal_path
from .pose_files import CsvWriter, PoseTrackWriter
from .sources import listed_sources, output_name
from .video_inferencer import FramePoses, VideoPoseInferencer
from .video_io import FrameReader, VideoWriter, open_frames

INTERRUPTED = 128 + signal.SIGINT
WRITTEN_BEHIND = 2
"""Frames whose results may wait to be drawn and written."""
_OF_VIDEO = 'color_by', 'draw_boxes', 'trails', 'trail_joints', 'legend', 'no_names'
_OF_TOKENS = 'person', 'joint'
"""Options that only say how these outputs look."""
EXPECTED = (OSError, ValueError, KeyError, ImportError, NotImplementedError)
"""Errors whose sentence is for the user."""


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
        self.ids: set[int] = set()
        """All that were met."""

    def write(self, result: FramePoses) -> None:
        ids = result.data_sample.pred_instances.track_ids
        if len(ids) and not result.data_sample.metainfo.get('detail_kinds'):
            raise ValueError(
                '--causal-tokens: the model tells nothing of its decisions, expected one of clips '
                'whose method has details, such as CM-Pose'
            )
        if self.person is None and (ids >= 0).any():
            self.person = int(ids[ids >= 0].min())
        self.ids.update(ids[ids >= 0].tolist())
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


@dataclass
class Job:
    """One video and the files that its poses go to, by what they are: video, json, csv, tokens."""

    source: str | int
    outputs: dict[str, str]
    plots: str | None = None
    """Folder for plots of the table in ``outputs['csv']``."""

    def __str__(self) -> str:
        return source_name(self.source) if self.is_camera else shown_path(self.source)

    @property
    def is_camera(self) -> bool:
        return isinstance(self.source, int)

    @property
    def is_file(self) -> bool:
        """Whether it can be read again, from the start: a file, or a folder of images."""
        return not self.is_camera and not is_url(self.source)


@dataclass
class Outcome:
    """What became of the videos."""

    written: list[str] = field(default_factory=list)
    num_done: int = 0
    skipped: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)


def plan(args: argparse.Namespace) -> list[Job]:
    """The videos to compute, and where their poses go.

    Raises:
        ValueError: if an output is also an input, or that of two videos; if an argument of one
            video is given for several; if an option would have no effect; see also
            `listed_sources`.
    """
    sources, seen = [], set()
    for source in listed_sources(args.videos):
        is_path = isinstance(source, str) and not is_url(source)
        key = os.path.realpath(source) if is_path else source
        if key in seen:
            warn(f'{source}: is named twice, and computed once')
        else:
            sources.append(source)
        seen.add(key)
    pictures = [s for s in sources if isinstance(s, str) and s.lower().endswith(IMAGE_SUFFIXES)]
    for folder, count in Counter(map(os.path.dirname, pictures)).items():
        if count > 1:
            warn(
                f'{count} pictures of {folder or "this folder"} are computed apart, each as a '
                'video of one frame; the name of the folder makes them one video'
            )
    if len(sources) > 1:
        sources = _without_overlays(sources, args.out_dir or '')
    files = dict(
        video=args.out_video, json=args.out_json, csv=args.out_csv, tokens=args.causal_tokens
    )
    files = {kind: file for kind, file in files.items() if file}
    several = len(sources) > 1
    if several and files:
        raise ValueError(
            f'{next(iter(files.values()))}: is one file, but there are {len(sources)} videos, '
            'expected --out-dir and --formats'
        )
    if several and args.boxes:
        raise ValueError(
            f'--boxes {args.boxes}: are those of one video, but there are {len(sources)}'
        )
    jobs = [_job(source, files, args, several) for source in sources]
    _check_effects(jobs, args)
    taken: dict[str, object] = {}
    for file in (args.boxes, args.config, args.checkpoint, *(args.detector or ())):
        if file:
            taken[_place(file)] = None
    for job in jobs:
        if job.is_file:
            taken[_place(job.source)] = None
        elif args.resume:
            raise ValueError(
                f'{job}: cannot be resumed, since a stream cannot be read again; expected no '
                '--resume'
            )
    for job in jobs:
        if job.plots and taken.get(_place(job.plots), job) is None:
            raise ValueError(
                f'{job.plots}: is the folder of an input, expected another one for --plots'
            )
        for file in job.outputs.values():
            other = taken.get(_place(file), file)
            if other is None or other is job:
                raise ValueError(
                    f'{file}: is an input or another output, expected a file of its own'
                )
            if isinstance(other, Job):
                raise ValueError(
                    f'{file}: is the output of {other} and of {job}; rename one, or run them apart '
                    'with an --out-dir for each'
                )
            taken[_place(file)] = job
    return jobs


def _place(file: str) -> str:
    """The same for names of one file, also where capitals do not count."""
    return os.path.realpath(file).casefold()


def _job(source: str | int, files: dict[str, str], args: argparse.Namespace, several: bool) -> Job:
    outputs, plots = dict(files), args.plots
    if not files and (args.formats or args.out_dir or not plots):
        suffixes = dict(video='mp4', json='json', csv='csv')
        for kind in args.formats or ('video', 'json'):
            outputs[kind] = _poses_file(source, args.out_dir or '', suffixes[kind])
    if plots:
        name = output_name(source)
        plots = os.path.join(plots, name) if several else plots
        outputs.setdefault('csv', os.path.join(plots, f'{name}.csv'))
    return Job(source, outputs, plots)


def _check_effects(jobs: list[Job], args: argparse.Namespace) -> None:
    """Raises ValueError for an option about what is not written or not used."""
    defaults = parse_command('infer', ['a video'])
    job = jobs[0]  # all have the same kinds of outputs
    for kinds, needed, options in (
        ({'video'}, '--out-video', _OF_VIDEO),
        ({'tokens'}, '--causal-tokens', _OF_TOKENS),
        ({'video', 'plots'}, '--out-video or --plots', ('joint_thr',)),
    ):
        written = {*job.outputs, *(['plots'] if job.plots else [])}
        for name in options:
            if not written & kinds and getattr(args, name) != getattr(defaults, name):
                raise ValueError(
                    f'--{name.replace("_", "-")}: has no effect on '
                    f'{", ".join(job.outputs.values())}, expected {needed}, too'
                )
    if args.score_thr != defaults.score_thr and not _has_detector(args):
        boxes = f'--boxes {args.boxes}, which are all taken' if args.boxes else 'the whole frame'
        raise ValueError(
            f'--score-thr: has no effect on {boxes}, expected --detector or --box-source ssdlite'
        )
    if args.every_frame and all(job.is_file for job in jobs):
        raise ValueError(
            f'--every-frame: has no effect on {job}, of which every frame is computed, expected a '
            'camera or a stream'
        )


def _has_detector(args: argparse.Namespace) -> bool:
    """Whether boxes may come from a detector, whose scores count."""
    if args.boxes or args.box_source == 'whole_frame':
        return False
    own_model = args.config or args.model  # without one SSDLite may be installed
    return bool(args.detector or args.box_source or not own_model)


def _without_overlays(sources: list[str | int], out_dir: str) -> list[str | int]:
    """Those that are not the overlay of another, as in a folder after the first run."""
    jobs = [Job(source, {}) for source in sources]
    overlays = {_place(_poses_file(job.source, out_dir, 'mp4')): job for job in jobs}
    kept = []
    for job in jobs:
        of = overlays.get(_place(job.source)) if job.is_file else None
        if of is None:
            kept.append(job.source)
        else:
            warn(f'{job}: is the output of {of}, and left out')
    return kept


def _poses_file(source: str | int, out_dir: str, suffix: str) -> str:
    return os.path.join(out_dir, f'{output_name(source)}_poses.{suffix}')


def run(args: argparse.Namespace, stop: StopRequest) -> Outcome:
    """Computes and writes the poses of all videos, with one model.

    What is wrong with the only video is raised; with one of several, it is told.
    """
    outcome = Outcome()
    if args.plots:
        need_matplotlib()
    jobs = plan(args)
    inferencer: VideoPoseInferencer | None = None
    for number, job in enumerate(jobs):
        if stop.made:
            tqdm.write(f'{len(jobs) - number} videos were not begun', file=sys.stderr)
            break
        if args.resume and is_complete(job):
            try:
                drawn = draw_missing_plots(job, args)
            except Exception as error:
                failed(job, error, args, outcome, only=len(jobs) == 1)
                continue
            done = f'{job}: is done already ({", ".join(job.outputs.values())}), '
            tqdm.write(done + ('but for its plots' if drawn else 'skipped'), file=sys.stderr)
            outcome.written += drawn
            outcome.num_done += bool(drawn)
            outcome.skipped += [] if drawn else [job]
            continue
        try:
            frames = open_job(job, args)
        except Exception as error:
            failed(job, error, args, outcome, only=len(jobs) == 1)
            continue
        inferencer = inferencer or make_inferencer(args)
        try:
            outcome.written += infer(job, frames, inferencer, args, stop)
        except Exception as error:
            failed(job, error, args, outcome, only=len(jobs) == 1)
        else:
            outcome.num_done += 1
    return outcome


def failed(
    job: Job, error: Exception, args: argparse.Namespace, outcome: Outcome, only: bool
) -> None:
    """Tells what is wrong with one of several videos; raises if it is the only one."""
    if only:
        raise error
    if not isinstance(error, EXPECTED):
        traceback.print_exception(type(error), error, error.__traceback__)
    sentence = error.args[0] if isinstance(error, KeyError) else error
    tqdm.write(f'{args.name}: {job}: failed: {sentence}', file=sys.stderr)
    outcome.failed.append(job)


def open_job(job: Job, args: argparse.Namespace) -> FrameReader:
    """The reader of what is to be computed."""
    frames = open_frames(job.source)
    if frames.is_live and not args.every_frame:
        frames = NewestFrames(frames)
    if args.start is not None or args.end is not None:
        frames = frames.cut(args.start, args.end, args.frame_rate)
    return frames


def is_complete(job: Job) -> bool:
    """Whether all outputs of a video are there, each from a run that came to its end."""
    return all(
        os.path.isfile(file) and not journal_path(file).exists() for file in job.outputs.values()
    )


def make_inferencer(args: argparse.Namespace) -> VideoPoseInferencer:
    """Loads the model, and says what is in use."""
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
        persons=args.persons,
        engine=args.engine,
        download=args.download,
        cfg_options=parse_options(args.cfg_options),
    )
    joints = inferencer.joints
    if args.causal_tokens and args.joint not in joints.joints:
        raise ValueError(f'--joint: found {args.joint}, expected one of {", ".join(joints.joints)}')
    overlay_of(args, joints)  # what is wrong with its options is told before the first frame
    derived = ''.join(f', {joint} derived: {how}' for joint, how in joints.derived)
    name = Path(inferencer.model.cfg.filename).stem
    tqdm.write(f'model: {name}, {joints}{derived}', file=sys.stderr)
    tqdm.write(f'device: {device}', file=sys.stderr)
    tqdm.write(f'boxes: {args.boxes or inferencer.box_source}', file=sys.stderr)
    if args.config is None and args.model is None:
        tqdm.write(weaknesses(), file=sys.stderr)
    return inferencer


def open_journal(
    job: Job, inferencer: VideoPoseInferencer, args: argparse.Namespace
) -> Journal | None:
    """The journal of all files that a job writes; None if it can not be resumed.

    Not in its settings is what changes no pose (which files are written, smoothing, which is done
    anew) or only its last digits (device, engine and batch size).
    """
    pipes = [f for f in job.outputs.values() if os.path.exists(f) and not os.path.isfile(f)]
    files = [file for file in job.outputs.values() if file not in pipes]
    if not job.is_file or not files:
        return None
    names = (
        'config', 'model', 'checkpoint', 'boxes', 'detector', 'box_source', 'score_thr',
        'detect_every', 'causal', 'half', 'joints', 'cfg_options',
    )  # fmt: skip
    settings = {name: getattr(args, name) for name in names}
    settings['crops'] = inferencer.crops
    for name in ('start', 'end', 'persons'):
        settings[name] = getattr(args, name) and getattr(args, name).text
    # of a folder of images, the cut by seconds depends on it
    settings['frame_rate'] = args.frame_rate if args.start or args.end else None
    settings['version'] = __version__
    settings['source of boxes'] = str(args.boxes or inferencer.box_source)
    inputs = dict(
        video=job.source, boxes=args.boxes, checkpoint=args.checkpoint, config=args.config
    )
    inputs.update(zip(("detector's config", "detector's checkpoint"), args.detector or ()))
    for name, file in inputs.items():
        settings[f'file of {name}'] = file and fingerprint(file)
    path, *others = map(journal_path, files)
    try:
        journal = Journal(path, settings, args.resume, others)
    except OSError as error:  # the hidden file is none that the user named
        raise OSError(f'{", ".join(files)}: can not be written ({error.strerror})') from error
    if journal.num_stored:
        tqdm.write(f'{job}: goes on after {journal.num_stored} frames', file=sys.stderr)
    return journal


def fingerprint(path: str) -> str | None:
    """Tells whether a file, or a folder of images, is still the same; None for no path."""
    if os.path.isdir(path):
        # not the other files: outputs and their journals may lie there, too
        images = sorted(
            (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
            for entry in os.scandir(path)
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file()
        )
        digest = hashlib.sha256(repr(images).encode()).hexdigest()
        return f'{len(images)} images of {digest[:16]}'
    if not os.path.exists(path):
        return None
    stat = os.stat(path)
    return f'{stat.st_size} bytes of {stat.st_mtime_ns}'


def infer(
    job: Job,
    frames: FrameReader,
    inferencer: VideoPoseInferencer,
    args: argparse.Namespace,
    stop: StopRequest,
) -> list[str]:
    """Computes and writes the poses of one video; returns the files and folders."""
    joints, outputs = inferencer.joints, job.outputs
    journal = open_journal(job, inferencer, args)
    is_image = job.is_file and job.source.lower().endswith(IMAGE_SUFFIXES)
    is_video = job.is_file and os.path.isfile(job.source) and not is_image
    audio_from = job.source if is_video else None
    is_part = args.start is not None or args.end is not None

    if job.is_file:
        tell_gaps(job, frames)
    written = list(outputs.values())
    num_frames = num_persons = num_peopled = num_timed = 0
    track_ids: set[int] = set()
    opened: list[str] = []
    try:
        # details are not stored: the journal then only says that the files are not complete
        stored = None if args.causal_tokens else journal
        results = poses = inferencer(frames, args.boxes, journal=stored)
        frame_rate = args.frame_rate or frames.frame_rate or 25
        if args.smooth:
            results = smooth_live(poses, frame_rate)
        with ExitStack() as files:
            writers = []

            def enter(file: str, writer):
                opened.append(file)
                return files.enter_context(writer)

            if 'video' in outputs:
                video = VideoWriter(
                    outputs['video'], frame_rate, audio_from, is_part, frames.pixel_aspect
                )
                writer, overlay = enter(outputs['video'], video), overlay_of(args, joints)
                writers.append(Overlay(writer, args.joint_thr, overlay, frame_rate))
            if 'json' in outputs:
                predictions = PoseTrackWriter(outputs['json'], frames.name, joints)
                writers.append(enter(outputs['json'], predictions))
            if 'csv' in outputs:
                writers.append(enter(outputs['csv'], CsvWriter(outputs['csv'], joints)))
            if 'tokens' in outputs:
                video = VideoWriter(outputs['tokens'], frame_rate, None, is_part)
                tokens = enter(outputs['tokens'], video)
                tokens = CausalTokens(tokens, args.person, args.joint)
                writers.append(tokens)

            def write(result: FramePoses) -> None:
                nonlocal num_frames, num_persons, num_peopled, num_timed
                frame = result.frame
                num_timed += frame.time is not None
                if frame.time is None and args.frame_rate:
                    frame = replace(frame, time=frame.number / args.frame_rate)
                    result = replace(result, frame=frame)
                for writer in writers:
                    writer.write(result)
                ids = result.data_sample.pred_instances.track_ids
                num_frames += 1
                num_persons += len(ids)
                num_peopled += len(ids) > 0
                track_ids.update(ids[ids >= 0].tolist())

            # Drawing and writing take place beside the computation, and end before the files do.
            thread = files.enter_context(ThreadPoolExecutor(1, thread_name_prefix='writing'))
            files.enter_context(closing(poses))
            files.enter_context(closing(results))
            jobs: deque[Future] = deque()
            for result in tqdm(results, frames.name, frames.num_frames, unit=' frames'):
                jobs.append(thread.submit(write, result))
                if len(jobs) > WRITTEN_BEHIND:
                    jobs.popleft().result()
                if stop.made:
                    break
            for written_frame in jobs:
                written_frame.result()
    except BaseException as error:
        # no file looks like a result: of no frame, or of boxes of which none fits
        if not num_frames or (isinstance(error, ValueError) and not num_persons):
            for file in filter(os.path.isfile, opened):  # no pipe
                Path(file).unlink()
            if journal is not None and not journal.num_stored:
                journal.remove()
        raise
    finally:
        if journal is not None:
            journal.close()
    if journal is not None and not stop.made:
        journal.remove()  # whatever becomes of the plots, which can be drawn from the table
    if isinstance(frames, NewestFrames) and frames.num_dropped:
        warn(
            f'{job}: {frames.num_dropped} of {frames.num_read} frames were dropped, because they '
            'came while another was computed (--every-frame computes all)'
        )
    if args.frame_rate and num_frames and num_timed == num_frames:
        warn(f'{job}: --frame-rate has no effect, since its frames have times')
    if not num_persons:
        warn(f'{frames.name}: nobody was found in {num_frames} frames')
    else:
        tqdm.write(
            f'poses: {num_persons} in {num_peopled} of {num_frames} frames, with '
            f'{len(track_ids)} track ids',
            file=sys.stderr,
        )
        if job.plots:
            written += draw_plots(job, args.joint_thr, frame_rate)
    if stored is not None and stop.made:
        tqdm.write(f'{job}: stopped; the same command with --resume goes on', file=sys.stderr)
    if 'tokens' in outputs and not stop.made and args.person not in (None, *tokens.ids):
        if os.path.isfile(outputs['tokens']):
            Path(outputs['tokens']).unlink()
        found = ', '.join(map(str, sorted(tokens.ids))) or 'none'
        raise ValueError(
            f'--person: nobody has the track id {args.person}, found {found}; '
            f'{outputs["tokens"]} is not written'
        )
    return written


def tell_gaps(job: Job, frames: FrameReader) -> None:
    """Warns where numbers are missing between the images of a folder."""
    names = [os.path.basename(path) for path in frames.paths or ()]
    numbers = numbers_in_names(names)
    steps = np.diff(numbers if numbers is not None else [])
    wide = np.flatnonzero(steps > steps.min()) if len(steps) else []
    if len(wide) and steps.min() > 0:
        first = wide[0]
        warn(
            f'{job}: numbers are missing at {len(wide)} places, the first between {names[first]} '
            f'and {names[first + 1]}; such images count as neighbors, and the frames of the '
            f'outputs are numbered 0 to {len(names) - 1}'
        )


def draw_plots(job: Job, joint_thr: float, frame_rate: float) -> list[str]:
    """Plots the table that was written; returns the folder if there is something in it."""
    video = read_pose_csv(job.outputs['csv'])
    if (video.track_ids < 0).all():
        warn(f'{job.plots}: no plots, since nobody has a track id')
        return []
    times = video.times[np.isfinite(video.times)]
    falls = bool((np.diff(times) < 0).any())
    if falls:
        warn(f'{job}: its times go back, so the plots go by {frame_rate:g} frames a second')
    rate = None if len(times) > 1 and not falls else frame_rate
    progress = partial(tqdm, delay=1, leave=False, desc='plotting', unit=' persons')
    done = write_plots(video, job.plots, joint_thr=joint_thr, frame_rate=rate, progress=progress)
    tqdm.write(f'plots: {done}', file=sys.stderr)
    return [job.plots]


def draw_missing_plots(job: Job, args: argparse.Namespace) -> list[str]:
    """Plots a complete table whose plots are asked for and lack, or are older; see `draw_plots`."""
    if job.plots is None:
        return []
    table = job.outputs['csv']
    video = read_pose_csv(table)
    figures, angles = plot_files(video, job.plots, set(video.track_ids[video.track_ids >= 0]))
    files = [] if not figures else figures if angles is None else [*figures, angles]
    made = os.stat(table).st_mtime_ns
    if all(file.is_file() and file.stat().st_mtime_ns >= made for file in files):
        return []
    frame_rate = args.frame_rate or open_frames(job.source).frame_rate or 25
    return draw_plots(job, args.joint_thr, frame_rate)


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
    warnings.filterwarnings('ignore', r'`torch\.cuda\.amp', FutureWarning)  # in MMPose's backbones
    try:
        outcome = run(args, stop)
    except KeyboardInterrupt:
        return INTERRUPTED
    except EXPECTED as error:
        print(f'{args.name}: {error.args[0] if isinstance(error, KeyError) else error}',
              file=sys.stderr)  # fmt: skip
        return 1
    if outcome.written:
        print('Written: ' + ', '.join(str(Path(file)) for file in outcome.written))
    skipped, failures = len(outcome.skipped), outcome.failed
    if outcome.num_done + skipped + len(failures) > 1:
        told = [f'{outcome.num_done} done', f'{skipped} skipped' if skipped else '']
        if failures:
            told.append(f'{len(failures)} failed: {", ".join(map(str, failures))}')
        print('Videos: ' + ', '.join(filter(None, told)))
    if stop.made:
        return INTERRUPTED
    return 1 if failures else 0
