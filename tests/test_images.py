"""Image files as arrays: what is read, and what is refused."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from cmpose_mm.apis import open_frames
from cmpose_mm.images import read_image, write_image
from cmpose_mm.posetrack.frames import image_size

SCENE = np.zeros((40, 60, 3), np.uint8)  # BGR
SCENE[:20, :30], SCENE[:20, 30:], SCENE[20:, :30] = (250, 10, 10), (10, 250, 10), (10, 10, 250)

# What is to be done with the stored picture, by EXIF orientation.
UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image.transpose(1, 0, 2), 2),
    8: lambda image: np.rot90(image, 1),
}


def save(path, **options) -> str:
    Image.fromarray(np.ascontiguousarray(SCENE[..., ::-1])).save(path, **options)
    return str(path)


@pytest.mark.parametrize('orientation', UPRIGHT)
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_images_are_upright(tmp_path, suffix, orientation):
    """In every reader: alone, as a folder of frames, and as a clip in training."""
    exif = Image.Exif()
    exif[274] = orientation
    options = dict(quality=95, subsampling=0) if suffix == 'jpg' else {}
    path = save(tmp_path / f'0.{suffix}', exif=exif, **options)
    expected = UPRIGHT[orientation](SCENE)
    image = read_image(path)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3
    assert image_size(path) == image.shape[1::-1]
    (frame,) = open_frames(tmp_path)
    np.testing.assert_array_equal(frame.image, image)
    transforms = pytest.importorskip('cmpose_mm.datasets.transforms')
    (loaded,) = transforms.LoadClip()(dict(frame_paths=[path]))['img']
    np.testing.assert_array_equal(loaded, image)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'bmp', 'tiff', 'ppm'])
@pytest.mark.parametrize('keep', [1.0, 0.7, 0.0])
def test_whole_images_only(tmp_path, suffix, keep):
    path = save(tmp_path / f'0.{suffix}')
    with open(path, 'r+b') as file:
        file.truncate(int(keep * len(file.read())))
    if keep == 1:
        assert np.abs(read_image(path).astype(int) - SCENE).mean() < 10
    else:
        with pytest.raises(OSError, match=rf'0\.{suffix}: image is truncated or broken'):
            read_image(path)


def test_a_tiff_of_floats_is_not_called_broken_alone(tmp_path):
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, np.zeros((8, 8, 3), np.float32))
    with pytest.raises(OSError, match=r'a\.tif: .* or a TIFF of a kind that is not read'):
        read_image(path)


def test_messages_say_what_and_where(tmp_path):
    with pytest.raises(OSError, match=r'^frame 3: image can not be read: .*No such file'):
        read_image(str(tmp_path / 'gone.jpg'), 'frame 3')
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'no image\xff\xd9')
    with pytest.raises(OSError, match=r'a\.jpg: image can not be decoded$'):
        read_image(str(path))


def test_storage_and_decoder_can_be_others():
    content = b'\xff\xd9'
    decoded = []
    image = read_image(
        'far/away', read=lambda path: content, decode=lambda c: decoded.append(c) or 7
    )
    assert (image, decoded) == (7, [content])


def test_pictures_are_written_under_any_name(tmp_path) -> None:
    for name in ('a.png', os.fsdecode(b'caf\xe9.png'), 'b c.PNG'):
        write_image(tmp_path / name, SCENE)
        np.testing.assert_array_equal(read_image(str(tmp_path / name)), SCENE)
    for name in ('a', 'a.txt', os.fsdecode(b'a.\xe9')):
        with pytest.raises(OSError, match='is no name of a picture, expected one like'):
            write_image(tmp_path / name, SCENE)
    with pytest.raises(OSError, match='gone'):
        write_image(tmp_path / 'gone' / 'a.png', SCENE)
