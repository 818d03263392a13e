"""Transforms for clips: what MMPose's own transforms don't do on a list of frames.

T: frames of a clip, H, W: height and width in pixels of the input. ``results['img']`` is a list of
T arrays (H, W, 3) uint8 from `LoadClip` to `PackClipInputs`. In between, MMPose's
``GetBBoxCenterScale``, ``RandomFlip``, ``RandomHalfBody``, ``RandomBBoxTransform``,
``TopdownAffine`` and ``GenerateTarget`` treat all frames of the list alike: one draw, one warp of
each frame. Poses of the neighbors need `ClipRandomFlip` and `ClipTopdownAffine` instead.
"""

from __future__ import annotations

from functools import partial

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmpose.datasets.transforms import PackPoseInputs, RandomFlip, TopdownAffine
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from mmpose.structures.keypoint import flip_keypoints

from cmpose_mm.datasets.frame_cache import FrameCache
from cmpose_mm.images import read_image


@TRANSFORMS.register_module()
class LoadClip(BaseTransform):
    """Loads the frames of a clip; a frame that occurs twice is decoded once.

    Takes what it finds first in the results: arrays in ``img`` (a list of T, or one), paths in
    ``frame_paths`` (T), or one path in ``img_path``. One single image, which is what MMPose's
    inferencers and tools hand over, is repeated ``num_frames`` times.

    Required keys: ``img``, ``frame_paths`` or ``img_path``. Optional: ``video`` for error messages,
    ``frame_offsets`` for ``cache_clips``.

    Added keys: ``img`` (list of T arrays (H, W, 3)), ``img_shape`` and ``ori_shape`` (H, W); for a
    repeated image also ``frame_valid``, ``key_index`` and, if it has a path, ``frame_paths``.

    Args:
        num_frames: T for a single image. None leaves it single, and it is up to the model to
            repeat it (`VideoTopdownPoseEstimator` does).
        cache_size_mb: megabytes (10^6 bytes) of decoded frames that are kept, in each process that
            loads data, for the next samples that use them. They are read-only. 0 keeps none.
        cache_clips: room for the frames of this many clips at once, whatever their length, stride
            and size; the cache grows to it, from ``cache_size_mb`` on. `GroupedFrameSampler` tells
            how many it takes for every frame to be decoded once.
        color_type: as in MMCV's ``LoadImageFromFile``.
        imdecode_backend: as in MMCV's ``LoadImageFromFile``.
        backend_args: as in MMCV's ``LoadImageFromFile``.

    Raises:
        OSError: if a frame is missing, no image, or truncated; names file and video.
        ValueError: if the frames of a clip differ in size.
    """

    def __init__(
        self,
        num_frames: int | None = None,
        cache_size_mb: float = 0,
        cache_clips: int = 0,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
    ) -> None:
        self.num_frames = num_frames
        self.cache = FrameCache(int(cache_size_mb * 1e6))
        self.cache_clips = cache_clips
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """See the class."""
        if 'img' in results:
            frames = results['img']
            results.setdefault('img_path', None)
        elif 'frame_paths' in results:
            paths = results['frame_paths']
            read = partial(self.read, video=results.get('video'))
            decoded = {path: self.cache.get(path, read) for path in dict.fromkeys(paths)}
            frames = [decoded[path] for path in paths]
            if self.cache_clips:
                offsets = results.get('frame_offsets', range(len(paths)))
                # A clip's frames, and the next one of its video.
                count = int(max(offsets) - min(offsets)) + 2
                largest = max(frame.nbytes for frame in frames)
                self.cache.make_room(self.cache_clips * count * largest)
        else:
            frames = self.read(results['img_path'], results.get('video'))

        if isinstance(frames, np.ndarray) and self.num_frames is not None:
            results['key_index'] = self.num_frames // 2
            results['frame_valid'] = np.arange(self.num_frames) == results['key_index']
            if isinstance(results['img_path'], str):
                results['frame_paths'] = [results['img_path']] * self.num_frames
            frames = [frames] * self.num_frames
        results['img'] = frames
        height, width = _common_shape(frames, results)[:2]
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results

    def read(self, path: str, video: str | None) -> np.ndarray:
        """Decodes one image, (H, W, 3)."""
        return read_image(
            path,
            path if video is None else f'{path} (video {video})',
            read=partial(fileio.get, backend_args=self.backend_args),
            decode=partial(mmcv.imfrombytes, flag=self.color_type, backend=self.imdecode_backend),
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, '
            f'cache_size_mb={self.cache.max_bytes / 1e6:g}, cache_clips={self.cache_clips}, '
            f'color_type={self.color_type!r}, '
            f'imdecode_backend={self.imdecode_backend!r}, backend_args={self.backend_args})'
        )


