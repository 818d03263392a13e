"""Corrupted frames: the same on every run, worse with severity, and what their formulae say."""

import math
import subprocess
import sys

import cv2
import numpy as np
import pytest

from cmpose_mm.corruptions import (
    IMAGE_CORRUPTIONS,
    NUM_SEVERITIES,
    SEVERITIES,
    corrupt_frame,
    frame_of,
    random_stream,
    setting,
)
from cmpose_mm.corruptions.image_corruptions import trail_kernel

DRAWS_NOTHING = ('defocus_blur', 'jpeg_compression')
WHERE = dict(seed=3, sequence='000342_mpii_test', frame_number=12)


def damage(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize('corruption', IMAGE_CORRUPTIONS)
def test_same_arguments_same_pixels_and_input_untouched(frames, corruption):
    frame = frames[0]
    before = frame.copy()
    frame.setflags(write=False)
    first = corrupt_frame(frame, corruption, 3, **WHERE)
    np.random.seed(1)  # global generators play no role
    again = corrupt_frame(before, corruption, 3, **WHERE)
    assert np.array_equal(first, again)
    assert np.array_equal(frame, before)
    assert first.shape == frame.shape and first.dtype == np.uint8
    assert not np.array_equal(first, frame)


@pytest.mark.parametrize('corruption', IMAGE_CORRUPTIONS)
@pytest.mark.parametrize('change', [{'seed': 4}, {'sequence': 'other'}, {'frame_number': 13}])
def test_seed_sequence_and_number_each_matter(frames, corruption, change):
    same = np.array_equal(
        corrupt_frame(frames[0], corruption, 3, **WHERE),
        corrupt_frame(frames[0], corruption, 3, **{**WHERE, **change}),
    )
    assert same == (corruption in DRAWS_NOTHING)


@pytest.mark.parametrize('corruption', IMAGE_CORRUPTIONS)
def test_damage_rises_with_severity(frames, corruption):
    for number, frame in frames.items():
        where = {**WHERE, 'frame_number': number}
        damages = [
            damage(frame, corrupt_frame(frame, corruption, severity, **where))
            for severity in range(1, NUM_SEVERITIES + 1)
        ]
        assert damages[0] > 0
        assert all(low < high for low, high in zip(damages, damages[1:])), damages


@pytest.mark.slow
def test_damage_rises_on_real_frames(real_data):
    paths = sorted(real_data.glob('posetrack_clip/**/*.jpg'))
    frame = cv2.imread(str(paths[20]))
    for corruption in IMAGE_CORRUPTIONS:
        damages = [
            damage(frame, corrupt_frame(frame, corruption, severity, **WHERE))
            for severity in range(1, NUM_SEVERITIES + 1)
        ]
        assert all(low < high for low, high in zip([0, *damages], damages)), (corruption, damages)


def test_same_pixels_in_another_process_without_frameworks(frames, tmp_path):
    path = tmp_path / 'frame.png'
    cv2.imwrite(str(path), frames[0])
    code = (
        'import sys, cv2\n'
        'sys.modules.update(torch=None, mmengine=None, mmcv=None, mmpose=None)\n'
        'from cmpose_mm.corruptions import IMAGE_CORRUPTIONS, corrupt_frame\n'
        'for name in IMAGE_CORRUPTIONS:\n'
        '    image = corrupt_frame(cv2.imread(sys.argv[1]), name, 2, seed=0, sequence="s", '
        'frame_number=1)\n'
        '    cv2.imwrite(sys.argv[1][:-4] + name + ".png", image)\n'
    )
    subprocess.run([sys.executable, '-c', code, str(path)], check=True)
    for name in IMAGE_CORRUPTIONS:
        there = cv2.imread(f'{str(path)[:-4]}{name}.png')
        here = corrupt_frame(frames[0], name, 2, seed=0, sequence='s', frame_number=1)
        assert np.array_equal(here, there), name


@pytest.mark.parametrize('severity', [1, 3, 5])
def test_gaussian_noise_has_its_deviation(severity):
    # In the middle gray of a wide range nothing is clipped at low severity; later much is.
    gray = np.full((300, 300, 3), 128, np.uint8)
    noisy = corrupt_frame(gray, 'gaussian_noise', severity, **WHERE).astype(float)
    sigma = 255 * setting('gaussian_noise', severity)
    samples = np.random.default_rng(0).normal(128, sigma, gray.size)
    expected = np.clip(np.rint(samples), 0, 255)
    assert noisy.mean() == pytest.approx(expected.mean(), abs=1)
    assert noisy.std() == pytest.approx(expected.std(), rel=0.02)


def test_shot_noise_is_a_poisson_count(gray):
    photons = setting('shot_noise', 1)  # 60: values above white are rare at half of it
    noisy = corrupt_frame(gray, 'shot_noise', 1, **WHERE).astype(float)
    mean = 128 / 255 * photons
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert noisy.std() == pytest.approx(math.sqrt(mean) * 255 / photons, rel=0.02)
    counts = noisy * photons / 255
    assert np.abs(counts - np.rint(counts)).max() < 0.5 * photons / 255 + 1e-9
    black = corrupt_frame(np.zeros_like(gray), 'shot_noise', 5, **WHERE)
    assert not black.any()


@pytest.mark.parametrize('severity', [1, 5])
def test_impulse_noise_sets_its_share(gray, severity):
    noisy = corrupt_frame(gray, 'impulse_noise', severity, **WHERE)
    share = setting('impulse_noise', severity)
    bound = 5 * math.sqrt(share / 2 / gray.size)
    assert set(np.unique(noisy)) == {0, 128, 255}
    assert (noisy == 0).mean() == pytest.approx(share / 2, abs=bound)
    assert (noisy == 255).mean() == pytest.approx(share / 2, abs=bound)


def test_defocus_spreads_a_point_over_its_disk():
    image = np.zeros((61, 61, 3), np.uint8)
    image[30, 30] = 255
    for severity in (1, 3, 5):
        radius = setting('defocus_blur', severity)[0]
        lit = corrupt_frame(image, 'defocus_blur', severity, **WHERE)[..., 0] > 0
        y, x = np.nonzero(lit)
        distances = np.hypot(x - 30, y - 30)
        assert distances.max() <= radius + 2
        inside = sum(
            dx * dx + dy * dy <= (radius - 2) ** 2
            for dx in range(-radius, radius + 1)
            for dy in range(-radius, radius + 1)
        )
        if severity < 5:  # there 255 / area rounds to 1 and the softened edge to 0
            assert lit.sum() >= inside


@pytest.mark.parametrize('severity', [1, 3, 5])
def test_defocus_against_loops(severity):
    radius, sigma = setting('defocus_blur', severity)
    reach, half = max(8, radius), 1 if radius <= 8 else 2
    size = 2 * reach + 1
    disk = [
        [float((x - reach) ** 2 + (y - reach) ** 2 <= radius**2) for x in range(size)]
        for y in range(size)
    ]
    soft = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-half, half + 1)]
    kernel = np.zeros((size, size))
    for y in range(size):
        for x in range(size):
            for i in range(-half, half + 1):
                for j in range(-half, half + 1):
                    from_y, from_x = reflected(y + i, size), reflected(x + j, size)
                    kernel[y, x] += soft[half + i] * soft[half + j] * disk[from_y][from_x]
    kernel /= np.sum(disk) * np.sum(soft) ** 2
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    expected = np.zeros(image.shape)
    for y in range(24):
        for x in range(30):
            rows = [reflected(y + i, 24) for i in range(-reach, reach + 1)]
            columns = [reflected(x + j, 30) for j in range(-reach, reach + 1)]
            expected[y, x] = (kernel[..., None] * image[np.ix_(rows, columns)]).sum((0, 1))
    out = corrupt_frame(image, 'defocus_blur', severity, **WHERE)
    assert np.abs(out - expected).max() < 0.51  # rounded to whole numbers


