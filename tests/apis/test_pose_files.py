"""Files of poses: what is read from them again, their scores, and what an interruption leaves."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from cmpose_mm.apis import CsvWriter, FramePoses, PoseTrackWriter, VideoFrame, open_frames
from cmpose_mm.evaluation import evaluate_files
from cmpose_mm.joint_sets import JointSet
from cmpose_mm.posetrack.annotations import Frame, Video, read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.predictions import PERSON_CATEGORY, write_predictions

ROOT = Path(__file__).parents[2]


def result_of(frame: VideoFrame, persons: dict[str, np.ndarray]) -> FramePoses:
    return FramePoses(frame, PoseDataSample(pred_instances=InstanceData(**persons)))


def persons_of(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([count, seed])
    corner = rng.uniform(0, 50, (count, 2))
    return dict(
        keypoints=rng.uniform(-5, 90, (count, 15, 2)).astype(np.float32),
        keypoint_scores=rng.uniform(0, 1, (count, 15)).astype(np.float32),
        bboxes=np.hstack([corner, corner + rng.uniform(5, 40, (count, 2))]).astype(np.float32),
        bbox_scores=rng.uniform(0, 1, count).astype(np.float32),
        track_ids=np.arange(count) - 1,
    )


def frame_of(number: int, time: float | None = None, path: str | None = None) -> VideoFrame:
    return VideoFrame(np.zeros((60, 80, 3), np.uint8), number, time, path)


def as_frame(result: FramePoses, name: str, image_id: int) -> Frame:
    """The same frame for `write_predictions`, put together by hand."""
    pred, count = result.data_sample.pred_instances, len(result.data_sample.pred_instances)
    keypoints = np.ones((count, 15, 3))
    boxes = np.zeros((count, 4))
    for person in range(count):
        keypoints[person, :, :2] = pred.keypoints[person]
        x1, y1, x2, y2 = pred.bboxes[person].astype(float)
        boxes[person] = x1, y1, x2 - x1, y2 - y1
    scores = [
        [float(score) * float(pred.bbox_scores[p]) for score in pred.keypoint_scores[p]]
        for p in range(count)
    ]
    return Frame(
        name, image_id, image_id, False, [], keypoints, np.array(scores).reshape(count, 15),
        np.full((count, 4), np.nan), boxes, pred.track_ids, np.full(count, -1),
    )  # fmt: skip


def test_json_reads_as_what_was_written(tmp_path):
    results = [
        result_of(frame_of(i, i / 4), persons_of(count, i)) for i, count in enumerate([2, 0, 3, 1])
    ]
    with PoseTrackWriter(tmp_path / 'new' / 'walk.json', 'walk') as writer:
        for result in results:
            writer.write(result)
    frames = [as_frame(r, f'walk/{i:06d}.jpg', i) for i, r in enumerate(results)]
    write_predictions([Video('walk', frames, '')], tmp_path / 'reference')
    (found,) = read_videos(tmp_path / 'new' / 'walk.json')
    (expected,) = read_videos(tmp_path / 'reference' / 'walk.json')
    assert found.name == expected.name == 'walk'
    assert len(found.frames) == 4
    for one, other in zip(found.frames, expected.frames):
        assert (one.file_name, one.image_id, one.number) == (
            other.file_name, other.image_id, other.number
        )  # fmt: skip
        for name in ('keypoints', 'scores', 'boxes', 'track_ids', 'ids'):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert (one.height, one.width) == (60, 80)
    assert [len(frame.keypoints) for frame in found.frames] == [2, 0, 3, 1]

    content = orjson.loads((tmp_path / 'new' / 'walk.json').read_bytes())
    assert [image['time'] for image in content['images']] == [0.0, 0.25, 0.5, 0.75]
    assert [image['frame_number'] for image in content['images']] == [0, 1, 2, 3]
    assert all(image['of_video'] for image in content['images'])
    assert content['categories'] == orjson.loads(orjson.dumps([PERSON_CATEGORY]))
    scores = np.concatenate([r.data_sample.pred_instances.bbox_scores for r in results])
    np.testing.assert_allclose([a['score'] for a in content['annotations']], scores)


def test_times_that_are_unknown_are_left_out(tmp_path):
    with PoseTrackWriter(tmp_path / 'a.json', 'a') as writer:
        writer.write(result_of(frame_of(0), persons_of(1)))
    assert 'time' not in orjson.loads((tmp_path / 'a.json').read_bytes())['images'][0]


@pytest.mark.parametrize(
    'video, path, number, file_name, image_id',
    [
        ('000342_mpii_test', 'x/000012.jpg', 0, '000342_mpii_test/000012.jpg', 10003420012),
        ('000342_mpii_test', 'x/12.png', 3, '000342_mpii_test/12.png', 10003420012),
        ('000342_mpii_test', None, 7, '000342_mpii_test/000007.jpg', 10003420007),
        ('000342_mpii_test', 'x/crop_a.jpg', 7, '000342_mpii_test/crop_a.jpg', 7),
        ('holiday', 'x/000012.jpg', 3, 'holiday/000012.jpg', 3),
        ('holiday', None, 3, 'holiday/000003.jpg', 3),
        ('0003421_x', None, 3, '0003421_x/000003.jpg', 3),
        ('caf\udce9', None, 3, 'caf\\udce9/000003.jpg', 3),  # no UTF-8, as names on Linux may be
    ],
)
def test_image_ids_and_names(tmp_path, video, path, number, file_name, image_id):
    with PoseTrackWriter(tmp_path / 'a.json', video) as writer:
        writer.write(result_of(frame_of(number, path=path), persons_of(1)))
    content = orjson.loads((tmp_path / 'a.json').read_bytes())
    assert [(i['file_name'], i['id']) for i in content['images']] == [(file_name, image_id)]
    assert content['annotations'][0]['image_id'] == image_id


def labeled_results(folder: Path, labels: Video) -> list[FramePoses]:
    """The labeled poses of a folder of frames as if they had been inferred."""
    by_name = {Path(frame.file_name).name: frame for frame in labels.frames}
    results = []
    for frame in open_frames(folder):
        label = by_name[Path(frame.path).name]
        boxes = label.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        persons = dict(
            keypoints=label.keypoints[..., :2], keypoint_scores=np.ones(label.keypoints.shape[:2]),
            bboxes=boxes, bbox_scores=np.ones(len(boxes)), track_ids=label.track_ids,
        )  # fmt: skip
        results.append(result_of(frame, persons))
    return results


@pytest.mark.slow
def test_poses_of_a_folder_of_posetrack_frames_are_scored_as_they_are(real_data, tmp_path):
    labels = real_data / 'posetrack_clip/annotations/train'
    (video,) = read_videos(labels)
    folder = real_data / 'posetrack_clip/images/060470_mpii_test'
    with PoseTrackWriter(tmp_path / 'poses.json', open_frames(folder).name) as writer:
        for result in labeled_results(folder, video):
            writer.write(result)
    result = evaluate_files(labels, tmp_path / 'poses.json', mota=True)
    assert result['counts']['frames'] == 30
    scored = [joint for joint, num_gt in zip(JOINT_NAMES, labeled_joints(video)) if num_gt]
    assert len(scored) == 14  # no noses
    assert [result['recall'][joint] for joint in scored] == [100.0] * 14
    out = subprocess.run(
        [sys.executable, str(ROOT / 'tools/eval_posetrack.py'), str(labels),
         str(tmp_path / 'poses.json'), '--mota'],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert '100.0' in out.stdout


def labeled_joints(video: Video) -> np.ndarray:
    return sum((frame.keypoints != 0).any(-1).sum(axis=0) for frame in video.frames)


def test_csv(tmp_path):
    results = [
        result_of(frame_of(i, time), persons_of(count, i))
        for i, (count, time) in enumerate([(2, 0.0), (0, 0.5), (1, None)])
    ]
    with CsvWriter(tmp_path / 'new' / 'a.csv') as writer:
        for result in results:
            writer.write(result)
    with open(tmp_path / 'new' / 'a.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['frame'], r['time'], r['track_id']) for r in rows] == [
        ('0', '0.000000', '-1'), ('0', '0.000000', '0'), ('1', '0.500000', ''), ('2', '', '-1')
    ]  # fmt: skip
    assert not any(value for name, value in rows.pop(2).items() if name not in ('frame', 'time'))
    expected = [results[0], results[0], results[2]]
    for row, result, person in zip(rows, expected, [0, 1, 0]):
        pred = result.data_sample.pred_instances
        assert float(row['score']) == pytest.approx(pred.bbox_scores[person], abs=1e-5)
        box = [float(row[name]) for name in ('x1', 'y1', 'x2', 'y2')]
        np.testing.assert_allclose(box, pred.bboxes[person], atol=5.1e-3)
        for joint, name in enumerate(JOINT_NAMES):
            xy = [float(row[f'{name}_x']), float(row[f'{name}_y'])]
            np.testing.assert_allclose(xy, pred.keypoints[person, joint], atol=5.1e-3)
            score = pred.keypoint_scores[person, joint]
            assert float(row[f'{name}_score']) == pytest.approx(score, abs=1e-5)
    assert len(rows[0]) == 8 + 45


PAWS = JointSet(
    'animal', ('left, eye', 'paw', 'tail'), (0.1,) * 3, (('left, eye', 'tail'), ('paw', 'tail')),
    ((0, 0, 0),) * 3, ((0, 0, 0),) * 2, (('tail', 'behind'),),
)  # fmt: skip


def test_other_joints_are_named_in_the_files(tmp_path):
    """Also a name with a comma, and that no model predicted the tail."""
    persons = persons_of(2)
    for name in ('keypoints', 'keypoint_scores'):
        persons[name] = persons[name][:, :3]
    result = result_of(frame_of(0), persons)
    result.data_sample.set_metainfo(dict(joint_set=PAWS))
    files = [tmp_path / 'a.json', tmp_path / 'a.csv']
    with PoseTrackWriter(files[0], 'a', PAWS) as poses, CsvWriter(files[1], PAWS) as table:
        for writer in (poses, table):
            writer.write(result)
            with pytest.raises(ValueError, match='the poses have the 15 joints of posetrack'):
                writer.write(result_of(frame_of(1), persons_of(1)))
    content = orjson.loads(files[0].read_bytes())
    assert content['categories'] == [
        dict(
            id=1, name='person', supercategory='person', keypoints=list(PAWS.joints),
            skeleton=[[1, 3], [2, 3]], joint_set='animal', derived=dict(tail='behind'),
        )
    ]  # fmt: skip
    with open(files[1], newline='') as file:
        rows = list(csv.DictReader(file))
    for person, (annotation, row) in enumerate(zip(content['annotations'], rows)):
        expected = np.c_[persons['keypoints'][person], np.ones(3)]
        np.testing.assert_allclose(annotation['keypoints'], expected.ravel())
        scores = persons['keypoint_scores'][person] * persons['bbox_scores'][person]
        np.testing.assert_allclose(annotation['scores'], scores)
        for joint, xy in zip(PAWS.joints, persons['keypoints'][person]):
            assert float(row[f'{joint}_x']) == pytest.approx(xy[0], abs=5.1e-3)
        assert row['derived_joints'] == 'tail'
    with PoseTrackWriter(tmp_path / 'b.json', 'b') as writer:
        with pytest.raises(
            ValueError, match=r'3 joints of animal .* expected the 15 joints of pos'
        ):
            writer.write(result)


def test_what_is_no_pose_is_refused_and_leaves_the_rest(tmp_path):
    bad = persons_of(2)
    bad['keypoints'][1, 4, 0] = np.nan
    short = persons_of(2)
    short['keypoint_scores'] = short['keypoint_scores'][:, :14]
    for writer in (PoseTrackWriter(tmp_path / 'a.json', 'a'), CsvWriter(tmp_path / 'a.csv')):
        with writer:
            writer.write(result_of(frame_of(0), persons_of(2)))
            with pytest.raises(
                ValueError, match='frame 1: "keypoints" has .* 1 values that are not'
            ):
                writer.write(result_of(frame_of(1), bad))
            with pytest.raises(
                ValueError, match=r'"keypoint_scores" has shape \(2, 14\).*\(2, 15\)'
            ):
                writer.write(result_of(frame_of(1), short))
            writer.write(result_of(frame_of(1), persons_of(1)))
    (video,) = read_videos(tmp_path / 'a.json')
    assert [len(frame.keypoints) for frame in video.frames] == [2, 1]
    assert len((tmp_path / 'a.csv').read_text().splitlines()) == 4


def test_two_images_of_one_number(tmp_path):
    with PoseTrackWriter(tmp_path / 'a.json', '000342_mpii_test') as writer:
        writer.write(result_of(frame_of(0, path='1.jpg'), persons_of(1)))
        with pytest.raises(ValueError, match=r'01\.jpg has the image id 10003420001, expected one'):
            writer.write(result_of(frame_of(1, path='01.jpg'), persons_of(1)))


def test_nothing_written_and_closed_twice(tmp_path):
    writer = PoseTrackWriter(tmp_path / 'a.json', 'a')
    writer.close()
    writer.close()
    content = orjson.loads((tmp_path / 'a.json').read_bytes())
    assert content['images'] == content['annotations'] == []
    with CsvWriter(tmp_path / 'a.csv') as table:
        table.write(result_of(frame_of(0), persons_of(0)))
    header, row = (tmp_path / 'a.csv').read_text().splitlines()
    assert header == ','.join(CsvWriter.COLUMNS)
    assert row.count(',') == header.count(',') and row.rstrip(',').count(',') <= 1


def test_an_exception_leaves_readable_files(tmp_path):
    with pytest.raises(RuntimeError, match='mine'):
        with PoseTrackWriter(tmp_path / 'a.json', 'a') as writer:
            for number in range(5):
                writer.write(result_of(frame_of(number), persons_of(2)))
            raise RuntimeError('mine')
    (video,) = read_videos(tmp_path / 'a.json')
    assert [len(frame.keypoints) for frame in video.frames] == [2] * 5


def test_an_interruption_anywhere_leaves_whole_frames(tmp_path):
    """Ctrl-C raises between two lines: here between any two lines of the second frame's."""
    code = PoseTrackWriter.write.__code__

    def interrupted(after: int) -> bool:
        with PoseTrackWriter(tmp_path / 'a.json', 'a') as writer:
            writer.write(result_of(frame_of(0), persons_of(2)))
            lines = 0

            def trace(frame, event, arg):
                nonlocal lines
                if event == 'call':
                    return trace if frame.f_code is code else None
                lines += event == 'line'
                if lines == after:
                    raise KeyboardInterrupt
                return trace

            sys.settrace(trace)
            try:
                writer.write(result_of(frame_of(1), persons_of(3)))
            except KeyboardInterrupt:
                return True
            finally:
                sys.settrace(None)
        return False

    after = 1
    while interrupted(after):
        (video,) = read_videos(tmp_path / 'a.json')
        assert [len(frame.keypoints) for frame in video.frames] == [2]
        after += 1
    assert after > 10
    (video,) = read_videos(tmp_path / 'a.json')
    assert [len(frame.keypoints) for frame in video.frames] == [2, 3]