@TRANSFORMS.register_module()
class ClipRandomFlip(RandomFlip):
    """MMPose's ``RandomFlip``, with frames that the next transforms read without copying.

    ``RandomFlip`` hands on mirrored views. OpenCV first copies such a view, pixel by pixel, which
    takes longer than decoding a JPEG and more than ten times as long as cutting out the person.
    Here OpenCV mirrors the frame at once: same pixels, same draw. Poses of the neighbors
    (``neighbor_keypoints``, ``neighbor_visible``) are mirrored too.
    """

    _OPENCV_CODES = dict(horizontal=1, vertical=0, diagonal=-1)

    def transform(self, results: dict) -> dict:
        """See MMPose's ``RandomFlip``."""
        images = results['img']
        results = super().transform(results)
        if results['flip']:
            code = self._OPENCV_CODES[results['flip_direction']]
            if isinstance(images, list):
                results['img'] = [cv2.flip(image, code) for image in images]
            else:
                results['img'] = cv2.flip(images, code)
            if 'neighbor_keypoints' in results:
                height, width = results['img_shape']
                results['neighbor_keypoints'], results['neighbor_visible'] = flip_keypoints(
                    results['neighbor_keypoints'],
                    results['neighbor_visible'],
                    image_size=(width, height),
                    flip_indices=results['flip_indices'],
                    direction=results['flip_direction'],
                )
                results['neighbors_flipped'] = True
        return results


@TRANSFORMS.register_module()
class ClipTopdownAffine(TopdownAffine):
    """MMPose's ``TopdownAffine``, which also moves the neighbors' poses into the crop.

    Where the dataset has ``neighbor_poses=True``, it adds ``transformed_neighbor_keypoints``
    (T, K, 2) in pixels of the input.
    """

    def transform(self, results: dict) -> dict:
        """See the class."""
        results = super().transform(results)
        if 'neighbor_keypoints' in results:
            warp = get_udp_warp_matrix if self.use_udp else get_warp_matrix
            rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
            matrix = warp(
                results['input_center'],
                results['input_scale'],
                rotation,
                output_size=self.input_size,
            )
            results['transformed_neighbor_keypoints'] = cv2.transform(
                results['neighbor_keypoints'], matrix
            )
        return results


@TRANSFORMS.register_module()
class ClipColorTransform(BaseTransform):
    """Applies a pixelwise transform for single images to a clip, with one draw for all frames.

    The frames are stacked to one tall image, transformed, and cut apart again. So any transform
    serves that treats each pixel by itself: ``PhotometricDistortion``, ``YOLOXHSVRandomAug``, or
    ``Albumentation`` with pixelwise entries. A filter that looks at neighboring pixels (blur)
    would mix frames at their seams, and noise is drawn anew for each frame.

    Place it after ``TopdownAffine``: on crops it costs a fraction of what it costs on full frames.

    Required and modified key: ``img`` (list of T arrays (H, W, 3), or one array).

    Args:
        transform: config of the transform.

    Raises:
        ValueError: if the frames differ in size, or the transform changes the image's size.
    """

    def __init__(self, transform: dict) -> None:
        self.transform_cfg = transform
        self.single_image_transform = TRANSFORMS.build(transform)

    def transform(self, results: dict) -> dict:
        """See the class."""
        frames = results['img']
        if isinstance(frames, np.ndarray):
            return self.single_image_transform(results)
        _common_shape(frames, results)
        tall = np.concatenate(frames)
        out = self.single_image_transform(dict(results, img=tall))['img']
        if out.shape != tall.shape:
            raise ValueError(
                f'ClipColorTransform: {self.transform_cfg["type"]} changed the image from '
                f'{tall.shape} to {out.shape}; only pixelwise transforms work on clips'
            )
        results['img'] = np.split(out, len(frames))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transform={self.transform_cfg})'


