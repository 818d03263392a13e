"""`cmpose draw`: what it draws is what `cmpose infer` draws; edited files, other joints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_tools import run_tool

from cmpose_mm.apis import open_frames
from cmpose_mm.apis.draw_command import drawn_joints, persons_of_frames
from cmpose_mm.joint_sets import POSETRACK, JointSet
from cmpose_mm.pose_formats import read_pose_video, read_poses
from cmpose_mm.visualization import draw_poses

pytest.importorskip('av')
COMMAND = Path(__file__).parents[2] / 'cmpose_cli' / '__main__.py'
FRAMES = 4


def draw(*arguments, cwd):
    return run_tool(COMMAND, 'draw', *arguments, cwd=cwd)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Gray images, and poses of one person in all but frame 2."""
    (tmp_path / 'v').mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(tmp_path / f'v/{number:03d}.png'), np.full((96, 128, 3), 90, np.uint8))
    joints = list(POSETRACK.joints)
    rng = np.random.default_rng(0)
    annotations = []
    for number in (0, 1, 3):
        points = np.ones((15, 3))
        points[:, :2] = rng.uniform(10, 85, (15, 2)).round(1)
        annotations.append(
            dict(id=number, image_id=number, track_id=7, keypoints=points.ravel().tolist(),
                 scores=[0.9] * 14 + [0.1], score=0.5)
        )  # fmt: skip
    images = [dict(id=n, file_name=f'v/{n:03d}.png') for n in range(FRAMES)]
    content = dict(images=images, annotations=annotations, categories=[dict(keypoints=joints)])
    (tmp_path / 'p.json').write_text(json.dumps(content))
    return tmp_path