WRITES_UNTIL_STOPPED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits none
sys.modules['mmpose'] = None  # not needed, and takes seconds
from types import SimpleNamespace
import numpy as np
from cmpose_mm.apis import CsvWriter, PoseTrackWriter, VideoFrame

class Instances(SimpleNamespace):
    def __getitem__(self, name):
        return getattr(self, name)

image = np.zeros((60, 80, 3), np.uint8)
with PoseTrackWriter(sys.argv[1] + '.json', 'a') as poses, CsvWriter(sys.argv[1] + '.csv') as table:
    number = 0
    while number != int(sys.argv[2]):
        count = number % 7 if number < 3000 else 0
        pred = Instances(
            keypoints=np.full((count, 15, 2), number + 0.5), keypoint_scores=np.ones((count, 15)),
            bboxes=np.ones((count, 4)), bbox_scores=np.ones(count), track_ids=np.arange(count),
        )
        result = SimpleNamespace(
            frame=VideoFrame(image, number), data_sample=SimpleNamespace(pred_instances=pred)
        )
        poses.write(result)
        table.write(result)
        number += 1
        if number % 50 == 0:
            print(number, flush=True)
"""


def write_and_stop(name: Path, stop: int, after: int) -> int:
    """Stops a writing process after some frames; returns how many it had told of."""
    with subprocess.Popen(
        [sys.executable, '-c', WRITES_UNTIL_STOPPED, str(name), '-1'],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        written = 0
        for line in process.stdout:
            written = int(line)
            if written == after:
                process.send_signal(stop)
        return written


@pytest.mark.slow
def test_ctrl_c_leaves_whole_frames(tmp_path):
    for after in (50, 100, 150, 200, 250, 300):
        written = write_and_stop(tmp_path / 'a', signal.SIGINT, after)
        (video,) = read_videos(tmp_path / 'a.json')
        assert len(video.frames) >= written
        for number, frame in enumerate(video.frames):
            assert len(frame.keypoints) == number % 7
            assert (frame.keypoints[..., :2] == number + 0.5).all()
        rows = (tmp_path / 'a.csv').read_text().splitlines()
        assert {row.count(',') for row in rows} == {len(CsvWriter.COLUMNS) - 1}
        assert abs(int(rows[-1].split(',')[0]) - (len(video.frames) - 1)) <= 2


def test_a_killed_process_leaves_the_table(tmp_path):
    written = write_and_stop(tmp_path / 'a', signal.SIGKILL, 200)
    rows = (tmp_path / 'a.csv').read_text().splitlines()
    assert int(rows[-1].split(',')[0]) >= written - 2
    assert {row.count(',') for row in rows} == {len(CsvWriter.COLUMNS) - 1}


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path):
    script = WRITES_UNTIL_STOPPED.replace(
        'print(number, flush=True)',
        'import psutil\n            print(psutil.Process().memory_info().rss)',
    )
    assert script != WRITES_UNTIL_STOPPED
    out = subprocess.run(
        [sys.executable, '-c', script, str(tmp_path / 'a'), '60000'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sizes = [int(line) / 2**20 for line in out.stdout.split()]
    assert (tmp_path / 'a.json').stat().st_size > 7e6
    assert sizes[-1] - sizes[10] < 2  # MiB
