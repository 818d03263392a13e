"""From a data set with labels in some frames to one with poses in all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError, Frame
from cmpose_mm.posetrack.file_names import split_name
from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.posetrack.json_files import read_json

from .label_files import PROVENANCE, LabelFile, label_files, with_pseudo_labels
from .propagators import Propagator
from .pseudo_labels import Filter, FilterCounts, answer
from .queries import Plan, common_spacing, plan_queries


@dataclass
class Propagation:
    """What `propagate_labels` did.

    Attributes:
        every: k, the distance between labels.
        plan: what was asked for; without the queries themselves.
        kept: what became of the answers.
        files, files_done_before: label files; those of them that a run before had written.
        unlisted_frames: images on disk that the labels do not list; they get no poses.
    """

    every: int
    plan: Plan = field(default_factory=Plan)
    kept: FilterCounts = field(default_factory=FilterCounts)
    files: int = 0
    files_done_before: int = 0
    unlisted_frames: int = 0

    def lines(self) -> list[str]:
        """What was done and what was left out, a sentence each."""
        plan, kept = self.plan, self.kept
        found = [
            f'{plan.videos} videos with labels in {plan.labeled_frames} of '
            f'{plan.labeled_frames + plan.unlabeled_frames} frames, {self.every} frames apart: '
            f'{kept.poses} poses with {kept.joints} joints added'
        ]
        cases = [
            (self.files_done_before, 'files were there from a run before'),
            (plan.from_one_side, 'persons were asked for from one side, at the ends of labels'),
            (plan.entering_or_leaving, 'times a person enters or leaves between two labels: none'),
            (plan.tracks_with_one_label, 'tracks have one label'),
            (plan.frames_in_gaps, f'frames between labels over {self.every} frames apart: none'),
            (plan.frames_out_of_reach, f'frames {self.every} or more frames from any label: none'),
            (plan.frames_not_on_disk, 'frames are not on disk: none'),
            (self.unlisted_frames, 'images are not listed in the labels: none'),
            (plan.without_track, 'labeled persons have no track id, they are not followed'),
            (plan.shared_track, 'labeled persons share a track id in a frame, likewise'),
            (kept.joints_below_score, 'joints dropped by score'),
            (kept.joints_disagreeing, 'joints dropped since the two labels disagree'),
            (kept.persons_below_joints, 'persons dropped with too few joints'),
        ]
        return found + [f'{count} {what}' for count, what in cases if count]


def propagate_labels(
    labels: str | Path,
    out: str | Path,
    propagator: Propagator,
    *,
    every: int | None = None,
    image_root: str | None = None,
    rules: Filter | None = None,
    progress: Callable[[list[LabelFile]], Iterable[LabelFile]] = iter,
) -> Propagation:
    """Adds poses to the frames between labels; see `queries` for who gets one where.

    The poses of labeled frames stay as they are. Run again after a kill: files that are there, made
    from the same labels in the same way, are kept; a file is there wholly or not at all. Two runs
    give equal bytes.

    Args:
        labels: folder of label files, or one file, in any of PoseTrack's formats.
        out: folder (or file) to write.
        propagator: see `build_propagator`.
        every: k; by default how far apart neighboring labels usually are.
        image_root: folder that the labels' file names start from. If given, only frames that are on
            disk get poses.
        rules: which joints and persons are kept.
        progress: wraps the files while they are worked on.

    Raises:
        AnnotationError: if labels are wrong, already hold pseudo-labels, or `out` holds files that
            were made in another way.
        ValueError: if `every` is below 1.
    """
    if every is not None and every < 1:
        raise ValueError(f'every is {every}, expected at least 1.')
    rules = rules or Filter()
    files = label_files(labels, out)
    videos = [video for file in files for video in file.videos]
    result = Propagation(common_spacing(videos) if every is None else every, files=len(files))
    table = None if image_root is None else FrameTable(image_root)
    if table is not None:
        result.unlisted_frames = _check_images(videos, table)
    settings = {**propagator.settings(), 'every': result.every, **asdict(rules)}
    for file in progress(files):
        plan = Plan()
        for video in file.videos:
            plan += plan_queries(video, result.every, None if table is None else _exists(table))
        counts = _propagate_file(file, plan, propagator, rules, settings, result)
        for each in fields(counts):
            total = getattr(result.kept, each.name) + getattr(counts, each.name)
            setattr(result.kept, each.name, total)
        plan.queries = []
        result.plan += plan
    return result


def _propagate_file(
    file: LabelFile,
    plan: Plan,
    propagator: Propagator,
    rules: Filter,
    settings: dict,
    result: Propagation,
) -> FilterCounts:
    """Writes one file, unless it is there."""
    written = file.written()
    asked = [f'{query.frame.file_name} {query.track_id}' for query in plan.queries]
    made = {
        **settings,
        'labels_sha256': _sha256(file.source.read_bytes()),
        'asked_sha256': _sha256('\n'.join(asked).encode()),  # depends on the frames on disk
        'counts': None,
    }
    if written is not None:
        found = None
        if not plan.queries:
            found = made if written.read_bytes() == file.as_it_is() else None
        elif written.suffix == '.json':
            content = read_json(written)
            found = content.get(PROVENANCE) if isinstance(content, dict) else None
        if not isinstance(found, dict) or {**found, 'counts': None} != made:
            raise AnnotationError(
                f'{written}: is there and was made in another way, from other labels or for other '
                f'frames (its field "{PROVENANCE}" tells how); delete it or choose another place.'
            )
        result.files_done_before += 1
        return FilterCounts(**found['counts'] or {})
    if not plan.queries:
        file.copy()
        return FilterCounts()
    poses, counts = answer(propagator, plan.queries, rules)
    file.write(with_pseudo_labels(file.content(), poses, {**made, 'counts': asdict(counts)}))
    return counts


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _exists(table: FrameTable) -> Callable[[Frame], bool]:
    return lambda frame: table.exists(frame.file_name)


def _check_images(videos, table: FrameTable) -> int:
    """The number of images beside the labels' frames that the labels do not list."""
    listed: dict[str, set[str]] = {}
    for video in videos:
        for frame in video.frames:
            folder = table.folder(frame.file_name)
            listed.setdefault(folder, set()).add(split_name(frame.file_name)[1])
    if not any(table.frames(video.frames[0].file_name) for video in videos):
        frame = videos[0].frames[0]
        raise AnnotationError(
            f'{table.folder(frame.file_name)}: holds no image, and no other video has any; '
            f'expected {frame.file_name} and others below --images.'
        )
    unlisted = 0
    for video in videos:
        folder = table.folder(video.frames[0].file_name)
        names = listed.pop(folder, None)
        if names is not None:
            unlisted += len(np.setdiff1d(table.frames(video.frames[0].file_name), [*names]))
    return unlisted