@TRANSFORMS.register_module()
class PackClipInputs(PackPoseInputs):
    """MMPose's ``PackPoseInputs`` for clips.

    ``inputs`` becomes a uint8 tensor (T, 3, H, W); everything that belongs to the clip stays in the
    data sample's metainfo: ``video``, ``frame_number``, ``frame_paths``, ``frame_offsets``,
    ``frame_valid``, ``key_index``, ``track_id``, ``bbox``, ``bbox_score``, ``box_source`` and
    ``clip_seed``, see `PoseTrackVideoDataset`. ``bbox`` is as the pipeline left it: flipped if the
    clip was. Poses of the neighbors become ``neighbor_poses`` (T, K, 3), see `ClipInput.poses`.
    The weights of the joints in the loss are multiplied by ``label_weights`` (1, K), which follow
    the flip.

    Args:
        meta_keys: names of the results that go into the metainfo, where present.
        pack_transformed: also keep ``transformed_keypoints`` (pixels of the input), for pictures.

    Raises:
        ValueError: if the frames differ in size, or poses of the neighbors were not moved into the
            crop, or not mirrored with it.
    """

    CLIP_KEYS = (
        'video',
        'frame_number',
        'frame_paths',
        'frame_offsets',
        'frame_valid',
        'key_index',
        'track_id',
        'bbox',
        'bbox_score',
        'box_source',
        'clip_seed',
        'neighbor_poses',
    )

    def __init__(self, meta_keys: tuple | None = None, pack_transformed: bool = False) -> None:
        super().__init__(pack_transformed=pack_transformed)
        self.meta_keys = self.meta_keys + self.CLIP_KEYS if meta_keys is None else meta_keys

    def transform(self, results: dict) -> dict:
        """See the class."""
        frames = results['img']
        _common_shape(frames, results)
        if 'neighbor_keypoints' in results:
            results['neighbor_poses'] = _neighbor_poses(results)
        if 'label_weights' in results and 'keypoint_weights' in results:
            results['keypoint_weights'] = _weighted(results)
        if isinstance(frames, np.ndarray):
            return super().transform(results)
        # Stacking planes takes a third of the time of transposing frames.
        planes = [plane for frame in frames for plane in cv2.split(frame)]
        packed = super().transform(dict(results, img=planes))
        inputs = packed['inputs']  # (T * 3, 1, H, W)
        packed['inputs'] = inputs.reshape(len(frames), -1, *inputs.shape[-2:])
        return packed


def _weighted(results: dict) -> np.ndarray | list[np.ndarray]:
    """Weights of the targets, one array or one for each codec, times those of the labels."""
    weights, factors = results['keypoint_weights'], results['label_weights']
    if results.get('flip') and results['flip_direction'] in ('horizontal', 'vertical'):
        factors = factors[:, results['flip_indices']]  # as `flip_keypoints` swaps the joints
    if isinstance(weights, list):
        return [each * factors for each in weights]
    return weights * factors


def _neighbor_poses(results: dict) -> np.ndarray:
    """(T, K, 3) float32 x, y in pixels of the input, and 1 where labeled; else all three are 0."""
    if 'transformed_neighbor_keypoints' not in results:
        raise ValueError(
            'the poses of the neighbors are not in pixels of the crop; expected ClipTopdownAffine '
            'in place of TopdownAffine in the pipeline'
        )
    if results.get('flip') and not results.get('neighbors_flipped'):
        raise ValueError(
            'the clip is mirrored, but the poses of the neighbors are not; expected ClipRandomFlip '
            'in place of RandomFlip in the pipeline'
        )
    visible = results['neighbor_visible'][..., None] > 0
    poses = np.concatenate([results['transformed_neighbor_keypoints'], visible], axis=-1)
    return np.where(visible, poses, 0).astype(np.float32)


def _common_shape(frames: list[np.ndarray] | np.ndarray, results: dict) -> tuple[int, ...]:
    """Shape of the frames, (H, W, 3), which all must share."""
    if isinstance(frames, np.ndarray):
        return frames.shape
    key_frame = results.get('img_path') or results.get('frame_number')
    video = f', video {results["video"]}' if 'video' in results else ''
    return common_shape(frames, f'key frame {key_frame}{video}')


def common_shape(frames: list[np.ndarray], clip: str) -> tuple[int, ...]:
    """Shape of the frames, (H, W, 3).

    Args:
        frames: of a clip.
        clip: names it in the error.

    Raises:
        ValueError: if they have several.
    """
    shapes = [frame.shape for frame in frames]
    if len(set(shapes)) != 1:
        raise ValueError(f'the frames of a clip must have one size, found {shapes} ({clip})')
    return shapes[0]
