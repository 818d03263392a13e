"""Label files with labels taken out or pseudo-labels put in; all else stays as it is.

A file is edited as the JSON that it is, and not written anew from what the readers keep of it: the
entries of frames that are not touched keep all their fields and values. A file to which nothing
happens is copied, byte for byte. PoseTrack17's .mat files are otherwise written as JSON annolists.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError, Frame, Video, read_videos
from cmpose_mm.posetrack.file_names import split_name
from cmpose_mm.posetrack.joints import JOINT_ALIASES, JOINT_NAMES, POSETRACK17_POINT_IDS
from cmpose_mm.posetrack.json_files import json_bytes, read_json
from cmpose_mm.posetrack.mat_files import read_mat
from cmpose_mm.whole_files import write_whole

PROVENANCE = 'propagation'
"""Field of a written file that says how its pseudo-labels were made."""
_POINT_IDS = {name: point_id for point_id, name in POSETRACK17_POINT_IDS.items()}


@dataclass
class PseudoLabel:
    """A pose that nobody labeled, in one frame.

    Attributes:
        frame: where it is.
        track_id: of the labels that it comes from.
        keypoints: (15, 2) x, y in pixels of the image.
        scores: (15,); a joint with a score of 0 or less is absent.
        box: (4,) xywh in pixels of the image, NaN if the labels have none.
        head_box: (4,) likewise.
    """

    frame: Frame
    track_id: int
    keypoints: np.ndarray
    scores: np.ndarray
    box: np.ndarray
    head_box: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """(15,) bool."""
        return self.scores > 0


@dataclass
class LabelFile:
    """A label file, its videos, and where its edited copy goes.

    Attributes:
        source: the file.
        target: of the edited copy, always JSON.
        copied: of a copy to which nothing was done; JSON if `target` was named by the user.
        videos: in the file, as `read_videos` gives them.
    """

    source: Path
    target: Path
    copied: Path
    videos: list[Video]

    def content(self) -> dict:
        """The whole content, to be edited."""
        return read_mat(self.source) if self.source.suffix.lower() == '.mat' else read_json(
            self.source
        )  # fmt: skip

    def copy(self) -> None:
        """Writes the file as it is."""
        self._write(self.copied, self.as_it_is())

    def as_it_is(self) -> bytes:
        """What `copy` writes: the file's bytes, or a .mat file's content as JSON."""
        if self.copied.suffix.lower() == self.source.suffix.lower():
            return self.source.read_bytes()
        return json_bytes(self.content())

    def write(self, content: dict) -> None:
        """Writes edited content."""
        self._write(self.target, json_bytes(content))

    def written(self) -> Path | None:
        """The copy, edited or not, if it is there."""
        return next((path for path in (self.target, self.copied) if path.is_file()), None)

    def _write(self, place: Path, content: bytes) -> None:
        write_whole(place, content)
        for other in (self.target, self.copied):
            if other != place:  # an edited copy of a .mat file in place of a copy, or vice versa
                other.unlink(missing_ok=True)


def label_files(labels: str | Path, out: str | Path, **read) -> list[LabelFile]:
    """The label files of a data set, and the places of their copies.

    Args:
        labels: folder of label files, or one file, see `read_videos`.
        out: a folder if `labels` is one, otherwise a JSON file.
        read: further arguments of `read_videos`.

    Raises:
        AnnotationError: if labels are wrong or hold pseudo-labels, `out` is `labels`, two files
            would get one place, or `out` is a folder in which there are other files than copies of
            these: they would count as labels, too.
    """
    labels, out = Path(labels), Path(out)
    if out.resolve() == labels.resolve():
        raise AnnotationError(f'{out}: is the folder of the labels, expected another one.')
    by_file: dict[Path, list[Video]] = defaultdict(list)
    for video in read_videos(labels, **read):
        by_file[Path(video.source)].append(video)
    _check_people([video for videos in by_file.values() for video in videos])
    if out.is_dir() and not labels.is_dir():
        raise AnnotationError(f'{out}: is a folder, expected a file, as {labels} is.')
    if out.is_file() and labels.is_dir():
        raise AnnotationError(f'{out}: is a file, expected a folder, as {labels} is.')
    if not labels.is_dir() and out.suffix != '.json':
        raise AnnotationError(f'{out}: is no name of a label file, expected one in .json.')
    files: list[LabelFile] = []
    for source in sorted(by_file):
        target = copied = out
        if labels.is_dir():
            target, copied = (out / source.name).with_suffix('.json'), out / source.name
        same = [file.source for file in files if file.target == target]
        if same:
            raise AnnotationError(
                f'{labels}: {same[0].name} and {source.name} would both become {target.name}, '
                'expected one of them.'
            )
        files.append(LabelFile(source, target, copied, by_file[source]))
    known = {file.target.name for file in files} | {file.source.name for file in files}
    strange = [p.name for p in out.glob('[!.]*') if p.name not in known] if labels.is_dir() else []
    if strange:
        raise AnnotationError(
            f'{out}: holds {min(strange)} and {len(strange) - 1} other files that are not of '
            f'{labels}, expected a new folder or one of a run before.'
        )
    return files


def _check_people(videos: list[Video]) -> None:
    problems = [
        f'{video.source}: {video.num_pseudo} persons of video {video.name!r} are pseudo-labels '
        'already, expected labels by people to start from.'
        for video in videos
        if video.num_pseudo
    ]
    if problems:
        raise AnnotationError(problems)


def without_labels(content: dict, frames: Iterable[Frame]) -> dict:
    """The content of a label file without the persons of some frames, which count as unlabeled."""
    if 'annolist' in content:
        names = {_plain(frame.file_name) for frame in frames}
        _check_listed_once(content, names)
        entries = [
            dict(entry, annorect=[], is_labeled=[0]) if _entry_name(entry) in names else entry
            for entry in _entries(content)
        ]
        return {**content, 'annolist': entries}
    ids = {frame.image_id for frame in frames}
    images = [_marked(image, False) if image['id'] in ids else image for image in content['images']]
    kept = [a for a in content['annotations'] if a['image_id'] not in ids]
    return {**content, 'images': images, 'annotations': kept}


def with_pseudo_labels(content: dict, poses: list[PseudoLabel], provenance: dict) -> dict:
    """The content of a label file with poses added to frames, which then count as labeled.

    Joints have v = 1 and their scores, persons ``"pseudo": true``.

    Args:
        content: of the file; its entries are not changed.
        poses: for frames of the file.
        provenance: how the poses were made, under the name `PROVENANCE`.
    """
    if 'annolist' in content:
        edited = {**content, 'annolist': list(_with_rects(content, poses))}
    else:
        ids = {pose.frame.image_id for pose in poses}
        images = [
            _marked(image, True) if image['id'] in ids else image for image in content['images']
        ]
        added = list(_annotations(content, poses))
        edited = {**content, 'images': images, 'annotations': content['annotations'] + added}
    return {**edited, PROVENANCE: provenance}


def _marked(image: dict, is_labeled: bool) -> dict:
    image = {**image, 'is_labeled': is_labeled}
    if 'has_labeled_person' in image:  # PoseTrack21
        image['has_labeled_person'] = is_labeled
    return image


def _annotations(content: dict, poses: list[PseudoLabel]) -> Iterator[dict]:
    """The poses as entries of ``annotations``."""
    category = next(c for c in content['categories'] if isinstance(c.get('keypoints'), list))
    names = [JOINT_ALIASES.get(name, name) for name in map(str, category['keypoints'])]
    places = [names.index(joint) for joint in JOINT_NAMES]
    taken = {annotation.get('id') for annotation in content['annotations']}
    following = 0
    for pose in poses:
        keypoints = np.zeros((len(names), 3))
        scores = np.zeros(len(names))
        present = pose.present[:, None]
        keypoints[places] = np.where(present, np.c_[pose.keypoints, np.ones(len(present))], 0)
        scores[places] = np.where(pose.present, pose.scores, 0)
        number = 100 * pose.frame.image_id
        if number >= 2**63:  # JSON files have no larger ones
            number = following
        while number in taken:
            number += 1
        taken.add(number)
        following = number + 1
        annotation = {
            'id': number,
            'image_id': pose.frame.image_id,
            'category_id': category.get('id', 1),
            'track_id': pose.track_id,
            'keypoints': keypoints.round(3).ravel().tolist(),
            'scores': scores.round(4).tolist(),
            'pseudo': True,
        }
        for field, box in (('bbox', pose.box), ('bbox_head', pose.head_box)):
            if not np.isnan(box).any():
                annotation[field] = box.round(3).tolist()
        yield annotation


def _with_rects(content: dict, poses: list[PseudoLabel]) -> Iterator[dict]:
    """The entries of an annolist with the poses in ``annorect``."""
    by_name: dict[str, list[dict]] = defaultdict(list)
    for pose in poses:
        points = [
            {'id': [_POINT_IDS[name]], 'x': [x], 'y': [y], 'is_visible': [1], 'score': [score]}
            for name, (x, y), score, present in zip(
                JOINT_NAMES,
                pose.keypoints.round(3).tolist(),
                pose.scores.round(4).tolist(),
                pose.present,
            )
            if present
        ]
        rect: dict = {'track_id': [pose.track_id], 'annopoints': [{'point': points}], 'pseudo': [1]}
        if not np.isnan(pose.head_box).any():
            x, y, width, height = pose.head_box.round(3).tolist()
            rect.update(x1=[x], y1=[y], x2=[x + width], y2=[y + height])
        by_name[_plain(pose.frame.file_name)].append(rect)
    _check_listed_once(content, by_name)
    for entry in _entries(content):
        added = by_name.get(_entry_name(entry))
        if added:
            rects = entry.get('annorect') or []
            rects = rects if isinstance(rects, list) else [rects]
            entry = dict(entry, annorect=rects + added, is_labeled=[1])
        yield entry


def _entries(content: dict) -> list[dict]:
    entries = content['annolist']
    return entries if isinstance(entries, list) else [entries]


def _check_listed_once(content: dict, names: Iterable[str]) -> None:
    """Raises AnnotationError if an image to be edited has several entries."""
    counts = Counter(map(_entry_name, _entries(content)))
    twice = sorted(name for name in names if counts[name] > 1)
    if twice:
        raise AnnotationError(
            f'The annolist has {counts[twice[0]]} entries of the image {twice[0]}, expected one.'
        )


def _entry_name(entry: dict) -> str:
    image = entry['image'][0] if isinstance(entry['image'], list) else entry['image']
    return _plain(image['name'][0] if isinstance(image['name'], list) else image['name'])


def _plain(file_name: str) -> str:
    return '/'.join(split_name(file_name))
