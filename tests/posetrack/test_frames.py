"""Which frames make a clip: listing, offsets, ends, gaps; image headers and truncation."""

from __future__ import annotations

import io
import os
import random
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image
from posetrack_samples import HEIGHT, WIDTH, write_image

from cmpose_mm.posetrack import frames as frames_module
from cmpose_mm.posetrack.annotations import empty_frame
from cmpose_mm.posetrack.frames import (
    IMAGE_SUFFIXES,
    FrameTable,
    clip_offsets,
    image_size,
    is_truncated,
    list_images,
    random_clip_offsets,
)


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b'')


@pytest.mark.parametrize(
    'num_frames, stride, causal, expected',
    [
        (1, 1, False, [0]),
        (3, 1, False, [-1, 0, 1]),
        (3, 2, False, [-2, 0, 2]),
        (5, 3, False, [-6, -3, 0, 3, 6]),
        (4, 1, False, [-2, -1, 0, 1]),
        (3, 1, True, [-2, -1, 0]),
        (4, 2, True, [-6, -4, -2, 0]),
        (1, 5, True, [0]),
    ],
)
def test_clip_offsets(num_frames, stride, causal, expected):
    assert clip_offsets(num_frames, stride, causal).tolist() == expected


@pytest.mark.parametrize('num_frames, stride', [(0, 1), (-1, 1), (3, 0)])
def test_clip_offsets_reject_what_is_no_clip(num_frames, stride):
    with pytest.raises(ValueError, match='num_frames >= 1 and stride >= 1'):
        clip_offsets(num_frames, stride)


@pytest.mark.parametrize('num_frames, stride, causal', [(3, 4, False), (5, 2, False), (4, 3, True)])
def test_random_offsets_stay_in_order_on_their_side_and_cover_the_span(num_frames, stride, causal):
    fixed = clip_offsets(num_frames, stride, causal)
    rng = np.random.RandomState(0)
    draws = np.array([random_clip_offsets(num_frames, stride, causal, rng) for _ in range(2000)])
    assert (np.diff(draws, axis=1) > 0).all()  # in order, no frame twice
    assert ((draws == 0) == (fixed == 0)).all()  # the key frame keeps its place
    for side in (fixed < 0, fixed > 0):
        if side.any():
            reach = np.abs(fixed[side]).max()
            seen = np.unique(np.abs(draws[:, side]))
            assert seen.tolist() == list(range(1, reach + 1))  # every distance, none further


def test_random_distances_of_a_single_neighbor_are_uniform():
    rng = np.random.RandomState(0)
    draws = np.array([random_clip_offsets(3, 4, rng=rng) for _ in range(4000)])
    counts = np.bincount(draws[:, 2], minlength=5)[1:]
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000 * 0.75)  # four standard deviations


def test_stride_one_leaves_nothing_to_chance():
    assert random_clip_offsets(5, 1).tolist() == [-2, -1, 0, 1, 2]


def test_listing_is_numeric_without_hidden_and_other_files(tmp_path):
    names = ['2.jpg', '10.jpg', '1.jpg', '010_crop.JPG', '9.png']
    random.Random(0).shuffle(names)
    touch(tmp_path, *names, '._1.jpg', 'Thumbs.db', 'readme.txt')
    (tmp_path / '3.jpg.part').write_bytes(b'')
    assert list_images(str(tmp_path)) == ['1.jpg', '2.jpg', '9.png', '10.jpg', '010_crop.JPG']
    assert list_images(str(tmp_path / 'absent')) == []


def test_images_in_a_format_that_is_not_read_are_told(tmp_path):
    touch(tmp_path, '000001.jpg', '000002.HEIC', '000003.webp', '000004.avif', 'notes.txt')
    touch(tmp_path, '._000005.heic')
    with pytest.warns(
        UserWarning, match=r'2 image files are left out \(first: 000002.HEIC\)'
    ) as told:
        assert list_images(str(tmp_path)) == ['000001.jpg', '000003.webp']
    assert str(tmp_path) in str(told[0].message)
    assert len(told) == 1


