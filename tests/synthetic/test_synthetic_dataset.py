"""The synthetic dataset: deterministic, readable as PoseTrack18, true in what it says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_tools import run_tool

from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17
from cmpose_mm.synthetic import VERSION, Difficulty, Settings, write_dataset
from cmpose_mm.synthetic.body import ANGLE_NAMES, Build, Motion, pose_points
from cmpose_mm.synthetic.canvas import BACKGROUND, OCCLUDER, Camera, Canvas, Capsule
from cmpose_mm.synthetic.dataset import frame_time, person_annotations, video_scene
from cmpose_mm.synthetic.scene import (
    FRAME_RATE,
    FrameLabels,
    Occluder,
    Person,
    Scene,
    frame_labels,
    render_frame,
)

SMALL = Settings(videos={'train': 3, 'val': 2}, frames=3, height=120, width=160)
ROOT = Path(__file__).parents[2]


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp('synthetic') / 'data', SMALL)


# ---- files -----------------------------------------------------------------------------------


def test_same_settings_same_bytes_with_any_number_of_workers(dataset, tmp_path):
    assert files(write_dataset(tmp_path / 'again', SMALL, workers=2)) == files(dataset)


def test_another_seed_changes_every_image(dataset, tmp_path):
    other = files(write_dataset(tmp_path / 'other', replace(SMALL, seed=1)))
    mine = files(dataset)
    assert other.keys() == mine.keys()
    assert all(other[name] != mine[name] for name in mine)


def test_a_video_does_not_depend_on_how_many_there_are(dataset, tmp_path):
    fewer = files(write_dataset(tmp_path / 'fewer', replace(SMALL, videos={'train': 1, 'val': 2})))
    mine = files(dataset)
    assert all(fewer[name] == mine[name] for name in fewer if name != 'synthetic.json')


def test_files_are_posetrack18(dataset):
    seen_images, seen_annotations = set(), set()
    for split, count in SMALL.videos.items():
        paths = sorted((dataset / 'annotations' / split).glob('*.json'))
        assert len(paths) == count
        for path in paths:
            data = json.loads(path.read_text())
            assert data['categories'][0]['keypoints'] == list(JOINT_NAMES_17)
            assert len(data['images']) == SMALL.frames
            for number, image in enumerate(data['images']):
                assert image['file_name'] == f'images/{split}/{path.stem}/{number:06d}.jpg'
                assert image['is_labeled'] and image['frame_id'] == image['id']
                assert (image['nframes'], image['vid_id']) == (SMALL.frames, path.stem[:6])
                assert cv2.imread(str(dataset / image['file_name'])).shape == (120, 160, 3)
            ids = {image['id'] for image in data['images']}
            assert len(ids) == SMALL.frames and not ids & seen_images
            seen_images |= ids
            for person in data['annotations']:
                assert person['image_id'] in ids and person['category_id'] == 1
                assert person['id'] not in seen_annotations
                seen_annotations.add(person['id'])
                points = np.array(person['keypoints']).reshape(17, 3)
                assert not points[3:5].any()  # ears
                assert set(points[:, 2]) <= {0, 1}
                assert all(isinstance(v, int) for v in person['keypoints'][2::3])
                inside = points[points.any(axis=1)]
                assert len(inside) >= 3 and inside[:, 2].any()
                assert (inside[:, :2] >= -0.5).all()
                assert (inside[:, :2] <= [159.5, 119.5]).all()
                x, y, w, h = person['bbox']
                assert w > 0 and h > 0 and x >= 0 and y >= 0
                assert x + w <= 160.01 and y + h <= 120.01
                assert (inside[:, :2] >= [x - 1, y - 1]).all()
                assert (inside[:, :2] <= [x + w + 1, y + h + 1]).all()
                assert person['bbox_head'][2] > 0 and person['bbox_head'][3] > 0


def test_read_videos_reads_it_strictly(dataset):
    for split, count in SMALL.videos.items():
        videos = read_videos(dataset / 'annotations' / split)
        assert [len(video.frames) for video in videos] == [SMALL.frames] * count
        persons = sum(len(frame.keypoints) for video in videos for frame in video.frames)
        written = sum(
            len(json.loads(p.read_text())['annotations'])
            for p in (dataset / 'annotations' / split).glob('*.json')
        )
        assert persons == written > 0
        for frame in (frame for video in videos for frame in video.frames):
            assert len(set(frame.track_ids)) == len(frame.track_ids)
            assert np.isfinite(frame.head_boxes).all() and np.isfinite(frame.boxes).all()


def test_an_equal_finished_dataset_is_kept_and_an_unfinished_one_repaired(tmp_path):
    settings = Settings(videos={'train': 2}, frames=1, height=64, width=64)
    root = write_dataset(tmp_path / 'data', settings)
    before = files(root)
    image = next(root.rglob('*.jpg'))
    image.write_bytes(b'changed')
    write_dataset(root, settings)
    assert image.read_bytes() == b'changed'  # finished: not touched

    manifest = json.loads((root / 'synthetic.json').read_text())
    (root / 'synthetic.json').write_text(json.dumps({**manifest, 'finished': False}))
    write_dataset(root, settings)
    assert files(root) == before


@pytest.mark.parametrize('lost', ['images/train', 'annotations/train/000001_synthetic.json'])
def test_files_that_a_finished_dataset_lacks_are_written_again(tmp_path, lost):
    settings = Settings(videos={'train': 2}, frames=2, height=64, width=64)
    root = write_dataset(tmp_path / 'data', settings)
    before = files(root)
    kept = root / 'annotations/train/000000_synthetic.json'
    written = kept.stat().st_mtime_ns
    if (root / lost).is_dir():
        shutil.rmtree(root / lost)
    else:
        (root / lost).unlink()
    write_dataset(root, settings)
    assert files(root) == before
    assert (kept.stat().st_mtime_ns == written) == (lost != 'images/train')  # only what lacks files


def test_the_same_splits_in_another_order_are_other_videos(tmp_path):
    """Videos are numbered in the order of the splits."""
    settings = Settings(videos={'train': 1, 'val': 1}, frames=1, height=64, width=64)
    root = write_dataset(tmp_path / 'data', settings)
    turned = replace(settings, videos={'val': 1, 'train': 1})
    with pytest.raises(FileExistsError, match=r'other settings \(order of videos differ\)'):
        write_dataset(root, turned)


def test_a_dataset_from_before_a_setting_existed_is_kept(tmp_path):
    settings = Settings(videos={'train': 1}, frames=1, height=64, width=64)
    root = write_dataset(tmp_path / 'data', settings)
    manifest = json.loads((root / 'synthetic.json').read_text())
    del manifest['by_split'], manifest['difficulty']['low_light']
    (root / 'synthetic.json').write_text(json.dumps(manifest))
    write_dataset(root, settings)
    with pytest.raises(FileExistsError, match=r'\(difficulty differ\)'):
        write_dataset(root, replace(settings, difficulty=Difficulty(low_light=0.5)))


def test_a_test_bed_from_before_a_setting_existed_is_kept(tmp_path):
    choices = (Difficulty(people=(1, 1)), Difficulty(people=(2, 2)))
    settings = Settings(
        videos={'train': 1}, frames=1, height=64, width=64, by_split={'train': choices}
    )
    root = write_dataset(tmp_path / 'data', settings)
    manifest = json.loads((root / 'synthetic.json').read_text())
    for choice in manifest['by_split']['train']:
        del choice['zoom']
    (root / 'synthetic.json').write_text(json.dumps(manifest))
    write_dataset(root, settings)
    changed = replace(settings, by_split={'train': (replace(choices[0], zoom=(2, 2)), choices[1])})
    with pytest.raises(FileExistsError, match=r'\(by_split differ\)'):
        write_dataset(root, changed)


def test_files_of_this_version_stay_as_they_are(dataset):
    """What was measured on them (the demo, for one) is of these files: else raise VERSION."""
    total = hashlib.sha256()
    for path in sorted((dataset / 'annotations').rglob('*.json')):
        total.update(path.read_bytes())
    assert (VERSION, total.hexdigest()[:16]) == (4, '5395134503578f88')


def test_other_settings_or_foreign_files_are_refused(tmp_path):
    settings = Settings(videos={'train': 1}, frames=1, height=64, width=64)
    root = write_dataset(tmp_path / 'data', settings)
    with pytest.raises(FileExistsError, match=r'other settings \(seed differ\)'):
        write_dataset(root, replace(settings, seed=3))
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign' / 'thesis.tex').write_text('')
    with pytest.raises(FileExistsError, match='holds no synthetic.json'):
        write_dataset(tmp_path / 'foreign', settings)


@pytest.mark.parametrize('content', ['', '{"version": 4', '[]', '{"difficulty": 3}'])
def test_settings_that_cannot_be_read_are_refused(content, tmp_path):
    (tmp_path / 'synthetic.json').write_text(content)
    with pytest.raises(FileExistsError, match='synthetic.json: found no settings of a dataset, ex'):
        write_dataset(tmp_path, SMALL)
    assert (tmp_path / 'synthetic.json').read_text() == content


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(videos={'train': 0}), "Split 'train' has 0 videos"),
        (dict(frames=0), 'Videos have 0 frames'),
        (dict(width=8), 'Images are 8x120 pixels'),
        (dict(seed=-1), 'The seed is -1; expected at least 0'),
        (dict(by_split={'test': (Difficulty(),)}), "1 difficulties of split 'test'; .* train, val"),
        (dict(by_split={'val': ()}), "0 difficulties of split 'val'"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    ('dials', 'message'),
    [
        (dict(people=(3, 2)), r'Difficulty.people is \(3, 2\)'),
        (dict(crossing=1.5), 'Difficulty.crossing is 1.5'),
        (dict(zoom=(2.0, 1.0)), r'Difficulty.zoom is \(2.0, 1.0\); expected 0 < low <= high'),
        (dict(facing_away=0.9), 'Difficulty.facing_away is 0.9; expected a number in 0..0.85'),
        (dict(speed=-1.0), 'Difficulty.speed is -1.0'),
        (dict(low_light=1.1), 'Difficulty.low_light is 1.1'),
        (dict(max_darkness=1.0), 'Difficulty.max_darkness is 1.0; expected 0 <= max_darkness < 1'),
        (dict(occluder_size=(0.1, 0.01)), r'Difficulty.occluder_size is \(0.1, 0.01\)'),
        (dict(occluder_speed=-1.0), 'Difficulty.occluder_speed is -1.0'),
        (dict(people=3), r'Difficulty.people is 3; expected two whole numbers \(low, high\)'),
        (dict(people=(1, 2, 3)), r'Difficulty.people is \(1, 2, 3\); expected two whole numbers'),
        (dict(people=(1, 2.5)), r'Difficulty.people is \(1, 2.5\); expected two whole numbers'),
        (dict(zoom=('a', 1)), r"Difficulty.zoom is \('a', 1\); expected two numbers \(low, high"),
        (dict(speed='x'), "Difficulty.speed is 'x'; expected a number"),
        (dict(speed=(1, 2)), r'Difficulty.speed is \(1, 2\); expected a number'),
        (dict(speed=float('nan')), 'Difficulty.speed is nan; expected a number'),
        (dict(max_defocus=float('inf')), 'Difficulty.max_defocus is inf; expected a number'),
    ],
)
def test_difficulty_out_of_range(dials, message):
    with pytest.raises(ValueError, match=message):
        Difficulty(**dials)


@pytest.mark.slow
def test_command(tmp_path):
    command = [sys.executable, str(ROOT / 'tools/make_synthetic_posetrack.py'), str(tmp_path / 'd')]
    command += '--train 1 --val 1 --frames 1 --size 96 64 --workers 1'.split()
    done = subprocess.run(
        [*command, '--set', 'people=(2, 2)', '--set', 'speed=3'],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert re.search(r'\| train +\| +1 \| +1 \|', done.stdout)
    assert re.search(r'\| val +\| +1 \|', done.stdout)
    settings = json.loads((tmp_path / 'd' / 'synthetic.json').read_text())
    assert settings['difficulty']['people'] == [2, 2] and settings['difficulty']['speed'] == 3
    wrong = subprocess.run([*command, '--set', 'fog=1'], capture_output=True, text=True, cwd=ROOT)
    assert wrong.returncode == 2 and 'unknown dial' in wrong.stderr


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--size', 0, 0], '--size: Images are 0x0 pixels; expected at least 32x32.'),
        (['--frames', 0], '--frames: Videos have 0 frames; expected at least 1.'),
        (
            ['--frames', 10001],
            '--frames: Videos have 10001 frames; expected at most 10000, for which image ids have '
            'room.',
        ),
        (['--train', -1], "--train: Split 'train' has -1 videos; expected 1 to 99999."),
        (['--val', 0], "--val: Split 'val' has 0 videos; expected 1 to 99999."),
        (['--seed', -1], '--seed: The seed is -1; expected at least 0.'),
        (
            ['--set', 'people=(4,1)'],
            '--set people=(4,1): Difficulty.people is (4, 1); expected 1 <= low <= high.',
        ),
        (
            ['--set', 'people=3'],
            '--set people=3: Difficulty.people is 3; expected two whole numbers (low, high).',
        ),
        (
            ['--set', "speed='x'"],
            "--set speed='x': Difficulty.speed is 'x'; expected a number.",
        ),
        (
            ['--set', 'speed={[]: 1}'],
            '--set speed={[]: 1}: expected NAME=VALUE with a number or (low, high).',
        ),
    ],
)
def test_command_refuses_wrong_options_in_one_sentence(options, said, tmp_path):
    done = run_tool(ROOT / 'tools/make_synthetic_posetrack.py', tmp_path / 'd', *options)
    assert done.returncode == 2, done.stderr
    usage, error = done.stderr.split('make_synthetic_posetrack.py: error: ')
    assert usage.startswith('usage: ') and error == said + '\n'
    assert not (tmp_path / 'd').exists()


# ---- splits ----------------------------------------------------------------------------------


def test_train_and_val_share_no_appearance_and_no_motion():
    settings = Settings(videos={'train': 12, 'val': 12}, height=64, width=80)
    seen = {}
    for split in settings.videos:
        seen[split] = set()
        for index in range(12):
            scene = video_scene(settings, split, index)
            items = [scene.background, scene.light, scene.gain, scene.pan]
            for person in scene.people:
                # Uniform textures of one tone are all that two wardrobes could have in common.
                items += [person.wardrobe[name] for name in ('shirt', 'trousers', 'face', 'shoe')]
                items += [person.motion.phase, person.motion.mean, person.motion.root]
                items.append(np.array([person.build.torso, person.build.shin]))
            items += [occluder.texture for occluder in scene.occluders]
            seen[split] |= {item.tobytes() for item in items}
    assert len(seen['train']) > 100
    assert not seen['train'] & seen['val']


@pytest.mark.parametrize('frames', [100, 400, 3000])
def test_nobody_walks_into_the_camera(frames):
    settings = Settings(videos={'train': 40}, frames=frames, height=64, width=80)
    nearest = min(
        person.motion.root[1] + person.motion.velocity[1] * frame_time(settings, frame)
        for index in range(40)
        for person in video_scene(settings, 'train', index).people
        for frame in (0, frames - 1)
    )
    assert nearest >= 0.5


@pytest.mark.parametrize('frames', [100, 400, 3000])
def test_no_hand_is_behind_the_camera(frames):
    settings = Settings(videos={'train': 40}, frames=frames, height=64, width=80)
    for index in range(40):
        scene = video_scene(settings, 'train', index)
        for person in scene.people:
            for frame in {*range(8), *range(frames - 8, frames)}:
                points = pose_points(
                    person.build, person.motion, frame_time(settings, frame), scene.ground
                )
                assert min(point[2] for point in points.values() if point.shape == (3,)) > 0.2


@pytest.mark.slow
def test_zoom_is_a_factor_on_the_focal_length():
    def focals(zoom):
        settings = Settings(
            videos={'train': 40}, height=64, width=80, difficulty=Difficulty(zoom=zoom)
        )
        return np.array([video_scene(settings, 'train', index).focal for index in range(40)])

    plain = focals((1.0, 1.0))
    np.testing.assert_allclose(focals((2.0, 2.0)), 2 * plain)
    factors = focals((0.5, 2.0)) / plain
    assert factors.min() >= 0.5 and factors.max() <= 2.0
    assert factors.min() < 0.6 and factors.max() > 1.7
    assert abs(np.log(factors).mean()) < 0.25  # small and large ones equally often


@pytest.mark.slow
@pytest.mark.parametrize('facing_away', [0.0, 0.2, 0.6])
def test_people_face_all_directions(facing_away):
    difficulty = Difficulty(facing_away=facing_away, crossing=0.0, people=(8, 8))
    settings = Settings(videos={'train': 70}, height=64, width=80, difficulty=difficulty)
    headings = [
        person.motion.heading
        for index in range(70)
        for person in video_scene(settings, 'train', index).people
    ]
    # Front, the person's left, back, right: 40 degrees around front and back, and a share of 0.15
    # that looks any way.
    quarters = np.floor((np.array(headings) + np.pi / 4) / (np.pi / 2)).astype(int) % 4
    shares = np.bincount(quarters, minlength=4) / len(headings)
    expected = np.array([0.85 - facing_away, 0, facing_away, 0]) + 0.15 / 4
    deviation = np.sqrt(expected * (1 - expected) / len(headings))
    assert (np.abs(shares - expected) < 4 * deviation).all()


# ---- truth of the labels, on a scene made by hand ----------------------------------------------


def standing_person(
    heading: float = 0.0, depth: float = 4.0, velocity=(0.0, 0.0), arm_flex: float = 0.0
) -> Person:
    """Someone who stands with arms and legs a little apart, in one plain color."""
    build = Build(
        torso=0.5, neck=0.08, head=0.23, shoulder=0.19, hip=0.1, upper_arm=0.3, forearm=0.26,
        thigh=0.42, shin=0.42, foot=0.18, girth=1.0,
    )  # fmt: skip
    mean = np.array([0.35 if n.endswith('abd') else 0.0 for n in ANGLE_NAMES])
    mean[[n.endswith('arm_flex') for n in ANGLE_NAMES]] = arm_flex
    zeros = np.zeros(len(ANGLE_NAMES))
    motion = Motion(
        mean, zeros, zeros, zeros, np.array([0.0, depth]), np.array(velocity), heading, 0
    )
    cloths = ('skin', 'face', 'shirt', 'yoke', 'sleeve', 'cuff', 'trousers', 'leg', 'shoe')
    plain = np.full((8, 8, 3), 200, np.uint8)
    return Person(build, motion, dict.fromkeys(cloths, plain))


def scene_of(people: list[Person], occluders: list[Occluder] = ()) -> Scene:
    return Scene(
        height=240, width=320, background=np.zeros((240, 320, 3), np.uint8), margin=0, focal=300.0,
        horizon=120.0, ground=1.0, light=np.array([0.0, 0.0, -1.0]), people=people,
        occluders=list(occluders),
    )  # fmt: skip


def labels_of(scene: Scene, t: float = 0.0) -> tuple[FrameLabels, np.ndarray]:
    _, canvas = render_frame(scene, t, np.random.default_rng(0))
    return frame_labels(scene, t, canvas), canvas


def visible(labels: FrameLabels, person: int = 0) -> dict[str, bool]:
    return dict(zip(JOINT_NAMES, labels.keypoints[person, :, 2].astype(bool).tolist()))


def test_projection_by_hand():
    camera = Camera(300.0, np.array([160.0, 120.0]))
    np.testing.assert_allclose(camera.project([1.0, -0.5, 4.0]), [235.0, 82.5])


def test_left_is_the_persons_own_left():
    front, _ = labels_of(scene_of([standing_person(heading=0.0)]))
    back, _ = labels_of(scene_of([standing_person(heading=np.pi)]))
    left, right = JOINT_NAMES.index('left_shoulder'), JOINT_NAMES.index('right_shoulder')
    assert front.keypoints[0, left, 0] > front.keypoints[0, right, 0]
    assert back.keypoints[0, left, 0] < back.keypoints[0, right, 0]


def test_limbs_keep_their_lengths_in_motion():
    person = video_scene(Settings(videos={'train': 1}), 'train', 0).people[0]
    for t in np.linspace(-0.5, 0.5, 7):
        p = pose_points(person.build, person.motion, t, 1.5)
        for start, end, length in [
            ('left_hip', 'left_knee', person.build.thigh),
            ('right_knee', 'right_ankle', person.build.shin),
            ('left_shoulder', 'left_elbow', person.build.upper_arm),
            ('right_elbow', 'right_wrist', person.build.forearm),
        ]:
            assert np.linalg.norm(p[start] - p[end]) == pytest.approx(length)
        assert max(p[k][1] for k in ('left_toe', 'right_toe', 'left_ankle', 'right_ankle')) <= 1.5


def test_all_joints_of_a_lone_person_who_faces_the_camera_are_visible_and_on_the_person():
    labels, canvas = labels_of(scene_of([standing_person()]))
    assert all(visible(labels).values())
    columns, rows = np.rint(labels.keypoints[0, :, :2]).astype(int).T
    assert (canvas.owner[rows, columns] == 0).all()


def test_a_nose_seen_from_behind_is_hidden_and_nothing_else():
    labels, _ = labels_of(scene_of([standing_person(heading=np.pi)]))
    assert [name for name, v in visible(labels).items() if not v] == ['nose']


def test_from_the_side_the_far_half_of_the_trunk_is_hidden():
    # Facing right in the image, arms forward: the right side is near.
    labels, _ = labels_of(scene_of([standing_person(heading=np.pi / 2, arm_flex=np.pi / 2)]))
    hidden = {name for name, v in visible(labels).items() if not v}
    assert {'left_shoulder', 'left_hip'} <= hidden
    assert all(name.startswith('left') for name in hidden)


def test_a_known_occluder_hides_exactly_what_is_behind_it():
    scene = scene_of([standing_person()])
    free, _ = labels_of(scene)
    knee_y = free.keypoints[0, JOINT_NAMES.index('left_knee'), 1]
    height = int(240 - (knee_y - 8))
    wall = Occluder(np.full((height, 320, 3), 90, np.uint8), np.ones((height, 320), np.float32),
                    np.array([0.0, 240.0 - height]), np.zeros(2), depth=2.0)  # fmt: skip
    scene.occluders = [wall]
    labels, canvas = labels_of(scene)
    hidden = {name for name, v in visible(labels).items() if not v}
    assert hidden == {'left_knee', 'right_knee', 'left_ankle', 'right_ankle'}
    # Occluded, but labeled where they are.
    np.testing.assert_array_equal(labels.keypoints[0, :, :2], free.keypoints[0, :, :2])
    assert (canvas.owner[240 - height + 1 :] == OCCLUDER).all()

    scene.occluders[0].depth = 6.0  # behind the person
    assert all(visible(labels_of(scene)[0]).values())


def test_an_occluder_that_almost_touches_the_body_hides_it():
    # The belly's surface is 0.1 m before the hip joints; the wall is nearer by 2 cm.
    wall = Occluder(np.full((240, 320, 3), 90, np.uint8), np.ones((240, 320), np.float32),
                    np.zeros(2), np.zeros(2), depth=3.87)  # fmt: skip
    seen = visible(labels_of(scene_of([standing_person()], [wall]))[0])
    assert not seen['left_hip'] and not seen['right_hip']


def test_what_is_nearer_wins_in_any_order_of_drawing():
    def ball(depth: float, shade: int) -> Capsule:
        center, texture = np.array([0.0, 0.0, depth]), np.full((4, 4, 3), shade, np.uint8)
        return Capsule(center, center, (0.2,) * 4, np.eye(3), texture)

    camera = Camera(100.0, np.array([16.0, 16.0]))
    for order in ([0, 1], [1, 0]):
        canvas = Canvas(np.zeros((33, 33, 3), np.uint8))
        for owner in order:
            canvas.draw_capsule(
                camera, ball(2.0 + owner, 200), light=np.array([0.0, 0.0, -1.0]), owner=owner
            )
        assert canvas.owner[16, 16] == 0
        assert canvas.depth[16, 16] == pytest.approx(1.8)
        assert canvas.owner[0, 0] == BACKGROUND and np.isinf(canvas.depth[0, 0])


def test_a_moving_occluder_hides_by_time():
    wall = Occluder(np.full((240, 120, 3), 90, np.uint8), np.ones((240, 120), np.float32),
                    np.array([100.0, 0.0]), np.array([1000.0, 0.0]), depth=2.0)  # fmt: skip
    scene = scene_of([standing_person()], [wall])
    assert not any(visible(labels_of(scene, 0.0)[0]).values())
    assert all(visible(labels_of(scene, 0.25)[0]).values())


def test_the_nearer_person_hides_the_farther_one():
    near, far = standing_person(depth=3.0), standing_person(depth=5.0)
    labels, _ = labels_of(scene_of([far, near]))
    assert all(visible(labels, 1).values())
    assert not visible(labels, 0)['left_hip'] and not visible(labels, 0)['head_bottom']


def test_joints_outside_the_image_are_zero():
    person = standing_person()
    person.motion.root = np.array([2.05, 4.0])  # the middle of the body is at x = 313.75
    labels, _ = labels_of(scene_of([person]))
    points = dict(zip(JOINT_NAMES, labels.keypoints[0]))
    assert not points['left_wrist'].any() and not points['left_shoulder'].any()
    assert points['right_wrist'].any() and points['right_shoulder'].any()


def test_head_box_holds_the_head():
    labels, canvas = labels_of(scene_of([standing_person()]))
    x, y, w, h = labels.head_boxes[0]
    points = dict(zip(JOINT_NAMES, labels.keypoints[0, :, :2]))
    for name in ('nose', 'head_top', 'head_bottom'):
        assert x <= points[name][0] <= x + w and y <= points[name][1] <= y + h
    top = np.nonzero((canvas.owner == 0).any(axis=1))[0][0]
    assert top == pytest.approx(y, abs=2.5)
    # From neck to crown 0.23 m at 4 m and 300 pixels of focal length: 17.25 pixels; the crown's
    # surface is a little above its joint.
    assert 17.25 <= h <= 19


def test_visible_joints_of_random_scenes_lie_on_their_person():
    settings = Settings(videos={'train': 10}, height=120, width=160)
    count = 0
    for index in range(10):
        scene = video_scene(settings, 'train', index)
        labels, canvas = labels_of(scene, frame_time(settings, index))
        for person, points in enumerate(labels.keypoints):
            for x, y, v in points:
                if v:
                    assert canvas.owner[round(y), round(x)] == person
                    count += 1
    assert count > 100


def test_person_annotations_by_hand():
    image = dict(id=10_000_000_000, width=320, height=240)
    keypoints = np.zeros((3, 15, 3))
    keypoints[0, :4] = [[10, 20, 1], [30, 40, 0], [50, 60, 1], [10, 20, 1]]
    keypoints[1, :2] = [[5, 5, 1], [6, 6, 1]]  # two joints are too few
    keypoints[2, :5, :2] = 7  # nothing visible
    (person,) = person_annotations(FrameLabels(keypoints, np.full((3, 4), 9.0)), image)
    assert (person['id'], person['track_id']) == (1_000_000_000_000, 0)
    assert person['keypoints'][:9] == [10, 20, 1, 30, 40, 0, 50, 60, 1]
    assert person['keypoints'][9:15] == [0] * 6  # ears
    assert person['keypoints'][15:18] == [10, 20, 1]
    assert person['bbox'] == [4, 14, 52, 52]  # extent 40 x 40 times 1.3


# ---- difficulty --------------------------------------------------------------------------------


def owner_share(difficulty: Difficulty, owner: int) -> float:
    settings = Settings(videos={'train': 8}, height=96, width=128, difficulty=difficulty)
    shares = []
    for index in range(8):
        _, canvas = render_frame(video_scene(settings, 'train', index), 0, np.random.default_rng(0))
        shares.append(np.mean(canvas.owner == owner))
    return float(np.mean(shares))


@pytest.mark.slow
def test_occluder_coverage_dial():
    assert owner_share(Difficulty(occluder_coverage=0.0), OCCLUDER) == 0
    some = owner_share(Difficulty(occluder_coverage=0.05, moving_occluders=0.0), OCCLUDER)
    much = owner_share(Difficulty(occluder_coverage=0.2, moving_occluders=0.0), OCCLUDER)
    assert 0.01 < some <= 0.055
    assert 1.5 * some < much <= 0.21


def scenes_with(count: int = 12, size: dict | None = None, **dials) -> list[Scene]:
    settings = Settings(videos={'train': count}, difficulty=Difficulty(**dials), **(size or {}))
    return [video_scene(settings, 'train', index) for index in range(count)]


def test_occluder_size_dial():
    """But for the last of a scene, which fills up the coverage, and for its whole pixels."""
    scenes = scenes_with(occluder_coverage=0.1, occluder_size=(0.01, 0.012))
    shares = [
        occluder.coverage.size / (240 * 320)
        for scene in scenes
        for occluder in scene.occluders[:-1]
    ]
    assert len(shares) > 80
    assert 0.009 < min(shares) < max(shares) <= 0.012


@pytest.mark.slow
def test_occluder_speed_dial():
    slow, fast = (scenes_with(occluder_coverage=0.1, occluder_speed=s) for s in (1.0, 3.0))
    moving = 0
    for one, other in zip(slow, fast):
        for a, b in zip(one.occluders, other.occluders):
            np.testing.assert_allclose(b.velocity, 3 * a.velocity)
            moving += a.velocity.any()
        for a, b in zip(one.people, other.people):
            np.testing.assert_array_equal(a.motion.velocity, b.motion.velocity)
    assert moving > 20


@pytest.mark.slow
def test_low_light_dial_darkens_and_adds_noise_and_changes_nothing_else():
    lit, dark = (scenes_with(low_light=share, max_darkness=0.9) for share in (0.0, 1.0))
    for one, other in zip(lit, dark):
        exposure = other.gain / one.gain
        assert np.ptp(exposure) < 1e-12
        assert 0.1 <= exposure[0] <= 1 - 0.6 * 0.9
        assert other.noise == pytest.approx(one.noise / exposure[0] ** 0.5)
        assert (one.shutter, one.defocus) == (other.shutter, other.defocus)
    one, other = lit[0], dark[0]
    (image, canvas), (dim, same) = (
        render_frame(scene, 0, np.random.default_rng(0)) for scene in (one, other)
    )
    np.testing.assert_array_equal(canvas.owner, same.owner)
    exposure = other.gain[0] / one.gain[0]
    assert dim.mean() == pytest.approx(exposure * image.mean(), abs=2)
    flat = Scene(**{**vars(other), 'background': np.full_like(other.background, 200),
                    'people': [], 'occluders': []})  # fmt: skip
    noisy, _ = render_frame(flat, 0, np.random.default_rng(0))
    assert noisy[..., 0].std() == pytest.approx(other.noise, rel=0.15)


@pytest.mark.slow
def test_low_light_is_a_share_of_the_videos():
    scenes = scenes_with(200, dict(height=64, width=80), low_light=0.25, people=(1, 1))
    dark = sum(scene.gain.max() < 0.65 for scene in scenes)
    assert abs(dark / 200 - 0.25) < 4 * (0.25 * 0.75 / 200) ** 0.5


def test_by_split_videos_take_difficulties_in_turn():
    settings = Settings(
        videos={'train': 4, 'val': 2},
        by_split={'train': (Difficulty(people=(1, 1)), Difficulty(people=(4, 4)))},
        difficulty=Difficulty(people=(2, 2)),
    )
    count = {
        s: [len(video_scene(settings, s, i).people) for i in range(4)] for s in settings.videos
    }
    assert count == {'train': [1, 4, 1, 4], 'val': [2, 2, 2, 2]}


def test_people_dial():
    settings = Settings(videos={'train': 6}, height=64, width=80,
                        difficulty=Difficulty(people=(3, 3)))  # fmt: skip
    assert {len(video_scene(settings, 'train', i).people) for i in range(6)} == {3}


@pytest.mark.slow
def test_speed_dial_scales_motion():
    def step(speed: float) -> float:
        settings = Settings(videos={'train': 8}, difficulty=Difficulty(speed=speed, crossing=0.0))
        moved = []
        for index in range(8):
            for p in video_scene(settings, 'train', index).people:
                a, b = (pose_points(p.build, p.motion, t, 1.5) for t in (0.0, 1 / FRAME_RATE))
                moved += [np.linalg.norm(a[n] - b[n]) for n in JOINT_NAMES]
        return float(np.mean(moved))

    assert step(0.0) == 0
    assert step(2.0) > 1.6 * step(1.0) > 0


def test_motion_blur_smears_what_moves():
    person = standing_person(velocity=(3.0, 0.0))
    scene = scene_of([person])
    sharp, canvas = render_frame(scene, 0.0, np.random.default_rng(0))
    scene.shutter = 1.0
    blurred, same = render_frame(scene, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(canvas.owner, same.owner)  # labels stay those of the instant
    edge = np.abs(np.diff(sharp[..., 0].astype(float), axis=1)).max()
    assert np.abs(np.diff(blurred[..., 0].astype(float), axis=1)).max() < 0.75 * edge
    # 3 m/s at 4 m: 9 pixels a frame; the smear reaches over the person's edge.
    outside = canvas.owner == BACKGROUND
    assert (blurred[outside] > 40).sum() > (sharp[outside] > 40).sum() + 50


@pytest.mark.slow
def test_crossing_people_meet():
    def distance(crossing: float) -> float:
        settings = Settings(
            videos={'train': 10}, difficulty=Difficulty(people=(2, 2), crossing=crossing)
        )
        nearest = []
        for index in range(10):
            scene = video_scene(settings, 'train', index)
            x = []
            for t in np.linspace(-0.4, 0.4, 41):
                camera = scene.camera_at(t)
                a, b = (
                    camera.project(pose_points(p.build, p.motion, t, scene.ground)['pelvis'])[0]
                    for p in scene.people
                )
                x.append(abs(a - b))
            nearest.append(min(x))
        return float(np.median(nearest))

    assert distance(1.0) < 5 < 30 < distance(0.0)