def reflected(index, size):
    """Place within an image, without doubling its edge."""
    index = abs(index)
    return index if index < size else 2 * (size - 1) - index


@pytest.mark.parametrize('severity', range(1, 6))
@pytest.mark.parametrize('degrees', [-45, 0, 17, 45])
def test_motion_trail_keeps_its_center(severity, degrees):
    radius, sigma = setting('motion_blur', severity)
    angle = math.radians(degrees)
    kernel = trail_kernel(radius, sigma, angle).astype(float)
    middle = len(kernel) // 2
    y, x = np.mgrid[: len(kernel), : len(kernel)] - middle
    assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-4)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-4)
    # Second moment along the trail: that of the half normal weights, by a plain loop.
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    mean = sum(w * i for i, w in enumerate(weights)) / sum(weights)
    variance = sum(w * (i - mean) ** 2 for i, w in enumerate(weights)) / sum(weights)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    assert (kernel * along**2).sum() == pytest.approx(variance, abs=0.3)
    assert (kernel * across**2).sum() < 0.3


def test_low_light_follows_the_sensor():
    white = np.full((200, 300, 3), 255, np.uint8)
    for severity in range(1, 6):
        dark = corrupt_frame(white, 'low_light', severity, **WHERE) / 255
        electrons = 1000 * dark**2.2
        expected = 1000 * setting('low_light', severity)
        assert electrons.mean() == pytest.approx(expected, rel=0.01)
        # Rounding to 8 bits is coarser than the noise in the light, so only where it is not:
        if severity >= 3:
            assert electrons.std() == pytest.approx(math.sqrt(expected + 9), rel=0.05)