def test_other_files_are_not_told(tmp_path):
    touch(tmp_path, '000001.jpg', '000002.mp4', 'notes.txt', 'labels.json', '._000001.gif')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert list_images(str(tmp_path)) == ['000001.jpg']


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_every_format_that_is_listed_is_read_by_opencv_and_pillow(tmp_path, suffix):
    image = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    encoder = {'.jfif': '.jpg', '.tif': '.tiff'}.get(suffix, suffix)
    is_written, content = cv2.imencode(
        encoder, image[..., 0] if suffix in ('.pgm', '.pbm') else image
    )
    assert is_written
    path = tmp_path / f'1{suffix.upper()}'
    path.write_bytes(content.tobytes())
    assert list_images(str(tmp_path)) == [path.name]
    assert cv2.imdecode(content, cv2.IMREAD_COLOR).shape == image.shape
    assert image_size(str(path)) == (WIDTH, HEIGHT)
    assert not is_truncated(content.tobytes())
    assert is_truncated(content.tobytes()[: len(content) // 2])


def test_neighbors_are_the_nearest_existing_frames(tmp_path):
    # 0-based names with a gap: 4 is the neighbor of 1, whatever its number is.
    touch(tmp_path / 'images/v', '000000.jpg', '000001.jpg', '000004.jpg', '000009.jpg')
    table = FrameTable(str(tmp_path))
    paths, valid = table.neighbors('images/v/000004.jpg', [-1, 0, 1])
    assert [os.path.basename(path) for path in paths] == ['000001.jpg', '000004.jpg', '000009.jpg']
    assert all(os.path.isfile(path) for path in paths)
    assert valid.tolist() == [True, True, True]


@pytest.mark.parametrize(
    'key, offsets, expected, expected_valid',
    [
        ('a1', [-1, 0, 1], ['a1', 'a1', 'a2'], [False, True, True]),
        ('a3', [-1, 0, 1], ['a2', 'a3', 'a3'], [True, True, False]),
        ('a2', [-2, 0, 2], ['a1', 'a2', 'a3'], [False, True, False]),  # nearest, not the asked
        ('a3', [-4, -2, 0], ['a1', 'a1', 'a3'], [False, True, True]),
        ('a1', [0], ['a1'], [True]),
    ],
)
def test_ends_repeat_the_nearest_frame_and_say_so(tmp_path, key, offsets, expected, expected_valid):
    touch(tmp_path / 'v', 'a1.jpg', 'a2.jpg', 'a3.jpg')
    paths, valid = FrameTable(str(tmp_path)).neighbors(f'v/{key}.jpg', offsets)
    assert paths == [os.path.join(str(tmp_path), 'v', f'{name}.jpg') for name in expected]
    assert valid.tolist() == expected_valid


def test_a_single_frame_is_its_own_neighbor(tmp_path):
    touch(tmp_path / 'v', '000000.jpg')
    paths, valid = FrameTable(str(tmp_path)).neighbors('v/000000.jpg', [-1, 0, 1])
    assert len(set(paths)) == 1
    assert valid.tolist() == [False, True, False]


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    touch(tmp_path / 'v', *(f'{i:06d}.jpg' for i in range(20)))
    listed = []
    monkeypatch.setattr(frames_module, 'list_images', lambda f: listed.append(f) or list_images(f))
    table = FrameTable(str(tmp_path))
    for i in range(20):
        assert table.exists(f'v/{i:06d}.jpg')
        table.neighbors(f'v/{i:06d}.jpg', [-1, 0, 1])
    assert not table.exists('v/000020.jpg')
    assert listed == [os.path.join(str(tmp_path), 'v')]


def test_a_key_frame_that_is_not_on_disk_is_an_error_with_its_path(tmp_path):
    touch(tmp_path / 'v', '000000.jpg')
    with pytest.raises(FileNotFoundError, match=r'v/000007\.jpg: frame not found'):
        FrameTable(str(tmp_path)).neighbors('v/000007.jpg', [0])


def test_first_component_of_a_name_may_be_replaced_by_the_root(tmp_path):
    touch(tmp_path / 'images_renamed/bonn/v', '00000001.jpg')
    table = FrameTable(str(tmp_path / 'images_renamed'))
    assert table.exists('images/bonn/v/00000001.jpg')
    assert table.exists('images\\bonn\\v\\00000001.jpg')  # labels written on Windows
    # Where the full name exists, it wins.
    touch(tmp_path / 'images_renamed/images/bonn/v', '00000002.jpg')
    table = FrameTable(str(tmp_path / 'images_renamed'))
    assert table.exists('images/bonn/v/00000002.jpg')
    assert not table.exists('images/bonn/v/00000001.jpg')


def test_a_broken_header_is_an_os_error_that_names_the_file(tmp_path):
    (tmp_path / 'a.ppm').write_bytes(b'P6 x y 255')
    with pytest.raises(OSError, match='a.ppm'):
        image_size(str(tmp_path / 'a.ppm'))


def test_image_size_reads_only_the_header(tmp_path):
    write_image(tmp_path / 'a.jpg')
    header = (tmp_path / 'a.jpg').read_bytes()[:700]
    (tmp_path / 'b.jpg').write_bytes(header)
    assert image_size(str(tmp_path / 'a.jpg')) == (WIDTH, HEIGHT)
    assert image_size(str(tmp_path / 'b.jpg')) == (WIDTH, HEIGHT)


@pytest.mark.parametrize('orientation', range(10))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP', 'BMP', 'PPM'])
def test_image_size_is_that_of_the_decoded_image(tmp_path, kind, orientation):
    """A phone stores a photo as the sensor lies and says how to turn it; 1 to 8 mean something."""
    pixels = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / 'a', kind, exif=exif)
    decoded = cv2.imdecode(np.fromfile(tmp_path / 'a', np.uint8), cv2.IMREAD_COLOR)
    height, width = decoded.shape[:2]
    assert image_size(str(tmp_path / 'a')) == (width, height)
    if kind in ('JPEG', 'PNG', 'TIFF') and 5 <= orientation <= 8:
        assert (width, height) == (HEIGHT, WIDTH)


@pytest.mark.parametrize('exif', [b'Exif\0\0', b'Exif\0\0MM\0*\0', b'Exif\0\0no TIFF at all'])
def test_damaged_exif_is_none(tmp_path, exif):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a', 'JPEG', exif=exif)
    assert cv2.imread(str(tmp_path / 'a')).shape[:2] == (HEIGHT, WIDTH)
    assert image_size(str(tmp_path / 'a')) == (WIDTH, HEIGHT)


def test_size_of_a_frame(tmp_path):
    """By the label, else by its file as it is decoded, whatever size others in its folder have."""
    (tmp_path / 'v').mkdir()
    exif = Image.Exif()
    exif[274] = 6
    image = Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    image.save(tmp_path / 'v/1.jpg', 'JPEG', exif=exif)
    table = FrameTable(str(tmp_path))
    frame = empty_frame('v/1.jpg', 1, 1)
    assert table.size_of(frame) == (HEIGHT, WIDTH)
    write_image(tmp_path / 'v/2.jpg', width=50, height=40)
    assert table.size_of(empty_frame('v/2.jpg', 2, 2)) == (50, 40)
    with pytest.raises(OSError, match='v/3.jpg'):
        table.size_of(empty_frame('v/3.jpg', 3, 3))
    frame.width, frame.height = 30, 20
    assert table.size_of(frame) == (30, 20)


@pytest.mark.parametrize('suffix', ['JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'JPEG2000', 'PPM'])
def test_truncation_is_seen_at_any_length(suffix):
    pixels = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix)
    content = buffer.getvalue()
    assert not is_truncated(content)
    assert not is_truncated(content + b'\0' * 100)  # padding after the end is harmless
    for length in [0, 1, 10, len(content) // 4, len(content) // 2, int(len(content) * 0.95)]:
        assert is_truncated(content[:length]), length
    assert is_truncated(b'<html>404 not found</html>')


def test_truncation_is_seen_behind_a_thumbnail():
    """A thumbnail inside the file has an end marker of its own."""
    small, large = io.BytesIO(), io.BytesIO()
    pixels = np.random.RandomState(0).randint(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    Image.fromarray(pixels[:8, :8]).save(small, 'JPEG')
    Image.fromarray(pixels).save(large, 'JPEG', comment=small.getvalue())
    content = large.getvalue()
    assert small.getvalue() in content
    assert not is_truncated(content)
    assert is_truncated(content[: int(len(content) * 0.9)])
