"""Explanations: what is drawn for a person is where the model looked, as arrays, figure, frame."""

from __future__ import annotations

import pickle
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import HOOKS
from mmpose.structures import PoseDataSample

from cmpose_mm.joint_sets import JointSet
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.visualization import (
    draw_similarity,
    explain,
    explanation_frame,
    heat_legend,
    joint_colors,
    person_details,
)
from cmpose_mm.visualization.causal_tokens import draw_causal_tokens
from cmpose_mm.visualization.layout import CAPTION_HEIGHT, GAP

WHITE = (255, 255, 255)
WRIST = JOINT_NAMES.index('right_wrist')
SHAPES = {(16, 12): (160, 120), (8, 8): (100, 100), (6, 11): (67, 110)}  # grid: crop, not all even
VIEWS = {  # grid, center, scale (pixels of a 320 x 240 image)
    'inside': ((16, 12), (150, 120), (90, 120)),
    'over the upper left corner': ((16, 12), (20, 30), (120, 160)),
    'over the lower right corner': ((8, 8), (310, 235), (100, 100)),
    'wider than the image': ((6, 11), (160, 120), (440, 240)),
}


def fields(grid, center, scale, num_causal=2, seed=0) -> dict:
    """A person's prediction with details, as a flat dict."""
    rng = np.random.default_rng(seed)
    num_cells = grid[0] * grid[1]
    causal = rng.permutation(num_cells)[: 15 * num_causal].reshape(15, num_causal)
    clusters = rng.integers(0, 7, num_cells)
    clusters[causal] = -1
    similarity = rng.dirichlet(np.ones(num_cells), 15).astype(np.float32)
    low, high = np.array(center) - np.array(scale) / 3, np.array(center) + np.array(scale) / 3
    return dict(
        keypoints=rng.uniform(low, high, (15, 2)), keypoint_scores=np.full(15, 0.9),
        input_center=np.array(center, float), input_scale=np.array(scale, float),
        causal_tokens=causal, cluster_ids=clusters, similarity=similarity,
    )  # fmt: skip


def data_sample(persons: list[dict], track_ids=None) -> PoseDataSample:
    """Persons of one frame as video inference gives them, details as tensors."""
    stacked = {name: np.stack([person[name] for person in persons]) for name in persons[0]}
    for name in ('causal_tokens', 'cluster_ids', 'similarity'):
        stacked[name] = torch.from_numpy(stacked[name])
    if track_ids is not None:
        stacked['track_ids'] = np.array(track_ids)
    return PoseDataSample(pred_instances=InstanceData(**stacked))


def cell_of_pixel(row: int, column: int, shape, grid) -> int:
    """The token whose equal share of the crop holds the middle of the pixel."""
    y = int((row + 0.5) * grid[0] / shape[0])
    x = int((column + 0.5) * grid[1] / shape[1])
    return y * grid[1] + x