def test_frames_have_their_poses(folder):
    done = draw('v', 'p.json', 'o.mp4', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'o.mp4: 3 persons in 4 frames\n'
    drawn = [frame.image for frame in open_frames(str(folder / 'o.mp4'))]
    video = read_pose_video(folder / 'p.json')
    blank = np.full((96, 128, 3), 90, np.uint8)
    for number, image in enumerate(drawn):
        chosen = video.frames == number
        expected = draw_poses(
            blank, video.keypoints[chosen], video.keypoint_scores[chosen] >= 0.2,
            ids=video.track_ids[chosen], scores=video.scores[chosen], color_by='person',
        )  # fmt: skip
        error = np.abs(image.astype(int) - expected).mean()  # of the video's compression
        others = np.abs(image.astype(int) - blank).mean()
        assert others > 2.5 * error if chosen.any() else error < 2
    assert len(drawn) == FRAMES


@pytest.mark.slow
@pytest.mark.parametrize(
    'arguments, out',
    [
        ('draw v p.json out.mp4', 'out.mp4'),
        ('smooth p.json out.json --frame-rate 25', 'out.json'),
        ('convert p.json coco out.json', 'out.json'),
        ('plot p.json out --frame-rate 25', 'out/p_angles.csv'),
    ],
)
def test_in_a_process_of_its_own(folder, arguments, out):
    """Where nothing is imported that a command forgot to import, or was told it needs not."""
    done = subprocess.run(
        [sys.executable, '-m', 'cmpose_cli', *arguments.split()], capture_output=True, text=True,
        cwd=folder, env={**os.environ, 'PYTHONPATH': str(COMMAND.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / out).stat().st_size > 0


def test_images_are_found_by_their_names_and_tables_by_position(folder):
    (folder / 'v/001.png').unlink()
    done = draw('v', 'p.json', 'o.mp4', cwd=folder)
    assert '2 persons in 3 frames; 1 persons are of frames that the video' in done.stdout
    (folder / 'p.csv').write_text('frame,nose_x,nose_y\n0,40,40\n1,50,50\n9,1,1\n')
    done = draw('v', 'p.csv', 'o2.mp4', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert '2 persons in 3 frames; 1 persons are of' in done.stdout
    images = [frame.image.astype(int) for frame in open_frames(str(folder / 'o2.mp4'))]
    for image, (x, y) in zip(images, ((40, 40), (50, 50))):
        assert np.abs(image[y, x] - 90).max() > 60
    assert np.abs(images[2] - 90).max() < 30


def test_poses_of_a_video_are_drawn_on_its_images_by_number(folder):
    """Whose names, here from 1, are none of the made-up ones."""
    for number in reversed(range(FRAMES)):
        (folder / f'v/{number:03d}.png').rename(folder / f'v/{number + 1:03d}.png')
    content = json.loads((folder / 'p.json').read_text())
    for number, image in enumerate(content['images']):
        image.update(file_name=f'v/{number:03d}.png', frame_number=number, of_video=True)
    (folder / 'p.json').write_text(json.dumps(content))
    persons = persons_of_frames(read_pose_video(folder / 'p.json'), open_frames(folder / 'v'))
    assert [chosen.tolist() for chosen in islice(persons, FRAMES)] == [[0], [1], [], [2]]


def test_an_edited_table(folder):
    """Rows deleted, coordinates moved, cells emptied: what is drawn is what the table says."""
    joints = [f'{joint}_{part}' for joint in ('L_paw', 'R_paw') for part in ('x', 'y', 'score')]
    lines = [','.join(['frame', 'time', 'track_id', 'score', 'x1', 'y1', 'x2', 'y2', *joints])]
    for frame in range(FRAMES):
        for track_id in (0, 1):
            x, y = 20 + 60 * track_id, 60
            lines.append(f'{frame},,{track_id},0.9,{x},{y},{x + 24},{y + 20},'
                         f'{x},{y},0.9,{x + 24},{y + 20},0.9')  # fmt: skip
    # Person 1 leaves frame 1, and frame 2 is gone. In frame 3 the box and a joint of person 0 move,
    # the other joint is emptied, and person 1 has no box.
    lines = [line for line in lines if not line.startswith(('1,,1,', '2,'))]
    lines[-2] = '3,,0,0.9,90,10,110,30,100,20,0.9,,,'
    lines[-1] = '3,,1,0.9,,,,,80,60,0.9,104,80,0.9'
    (folder / 'p.csv').write_text('\n'.join(lines) + '\n')
    done = draw('v', 'p.csv', 'o.mkv', '--draw-boxes', '--no-names', '--trails', 9, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('o.mkv: 5 persons in 4 frames; no limbs')
    drawn = [frame.image for frame in open_frames(str(folder / 'o.mkv'))]

    def is_drawn(image, x, y, track_id):
        """Person 0 is blue, 1 is red; 4:2:0 blurs colors."""
        seen = image[y - 3 : y + 4, x - 3 : x + 4].astype(int)
        redness = seen[..., 2].mean() - seen[..., 0].mean()
        return np.abs(seen - 90).max() > 60 and redness * (2 * track_id - 1) > 10

    for image, persons in zip(drawn, ([0, 1], [0], [], [1])):
        for track_id in (0, 1):
            for x, y in ((20, 60), (44, 80)):
                assert is_drawn(image, x + 60 * track_id, y, track_id) == (track_id in persons)
    assert is_drawn(drawn[3], 100, 20, 0)
    for image, edges in ((drawn[0], ((32, 80), (44, 70))), (drawn[3], ((100, 30), (90, 20)))):
        for x, y in edges:  # lower, and right or left
            assert is_drawn(image, x, y, 0)
    assert np.abs(drawn[2].astype(int) - 90).max() < 12


def test_options_of_the_overlay(folder):
    """They reach the picture; each changes it."""
    pictures = {}
    for options in (
        '', '--color-by side', '--color-by joints', '--draw-boxes', '--legend', '--no-names',
        '--joint-thr 0', '--trails 1 --trail-joints nose left_knee',
    ):  # fmt: skip
        done = draw('v', 'p.json', 'o.mp4', *options.split(), cwd=folder)
        assert done.returncode == 0, done.stderr
        pictures[options] = [f.image.astype(int) for f in open_frames(str(folder / 'o.mp4'))][1]
    names = list(pictures)
    for place, one in enumerate(names):
        for other in names[:place]:
            if '--draw-boxes' not in (one, other):  # the file has none
                assert np.abs(pictures[one] - pictures[other]).max() > 60, (one, other)
    done = draw('v', 'p.json', 'o.mp4', '--legend', '--color-by', 'joints', cwd=folder)
    assert done.returncode == 1 and "legend: needs color_by 'person' or 'side'" in done.stderr
    done = draw('v', 'p.json', 'o.mp4', '--trail-joints', 'tail', cwd=folder)
    assert done.returncode == 1 and 'trail joints: found tail, expected some of' in done.stderr


def test_labels_have_no_scores(folder):
    content = json.loads((folder / 'p.json').read_text())
    for annotation in content['annotations']:
        annotation['scores'] = []
    (folder / 'labels.json').write_text(json.dumps(content))
    done = draw('v', 'labels.json', 'o.mp4', cwd=folder)
    assert done.stdout == 'o.mp4: 3 persons in 4 frames\n', done.stderr


def test_limbs_of_other_joints(folder):
    content = json.loads((folder / 'p.json').read_text())
    content['categories'][0]['keypoints'][0] = 'beak'
    for skeleton, limb in ((None, ('left_hip', 'left_knee')), ([[1, 2]], ('beak', 'head_bottom'))):
        if skeleton:
            content['categories'][0]['skeleton'] = skeleton
        (folder / 'q.json').write_text(json.dumps(content))
        joints = drawn_joints(read_pose_video(folder / 'q.json'))
        assert limb in joints.limbs or limb[::-1] in joints.limbs
        assert len(joints.limbs) == (1 if skeleton else len(joints.limbs))
    assert drawn_joints(read_pose_video(folder / 'p.json')) is POSETRACK


@pytest.mark.parametrize('name', ['coco', 'ap10k'])
def test_joints_of_a_data_set_have_its_limbs_and_colors(folder, name):
    """Of a table, which has the joints' names alone, and of JSON, which names the data set."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    source = f'configs/_base_/datasets/{name}.py'
    expected = JointSet.from_meta(parse_pose_metainfo(dict(from_file=source)))
    cells = ','.join(f'{joint}_x,{joint}_y' for joint in expected.joints)
    (folder / 'p.csv').write_text(f'frame,{cells}\n0{",30,40" * len(expected)}\n')
    assert drawn_joints(read_poses(folder / 'p.csv')) == expected
    content = json.loads((folder / 'p.json').read_text())
    content['annotations'] = []
    category = content['categories'][0]
    category.update(keypoints=expected.joints, skeleton=[[1, 2]], joint_set=name)
    (folder / 'q.json').write_text(json.dumps(content))
    assert drawn_joints(read_poses(folder / 'q.json')) == expected
    category.update(keypoints=expected.joints[::-2])  # a model that gives some of the joints
    (folder / 'q.json').write_text(json.dumps(content))
    some = drawn_joints(read_poses(folder / 'q.json'))
    assert some.joints == expected.joints[::-2] and set(some.limbs) <= set(expected.limbs)
    assert some.joint_colors == expected.joint_colors[::-2]
    category.update(joint_set='zoo')  # its limbs are those of the file
    (folder / 'q.json').write_text(json.dumps(content))
    assert drawn_joints(read_poses(folder / 'q.json')).limbs == (some.joints[:2],)


def test_limbs_that_are_not_known_are_said(folder):
    (folder / 'p.csv').write_text('frame,beak_x,beak_y,claw_x,claw_y\n0,40,40,50,60\n')
    done = draw('v', 'p.csv', 'o.mp4', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        'o.mp4: 1 persons in 4 frames; no limbs, since they are not known for these joints\n'
    )


def test_wrong_input_is_one_sentence(folder):
    for arguments, said in (
        (('v', 'p.json', 'p.json'), 'p.json: is an input, expected a file of its own.'),
        (('v', 'p.json', 'o.mp4', '--frame-rate', '0'), '--frame-rate: found 0, expected above 0'),
        (('v', 'p.json', 'o.mp4', '--frame-rate', 'inf'), 'found inf, expected above 0, and'),
        (('v', 'no.json', 'o.mp4'), 'no.json: not found; expected predictions.'),
        (('no', 'p.json', 'o.mp4'), 'no'),
    ):
        done = draw(*arguments, cwd=folder)
        assert done.returncode == 1 and said in done.stderr.splitlines()[-1]
    for image in (folder / 'v').iterdir():
        image.rename(image.with_name(f'x{image.name}'))
    done = draw('v', 'p.json', 'o.mp4', cwd=folder)
    assert done.returncode == 1 and 'the poses are of 000.png and others' in done.stderr


def test_an_image_of_another_size_leaves_no_part_of_a_video(folder):
    cv2.imwrite(str(folder / 'v/002.png'), np.zeros((90, 128, 3), np.uint8))
    done = draw('v', 'p.json', 'o.mp4', cwd=folder)
    said = '002.png: frame 3 is 128 x 90 pixels, expected 128 x 96 like the first.'
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1]
    assert not (folder / 'o.mp4').exists()
    (folder / 'o.mp4').write_bytes(b'of an earlier run')
    done = draw('v', 'no.json', 'o.mp4', cwd=folder)  # this one did not begin to write
    assert done.returncode == 1 and (folder / 'o.mp4').read_bytes() == b'of an earlier run'


def test_what_is_missing_of_a_damaged_video_is_one_line(folder):
    height, width = cv2.imread(str(next((folder / 'v').iterdir()))).shape[:2]
    path = folder / 'a.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (width, height))
    for frame in np.random.default_rng(0).integers(0, 255, (20, height, width, 3), np.uint8):
        writer.write(frame)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = draw('a.avi', 'p.json', 'o.mp4', cwd=folder)
    (line,) = [line for line in done.stderr.splitlines() if 'frames could be read' in line]
    assert line.startswith('warning: a.avi: ') and 'UserWarning' not in done.stderr


def test_poses_of_images_of_another_size_are_refused(folder):
    content = json.loads((folder / 'p.json').read_text())
    for image in content['images']:
        image.update(width=128, height=72)
    (folder / 'p.json').write_text(json.dumps(content))
    done = draw('v', 'p.json', 'o.mp4', cwd=folder)
    assert done.returncode == 1 and not (folder / 'o.mp4').exists()
    assert done.stderr.splitlines()[-1] == (
        'cmpose draw: p: the poses are of images of 128 x 72 pixels, but v has 128 x 96; expected '
        'the video that they were made from.'
    )
    for image in content['images']:
        image.update(height=96)
    (folder / 'p.json').write_text(json.dumps(content))
    assert draw('v', 'p.json', 'o.mp4', cwd=folder).returncode == 0


def test_a_person_without_a_score_leaves_those_of_others():
    blank = np.full((200, 400, 3), 90, np.uint8)
    left = np.random.default_rng(0).uniform(20, 150, (1, 15, 2))
    points, shown = np.concatenate([left, left + (220, 0)]), np.ones((2, 15), bool)
    ids, scores = np.array([3, 4]), np.array([0.5, np.nan])
    found = draw_poses(blank, points, shown, ids=ids, scores=scores)
    one = draw_poses(blank, points[:1], shown[:1], ids=ids[:1], scores=scores[:1])
    np.testing.assert_array_equal(found, draw_poses(one, points[1:], shown[1:], ids=ids[1:]))
    assert (found != draw_poses(blank, points, shown, ids=ids)).any()


def test_a_frame_rate_without_effect_is_told(folder):
    assert (
        draw('v', 'p.json', 'o.mp4', '--frame-rate', '10', cwd=folder).stderr.count('effect') == 0
    )
    done = draw('o.mp4', 'p.json', 'again.mp4', '--frame-rate', '50', cwd=folder)
    assert done.returncode == 0
    assert '--frame-rate has no effect, since the frames of o.mp4 have times' in done.stderr
