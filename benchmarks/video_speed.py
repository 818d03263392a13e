"""Frames a second from a video file to poses: this package, MMPoseInferencer and rtmlib.

All get the same video, model (random weights), boxes and number of threads, and give each person's
joints; nothing is drawn or written. They take turns, and ratios are medians over the rounds of the
ratio in each round. The boxes are columns of the frame, as many as `--persons` says.

A second table says what a person and frame takes beside the model: frames are in memory, backbone
and head answer from memory, one thread. What remains is crops, normalization, decoding of poses,
and tracking, which MMPoseInferencer does not do. Its last column is the part of OpenCV, which
warps each crop out of the frame.

    pip install --no-deps rtmlib==0.0.16        # else it is left out

Example:
    python benchmarks/video_speed.py demo.mp4 --model rtmpose-m --persons 1 4 --frames 60
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from costs import Spread, machine
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from tqdm import tqdm

from cmpose_mm.apis import VideoPoseInferencer, open_frames
from cmpose_mm.apis.export import trace_to_onnx
from cmpose_mm.apis.loading import find_config
from cmpose_mm.evaluation.report import markdown_table

MMPOSE, RTMLIB = 'MMPoseInferencer', 'rtmlib, ONNX Runtime'
Contender = Callable[[np.ndarray], Iterator[np.ndarray]]
"""From boxes (P, 4) to the joints (P, K, 2) of each frame of the video."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('video', metavar='VIDEO')
    parser.add_argument('--model', default='rtmpose-m', metavar='NAME',
                        help='config or name of a single-frame model (default: '
                        'rtmpose-m)')  # fmt: skip
    parser.add_argument('--persons', type=int, nargs='+', default=[1, 4], metavar='P')
    parser.add_argument('--frames', type=int, default=60, help='of the video (default: 60)')
    parser.add_argument('--rounds', type=int, default=7, help='default: 7')
    parser.add_argument('--threads', type=int, default=2, help='default: 2')
    parser.add_argument('--device', default='cpu', help='cpu (default) or cuda:0')
    return parser.parse_args()


def small_video(source: str, frames: int, path: Path) -> str:
    """The first frames of a video, as a file that all contenders read."""
    from cmpose_mm.apis import VideoWriter

    reader = open_frames(source)
    with VideoWriter(path, reader.frame_rate or 25) as writer:
        for frame in itertools.islice(reader, frames):
            writer.write(frame.image)
    return str(path)


def write_model(name: str, folder: Path) -> tuple[str, str]:
    """Config without flip test, and a checkpoint of random weights."""
    path = folder / 'model.py'
    path.write_text(
        f'_base_ = [{find_config(name)!r}]\nmodel = dict(test_cfg=dict(flip_test=False))'
    )
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    checkpoint = folder / 'model.pth'
    meta = dict(dataset_meta=dataset_meta_from_config(config, 'train'))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return str(path), str(checkpoint)


class GivenBoxes:
    """Takes the place of MMPoseInferencer's detector."""

    def __init__(self, boxes: np.ndarray) -> None:
        count = len(boxes)
        self.found = InstanceData(
            bboxes=torch.tensor(boxes),
            scores=torch.ones(count),
            labels=torch.zeros(count, dtype=torch.long),
        )

    def __call__(self, image: np.ndarray, return_datasamples: bool) -> dict:
        return dict(predictions=[PoseDataSample(pred_instances=self.found)])


def by_mmpose(
    config: str, checkpoint: str, video: str | list[np.ndarray], device: str
) -> Contender:
    model = MMPoseInferencer(config, checkpoint, device=device, det_model='whole_image')
    model.inferencer.show_progress = False

    def run(boxes: np.ndarray) -> Iterator[np.ndarray]:
        model.inferencer.detector, model.inferencer.det_cat_ids = GivenBoxes(boxes), (0,)
        for result in model(video, return_datasamples=True):
            yield result['predictions'][0].pred_instances.keypoints

    run.model = model.inferencer.model
    return run


def by_us(
    config: str, checkpoint: str, video: str | list[np.ndarray], device: str, **options
) -> Contender:
    model = VideoPoseInferencer(config, checkpoint, device=device, **options)

    def run(boxes: np.ndarray) -> Iterator[np.ndarray]:
        found = boxes, np.ones(len(boxes), np.float32)
        for result in model(video, lambda frame: found):
            yield result.data_sample.pred_instances.keypoints

    run.model = model.model
    return run


