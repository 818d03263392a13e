"""The CSV of poses: what the writer writes is read back, edited tables too."""

from __future__ import annotations

import numpy as np
import pytest

from cmpose_mm.pose_formats import read_pose_csv
from cmpose_mm.posetrack.annotations import AnnotationError

TABLE = """frame,time,track_id,score,x1,y1,x2,y2,paw_x,paw_y,paw_score,tail_x,tail_y,tail_score,note
2,0.2,5,0.5,1,2,11,22,3.5,4,0.25,6,7,1,seen
0,0,,,,,,,1,2,,,,,
1,0.1,,,,,,,,,,,,,nobody
"""


def test_table(tmp_path):
    (tmp_path / 'a.csv').write_text(TABLE)
    video = read_pose_csv(tmp_path / 'a.csv')
    nan = np.nan
    assert (video.name, video.joints) == ('a', ['paw', 'tail'])
    np.testing.assert_array_equal(video.times, [0, 0.1, 0.2])
    assert video.frames.tolist() == [0, 2] and video.track_ids.tolist() == [-1, 5]
    np.testing.assert_array_equal(video.keypoints, [[[1, 2], [nan, nan]], [[3.5, 4], [6, 7]]])
    np.testing.assert_array_equal(video.keypoint_scores, [[nan, nan], [0.25, 1]])
    np.testing.assert_array_equal(video.boxes, [[nan] * 4, [1, 2, 10, 20]])
    np.testing.assert_array_equal(video.scores, [nan, 0.5])


def test_header_alone(tmp_path):
    (tmp_path / 'a.csv').write_text('frame,paw_x,paw_y\n')
    video = read_pose_csv(tmp_path / 'a.csv')
    assert video.keypoints.shape == (0, 1, 2) and len(video.times) == 0


@pytest.mark.parametrize(
    'text, said',
    [
        ('', 'found the columns of an empty file; expected frame, and <joint>_x'),
        ('frame,paw_x\n0,1\n', 'found the columns frame, paw_x; expected frame'),
        ('frame,paw_x,paw_y\n0,1,2\n1.5,1,2\n', 'line 3: frame is 1.5, expected a whole number'),
        ('frame,paw_x,paw_y\n,1,2\n', 'line 2: frame is nan, expected a whole number'),
        ('frame,paw_x,paw_y\ninf,1,2\n', 'line 2: frame is inf, expected a whole number'),
        ('frame,paw_x,paw_y\n1e12,1,2\n', r'line 2: frame is 1e\+12, expected a whole number'),
        ('frame,paw_x,paw_y\n0,1,-1e12\n', r'line 2: paw_y is -1e\+12, expected pixels below'),
        ('frame,paw_x,paw_y\n0,inf,2\n', 'line 2: paw_x is inf, expected pixels below'),
        ('frame,time,paw_x,paw_y\n0,inf,1,2\n', 'line 2: time is inf, expected a finite'),
        ('frame,track_id,paw_x,paw_y\n0,1.5,1,2\n', 'line 2: track_id is 1.5, expected a whole'),
        (
            'frame,x1,y1,x2,y2,paw_x,paw_y\n0,50,50,50,99,1,2\n',
            'line 2: the box from 50, 50 to 50, 99 has no area',
        ),
        (
            'frame,x1,y1,x2,y2,paw_x,paw_y\n0,50,50,1,99,1,2\n',
            'line 2: the box from 50, 50 to 1, 99 has no area',
        ),
        (
            'frame,time,paw_x,paw_y\n3,0.08,1,2\n4,0.1,1,2\n3,0.5,1,2\n',
            'line 2: frame 3 has the time 0.08 s, in another line 0.5 s',
        ),
        ('frame,paw_x,paw_y\n0,1,\n', 'line 2: has paw_x, but no paw_y; expected both or none'),
        ('frame,paw_x,paw_y\n0,1,2\n1,nan,3\n', 'line 3: has paw_y, but no paw_x; expected both'),
        ('frame,paw_x,paw_y,ear_x\n0,1,2,3\n', 'has the column ear_x, but no ear_y'),
        ('frame,paw_x,paw_y,ear_y\n0,1,2,3\n', 'has the column ear_y, but no ear_x'),
        ('frame,paw_x,paw_y,paw_x,paw_y\n0,1,2,3,4\n', 'has the column paw_x 2 times, expected'),
        ('frame,paw_x,paw_y,paw_y\n0,1,2,3\n', 'has the column paw_y 2 times, expected it once'),
        ('frame,frame,paw_x,paw_y,frame\n0,0,1,2,0\n', 'has the column frame 3 times, expected'),
        ('frame,paw_x,paw_y\n0,1,2\n1,1\n', 'line 3 has 2 cells, expected 3'),
        ('frame,paw_x,paw_y\n0,1,2\n\n\n1,1\n', 'line 5 has 2 cells, expected 3'),
        ('frame,paw_x,paw_y\n0,1,5,2,5\n', 'line 2 has more cells, expected 3'),
        ('frame,paw_x,paw_y\n0,1,left\n', "line 2: paw_y is 'left', expected a number"),
    ],
)
def test_wrong_tables_are_one_sentence(text, said, tmp_path):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(AnnotationError, match=f'a.csv: {said}'):
        read_pose_csv(tmp_path / 'a.csv')
    with pytest.raises(AnnotationError, match='b.csv: expected a table'):
        read_pose_csv(tmp_path / 'b.csv')


