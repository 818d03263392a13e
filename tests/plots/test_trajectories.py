"""Figures of joints over time: what the lines are, where they have gaps, who is left out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_tools import run_tool

from cmpose_mm.plots import draw_person, joint_angles, seconds_of_frames, write_plots
from cmpose_mm.pose_formats import PoseVideo
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.joints import JOINT_NAMES

COMMAND = Path(__file__).parents[2] / 'cmpose_cli' / '__main__.py'
NOSE, WRIST = JOINT_NAMES.index('nose'), JOINT_NAMES.index('right_wrist')


def video_of(frames, ids, num_frames=10, joints=JOINT_NAMES, rate=5.0) -> PoseVideo:
    rng = np.random.default_rng(0)
    count = len(frames)
    return PoseVideo(
        'v', list(joints), np.arange(num_frames), [''] * num_frames, np.arange(num_frames) / rate,
        np.array(frames), np.array(ids), rng.uniform(0, 99, (count, len(joints), 2)),
        np.full((count, len(joints)), 0.9), np.zeros((count, 4)), np.ones(count),
    )  # fmt: skip


def line(axis, label):
    """x and y data of the line of sure values with this label."""
    (found,) = (line for line in axis.get_lines() if line.get_label() == label)
    return found.get_xdata(), found.get_ydata()


def test_lines_are_the_joints_and_have_gaps():
    video = video_of([1, 2, 5, 5, 6], [3, 3, 3, 8, 3])
    video.keypoints[1, NOSE] = np.nan
    figure = draw_person(video, 3, video.times, ['nose', 'right_wrist'])
    of_x, of_y, of_angles = figure.axes
    seconds, x = line(of_x, 'nose')
    np.testing.assert_allclose(seconds, np.arange(1, 7) / 5)
    mine = [0, 1, 2, 4]
    expected = np.full((6, 2), np.nan)
    expected[[0, 1, 4, 5]] = video.keypoints[mine, NOSE]  # frames 3 and 4 are a gap
    np.testing.assert_array_equal(x, expected[:, 0])
    np.testing.assert_array_equal(line(of_y, 'nose')[1], expected[:, 1])
    assert np.isnan(x[1])
    expected = np.full(6, np.nan)
    expected[[0, 1, 4, 5]] = joint_angles(video.keypoints[mine], JOINT_NAMES, 'left_knee')
    np.testing.assert_array_equal(line(of_angles, 'left knee')[1], expected)
    assert of_y.get_ylim()[0] > of_y.get_ylim()[1]  # up is up
    assert 'id 3: 4 of 6 frames' in figure.get_suptitle()
    shown = {text.get_text() for text in of_x.get_legend().get_texts()}
    assert shown == {'nose', 'right wrist', 'score < 0.2'}


def test_names_of_videos_are_no_formulas(tmp_path):
    video = video_of([1, 2], [3, 3])
    video.name = r'cost $\foo$'
    figure = draw_person(video, 3, video.times, ['nose'])
    figure.savefig(tmp_path / 'a.png')  # parses what it shows
    assert figure.get_suptitle().startswith(r'cost $\foo$, id 3')


def test_low_scores_are_faint():
    video = video_of(range(4), [0] * 4)
    video.keypoint_scores[2, WRIST] = 0.1
    video.keypoint_scores[3, WRIST] = np.nan  # not known to be low
    figure = draw_person(video, 0, video.times, ['right_wrist'])
    x = video.keypoints[:, WRIST, 0]
    np.testing.assert_array_equal(line(figure.axes[0], 'right wrist')[1], [*x[:2], np.nan, x[3]])
    faint = [found for found in figure.axes[0].get_lines() if found.get_alpha() == 0.25]
    np.testing.assert_array_equal(faint[0].get_ydata(), x)
    angles = line(figure.axes[2], 'right elbow')[1]
    assert np.isnan(angles).tolist() == [False, False, True, False]
    assert np.isfinite(line(figure.axes[2], 'left elbow')[1]).all()


def test_sides_share_a_color_and_differ_in_the_dashes():
    figure = draw_person(video_of([0, 1], [0, 0]), 0, np.arange(10) / 5, JOINT_NAMES)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    left, right = lines['left wrist'], lines['right wrist']
    assert left.get_color() == right.get_color() != lines['left elbow'].get_color()
    assert left.get_linestyle() == '-' and right.get_linestyle() == '--'


def test_absent_joints_are_not_faint(tmp_path):
    video = video_of([0, 1, 2], [3, 3, 3])
    video.keypoint_scores[0, NOSE] = 0.1
    video.keypoint_scores[1:, WRIST] = 0.0
    video.keypoints[1:, WRIST] = np.nan
    assert write_plots(video, tmp_path, joints=['nose', 'right_wrist']).num_low_scores == 1


@pytest.mark.slow
def test_files(tmp_path):
    video = video_of([0, 0, 1, 1, 2], [4, 7, 4, -1, 4])
    video.keypoint_scores[0, NOSE] = video.keypoint_scores[3, NOSE] = 0.1
    done = write_plots(video, tmp_path / 'new')
    assert [file.name for file in done.figures] == ['v_id4.png', 'v_id7.png']
    assert all(cv2.imread(str(file)).shape[0] > 500 for file in done.figures)
    assert len(done.angles.read_text().splitlines()) == 6
    assert str(done) == (
        'figures of 2 persons; v_angles.csv; 1 joints are faint since they score too low; '
        '1 persons without a track id are in no figure'
    )
    done = write_plots(video, tmp_path / 'one', persons=[7], joints=['nose'])
    assert sorted(file.name for file in (tmp_path / 'one').iterdir()) == [
        'v_angles.csv', 'v_id7.png',
    ]  # fmt: skip


def test_figures_of_persons_of_an_earlier_run_are_removed_and_nothing_else(tmp_path):
    mine = [f'v_id{track_id}.png' for track_id in (1, 2, 30)]
    others = [
        'a_v_id1.png', 'v_b_id1.png', 'v_id01.png', 'v_id-1.png', 'v_id1.png.bak', 'v_id1Xpng',
        'v_id1.jpg', 'v_id.png', 'v.csv',
    ]  # fmt: skip
    for name in [*mine, *others]:
        (tmp_path / name).write_text('old')
    video = video_of([0, 0], [2, 4], joints=('beak',))
    done = write_plots(video, tmp_path, persons=[4])
    assert done.num_removed == 2  # 2 is in the poses, only not asked for
    assert '; removed 2 figures of an earlier run, whose persons are not in the po' in str(done)
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted([*others, 'v_id2.png', 'v_id4.png'])
    assert (tmp_path / 'v_id2.png').read_text() == 'old'
    assert 'removed' not in str(write_plots(video, tmp_path, persons=[4]))


def test_joints_without_angles(tmp_path):
    video = video_of([0, 1], [0, 0], joints=('beak', 'L_Wing', 'R_Wing'))
    (tmp_path / 'v_angles.csv').write_text('of an earlier run with other joints')
    done = write_plots(video, tmp_path)
    assert done.angles is None and 'no angles, whose joints are missing' in str(done)
    assert str(done).endswith('; removed the angles of an earlier run')
    assert not (tmp_path / 'v_angles.csv').exists()
    assert 'removed' not in str(write_plots(video, tmp_path))
    figure = draw_person(video, 0, video.times, video.joints)
    assert len(figure.axes) == 2
    assert {'beak', 'L Wing', 'R Wing'} <= {li.get_label() for li in figure.axes[0].get_lines()}


def test_times_of_frames():
    video = video_of([0], [0], num_frames=7)
    video.times[:] = [np.nan, 1.0, np.nan, 2.0, 2.4, np.nan, np.nan]
    expected = [0.55, 1.0, 1.5, 2.0, 2.4, 2.85, 3.3]  # steps of 0.5 and 0.4, median 0.45
    np.testing.assert_allclose(seconds_of_frames(video), expected)
    np.testing.assert_allclose(seconds_of_frames(video, 10), np.arange(7) / 10)
    video.times[:] = np.nan
    with pytest.raises(AnnotationError, match='v: 0 frames have a time in seconds; expected a fr'):
        seconds_of_frames(video)


@pytest.mark.parametrize(
    'frames, ids, options, said',
    [
        ([0, 0], [3, 3], {}, 'v: track id 3 is twice in frame 0, expected each once'),
        (
            [0],
            [-1],
            {},
            'found 1 persons and no track id, expected persons with one; `cmpose track',
        ),
        ([0], [3], dict(frame_rate=0), 'v: the frame rate is 0, expected a number above 0'),
        ([0], [3], dict(frame_rate=float('inf')), 'v: the frame rate is inf, expected a number ab'),
        ([0], [3], dict(persons=[4]), 'no person with the track id 4, expected some of 3'),
        ([0], [3], dict(joints=['tail']), 'has no joint tail, expected some of nose, head_bottom'),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path, frames, ids, options, said):
    with pytest.raises(AnnotationError, match=said):
        write_plots(video_of(frames, ids), tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_the_command_reads_json_and_tables(tmp_path):
    annotations = [
        dict(id=n, image_id=n, track_id=2, keypoints=[5.0 + n, 6, 1] * 15, scores=[0.9] * 15)
        for n in range(3)
    ]
    images = [dict(id=n, file_name=f'v/{n:03d}.png', time=n / 25) for n in range(3)]
    content = dict(images=images, annotations=annotations, categories=[dict(keypoints=JOINT_NAMES)])
    (tmp_path / 'p.json').write_text(json.dumps(content))
    (tmp_path / 'q.csv').write_text('frame,track_id,a_x,a_y\n0,1,40,40\n\n3,1,50,50\n')
    done = run_tool(COMMAND, 'plot', 'p.json', 'out', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'out: figures of 1 persons; p_angles.csv\n'
    done = run_tool(COMMAND, 'plot', 'q.csv', 'out', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == 'q: 0 frames have a time in seconds; expected a frame rate.\n'
    done = run_tool(COMMAND, 'plot', 'q.csv', 'out', '--frame-rate', 10, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = sorted(file.name for file in (tmp_path / 'out').iterdir())
    assert names == ['p_angles.csv', 'p_id2.png', 'q_id1.png']
    done = run_tool(COMMAND, 'plot', 'no.json', 'out', cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == 'no.json: not found; expected predictions.\n'


def test_sides_of_joints_with_other_names():
    joints = ['L_Eye', 'R_Eye', 'Nose', 'forelegL1', 'forelegR1', 'forelegR2']
    video = video_of([1, 2], [0, 0], joints=joints)
    figure = draw_person(video, 0, video.times, joints)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    style = {name: lines[name.replace('_', ' ')].get_linestyle() for name in joints}
    assert {name for name, kind in style.items() if kind == '--'} == {j for j in joints if 'R' in j}
    color = {name: lines[name.replace('_', ' ')].get_color() for name in joints}
    assert color['L_Eye'] == color['R_Eye'] and color['forelegL1'] == color['forelegR1']
    assert len(set(color.values())) == 4


def test_a_person_who_is_named_twice_is_drawn_once(tmp_path):
    video = video_of([1, 2], [0, 0])
    video.keypoint_scores[:, NOSE] = 0.1
    plotted = write_plots(video, tmp_path, persons=[0, 0])
    assert len(plotted.figures) == 1 and plotted.num_low_scores == 2


def test_file_names_that_are_not_utf8():
    video = video_of([1, 2], [0, 0])
    video.name = 'caf\udce9'
    assert draw_person(video, 0, video.times, ['nose']).get_suptitle().startswith(r'caf\udce9, id')
