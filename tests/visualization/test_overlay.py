"""Colors by person and side, boxes, trails, names and legend over several frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpose_mm.joint_sets import POSETRACK, JointSet, joint_side
from cmpose_mm.visualization import PoseOverlay, draw_poses, skeletons
from cmpose_mm.visualization.palette import (
    DARK,
    GRAY,
    PERSON_COLORS,
    SIDE_COLORS,
    person_colors,
)

HEIGHT, WIDTH = 300, 400
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
POINT = JointSet('point', ('L_dot', 'R_dot', 'dot'), (0.1,) * 3, (('L_dot', 'R_dot'),),
                 ((1, 2, 3),) * 3, ((4, 5, 6),))  # fmt: skip


def dots(*places) -> np.ndarray:
    """(P, 3, 2) the left joint 30 pixels left of each place, the right one right of it, one below.

    The middle of the limb is the place itself.
    """
    return np.array([[(x - 30, y), (x + 30, y), (x, y + 30)] for x, y in places], float).reshape(
        -1, 3, 2
    )


def draw(overlay: PoseOverlay, places, ids, time=0.0, scores=None, shown=None, image=BLACK):
    keypoints = dots(*places)
    shown = np.ones(keypoints.shape[:2], bool) if shown is None else np.array(shown)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=-1)
    return overlay.draw(image, keypoints, shown, np.array(ids), scores, boxes, time)


def has(image, color, x1=0, y1=0, x2=WIDTH, y2=HEIGHT) -> bool:
    return bool((image[y1:y2, x1:x2] == color).all(axis=-1).any())


def like(image, color) -> np.ndarray:
    """Which pixels have nearly this color; thin smooth lines do not have it fully."""
    return np.abs(image.astype(int) - color).max(axis=-1) < 60


def test_a_person_keeps_the_color_in_every_frame_and_place():
    overlay = PoseOverlay(POINT, names=False)
    for frame, ids in enumerate(([4, 9], [9, 4], [4], [9, 1, 4])):
        places = [(60 + 120 * number, 100 + 20 * frame) for number in range(len(ids))]
        image = draw(overlay, places, ids, frame / 10)
        for track_id, (x, y) in zip(ids, places):
            assert tuple(image[y, x]) == person_colors(track_id).limbs
            assert tuple(image[y, x + 30]) == person_colors(track_id).joints
    one, other = (person_colors(track_id) for track_id in (4, 9))
    assert one.limbs != other.limbs
    image = draw(overlay, [(100, 100)], [-1])
    assert tuple(image[100, 100]) == GRAY


def test_sides_have_their_colors_in_any_joint_set():
    image = draw(PoseOverlay(POINT, color_by='side', names=False), [(100, 100)], [3])
    for (x, y), joint in zip(dots((100, 100))[0].astype(int), POINT.joints):
        assert tuple(image[y, x]) == SIDE_COLORS[joint_side(joint)]
    assert tuple(image[100, 100]) == SIDE_COLORS['middle']  # from left to right
    pose = np.stack([20 + 40 * (np.arange(15) % 5), 20 + 60 * (np.arange(15) // 5)], 1)[None]
    image = draw_poses(BLACK, pose, color_by='side')
    for (x, y), joint in zip(pose[0], POSETRACK.joints):
        side = joint.split('_')[0] if joint.startswith(('left', 'right')) else 'middle'
        assert tuple(image[y, x]) == SIDE_COLORS[side]


def test_boxes():
    places, ids = [(100, 100), (250, 200)], [0, 1]
    image = draw(PoseOverlay(POINT, boxes=True, names=False), places, ids)
    for (x, y), color in zip(places, PERSON_COLORS):
        assert tuple(image[y + 15, x - 30]) == tuple(image[y + 30, x + 12]) == color
        assert not image[y + 15, x - 20].any()
    assert not draw(PoseOverlay(POINT, names=False), places, ids)[115, 70].any()
    keypoints, nothing = dots(*places), np.zeros((2, 3), bool)
    boxes = np.array([[10, 10, 60, 60], [np.nan] * 4])
    image = draw_poses(BLACK, keypoints, nothing, joints=POINT, boxes=boxes, ids=[5, 6],
                       color_by='person')  # fmt: skip
    assert has(image, person_colors(5).limbs) and not image[70:].any() and not image[:, 70:].any()


def test_trails_last_as_long_as_told_and_follow_the_person():
    overlay = PoseOverlay(POINT, trails=0.45, names=False)
    for frame in range(10):
        image = draw(overlay, [(50 + 20 * frame, 60), (300, 250 - 20 * frame)], [0, 1], frame / 10)
    # centers of the boxes are 15 pixels below the limbs; four steps of a tenth of a second
    assert like(image[75, 152:228], PERSON_COLORS[0]).all() and not image[75, :148].any()
    assert like(image[106:162, 300], PERSON_COLORS[1]).all()
    assert not image[168:, 300].any()
    assert not draw(overlay, [(50, 60)], [-1], 2.0)[75, 30:70].any()  # who is it?
    assert not draw(PoseOverlay(POINT, names=False), [(50, 60)], [0], 1.0)[75].any()


def test_a_trail_is_cut_while_its_person_is_away():
    overlay = PoseOverlay(POINT, trails=9, names=False)
    xs = {0: 60, 1: 90, 4: 250, 5: 300}
    for frame in range(6):
        present = [(xs[frame], 60)] if frame in xs else []
        image = draw(overlay, [*present, (350, 200)], [3] * len(present) + [4], frame / 10)
        if not present:
            assert not has(image, person_colors(3).limbs)  # nothing is drawn of who has left
    path = like(image[75], person_colors(3).limbs)
    assert path[62:88].all() and path[252:298].all() and not path[95:245].any()
    draw(overlay, [], [], 50.0)
    assert not overlay._paths  # memory does not grow


def test_trails_of_joints():
    overlay = PoseOverlay(POINT, trails=9, trail_joints=['R_dot', 'dot'], names=False)
    for frame in range(5):
        shown = [[True, True, frame != 2]]
        image = draw(overlay, [(100, 50 + 40 * frame)], [0], frame / 10, shown=shown)
    seen = like(image, PERSON_COLORS[0])
    assert seen[55:200, 130].all() and not seen[:200, 70].any()
    assert seen[82:118, 100].all() and not seen[125:195, 100].any()  # hidden in frame 2
    with pytest.raises(ValueError, match='trail joints: found nose, expected some of L_dot, R_dot'):
        PoseOverlay(POINT, trail_joints=['nose'])
    with pytest.raises(ValueError, match='trail joints: there are no trails, expected trails of'):
        PoseOverlay(POINT, trail_joints=['dot'])
    with pytest.raises(ValueError, match='trails: found -1 seconds'):
        PoseOverlay(POINT, trails=-1)


def read_legend(image: np.ndarray) -> list[tuple[int, int, int]]:
    """Colors of the limbs that it shows, from above."""
    column = image[:, 6].tolist()
    rows = [tuple(c) for c in column if c not in ([0, 0, 0], list(DARK))]
    colors = [*PERSON_COLORS, GRAY, *SIDE_COLORS.values()]
    found = [color for color in rows if color in colors]
    return [c for n, c in enumerate(found) if n == 0 or c != found[n - 1]]


def test_the_legend_lists_exactly_who_is_drawn():
    overlay = PoseOverlay(POINT, legend=True, names=False)
    places = [(200, 100), (300, 100), (200, 200), (300, 200)]
    ids = [5, 2, -1, 3]
    shown = [[True] * 3] * 3 + [[False] * 3]  # id 3 has no joint to draw
    image = draw(overlay, places, ids, shown=shown)
    assert read_legend(image) == [GRAY, PERSON_COLORS[2], PERSON_COLORS[5]]
    assert read_legend(draw(overlay, places[:1], [1])) == [PERSON_COLORS[1]]
    assert not draw(overlay, [], []).any()
    boxes = PoseOverlay(POINT, legend=True, names=False, boxes=True)
    assert PERSON_COLORS[3] in read_legend(draw(boxes, places, ids, shown=shown))


def test_the_legend_lists_exactly_the_sides_that_are_drawn():
    overlay = PoseOverlay(POINT, color_by='side', legend=True, names=False)
    left, right, middle = SIDE_COLORS.values()
    for shown, expected in (
        ([True, False, False], [left]), ([False, True, False], [right]),
        ([False, False, True], [middle]), ([True, True, False], [left, right, middle]),  # the limb
    ):  # fmt: skip
        image = draw(overlay, [(200, 100)], [0], shown=[shown])
        assert read_legend(image) == expected
    with pytest.raises(ValueError, match="legend: needs color_by 'person' or 'side'"):
        PoseOverlay(POINT, color_by='joints', legend=True)
    with pytest.raises(ValueError, match="color_by is 'id', expected one of person, side, joints"):
        PoseOverlay(POINT, color_by='id')


def test_a_long_legend_says_how_many_more(monkeypatch):
    written, put = [], cv2.putText

    def spy(image, text, *others):
        written.append(text)
        return put(image, text, *others)

    monkeypatch.setattr(skeletons.cv2, 'putText', spy)
    count = 60
    draw(PoseOverlay(POINT, legend=True, names=False), [(200, 100)] * count, range(count))
    assert written[:2] == ['id 0', 'id 1']
    shown = len(written) - 1
    assert 10 < shown < count and written[-1] == f'+{count - shown} more'


def spy_on_names(monkeypatch) -> list:
    """Texts and places of the names that are drawn from now on."""
    found, write = [], skeletons._write

    def spy(image, text, place, *others):
        found.append((text, place))
        write(image, text, place, *others)

    monkeypatch.setattr(skeletons, '_write', spy)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-50, 450), st.integers(-50, 350)), min_size=1, max_size=25),
    st.booleans(),
    st.booleans(),
)
def test_names_never_cover_each_other(places, boxes, legend):
    with pytest.MonkeyPatch.context() as monkeypatch:
        names, panels, make = spy_on_names(monkeypatch), [], skeletons._legend
        monkeypatch.setattr(
            skeletons, '_legend', lambda *args: panels.append(make(*args)) or panels[-1]
        )
        overlay = PoseOverlay(POINT, boxes=boxes, legend=legend)
        ids = list(range(len(places)))
        image = draw(overlay, places, ids, scores=np.full(len(places), 0.5))
    covered = np.zeros((HEIGHT, WIDTH), int)
    for text, (x1, y1, x2, y2) in names:
        assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT
        covered[y1:y2, x1:x2] += 1
        # and that is where it is: its ground is one color, with text of the other
        ground = person_colors(int(text.split()[1])).limbs
        assert (image[y1:y2, x1:x2] == ground).all(axis=-1).mean() > 0.4
        assert (image[[y1, y2 - 1], x1:x2] == ground).all(axis=-1).mean() > 0.7
    assert covered.max() <= 1
    assert len(names) == len(places)  # there is room for all
    if legend:
        below, right = panels[-1].shape[:2]
        assert below > 10 and right > 40 and not covered[:below, :right].any()
        assert (image[:below, :right] == panels[-1]).all()


def test_names_say_who_it_is_and_are_left_out_where_there_is_no_room(monkeypatch):
    names = spy_on_names(monkeypatch)
    overlay = PoseOverlay(POINT)
    draw(overlay, [(100, 100), (250, 100), (300, 200)], [7, -1, 2], scores=[0.25, 0.5, 0.75])
    assert [text for text, _ in names] == ['0.50', 'id 2  0.75', 'id 7  0.25']
    names.clear()
    draw(overlay, [(100, 100), (250, 100)], [7, -1])
    assert [text for text, _ in names] == ['id 7']
    names.clear()
    draw(PoseOverlay(POINT, names=False), [(100, 100)], [7])
    assert names == []
    draw(overlay, [(20, 20)] * 30, range(30), image=np.zeros((60, 80, 3), np.uint8))
    assert 2 <= len(names) < 10


def test_a_far_name_has_a_line_to_its_person():
    image = draw(PoseOverlay(POINT), [(200, 290)] * 12, [11] * 12)
    bare = draw(PoseOverlay(POINT, names=False), [(200, 290)] * 12, [11] * 12)
    assert (image[270:280, 199:202] != bare[270:280, 199:202]).any()


def test_all_sizes_follow_the_image():
    sizes = []
    for scale in (1, 2, 4):
        image = np.zeros((540 * scale, 960 * scale, 3), np.uint8)
        keypoints = dots((400, 300)) * scale
        boxes = np.array([[370, 300, 430, 330]]) * scale
        out = draw_poses(image, keypoints, ids=[0], boxes=boxes, joints=POINT, legend=True,
                         color_by='person')  # fmt: skip
        limb = (out[:, 385 * scale] == PERSON_COLORS[0]).all(axis=-1).sum()
        legend = (out[:, 0] == DARK).all(axis=-1).sum()
        sizes.append((limb, legend))
    (limb, legend), *others = sizes
    for scale, (wide, high) in zip((2, 4), others):
        assert wide >= 1.5 * scale * limb / 2 and abs(high - scale * legend) <= 0.3 * scale * legend


def test_wrong_shapes_are_one_sentence():
    keypoints = dots((100, 100), (200, 100))
    for name, value, found, expected in (
        ('ids', [1], r'\(1,\)', r'\(2,\)'),
        ('boxes', np.zeros((2, 2)), r'\(2, 2\)', r'\(2, 4\)'),
        ('shown', np.ones((2, 4), bool), r'\(2, 4\)', r'\(2, 3\)'),
    ):
        with pytest.raises(ValueError, match=f'{name} have shape {found}, expected {expected}'):
            draw_poses(BLACK, keypoints, joints=POINT, **{name: value})
    with pytest.raises(ValueError, match='trails are of 1 persons, expected 2'):
        draw_poses(BLACK, keypoints, joints=POINT, trails=[[]])
