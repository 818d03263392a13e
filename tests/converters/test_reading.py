"""Arrays of label files and frames, or why they can't be used."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from cmpose_mm.converters.reading import frame_numbers, number_array, read_frames
from cmpose_mm.posetrack.annotations import AnnotationError


@pytest.mark.parametrize(
    'value, shape',
    [
        (np.ones((2, 15, 4)), (2, 15, 'n')),
        (np.ones((2, 15), np.uint8), (2, 15, 'n')),  # of one frame
        (np.ones((1, 3)), (3,)),
        (np.ones((3, 1)), ('n',)),
        (np.array([[True]]), (1,)),
        ([1, 2.5, 3, 4], (4,)),
        (320, ()),
    ],
)
def test_arrays_that_fit(value, shape) -> None:
    array = number_array({'it': value}, 'it', shape)
    assert array.dtype == np.float64 and array.ndim == len(shape)
    assert array.ravel().tolist() == np.ravel(value).tolist()


@pytest.mark.parametrize(
    'value, shape, sentence',
    [
        (None, (4,), 'it is missing, expected 4 numbers'),
        ('320', (), 'it holds text, expected a number'),
        ([1, None], (2,), 'it holds no plain numbers, expected 2 numbers'),
        ([[1], [2, 3]], (2, 'n'), 'it holds no plain numbers, expected numbers of the shape'),
        ({'a': 1}, (1,), 'it holds no plain numbers, expected a number'),
        ([[1, 2], [3, 4]], (4,), 'it has the shape (2, 2), expected 4 numbers'),
        (np.ones((3, 14)), ('n', 13), 'it has the shape (3, 14), expected numbers of the'),
        (np.ones(13), ('n', 13), 'it has the shape (13,), expected numbers of the shape (n, 13)'),
        (np.ones((2, 3, 4, 5)), (2, 3, 'n'), 'it has the shape (2, 3, 4, 5), expected numbers of'),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(value, shape, sentence) -> None:
    with pytest.raises(AnnotationError, match=f'^{re.escape(sentence)}'):
        number_array({'it': value}, 'it', shape)


def test_numbers_of_frames() -> None:
    assert frame_numbers(['a/9.png', 'a/10.jpg']) == [9, 10]
    assert frame_numbers(['a.png', 'b.png']) == [1, 2]
    for names, odd in (
        (['7/a.png', '7/1.png'], 'a.png'),
        (['3.png', '1.png', '01.png'], '1.png, 01.png'),
    ):
        with pytest.raises(AnnotationError, match=f'^the images {odd} have no frame number'):
            frame_numbers(names)


def test_a_header_that_is_too_large_to_be_true(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((8, 8, 3), np.uint8))
    content = (tmp_path / '1.jpg').read_bytes()
    size = re.search(b'\\xff\\xc0...', content, re.DOTALL).end()
    (tmp_path / '1.jpg').write_bytes(content[:size] + b'\xff\xff' * 2 + content[size + 4 :])
    with pytest.raises(AnnotationError, match='^1.jpg is broken, expected an image'):
        read_frames(tmp_path)
