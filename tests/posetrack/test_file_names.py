"""Which digits of a name are the frame's number."""

from __future__ import annotations

import random

import pytest

from cmpose_mm.posetrack.file_names import is_hidden, numbers_in_names, split_name


@pytest.mark.parametrize(
    'names, expected',
    [
        (['000000.jpg', '000001.jpg', '000004.jpg'], [0, 1, 4]),
        (['images\\v\\10.jpg', 'images\\v\\9.jpg'], [10, 9]),
        (['0012_crop.jpg', '0013_crop.jpg'], [12, 13]),
        (['cam2_f3_v1.jpg', 'cam2_f4_v1.jpg', 'cam2_f10_v1.jpg'], [3, 4, 10]),
        # the last that grows: the run of a session, then the frame
        (['s1_f5.jpg', 's2_f6.jpg', 's3_f8.jpg'], [5, 6, 8]),
        # one that differs from frame to frame but does not grow is none
        (['f1_9.jpg', 'f2_7.jpg', 'f3_8.jpg'], [1, 2, 3]),
        # names of unequal make: counted from their start
        (['1.jpg', '2_crop7.jpg', '3.jpg'], [1, 2, 3]),
        # digits of the suffix and of the folder are not those of the frame
        (['v1/a.jp2', 'v2/b.jp2'], None),
        (['a.jpg', '1.jpg'], None),
        (['f1_c1.jpg', 'f1_c2.jpg', 'f2_c1.jpg', 'f2_c2.jpg'], None),
        (['7.jpg', '7.png'], None),
        ([f'{2**63}.jpg', f'{2**63 + 1}.jpg'], None),
        (['7.jpg'], [7]),
        (['first.jpg'], None),
        ([], None),
    ],
)
def test_numbers_in_names(names, expected):
    assert numbers_in_names(names) == expected


@pytest.mark.parametrize('seed', range(20))
def test_any_order_any_place(seed):
    """The numbers that names were made of come back, whatever else is in the names."""
    rng = random.Random(seed)
    numbers = rng.sample(range(10_000), rng.randint(2, 30))
    before, after = (
        rng.choice(['', 'img', 'cam3_', '2024-']),
        rng.choice(['', '_crop', '_v2', '-1']),
    )
    width = rng.choice([1, 6, 8])
    names = [f'a1/{before}{number:0{width}d}{after}.jpg' for number in numbers]
    assert numbers_in_names(names) == numbers


def test_split_name_on_whichever_system():
    assert split_name('images\\val\\v\\1.jpg') == ('images/val/v', '1.jpg')
    assert split_name('1.jpg') == ('', '1.jpg')


def test_hidden_names():
    assert is_hidden('._a.json') and is_hidden('.a.json')
    assert not is_hidden('a._json') and not is_hidden('_a.json')
