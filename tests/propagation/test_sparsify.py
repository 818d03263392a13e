"""Taking labels out until every k-th frame is labeled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from label_files import annolist, coco, merged, write
from posetrack_samples import person as sample_person
from posetrack_samples import write_mat_video
from run_tools import run_tool
from walks import annolist_file, keep, walk, walker

from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.propagation import Linear, propagate_labels, sparsify_labels
from cmpose_mm.propagation.sparsify import kept_positions, labeled_positions

TOOL = Path(__file__).parents[2] / 'tools' / 'sparsify_posetrack.py'


def labeled(path: Path) -> list[int]:
    (video,) = read_videos(path)
    return [i for i, frame in enumerate(video.frames) if len(frame.keypoints)]


def test_every_fourth_of_thirty_is_the_share_of_the_paper(tmp_path):
    write(tmp_path / 'in' / 'a.json', walk(30))
    done = run_tool(TOOL, tmp_path / 'in', tmp_path / 'out', '--every', 4)
    assert done.returncode == 0, done.stderr
    assert '8 of 30 labeled frames of 1 videos (26.7 %), 8 of 30 persons' in done.stdout
    assert labeled(tmp_path / 'out') == [0, 4, 8, 12, 16, 20, 24, 28]


def test_what_is_kept_stays_as_it_was_and_the_rest_is_unlabeled(tmp_path):
    data = walk(9)
    data['images'][3]['has_labeled_person'] = True
    data['own_field'] = {'any': [1.0, 'thing']}
    write(tmp_path / 'in' / 'a.json', data)
    sparsify_labels(tmp_path / 'in', tmp_path / 'out', 4)
    found = json.loads((tmp_path / 'out' / 'a.json').read_text())
    assert found['annotations'] == [data['annotations'][i] for i in (0, 4, 8)]
    assert [i for i, image in enumerate(found['images']) if image['is_labeled']] == [0, 4, 8]
    assert found['images'][3] == {
        **data['images'][3], 'is_labeled': False, 'has_labeled_person': False,
    }  # fmt: skip
    assert [found['images'][i] for i in (0, 4, 8)] == [data['images'][i] for i in (0, 4, 8)]
    assert found['own_field'] == data['own_field'] and found['categories'] == data['categories']


@pytest.mark.parametrize('text', ['{"a":  1.50, %s', '\ufeff{ "a": [1e0 ],%s'])
def test_one_is_the_identity(tmp_path, text):
    """Byte for byte, however the file is written."""
    content = text % json.dumps(walk(5))[1:]
    file = tmp_path / 'in' / 'a.json'
    file.parent.mkdir()
    file.write_text(content, encoding='utf-8')
    sparsify_labels(tmp_path / 'in', tmp_path / 'out', 1)
    assert (tmp_path / 'out' / 'a.json').read_bytes() == file.read_bytes()


def test_mat_files(tmp_path):
    write_mat_video(tmp_path, 'train', 'a', [[sample_person(number)] for number in range(5)])
    folder, source = tmp_path / 'annotations' / 'train', 'a.mat'
    sparsify_labels(folder, tmp_path / 'same', 1)
    assert (tmp_path / 'same' / source).read_bytes() == (folder / source).read_bytes()
    sparsify_labels(folder, tmp_path / 'out', 2)
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['a.json']
    sparsify_labels(folder, tmp_path / 'same', 2)  # takes the place of the copy
    assert [p.name for p in (tmp_path / 'same').iterdir()] == ['a.json']
    (before,), (after,) = read_videos(folder), read_videos(tmp_path / 'out')
    assert labeled_positions(after) == [0, 2, 4]
    for place in (0, 2, 4):
        assert (after.frames[place].keypoints == before.frames[place].keypoints).all()
        assert after.frames[place].track_ids == before.frames[place].track_ids


def test_annolist(tmp_path):
    data = walk(6)
    annolist_file(tmp_path / 'in' / 'a.json', data)
    sparsify_labels(tmp_path / 'in', tmp_path / 'out', 3)
    before, after = (json.loads((tmp_path / d / 'a.json').read_text()) for d in ('in', 'out'))
    for place, (old, new) in enumerate(zip(before['annolist'], after['annolist'])):
        assert new == (old if place in (0, 3) else {**old, 'annorect': [], 'is_labeled': [0]})


def test_a_merged_file_and_videos_of_their_own(tmp_path):
    data = merged(walk(5, name='one'), coco([[], [walker(0)], [walker(1)]], 'two', first_id=900))
    file = write(tmp_path / 'all.json', data)
    result = sparsify_labels(file, tmp_path / 'sparse' / 'all.json', 4)
    assert (result.videos, result.frames, result.kept_frames) == (2, 7, 3)
    one, two = read_videos(tmp_path / 'sparse' / 'all.json')
    assert labeled_positions(one) == [0, 4] and labeled_positions(two) == [1]


@pytest.mark.parametrize(
    ('positions', 'every', 'expected'),
    [
        ([5, 6, 7, 8, 9], 4, [5, 9]),  # from the first label, not from the first frame
        ([0, 4, 8, 9, 10, 11, 12], 4, [0, 4, 8, 12]),  # what is sparse already stays
        ([0, 3, 6, 9], 4, [0, 3, 6]),  # 3 may not go, or a gap of 6 would come
        ([0, 3, 4, 6, 7, 8], 4, [0, 4, 8]),
        ([0, 1, 2, 10, 11, 12], 4, [0, 2, 10]),  # a gap that was there: both of its sides
        (
            [0, 4, 8, *range(10, 40), 43, 47, 51],
            4,
            [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 39, 43, 47, 51],
        ),
        ([], 4, []),
        ([2], 4, [2]),
    ],
)
def test_which_frames_are_kept(positions, every, expected):
    assert kept_positions(positions, every) == expected


def test_a_frame_in_which_nobody_is_counts_as_labeled(tmp_path):
    data = keep(walk(6), [0, 1, 2, 4, 5])
    data['images'][3]['is_labeled'] = True  # people looked, and found nobody
    write(tmp_path / 'in' / 'a.json', data)
    result = sparsify_labels(tmp_path / 'in', tmp_path / 'out', 3)
    assert (result.frames, result.kept_frames) == (6, 2)
    (video,) = read_videos(tmp_path / 'out')
    assert [frame.is_labeled for frame in video.frames] == [True, False, False, True, False, False]


def test_wrong_places_and_numbers(tmp_path):
    folder = write(tmp_path / 'in' / 'a.json', walk(3)).parent
    with pytest.raises(AnnotationError, match='is the folder of the labels, expected another one'):
        sparsify_labels(folder, folder, 2)
    write(tmp_path / 'out' / 'b.json', walk(3))
    with pytest.raises(AnnotationError, match='holds b.json and 0 other files that are not of'):
        sparsify_labels(folder, tmp_path / 'out', 2)
    with pytest.raises(AnnotationError, match='is a file, expected a folder'):
        sparsify_labels(folder, tmp_path / 'out' / 'b.json', 2)
    with pytest.raises(ValueError, match='every is 0, expected at least 1'):
        sparsify_labels(folder, tmp_path / 'new', 0)
    done = run_tool(TOOL, tmp_path / 'nothing', tmp_path / 'new')
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert 'nothing: not found; expected a folder or a file of labels.' in done.stderr


def test_the_labels_themselves_are_never_touched(tmp_path):
    """Not by names without an ending, and not as what a copy takes the place of."""
    labels = write(tmp_path / 'annotations' / 'train' / 'lab.json', walk(9)).parent
    write_mat_video(tmp_path, 'train', 'a', [[sample_person(number)] for number in range(3)])
    before = {path: path.read_bytes() for path in labels.iterdir()}
    assert {path.name for path in before} == {'lab.json', 'a.mat'}
    for name in ('lab', 'lab.mat', 'sparse.v1'):
        with pytest.raises(AnnotationError, match=f'{name}: is no name of a label file, expected'):
            sparsify_labels(labels / 'lab.json', labels / name, 4)
    with pytest.raises(AnnotationError, match='is the folder of the labels'):
        sparsify_labels(labels / 'lab.json', labels / '..' / 'train' / 'lab.json', 4)
    for every, frames in ((2, [True, False, True]), (1, [True] * 3)):
        sparsify_labels(labels / 'a.mat', labels / 'a.json', every)
        (video,) = read_videos(labels / 'a.json')
        assert [len(frame.keypoints) > 0 for frame in video.frames] == frames
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in labels.iterdir()} == {'lab.json', 'a.mat', 'a.json'}


def test_two_files_for_one_place(tmp_path):
    write_mat_video(tmp_path, 'train', 'a', [[sample_person(number)] for number in range(3)])
    data = merged(walk(5, name='one'), coco([[walker(0)]] * 3, 'two', first_id=900))
    folder = write(tmp_path / 'annotations' / 'train' / 'a.json', data).parent
    with pytest.raises(AnnotationError, match='a.json and a.mat would both become a.json'):
        sparsify_labels(folder, tmp_path / 'out', 2)


def test_pseudo_labels_are_no_labels(tmp_path):
    write(tmp_path / 'in' / 'a.json', keep(walk(5), [0, 4]))
    propagate_labels(tmp_path / 'in', tmp_path / 'dense', Linear())
    with pytest.raises(AnnotationError, match='3 persons of video .a. are pseudo-labels already'):
        sparsify_labels(tmp_path / 'dense', tmp_path / 'out', 2)


def test_an_image_that_an_annolist_has_twice(tmp_path):
    data = annolist(walk(3))
    data['annolist'].append(data['annolist'][1])
    write(tmp_path / 'in' / 'a.json', data)
    with pytest.raises(AnnotationError, match='has 2 entries of the image .*1.jpg, expected one'):
        sparsify_labels(tmp_path / 'in', tmp_path / 'out', 2)


@pytest.mark.parametrize('every', [2, 3, 4, 8])
def test_no_gap_is_made_that_propagation_does_not_fill(every):
    """On any labels: neighbors of those that stay are k apart at most, or were neighbors before."""
    rng = np.random.default_rng(every)
    for _ in range(200):
        positions = sorted(rng.choice(60, rng.integers(1, 40), replace=False).tolist())
        kept = kept_positions(positions, every)
        assert kept[0] == positions[0] and set(kept) <= set(positions)
        assert positions[-1] - kept[-1] < every
        for a, b in zip(kept, kept[1:]):
            between = [place for place in positions if a < place < b]
            assert b - a <= every or not between
        # None could have gone, too.
        assert all(c - a > every for a, c in zip(kept, kept[2:]))