@pytest.mark.parametrize(
    'note, num_rows',
    [('"seen', 3), ('"seen', 20_000), ('"seen" twice', 3)],
    ids=['to the end', 'longer than a cell may be', 'closed early'],
)
def test_a_stray_quote_is_one_sentence_with_its_line(note, num_rows, tmp_path):
    rows = [f'{n},1,2,' for n in range(num_rows)]
    rows[1] += note
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,paw_x,paw_y,note', *rows]))
    with pytest.raises(AnnotationError, match=r'a.csv: line 3: .*, and every quote closed\.$'):
        read_pose_csv(tmp_path / 'a.csv')


def test_a_stray_quote_among_the_columns(tmp_path):
    (tmp_path / 'a.csv').write_text('frame,paw_x,"paw_y\n0,1,2\n')
    with pytest.raises(AnnotationError, match=r'a.csv: line 1: .*, and every quote closed\.$'):
        read_pose_csv(tmp_path / 'a.csv')


def test_columns_that_are_ignored_may_be_there_twice(tmp_path):
    (tmp_path / 'a.csv').write_text('frame,paw_x,paw_y,note,note,,\n0,1,2,a,b,,\n')
    np.testing.assert_array_equal(read_pose_csv(tmp_path / 'a.csv').keypoints, [[[1, 2]]])


def test_quoted_cells(tmp_path):
    rows = ['0,"1","2","seen, ""well"""', '1,3,4,"two\nlines"']
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,"paw_x",paw_y,note', *rows]))
    video = read_pose_csv(tmp_path / 'a.csv')
    np.testing.assert_array_equal(video.keypoints, [[[1, 2]], [[3, 4]]])


def test_a_part_of_a_video_with_deleted_rows(tmp_path):
    """Frames 5 to 13 without 8; only they are listed, at their own times."""
    rows = [f'{n},{n / 20:.3f},1,{n},{n}' for n in range(5, 14) if n != 8]
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,time,track_id,nose_x,nose_y', *rows]))
    video = read_pose_csv(tmp_path / 'a.csv')
    numbers = [5, 6, 7, 9, 10, 11, 12, 13]
    assert video.frame_numbers().tolist() == video.image_ids.tolist() == numbers
    assert video.frames.tolist() == list(range(8))
    assert video.frame_rate() == pytest.approx(20)
    np.testing.assert_allclose(video.seconds(np.arange(4, 16)), np.arange(4, 16) / 20)


@pytest.mark.parametrize('rate', [24, 25, 29.97, 30, 50, 60, 120])
def test_frame_rate_of_times_in_milliseconds(rate, tmp_path):
    rows = [f'{n},{n / rate:.3f},1,1' for n in range(240) if n not in (7, 50, 51)]
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,time,nose_x,nose_y', *rows]))
    video = read_pose_csv(tmp_path / 'a.csv')
    assert video.frame_rate() == pytest.approx(rate, rel=1e-3)
    assert video.seconds(np.array([300])) == pytest.approx(300 / rate, abs=2e-3)


def test_a_person_without_joints(tmp_path):
    """It has a track id or a box; a row with neither only says that there is the frame."""
    rows = ['0,4,,,,,1,2', '1,4,,,,,,', '2,,1,2,3,5,,', '3,,,,,,,', '4,,1,2,3,,,']
    header = 'frame,track_id,x1,y1,x2,y2,nose_x,nose_y'
    (tmp_path / 'a.csv').write_text('\n'.join([header, *rows]))
    video = read_pose_csv(tmp_path / 'a.csv')
    assert video.frame_numbers().tolist() == [0, 1, 2, 3, 4]
    assert video.frames.tolist() == [0, 1, 2] and video.track_ids.tolist() == [4, 4, -1]
    assert video.boxes[2].tolist() == [1, 2, 2, 3]


def test_a_part_of_a_box_is_told(tmp_path):
    rows = ['0,1,2,3,5,1,2', '1,1,2,3,,1,2', '2,,,,,1,2', '3,1,,,,1,2']
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,x1,y1,x2,y2,nose_x,nose_y', *rows]))
    with pytest.warns(UserWarning, match='a.csv: 2 boxes are left out .first: line 3., of which'):
        video = read_pose_csv(tmp_path / 'a.csv')
    assert np.isnan(video.boxes).all(axis=1).tolist() == [False, True, True, True]


def test_frame_rate_where_every_other_row_is_deleted(tmp_path):
    rows = [f'{n},{n / 30},1,1' for n in range(0, 20, 2)]
    (tmp_path / 'a.csv').write_text('\n'.join(['frame,time,nose_x,nose_y', *rows]))
    assert read_pose_csv(tmp_path / 'a.csv').frame_rate() == pytest.approx(30)


def test_a_score_without_a_place_and_ids_below_0_are_none(tmp_path):
    (tmp_path / 'a.csv').write_text(
        'frame,track_id,paw_x,paw_y,paw_score,tail_x,tail_y,tail_score\n0,-5,1,2,0.5,,,0.9\n'
    )
    video = read_pose_csv(tmp_path / 'a.csv')
    assert video.track_ids.tolist() == [-1]
    np.testing.assert_array_equal(video.keypoint_scores, [[0.5, np.nan]])