def by_rtmlib(config: str, checkpoint: str, video: str, folder: Path) -> Contender:
    """The same weights in the form that rtmlib takes, RTMPose's only."""
    from rtmlib import RTMPose

    pose_model = VideoPoseInferencer(config, checkpoint).model

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pose_model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model.head(self.model.backbone(images))

    width, height = pose_model.cfg.codec.input_size
    path = folder / 'rtmpose.onnx'
    names = ['input', 'simcc_x', 'simcc_y']
    trace_to_onnx(Outputs().eval(), torch.zeros(2, 3, height, width), path, names, opset=17)
    model = RTMPose(str(path), (width, height), backend='onnxruntime', device='cpu')

    def run(boxes: np.ndarray) -> Iterator[np.ndarray]:
        capture = cv2.VideoCapture(video)
        while (frame := capture.read())[0]:
            yield model(frame[1], boxes)[0]

    return run


def answer_from_memory(module: torch.nn.Module) -> None:
    """Computes for the first input of each batch size, then repeats that output."""
    forward, outputs = module.forward, {}

    def remembered(inputs):
        count = len(inputs if isinstance(inputs, torch.Tensor) else inputs[0])
        if count not in outputs:
            outputs[count] = forward(inputs)
        return outputs[count]

    module.forward = remembered


@contextmanager
def timed_warps() -> Iterator[list[float]]:
    """The seconds of each of OpenCV's warps while it is open."""
    spent: list[float] = []
    warp = cv2.warpAffine

    def timed(*args, **kwargs):
        start = time.perf_counter()
        try:
            return warp(*args, **kwargs)
        finally:
            spent.append(time.perf_counter() - start)

    cv2.warpAffine = timed
    try:
        yield spent
    finally:
        cv2.warpAffine = warp


def columns(persons: int, video: str) -> np.ndarray:
    """Boxes (P, 4) beside each other."""
    height, width = next(iter(open_frames(video))).image.shape[:2]
    edges = np.linspace(0, width, persons + 1, dtype=np.float32)
    return np.stack(
        [edges[:-1], np.full(persons, 0.1 * height), edges[1:], np.full(persons, 0.9 * height)], 1
    ).astype(np.float32)


def seconds(contender: Contender, boxes: np.ndarray, frames: int) -> float:
    start, count = time.perf_counter(), 0
    for joints in contender(boxes):
        assert len(joints) == len(boxes)
        count += 1
    assert count == frames
    return time.perf_counter() - start


def turns(
    contenders: dict[str, Contender], boxes: np.ndarray, frames: int, rounds: int
) -> dict[str, np.ndarray]:
    """Seconds of each contender in each round; each comes after each other one in turn."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in tqdm(range(rounds + 1), f'{len(boxes)} persons', leave=False):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            spent = seconds(contenders[name], boxes, frames)
            if turn:  # the first is for warming up
                times[name].append(spent)
    return {name: np.array(values) for name, values in times.items()}


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = small_video(args.video, args.frames, folder / 'video.mp4')
        images = [frame.image for frame in open_frames(video)]
        config, checkpoint = write_model(args.model, folder)
        contenders = {MMPOSE: by_mmpose(config, checkpoint, video, args.device)}
        if find_spec('rtmlib') and args.device == 'cpu' and 'rtmpose' in args.model:
            contenders[RTMLIB] = by_rtmlib(config, checkpoint, video, folder)
        engines = ['torch', 'onnx'] if args.device == 'cpu' else ['torch', 'compile']
        for engine in engines:
            contenders[f'cmpose_mm, {engine}'] = by_us(
                config, checkpoint, video, args.device, engine=engine
            )
        idle = {
            MMPOSE: by_mmpose(config, checkpoint, images, args.device),
            'cmpose_mm': by_us(config, checkpoint, images, args.device),
        }
        for contender in idle.values():
            answer_from_memory(contender.model.backbone)
            answer_from_memory(contender.model.head)

        gc.collect()
        gc.freeze()  # or each pays for the objects of all whenever Python looks for garbage
        print(machine(args.device))
        print(f'{args.model}, {len(images)} frames, {args.rounds} rounds\n')
        rows, beside = [], []
        for persons in args.persons:
            boxes = columns(persons, video)
            times = turns(contenders, boxes, len(images), args.rounds)
            for name, values in times.items():
                rate = len(images) / np.median(values)
                ratio = Spread.of(times[MMPOSE] / values)
                rows.append([persons, name, f'{rate:.1f}', str(ratio)])
            torch.set_num_threads(1)
            for name, values in turns(idle, boxes, len(images), args.rounds).items():
                each = Spread.of(values * 1000 / len(images) / persons)
                with timed_warps() as warps:
                    seconds(idle[name], boxes, len(images))
                beside.append([persons, name, str(each), f'{1000 * np.median(warps):.2f}'])
            torch.set_num_threads(args.threads)
        print(markdown_table(['persons', 'by', 'frames a second', f'times {MMPOSE}'], rows))
        print()
        header = ['persons', 'by', 'ms a person and frame beside the model', "of it OpenCV's warp"]
        print(markdown_table(header, beside))


if __name__ == '__main__':
    main()