def test_jpeg_is_what_opencv_writes(frames, tmp_path):
    for severity, quality in enumerate(SEVERITIES['jpeg_compression'].values, 1):
        path = str(tmp_path / f'{quality}.jpg')
        cv2.imwrite(path, frames[0], [cv2.IMWRITE_JPEG_QUALITY, quality])
        corrupted = corrupt_frame(frames[0], 'jpeg_compression', severity, **WHERE)
        assert np.array_equal(corrupted, cv2.imread(path))


def test_every_table_has_five_settings():
    for table in SEVERITIES.values():
        assert len(table.values) == NUM_SEVERITIES
        assert table.meaning and table.source


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        ('images/val/000342_mpii_test/000012.jpg', ('000342_mpii_test', 12)),
        ('images/bonn/000001_bonn/00000007_crop.jpg', ('000001_bonn', 7)),
        ('C:\\images\\video\\3.png', ('video', 3)),
    ],
)
def test_frame_of(path, expected):
    assert frame_of(path) == expected


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['frame_000003_cam2.jpg', 'frame_000010_cam2.jpg'], [3, 10]),
        (['000342_000001.jpg', '000342_000002.jpg'], [1, 2]),
        (['a.jpg', 'b.jpg', 'c.jpg'], [0, 1, 2]),
    ],
)
def test_frame_of_a_folder_that_is_there(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()
    found = [frame_of(str(tmp_path / name)) for name in names]
    assert found == [(tmp_path.name, number) for number in expected]


def test_frame_without_number():
    with pytest.raises(ValueError, match='a/b.jpg: no frame number'):
        frame_of('a/b.jpg')


def test_streams_differ():
    streams = [
        random_stream(0, 'a', 's'),
        random_stream(0, 'a', 's', 0),
        random_stream(0, 'a', 's', 1),
        random_stream(0, 'b', 's', 0),
        random_stream(1, 'a', 's', 0),
        random_stream(0, 'a', 't', 0),
    ]
    assert len({stream.integers(2**63) for stream in streams}) == len(streams)


@pytest.mark.parametrize('severity', [0, 6, -1, 1.5, True])
def test_wrong_severity(gray, severity):
    with pytest.raises(ValueError, match='expected a whole number from 1 to 5'):
        corrupt_frame(gray, 'shot_noise', severity, **WHERE)


@pytest.mark.parametrize('name', ['fog', 'frame_drop'])
def test_wrong_name(gray, name):
    with pytest.raises(ValueError, match=f"named '{name}', expected one of gaussian_noise, shot"):
        corrupt_frame(gray, name, 1, **WHERE)


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_wrong_image(image):
    with pytest.raises(ValueError, match='frame 12 of 000342_mpii_test is .* expected uint8'):
        corrupt_frame(image, 'shot_noise', 1, **WHERE)


def test_random_numbers_do_not_depend_on_the_kind_of_integer():
    for number in (3, np.int64(3), np.uint8(3)):
        stream = random_stream(np.int64(0), 'gaussian_noise', 'a', number)
        assert stream.integers(2**62) == random_stream(0, 'gaussian_noise', 'a', 3).integers(2**62)
