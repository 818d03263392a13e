"""What the command `cmpose draw` does; its arguments are in `cmpose_cli.draw`."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmpose_mm.joint_sets import DEFAULT_SIGMA, POSETRACK, JointSet, side_color
from cmpose_mm.pose_formats import PoseVideo, read_poses
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.visualization.overlay import overlay_of

from .known_joints import known_joint_set
from .video_io import FrameReader, VideoWriter, open_frames


def drawn_joints(video: PoseVideo) -> JointSet:
    """How to draw the joints of a file.

    They have the limbs and colors of their data set, see `known_joint_set`. If it is not known, or
    the file names none but has limbs, it is the file's limbs, or else those of PoseTrack that it
    has the ends of; sides then have PoseTrack's colors.
    """
    known = known_joint_set(video.joints, video.joint_set)
    if known is not None and (known is POSETRACK or video.joint_set or not video.limbs):
        return known
    limbs = video.limbs or tuple(limb for limb in POSETRACK.limbs if set(limb) <= set(video.joints))
    return JointSet(
        video.joint_set or video.name,
        tuple(video.joints),
        (DEFAULT_SIGMA,) * len(video.joints),
        limbs,
        tuple(side_color(joint) for joint in video.joints),
        tuple(side_color(*limb) for limb in limbs),
    )


def persons_of_frames(video: PoseVideo, frames: FrameReader) -> Iterator[np.ndarray]:
    """Which persons each frame has, in the order of the frames.

    Raises:
        AnnotationError: if no frame that the poses speak of is in the folder.
    """
    names = [os.path.basename(name) for name in video.file_names]
    if frames.paths and any(names):
        place = {name: position for position, name in enumerate(names)}
        found = [place.get(os.path.basename(path), -1) for path in frames.paths]
        if max(found) < 0:
            raise AnnotationError(
                f'{video.name}: the poses are of {names[0]} and others, of which none is in '
                f'{frames.name}; expected the images that they were made from.'
            )
        for position in found:
            yield np.flatnonzero(video.frames == position) if position >= 0 else np.zeros(0, int)
        return
    numbers = video.frame_numbers()[video.frames]  # the file may be of a part of the video
    position = 0
    while True:
        yield np.flatnonzero(numbers == position)
        position += 1


def check_size(video: PoseVideo, image: np.ndarray, name: str) -> None:
    """Raises AnnotationError if the poses are of images of another size."""
    size = image.shape[1::-1]
    if video.image_size not in (None, size):
        raise AnnotationError(
            f'{video.name}: the poses are of images of {video.image_size[0]} x '
            f'{video.image_size[1]} pixels, but {name} has {size[0]} x {size[1]}; expected the '
            'video that they were made from.'
        )


def main(args: argparse.Namespace) -> int:
    """Runs the command `cmpose draw`; returns the exit status."""
    warnings.showwarning = lambda message, *_: tqdm.write(f'warning: {message}', file=sys.stderr)
    drawn = count = timed = 0
    try:
        written = {os.path.realpath(args.video), os.path.realpath(args.poses)}
        if os.path.realpath(args.out) in written:
            raise AnnotationError(f'{args.out}: is an input, expected a file of its own.')
        if args.frame_rate is not None and not 0 < args.frame_rate < math.inf:
            raise AnnotationError(
                f'--frame-rate: found {args.frame_rate:g}, expected above 0, and finite.'
            )
        video, frames = read_poses(args.poses), open_frames(args.video)
        joints, persons = drawn_joints(video), persons_of_frames(video, frames)
        overlay = overlay_of(args, joints)
        keypoints = np.nan_to_num(video.keypoints)
        scores = np.nan_to_num(video.keypoint_scores, nan=1.0)
        shown = ~np.isnan(video.keypoints).any(axis=2) & (scores >= args.joint_thr)
        boxes = video.boxes + np.pad(video.boxes[:, :2], ((0, 0), (2, 0)))  # x1, y1, x2, y2
        frame_rate = args.frame_rate or frames.frame_rate or 25
        audio_from = args.video if os.path.isfile(args.video) and not frames.paths else None
        with VideoWriter(
            args.out, frame_rate, audio_from, pixel_aspect=frames.pixel_aspect
        ) as writer:
            for frame, chosen in zip(
                tqdm(frames, total=frames.num_frames, unit=' frames'), persons
            ):
                if count == 0:
                    check_size(video, frame.image, frames.name)
                    size = frame.image.shape
                if frame.image.shape != size:
                    raise AnnotationError(
                        f'{frame.path or frames.name}: frame {count + 1} is '
                        f'{frame.image.shape[1]} x {frame.image.shape[0]} pixels, expected '
                        f'{size[1]} x {size[0]} like the first.'
                    )
                image = overlay.draw(
                    frame.image,
                    keypoints[chosen],
                    shown[chosen],
                    video.track_ids[chosen],
                    video.scores[chosen],
                    boxes[chosen],
                    count / frame_rate if frame.time is None else frame.time,
                )
                writer.write(image, frame.time)
                drawn, count = drawn + len(chosen), count + 1
                timed += frame.time is not None
    except (AnnotationError, OSError, ValueError, ImportError) as error:
        if count and os.path.isfile(args.out):  # a part of the video, which looks like a whole one
            os.unlink(args.out)
        print(f'{args.name}: {error}', file=sys.stderr)
        return 1
    if args.frame_rate is not None and 0 < timed == count:
        print(
            f'{args.name}: --frame-rate has no effect, since the frames of {args.video} have times',
            file=sys.stderr,
        )
    left_out = len(video.frames) - drawn
    print(
        f'{Path(args.out)}: {drawn} persons in {count} frames'
        + (f'; {left_out} persons are of frames that the video does not have' if left_out else '')
        + (
            ''
            if joints.limbs or len(joints) == 1
            else '; no limbs, since they are not known for these joints'
        )
    )
    return 0