def image_rectangle(cell: int, grid, center, scale, crop_shape) -> tuple[float, ...]:
    """x0, y0, x1, y1 of a cell in pixels of the image, from the box alone.

    UDP: the middles of the crop's outer pixels lie on the edges of the box.
    """
    edges = []
    for axis, index in ((0, cell % grid[1]), (1, cell // grid[1])):
        cells, pixels = grid[1 - axis], crop_shape[1 - axis]
        for edge in (index, index + 1):
            in_crop = edge * pixels / cells - 0.5
            edges.append(center[axis] - scale[axis] / 2 + in_crop * scale[axis] / (pixels - 1))
    return edges[0], edges[2], edges[1], edges[3]


@pytest.mark.parametrize('grid', SHAPES)
def test_every_pixel_of_the_causal_tokens_belongs_to_its_cell(grid):
    crop = np.full((*SHAPES[grid], 3), 100, np.uint8)
    causal = fields(grid, (0, 0), (1, 1))['causal_tokens']
    owner = {int(cell): joint for joint, cells in enumerate(causal) for cell in cells}
    out = draw_causal_tokens(crop, causal, grid)
    expected = np.zeros(crop.shape)
    for row, column in np.ndindex(crop.shape[:2]):
        joint = owner.get(cell_of_pixel(row, column, crop.shape, grid))
        expected[row, column] = 35 if joint is None else 45 + 0.55 * joint_colors()[joint]
    border = (out == 255).all(axis=-1)
    assert border.mean() < 0.4
    np.testing.assert_allclose(out[~border], expected[~border], atol=1)


@pytest.mark.parametrize('view', VIEWS)
def test_a_token_shows_the_part_of_the_image_that_its_cell_covers(view):
    """The image is white where the cell of one token lies: the panel is bright there alone."""
    grid, center, scale = VIEWS[view]
    person = fields(grid, center, scale)
    height = 12 * grid[0]
    shape = (height, round(height * scale[0] / scale[1]))
    tested = 0
    for joint in range(15):
        cell = int(person['causal_tokens'][joint, 0])
        x0, y0, x1, y1 = image_rectangle(cell, grid, center, scale, shape)
        if x0 < 1 or y0 < 1 or x1 > 318 or y1 > 238:
            continue
        # Painted far too fine and averaged, so that the rectangle's edges are right to 1/8 pixel.
        fine = np.zeros((240 * 8, 320 * 8), np.uint8)
        edges = [round((edge + 0.5) * 8) for edge in (x0, y0, x1, y1)]
        fine[edges[1] : edges[3], edges[0] : edges[2]] = 255
        image = cv2.resize(fine, (320, 240), interpolation=cv2.INTER_AREA)
        explanation = explain(person, cv2.merge([image] * 3), height=height)
        panel = explanation.causal_tokens.image
        assert panel.shape[:2] == shape
        row, column = divmod(cell, grid[1])
        rows = slice(round(row * shape[0] / grid[0]), round((row + 1) * shape[0] / grid[0]))
        columns = slice(
            round(column * shape[1] / grid[1]), round((column + 1) * shape[1] / grid[1])
        )
        inside = panel[rows, columns][4:-4, 4:-4].reshape(-1, 3).astype(float)
        expected = 0.45 * 255 + 0.55 * joint_colors()[joint]
        np.testing.assert_allclose(inside, np.tile(expected, (len(inside), 1)), atol=2)
        # Elsewhere causal cells have their color over black, other cells are black.
        elsewhere = np.ones(shape, bool)
        elsewhere[max(0, rows.start - 4) : rows.stop + 4,
                  max(0, columns.start - 4) : columns.stop + 4] = False  # fmt: skip
        others = panel[elsewhere].astype(int)
        allowed = np.concatenate([0.55 * joint_colors(), [[0, 0, 0], WHITE]])
        distance = np.abs(others[:, None] - allowed[None]).max(-1).min(1)
        assert distance.max() <= 1
        tested += 1
    assert tested >= 3


def test_outside_the_image_the_crop_is_black():
    grid, center, scale = VIEWS['over the upper left corner']
    image = np.full((240, 320, 3), 200, np.uint8)
    person = dict(fields(grid, center, scale), keypoint_scores=np.zeros(15))
    pose = explain(person, image, height=160).pose.image
    # The box begins 40 pixels left of the image and 50 above it, at a scale of 1.
    assert not pose[:, :38].any() and not pose[:48].any()
    assert (pose[52:, 42:] == 200).all()


@pytest.mark.parametrize('grid', SHAPES)
def test_the_similarity_map_is_the_values_upsampled(grid):
    shape = SHAPES[grid]
    crop = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    values = np.random.default_rng(2).dirichlet(np.ones(grid[0] * grid[1])).astype(np.float32)
    out = draw_similarity(crop, values, grid)
    expected = np.zeros(crop.shape)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_HOT)[:, 0]
    for row, column in np.ndindex(shape):
        value = values[cell_of_pixel(row, column, shape, grid)]
        strength = (value - values.min()) / (values.max() - values.min())
        heat = table[int(255 * strength)]
        expected[row, column] = (1 - strength) * 0.5 * crop[row, column] + strength * heat
    np.testing.assert_allclose(out, expected, atol=1.01)


def test_the_similarity_map_is_the_chosen_joints():
    grid, center, scale = VIEWS['inside']
    person = fields(grid, center, scale)
    image = np.full((240, 320, 3), 90, np.uint8)
    for joint in ('nose', 'left_ankle'):
        k = JOINT_NAMES.index(joint)
        explanation = explain(person, image, joint=joint, height=160)
        np.testing.assert_array_equal(
            explanation.similarity_map, person['similarity'][k].reshape(grid)
        )
        panel = explanation.similarity.image
        outline = (panel == (255, 255, 0)).all(axis=-1)
        edges = np.zeros((160, 120), int)  # how often a pixel lies at the edge of a causal cell
        for cell in person['causal_tokens'][k]:
            y, x = divmod(int(cell), grid[1])
            edges[10 * y : 10 * y + 11, 10 * x : 10 * x + 11] += 1
            edges[10 * y + 1 : 10 * y + 10, 10 * x + 1 : 10 * x + 10] -= 1
            edges[10 * y + 10 :, 10 * x + 10 :][:1, :1] -= 1  # lines meet there, none ends
        np.testing.assert_array_equal(outline, edges > 0)
        assert joint.replace('_', ' ') in explanation.similarity.caption
    with pytest.raises(ValueError, match=r"joint is 'elbow', expected one of .*right_ankle"):
        explain(person, image, joint='elbow')


def test_the_joints_of_another_set_are_found_by_name():
    grid, center, scale = VIEWS['inside']
    person = fields(grid, center, scale)
    for name in ('keypoints', 'keypoint_scores', 'causal_tokens', 'similarity'):
        person[name] = person[name][:3]
    person['cluster_ids'] = np.where(
        np.isin(np.arange(grid[0] * grid[1]), person['causal_tokens']), -1, 0
    )
    color = ((9, 9, 9),)
    person['joint_set'] = JointSet(
        'animal', ('eye', 'paw', 'tail'), (0.1,) * 3, (('eye', 'paw'),), 3 * color, color
    )
    image = np.full((240, 320, 3), 90, np.uint8)
    explanation = explain(person, image, joint='tail', height=160)
    np.testing.assert_array_equal(explanation.similarity_map, person['similarity'][2].reshape(grid))
    labels = [text.get_text() for text in explanation.figure().legends[0].get_texts()]
    assert labels == ['eye', 'paw', 'tail']
    for k, cells in enumerate(person['causal_tokens']):
        y, x = divmod(int(cells[-1]), grid[1])
        inside = explanation.causal_tokens.image[10 * y + 5, 10 * x + 5]
        np.testing.assert_allclose(inside, 0.45 * 90 + 0.55 * joint_colors(3)[k], atol=1)
    assert explanation.picture().shape[0] > 160
    with pytest.raises(ValueError, match="joint is 'nose', expected one of eye, paw, tail"):
        explain(person, image, joint='nose')


def test_a_map_without_differences_shows_no_heat():
    crop = np.full((40, 30, 3), 100, np.uint8)
    np.testing.assert_array_equal(draw_similarity(crop, np.full(12, 0.1), (4, 3)), crop // 2)
    with pytest.raises(ValueError, match=r'similarities have shape \(11,\), expected \(12,\)'):
        draw_similarity(crop, np.zeros(11), (4, 3))
    with pytest.raises(ValueError, match='12..12, expected 0 to 11'):
        draw_similarity(crop, np.zeros(12), (4, 3), marked=[12])


def test_the_heat_legend_has_the_maps_colors():
    """Cells of the least, the middle and the largest value look as it says (over mid-gray)."""
    crop = np.full((30, 90, 3), 128, np.uint8)
    out = draw_similarity(crop, np.array([0.1, 0.15, 0.2]), (1, 3))
    bar = heat_legend(400, 0.1, 0.2)[6:-6, 10].astype(int)
    for column, place in ((15, -1), (45, len(bar) // 2), (75, 0)):
        np.testing.assert_allclose(out[15, column], bar[place], atol=3)


def test_the_picture_holds_panels_and_legends():
    grid, center, scale = VIEWS['inside']
    explanation = explain(fields(grid, center, scale), np.full((240, 320, 3), 90, np.uint8))
    picture = explanation.picture()
    x = 0
    for panel in explanation.panels:
        assert panel.image.shape == (384, 288, 3)
        np.testing.assert_array_equal(picture[CAPTION_HEIGHT:, x : x + 288], panel.image)
        assert (picture[:CAPTION_HEIGHT, x : x + 288] > 200).any()  # its caption
        x += 288 + GAP
    for color in joint_colors():
        assert (picture[:, x:] == color).all(axis=-1).any()


def test_figure(tmp_path):
    grid, center, scale = VIEWS['inside']
    person = fields(grid, center, scale)
    explanation = explain(person, np.full((240, 320, 3), 90, np.uint8))
    before = pyplot.get_fignums()
    figure = explanation.figure()
    assert pyplot.get_fignums() == before  # nothing is left open
    *panels, bar = figure.axes
    titles = ['pose', 'causal tokens', 'cluster ids', 'similarity: right wrist']
    assert [axes.get_title() for axes in panels] == titles
    for axes, panel in zip(panels, explanation.panels):
        np.testing.assert_array_equal(axes.images[0].get_array(), panel.image[..., ::-1])
    values = person['similarity'][WRIST]
    assert bar.get_ylim() == pytest.approx((values.min(), values.max()))
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.texts] == [n.replace('_', ' ') for n in JOINT_NAMES]
    for patch, bgr in zip(legend.get_patches(), joint_colors()):
        np.testing.assert_allclose(to_rgb(patch.get_facecolor()), bgr[::-1] / 255)
    figure.savefig(tmp_path / 'figure.png')
    assert cv2.imread(str(tmp_path / 'figure.png')).std() > 10


def test_all_forms_of_a_prediction_are_the_same_person(tmp_path):
    grid, center, scale = VIEWS['inside']
    flat = fields(grid, center, scale)
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    path = str(tmp_path / 'frame.png')
    cv2.imwrite(path, image)

    many = data_sample([fields(grid, (10, 20), scale, seed=1), flat])
    one = data_sample([flat])  # as the model gives it: the crop in the metainfo
    one.set_metainfo(dict(img_path=path, **{n: flat[n] for n in ('input_center', 'input_scale')}))
    del one.pred_instances.input_center, one.pred_instances.input_scale
    expected = explain(flat, image).picture()
    np.testing.assert_array_equal(explain(many, image, person=1).picture(), expected)
    np.testing.assert_array_equal(explain(one).picture(), expected)
    np.testing.assert_array_equal(explain(one.to_dict()).picture(), expected)
    assert (explain(many, image, person=0).picture() != expected).any()


def test_what_is_wrong_with_a_prediction_is_said():
    grid, center, scale = VIEWS['inside']
    person = fields(grid, center, scale)
    with pytest.raises(KeyError, match='no similarity; expected .*output_details=True'):
        person_details({name: value for name, value in person.items() if name != 'similarity'})
    with pytest.raises(KeyError, match='no input_scale'):
        person_details({name: value for name, value in person.items() if name != 'input_scale'})
    with pytest.raises(ValueError, match=r'similarity of a person has shape \(15, 191\)'):
        person_details(dict(person, similarity=person['similarity'][:, :-1]))
    with pytest.raises(ValueError, match=r'keypoints of a person has shape \(17, 2\)'):
        person_details(dict(person, keypoints=np.zeros((17, 2))))
    with pytest.raises(ValueError, match='no img_path; expected the frame'):
        explain(person)


@pytest.mark.parametrize('count', [0, 2])
def test_a_person_who_is_not_there(count):
    view = VIEWS['inside']
    sample = {name: np.stack([value] * 3)[:count] for name, value in fields(*view).items()}
    with pytest.raises(IndexError, match=f'^person is 2, but the prediction has {count} persons$'):
        person_details(sample, person=2)


def test_frames_of_a_video_have_one_size():
    """Persons come, go and change their size; the picture doesn't."""
    image = np.full((240, 320, 3), 90, np.uint8)
    grid, center, scale = VIEWS['inside']
    near, far = fields(grid, center, scale), fields(grid, (300, 20), (30, 40), seed=1)
    frames = [
        explanation_frame(image, data_sample(persons, ids), 4, size=size, title='frame 7')
        for size in ((1280, 384), (641, 161), (320, 480))
        for persons, ids in (([near, far], [4, 9]), ([far, near], [9, 4]), ([far], [9]))
    ]
    sizes = [frame.shape for frame in frames]
    assert sizes == 3 * [(384, 1280, 3)] + 3 * [(161, 641, 3)] + 3 * [(480, 320, 3)]
    for both, swapped, absent in zip(frames[::3], frames[1::3], frames[2::3]):
        np.testing.assert_array_equal(both, swapped)  # the person is found by the track's id
        assert (both != absent).any()


def test_a_frame_holds_the_persons_explanation():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    grid, center, scale = VIEWS['inside']
    person = fields(grid, center, scale)
    out = explanation_frame(image, data_sample([person], [4]), 4, joint='nose')
    height = 384 - 2 * CAPTION_HEIGHT - 2 * GAP
    expected = explain(person, image, joint='nose', height=height).picture()
    placed = out[CAPTION_HEIGHT + GAP :, GAP:][: expected.shape[0], : expected.shape[1]]
    np.testing.assert_array_equal(placed, expected)


def test_a_frame_without_the_person_shows_the_frame_and_says_so():
    image = np.full((240, 320, 3), 100, np.uint8)
    nobody = PoseDataSample(pred_instances=InstanceData(track_ids=np.zeros(0, int)))
    out = explanation_frame(image, nobody, 4, size=(640, 300))
    assert (out[100, 20:300] == 35).all()  # the frame, dark
    present = explanation_frame(
        image, data_sample([fields((16, 12), (150, 120), (90, 120))], [4]), 4, size=(640, 300)
    )
    written = [(line[:CAPTION_HEIGHT] > 128).any(-1).any(0).nonzero()[0] for line in (out, present)]
    assert written[0].max() > written[1].max() + 50  # 'person 4: not in this frame', 'person 4'
    # -1 is no track: who has it was too uncertain for the tracker.
    person = data_sample([fields((16, 12), (150, 120), (90, 120))], [-1])
    np.testing.assert_array_equal(
        explanation_frame(image, person, -1), explanation_frame(image, nobody, -1)
    )
    with pytest.raises(KeyError, match='no track_ids'):
        explanation_frame(image, {}, 4)
    with pytest.raises(ValueError, match='size is 100 x 100, expected at least 320 x 160'):
        explanation_frame(image, nobody, 4, size=(100, 100))


def code_block(start: str, end: str) -> str:
    """Indented lines of docs/explain.md from ``start`` up to ``end``, without indentation."""
    text = (Path(__file__).parents[2] / 'docs/explain.md').read_text()
    block = text[text.index(f'    {start}') : text.index(end, text.index(f'    {start}'))]
    return textwrap.dedent(block)


def test_the_lines_in_the_docs_make_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('frame.png', np.full((240, 320, 3), 90, np.uint8))
    sample = data_sample([fields(*VIEWS['inside'])])
    sample.set_metainfo(
        dict(img_path='frame.png', video='100001_synthetic', frame_number=2, track_id=0)
    )
    Path('work_dirs/demo').mkdir(parents=True)
    Path('work_dirs/demo/predictions.pkl').write_bytes(pickle.dumps([sample.to_dict()]))
    names = {}
    exec(code_block('import pickle', 'The other methods have'), names)
    assert cv2.imread('explain.jpg').std() > 10
    exec(code_block("explanation = explain(sample, joint='left_knee')", '\n`sample`'), names)
    exec(code_block('explanation.causal_tokens.image', '\n`person_details'), names)
    assert names['explanation'].similarity.caption == 'similarity: left knee'


def test_the_config_in_the_docs_builds_the_hook(tmp_path):
    path = tmp_path / 'my_cmpose.py'
    path.write_text(code_block('# my_cmpose.py', '    mim train'))
    config = Config.fromfile(str(path))
    init_default_scope(config.default_scope)
    hook = HOOKS.build(config.default_hooks.explain)
    assert (hook.interval, hook.max_samples) == (100, 8)
    assert 'checkpoint' in config.default_hooks  # nothing of the parent's is lost
    assert config.visualizer.type == 'PoseLocalVisualizer'
