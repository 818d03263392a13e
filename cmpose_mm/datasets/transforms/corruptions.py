"""Corrupted videos in MMPose pipelines: see `cmpose_mm.corruptions` for what is done to a frame.

T: frames of a clip. `CorruptClip` belongs right after the transform that loads the frames, the
other two right before it, as they change which frames are loaded.
"""

from __future__ import annotations

import os.path as osp
from functools import partial

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from cmpose_mm.corruptions import (
    IMAGE_CORRUPTIONS,
    NEIGHBOR_CORRUPTIONS,
    corrupt_frame,
    frame_of,
    frozen,
    is_lost,
    setting,
    without_lost,
)
from cmpose_mm.datasets.frame_cache import FrameCache
from cmpose_mm.old_names import old_names
from cmpose_mm.posetrack.frames import list_images

MODES = ('key', 'persistent')


@TRANSFORMS.register_module()
class CorruptClip(BaseTransform):
    """Corrupts whole frames of a clip, or a single image, before persons are cut out.

    A corrupted frame follows from seed, corruption, severity, and the frame's sequence and number
    (`frame_of` reads both from its path). So it is the same for all persons in it, for all clips
    that contain it, and in any order and number of workers.

    Required keys: ``img`` (list of T arrays (H, W, 3) uint8 BGR, or one array); ``frame_paths`` and
    ``key_index`` for a list, ``img_path`` for an array. Modified key: ``img``. The new arrays are
    read-only, since several samples share them.

    Args:
        corruption: one of `IMAGE_CORRUPTIONS`.
        severity: 1 to 5.
        mode: 'key' corrupts the key frame, also where it stands in for another at an end of the
            video; 'persistent' all frames. A single image is a key frame.
        seed: of the benchmark.
        cache_size_mb: megabytes (10^6 bytes) of corrupted frames that are kept, in each process
            that loads data, for the next persons and clips that use them.

    Raises:
        ValueError: for an argument out of range, a frame without a path, or an image of another
            kind.
    """

    def __init__(
        self,
        corruption: str,
        severity: int,
        mode: str = 'key',
        seed: int = 0,
        cache_size_mb: float = 64,
    ) -> None:
        _check_corruption(corruption, severity, IMAGE_CORRUPTIONS)
        if mode not in MODES:
            raise ValueError(f'mode is {mode!r}, expected one of {", ".join(MODES)}')
        self.corruption, self.severity, self.mode, self.seed = corruption, severity, mode, seed
        self.cache = FrameCache(int(cache_size_mb * 1e6))

    def transform(self, results: dict) -> dict:
        """See the class."""
        frames = results['img']
        if isinstance(frames, np.ndarray):
            results['img'] = self._corrupted(frames, results.get('img_path'))
            return results
        paths = results.get('frame_paths', [None] * len(frames))
        key_path = paths[results['key_index']]
        results['img'] = [
            self._corrupted(frame, path) if self.mode == 'persistent' or path == key_path else frame
            for frame, path in zip(frames, paths)
        ]
        return results

    def _corrupted(self, frame: np.ndarray, path: str | None) -> np.ndarray:
        if path is None:
            raise ValueError('CorruptClip: a frame has no path, expected one to know it by')
        return self.cache.get(path, partial(self._corrupt, frame))

    def _corrupt(self, frame: np.ndarray, path: str) -> np.ndarray:
        sequence, number = frame_of(path)
        return corrupt_frame(
            frame,
            self.corruption,
            self.severity,
            seed=self.seed,
            sequence=sequence,
            frame_number=number,
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(corruption={self.corruption!r}, severity={self.severity}, '
            f'mode={self.mode!r}, seed={self.seed})'
        )


@TRANSFORMS.register_module(name=['CorruptNeighbors', 'CorruptNeighbours'])
class CorruptNeighbors(BaseTransform):
    """Loses or delays the neighbors of the key frame.

    'frame_drop' loses a share of a sequence's frames. As a neighbor, such a frame is replaced by
    the nearest one toward the key frame that is there, and ``frame_valid`` becomes False, as at an
    end of the video. 'frame_freeze' shows in place of each neighbor a frame from before, as a feed
    does that hangs; nothing tells the model.

    Required keys: ``frame_paths`` (T paths, not loaded yet) and ``key_index``; for 'frame_drop'
    also ``frame_valid``. Modified keys: ``frame_paths`` and ``frame_valid``, and where there are
    poses of the frames, ``neighbor_keypoints`` and ``neighbor_visible``: a frame that is replaced
    has none.

    Args:
        corruption: one of `NEIGHBOR_CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the benchmark.

    Raises:
        ValueError: for an argument out of range, or a sample that is no clip.
    """

    def __init__(self, corruption: str, severity: int, seed: int = 0) -> None:
        _check_corruption(corruption, severity, NEIGHBOR_CORRUPTIONS)
        self.corruption, self.severity, self.seed = corruption, severity, seed
        self._listings: dict[str, list[str]] = {}

    def transform(self, results: dict) -> dict:
        """See the class."""
        _check_clip(results, type(self).__name__)
        paths, key_index = results['frame_paths'], results['key_index']
        folder = osp.dirname(paths[key_index])
        if folder not in self._listings:
            self._listings[folder] = list_images(folder)
        names = self._listings[folder]
        before = np.array([names.index(osp.basename(path)) for path in paths])
        positions = before
        if self.corruption == 'frame_freeze':
            positions = frozen(positions, key_index, self.severity)
        else:

            def lost(position: int) -> bool:
                sequence, number = frame_of(osp.join(folder, names[position]))
                return is_lost(self.seed, self.severity, sequence, number)

            positions, found = without_lost(positions, key_index, lost)
            results['frame_valid'] = results['frame_valid'] & found
        _take_poses(results, positions != before)
        results['frame_paths'] = [osp.join(folder, names[position]) for position in positions]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(corruption={self.corruption!r}, severity={self.severity}, '
            f'seed={self.seed})'
        )


@TRANSFORMS.register_module()
class RepeatKeyFrame(BaseTransform):
    """Puts the key frame in place of all its neighbors: what a model makes of one frame alone.

    Required keys: ``frame_paths`` (T paths, not loaded yet) and ``key_index``. Modified keys:
    ``frame_paths``, and ``frame_valid``, which is True for the key frame only; where there are
    poses of the frames, ``neighbor_keypoints`` and ``neighbor_visible``: no neighbor has any.

    Raises:
        ValueError: if the sample is no clip.
    """

    def transform(self, results: dict) -> dict:
        """See the class."""
        _check_clip(results, type(self).__name__)
        num_frames, key_index = len(results['frame_paths']), results['key_index']
        results['frame_paths'] = [results['frame_paths'][key_index]] * num_frames
        results['frame_valid'] = np.arange(num_frames) == key_index
        _take_poses(results, ~results['frame_valid'])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def _take_poses(results: dict, gone: np.ndarray) -> None:
    """Takes the labeled poses of the frames that are gone, (T,) bool, out of a sample with some."""
    for key in ('neighbor_keypoints', 'neighbor_visible'):
        if key in results:
            results[key] = results[key].copy()
            results[key][gone] = 0


def _check_corruption(corruption: str, severity: int, names: tuple[str, ...]) -> None:
    if corruption not in names:
        raise ValueError(f'corruption is {corruption!r}, expected one of {", ".join(names)}')
    setting(corruption, severity)


def _check_clip(results: dict, name: str) -> None:
    if 'frame_paths' not in results or 'img' in results:
        raise ValueError(
            f'{name}: expected a clip whose frames are not loaded yet ("frame_paths", no "img"), '
            f'found the keys {", ".join(map(str, results))}'
        )


__getattr__ = old_names(__name__, {'CorruptNeighbours': 'CorruptNeighbors'})
