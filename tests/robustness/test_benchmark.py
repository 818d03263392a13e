"""PoseTrack-C: clip and single-frame models against tests run by hand; resuming, wrong input."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from label_files import annolist
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from processes import quick_python
from test_summary import random_result

from cmpose_mm.corruptions import corrupt_frame
from cmpose_mm.evaluation.report import COLUMNS
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.joints import JOINT_GROUPS
from cmpose_mm.robustness import (
    RobustnessError,
    Run,
    evaluate,
    format_summary,
    planned_runs,
    plot_summary,
    prepare,
    run_benchmark,
)
from cmpose_mm.robustness.one_run import hidden_frame
from cmpose_mm.robustness.results_file import read_runs
from cmpose_mm.whole_files import lock

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_corruptions.py'

# MMPose's own config with a smaller backbone: its dataset, transforms, 17 keypoints and metric.
SINGLE_FRAME_CONFIG = """
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/posetrack18/'
    'td-hm_hrnet-w32_8xb64-20e_posetrack18-256x192.py'
]
codec = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=1)
model = dict(
    backbone=dict(
        _delete_=True, type='ResNet', depth=18, stem_channels=8, base_channels=8, num_stages=1,
        out_indices=(0,), strides=(1,), dilations=(1,)
    ),
    head=dict(in_channels=8, decoder=codec),
)
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root={root!r}, ann_file={ann_file!r}, bbox_file=None, pipeline=val_pipeline
    ),
)
test_evaluator = dict(ann_file={root!r} + '/' + {ann_file!r})
"""


@pytest.fixture(scope='module')
def root(synthetic_root, tmp_path_factory) -> str:
    """The rendered videos with head boxes of eight times their size.

    PoseTrack measures distances in head sizes: now the guesses of an untrained model are right
    often enough for average precisions that differ from run to run.
    """
    root = tmp_path_factory.mktemp('robustness')
    (root / 'images').symlink_to(Path(synthetic_root, 'images'))
    for file in Path(synthetic_root, 'annotations').glob('*/*.json'):
        content = json.loads(file.read_text())
        for annotation in content['annotations']:
            x, y, width, height = annotation['bbox_head']
            annotation['bbox_head'] = [x, y, 8 * width, 8 * height]
            # MMPose's dataset reads these; official files lack them, as merged ones don't
            annotation.update(num_keypoints=15, area=1.0, iscrowd=0)
        target = root / file.relative_to(synthetic_root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
    return str(root)


def untrained(config: str, path: Path) -> str:
    """A checkpoint of a config's model, with weights that make heatmaps of all kinds."""
    cfg = Config.fromfile(config)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


@pytest.fixture
def single_frame(root, tmp_path) -> tuple[str, str]:
    """Config and checkpoint of a single-frame model, all MMPose's."""
    (video,) = Path(root, 'annotations', 'val').iterdir()
    config = tmp_path / 'single.py'
    config.write_text(
        SINGLE_FRAME_CONFIG.format(root=root, ann_file=f'annotations/val/{video.name}')
    )
    return str(config), untrained(str(config), tmp_path / 'single.pth')


@pytest.fixture
def clip_model(root, tmp_path, tiny_config) -> tuple[str, str]:
    """Config and checkpoint of a tiny CM-Pose."""
    config = tiny_config(
        root,
        name='clips',
        extra='test_dataloader = dict(dataset=val_dataloader["dataset"], batch_size=4, '
        'num_workers=0, persistent_workers=False, '
        'sampler=dict(type="DefaultSampler", shuffle=False))\n',
    )
    return config, untrained(config, tmp_path / 'clips.pth')


def metrics_by_hand(config: str, checkpoint: str, before=(), after=()) -> dict[str, float]:
    """Metrics of MMEngine's runner with transforms before and after the first of the pipeline."""
    cfg = Config.fromfile(config)
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [pipeline[0], *pipeline[1:]]
    cfg.test_dataloader.dataset.pipeline[:1] = [*before, pipeline[0], *after]
    cfg.load_from, cfg.log_level = checkpoint, 'ERROR'
    cfg.test_evaluator.visibility = True
    metrics = Runner.from_cfg(cfg).test()
    return {key.split('/')[1]: value for key, value in metrics.items()}


def image(severity, mode):
    return dict(type='CorruptClip', corruption='gaussian_noise', severity=severity, mode=mode)


def freeze(severity):
    return dict(type='CorruptNeighbors', corruption='frame_freeze', severity=severity)


@pytest.mark.slow(30)
def test_clip_model_equals_tests_by_hand(clip_model, tmp_path, capsys):
    severities = [1, 5]
    results = run_benchmark(
        *clip_model,
        tmp_path / 'out.json',
        corruptions=['gaussian_noise', 'frame_freeze'],
        severities=severities,
    )
    runs, summary = results['runs'], results['summary']
    assert len(runs) == 2 + 2 * 3 + 2
    repeat = [dict(type='RepeatKeyFrame')]
    clean = metrics_by_hand(*clip_model)
    alone = metrics_by_hand(*clip_model, before=repeat)
    names = dict(zip(JOINT_GROUPS, ('Head', 'Shou', 'Elb', 'Wri', 'Hip', 'Knee', 'Ankl')))
    names.update(Total='Total', mean7='mean7')
    for column in COLUMNS:
        assert runs['clean']['AP'][column] == clean[f'{names[column]} AP']
    assert summary['temporal_gain'] == clean['AP'] - alone['AP']

    # No run is shared here, as the benchmark shares those with copies of the key frame.
    for mode in ('key', 'persistent'):
        each = [metrics_by_hand(*clip_model, after=[image(s, mode)]) for s in severities]
        without = [
            metrics_by_hand(*clip_model, before=repeat, after=[image(s, mode)]) for s in severities
        ]
        table = summary['modes'][mode]
        for column, name in names.items():
            mean = sum(metrics[f'{name} AP'] for metrics in each) / 2
            assert table['mPC'][column] == pytest.approx(mean, abs=1e-9)
            share = 100 * mean / clean[f'{name} AP'] if clean[f'{name} AP'] else math.nan
            assert table['rPC'][column] == pytest.approx(share, abs=1e-9, nan_ok=True)
        gain = sum(a['AP'] - b['AP'] for a, b in zip(each, without)) / 2
        assert table['temporal_gain'] == pytest.approx(gain, abs=1e-9)
        recall = sum(metrics['Recall occluded'] for metrics in each) / 2
        assert table['recall_occluded'] == pytest.approx(recall, abs=1e-9)
    each = [metrics_by_hand(*clip_model, before=[freeze(s)]) for s in severities]
    without = [metrics_by_hand(*clip_model, before=[freeze(s), *repeat]) for s in severities]
    table = summary['modes']['neighbors']
    assert table['mPC']['Total'] == pytest.approx(sum(m['AP'] for m in each) / 2, abs=1e-9)
    gain = sum(a['AP'] - b['AP'] for a, b in zip(each, without)) / 2
    assert table['temporal_gain'] == pytest.approx(gain, abs=1e-9)

    # The comparison would not tell much if the model gave the same everywhere.
    assert clean['AP'] > 1
    assert len({result['AP']['Total'] for result in runs.values()}) > 6
    text = format_summary(results)
    assert 'Means over 1 corruptions (key), 1 corruptions (persistent)' in text
    plot_summary(results, tmp_path / 'plot.png')
    assert cv2.imread(str(tmp_path / 'plot.png')).shape[0] == 600
    assert '[10/10] frame_freeze/5/neighbors: AP' in capsys.readouterr().err


def command(config, checkpoint, out):
    arguments = ['--corruptions', 'shot_noise', 'frame_drop', '--severities', '1', '3', '5']
    return [quick_python(), str(TOOL), config, checkpoint, '--out', str(out), *arguments]


@pytest.mark.slow
def test_killed_and_resumed_single_frame_model(single_frame, tmp_path):
    whole, parts = tmp_path / 'whole.json', tmp_path / 'parts.json'
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        command(*single_frame, whole), check=True, capture_output=True, text=True, env=env
    )

    process = subprocess.Popen(command(*single_frame, parts), stderr=subprocess.DEVNULL, env=env)
    while not parts.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = json.loads(parts.read_text())['runs']
    assert 0 < len(before) < 4
    # What is there is taken as it is: a finished run is not repeated.
    marked = json.loads(parts.read_text())
    marked['runs']['clean']['counts']['videos'] = 77
    parts.write_text(json.dumps(marked))
    again = subprocess.run(
        command(*single_frame, parts), check=True, capture_output=True, text=True, env=env
    )
    resumed, uninterrupted = json.loads(parts.read_text()), json.loads(whole.read_text())
    assert resumed['runs']['clean']['counts']['videos'] == 77
    resumed['runs']['clean']['counts']['videos'] = 1
    assert resumed == uninterrupted
    assert again.stdout == done.stdout.replace('1 videos', '77 videos')

    assert whole.with_suffix('.md').read_text() == done.stdout

    # One frame: no neighbors to lose or to gain from, and only one way to corrupt it.
    assert list(uninterrupted['runs']) == ['clean'] + [f'shot_noise/{s}/key' for s in (1, 3, 5)]
    summary = uninterrupted['summary']
    assert summary['modes']['key'] == summary['modes']['persistent']
    assert summary['modes']['neighbors']['mPC'] == summary['clean']
    assert summary['temporal_gain'] is None
    totals = {result['AP']['Total'] for result in uninterrupted['runs'].values()}
    assert len(totals) == 4 and max(totals) > 1
    rows = [line.split('|')[1:-1] for line in done.stdout.splitlines() if line.startswith('|')]
    main = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[:7]}
    assert main[''][-1] == 'temporal gain'
    assert {main[name][-1] for name in main if name and set(name) != {'-'}} == {'-'}
    expected = shot_noise_by_hand(*single_frame)
    assert uninterrupted['runs']['shot_noise/3/key']['AP']['Total'] == expected


def shot_noise_by_hand(config, checkpoint):
    """Total AP under shot noise of severity 3, by a config written for it."""
    cfg = Config.fromfile(config)
    cfg.test_evaluator.type = 'PoseTrackMetric'
    pipeline = cfg.test_dataloader.dataset.pipeline
    noise = dict(type='CorruptClip', corruption='shot_noise', severity=3)
    cfg.test_dataloader.dataset.pipeline = [pipeline[0], noise, *pipeline[1:]]
    cfg.load_from, cfg.log_level = checkpoint, 'ERROR'
    cfg.work_dir = str(Path(config).parent / 'by_hand')
    return Runner.from_cfg(cfg).test()['posetrack18/AP']


@pytest.mark.slow
def test_results_of_an_earlier_version_count(clip_model, tmp_path):
    """They have the mode of late and lost frames in another spelling."""
    plan = planned_runs(['frame_drop'], [1, 2], ['key'], num_frames=3)
    rng = random.Random(4)
    runs = {run.name.replace('neighbors', 'neighbours'): random_result(rng) for run in plan}
    assert 'frame_drop/2/neighbours' in runs
    out = tmp_path / 'out.json'
    out.write_text(json.dumps({'settings': prepare(*clip_model).settings, 'runs': runs}))
    results = run_benchmark(*clip_model, out, corruptions=['frame_drop'], severities=[1, 2])
    row = results['summary']['modes']['neighbors']['corruptions']['frame_drop']
    assert row['AP']['2'] == runs['frame_drop/2/neighbours']['AP']['Total']
    assert 'neighbours' not in out.read_text()


def test_old_place():
    with pytest.warns(FutureWarning, match='is called cmpose_mm.robustness.run_benchmark now'):
        from cmpose_mm.evaluation.robustness import run_benchmark as old
    assert old is run_benchmark


@pytest.mark.slow
def test_a_severity_given_twice_counts_once(clip_model, tmp_path):
    rng = random.Random(3)
    plan = planned_runs(['shot_noise'], [1, 4], ['key'], num_frames=3)
    runs = {run.name: random_result(rng) for run in plan}
    out = tmp_path / 'out.json'
    out.write_text(json.dumps({'settings': prepare(*clip_model).settings, 'runs': runs}))
    results = run_benchmark(
        *clip_model, out, corruptions=['shot_noise'], severities=[4, 1, 4], modes=['key']
    )
    row = results['summary']['modes']['key']['corruptions']['shot_noise']
    assert list(row['AP']) == ['1', '4']
    assert row['mean'] == sum(row['AP'].values()) / 2


def painted_over(shape, severity, **where):
    """(H, W) bool: what is the same over two backgrounds is an occluder."""
    drawn = [
        corrupt_frame(np.full(shape, value, np.uint8), 'moving_occluders', severity, **where)
        for value in (0, 255)
    ]
    return (drawn[0] == drawn[1]).all(-1)


@pytest.mark.slow
def test_joints_behind_the_occluders_count_as_occluded(root, clip_model, tmp_path):
    (video,) = read_videos(Path(root, 'annotations', 'val'))
    run, changed = Run('moving_occluders', 4, 'key'), {}
    paths = prepare(*clip_model).image_paths
    for seed in range(8):
        changed[seed] = 0
        for frame in video.frames:
            path = Path(paths[frame.image_id])
            shape = cv2.imread(str(path)).shape
            where = dict(seed=seed, sequence=path.parent.name, frame_number=int(path.stem))
            mask = painted_over(shape, 4, **where)
            hidden = hidden_frame(frame, run, seed, paths)
            assert np.array_equal(hidden.keypoints[..., :2], frame.keypoints[..., :2])
            for (x, y, v), (_, _, after) in zip(
                frame.keypoints.reshape(-1, 3), hidden.keypoints.reshape(-1, 3)
            ):
                around = mask[max(round(y) - 1, 0) : round(y) + 2, max(round(x) - 1, 0) :][:, :3]
                if around.all():
                    assert after == 0
                elif not around.any():  # at an object's edge it may be either
                    assert after == v
                changed[seed] += v != after
    seed = max(changed, key=changed.get)
    assert changed[seed] > 5
    subject = prepare(*clip_model, seed=seed)
    result, clean = evaluate(subject, run), evaluate(subject, Run())
    assert result['occluded_joints'] == clean['occluded_joints'] + changed[seed]
    assert result['counts'] == clean['counts']
    # In frames without any detection, too: what is hidden does not depend on the detector.
    labeled = [frame for frame in video.frames if len(frame.keypoints)]
    boxes = [
        dict(image_id=frame.image_id, category_id=1, bbox=[0, 0, 40, 40], score=0.9)
        for frame in labeled[::2]
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    options = {'test_dataloader.dataset.bbox_file': str(tmp_path / 'boxes.json')}
    detected = prepare(*clip_model, seed=seed, cfg_options=options)
    assert 0 < len(detected.image_paths) < len(labeled)
    assert evaluate(detected, run)['occluded_joints'] == result['occluded_joints']


@pytest.mark.slow
def test_two_videos_of_one_name_in_a_merged_file(root, clip_model, tmp_path):
    (file,) = Path(root, 'annotations', 'val').iterdir()
    one = json.loads(file.read_text())
    frames = Path(root, one['images'][0]['file_name']).parent
    both = {**one, 'images': [], 'annotations': []}
    for number, camera in enumerate('ab'):
        folder = tmp_path / 'images' / camera / '0001'
        folder.parent.mkdir(parents=True)
        folder.symlink_to(frames)
        for image in one['images']:
            name = f'images/{camera}/0001/{Path(image["file_name"]).name}'
            image = {**image, 'id': 2 * image['id'] + number, 'file_name': name}
            both['images'].append({key: image[key] for key in image if key != 'vid_id'})
        for person in one['annotations']:
            image_id = 2 * person['image_id'] + number
            both['annotations'].append({**person, 'id': 2 * person['id'] + number,
                                        'image_id': image_id})  # fmt: skip
    (tmp_path / 'both.json').write_text(json.dumps(both))
    options = {'test_dataloader.dataset.data_root': str(tmp_path),
               'test_dataloader.dataset.ann_file': 'both.json',
               'test_evaluator.ann_file': str(tmp_path / 'both.json')}  # fmt: skip
    result = evaluate(prepare(*clip_model, cfg_options=options), Run())
    alone = evaluate(prepare(*clip_model), Run())
    assert result['counts']['videos'] == 2
    assert result['counts']['frames'] == 2 * alone['counts']['frames']
    assert result['AP']['Total'] == pytest.approx(alone['AP']['Total'], abs=1e-9)


@pytest.mark.slow
def test_videos_that_their_folders_tell_apart_under_occluders(root, clip_model, tmp_path):
    """Of an annolist, which has no image ids; predictions are compared by the videos' names."""
    (file,) = Path(root, 'annotations', 'val').iterdir()
    one = annolist(json.loads(file.read_text()))
    both = {'annolist': []}
    for camera in 'ab':
        folder = tmp_path / 'images' / camera / '0001'
        folder.parent.mkdir(parents=True)
        (frames,) = Path(root, 'images', 'val').iterdir()
        folder.symlink_to(frames)
        for entry in one['annolist']:
            name = Path(entry['image'][0]['name']).name
            both['annolist'].append({**entry, 'image': [{'name': f'images/{camera}/0001/{name}'}]})
    (tmp_path / 'both.json').write_text(json.dumps(both))
    options = {'test_dataloader.dataset.data_root': str(tmp_path),
               'test_dataloader.dataset.ann_file': 'both.json',
               'test_evaluator.ann_file': str(tmp_path / 'both.json')}  # fmt: skip
    subject = prepare(*clip_model, cfg_options=options)
    for run in (Run(), Run('moving_occluders', 2, 'key')):
        assert evaluate(subject, run)['counts']['videos'] == 2


@pytest.mark.slow
def test_a_clip_of_one_image_has_no_neighbors(single_frame, tmp_path):
    config = Path(single_frame[0])
    text = config.read_text()
    assert text.count("dict(type='LoadImage')") == 1
    clips = text.replace("dict(type='LoadImage')", "dict(type='LoadClip', num_frames=3)")
    config.write_text(clips.replace("dict(type='PackPoseInputs')", 'dict(type="PackClipInputs")'))
    assert prepare(*single_frame).num_frames == 1


@pytest.mark.slow
def test_predictions_that_are_not_finite_count_as_wrong(clip_model, tmp_path):
    content = torch.load(clip_model[1], weights_only=False)
    content['state_dict']['head.final_layer.weight'] *= float('nan')
    torch.save(content, tmp_path / 'nan.pth')
    assert evaluate(prepare(clip_model[0], tmp_path / 'nan.pth'), Run())['AP']['Total'] == 0


# ---- wrong input -------------------------------------------------------------------------------


def test_a_checkpoint_that_does_not_fit(clip_model, tmp_path):
    """A single-frame model's weights would give a plausible AP: CM-Pose starts as the identity."""
    weights = torch.load(clip_model[1], weights_only=False)['state_dict']
    part = {name: value for name, value in weights.items() if not name.startswith('method.')}
    path = tmp_path / 'single.pth'
    torch.save(dict(state_dict=part), path)
    with pytest.raises(RobustnessError, match=r"single.pth does not fit .*: \d+ of the model's"):
        prepare(clip_model[0], path)
    path.write_text('{}')
    with pytest.raises(RobustnessError, match='can not be read as a checkpoint'):
        prepare(clip_model[0], path)


@pytest.mark.parametrize(
    'options',
    [
        {'model.test_cfg.flip_test': False},
        {'test_dataloader.dataset.stride': 2},
        {'test_evaluator.protocol': 'mmpose'},
    ],
)
def test_results_of_another_config(clip_model, tmp_path, options):
    out = tmp_path / 'out.json'
    out.write_text(json.dumps({'settings': prepare(*clip_model).settings, 'runs': {}}))
    with pytest.raises(RobustnessError, match='out.json: its results are of config '):
        run_benchmark(*clip_model, out, cfg_options=options)


@pytest.mark.slow
def test_results_of_other_labels_at_the_same_place(clip_model, tmp_path):
    subject = prepare(*clip_model)
    out = tmp_path / 'out.json'
    out.write_text(json.dumps({'settings': subject.settings, 'runs': {}}))
    folder = Path(subject.cfg.test_dataloader.dataset.data_root)
    file = sorted(folder.joinpath(subject.cfg.test_dataloader.dataset.ann_file).glob('*.json'))[0]
    whole = file.read_bytes()
    assert prepare(*clip_model).settings == subject.settings
    labels = json.loads(whole)
    labels['annotations'][0]['keypoints'][0] += 1
    try:
        file.write_text(json.dumps(labels))
        with pytest.raises(RobustnessError, match='out.json: its results are of labels '):
            run_benchmark(*clip_model, out)
    finally:
        file.write_bytes(whole)
    settings = {key: value for key, value in subject.settings.items() if key != 'labels'}
    out.write_text(json.dumps({'settings': settings, 'runs': {}}))
    with pytest.warns(UserWarning, match='out.json: results of an earlier version, which does not'):
        assert read_runs(out, subject.settings) == {}


def test_checkpoint_missing(clip_model):
    with pytest.raises(RobustnessError, match='nothing.pth: no such checkpoint'):
        prepare(clip_model[0], 'nothing.pth')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'test_dataloader.dataset.pipeline': [dict(type='PackClipInputs')]},
            'no transform that loads frames .* found PackClipInputs',
        ),
        (
            {'test_evaluator.type': 'CocoMetric'},
            'test_evaluator is CocoMetric, expected one PoseTrackMetric',
        ),
        ({'test_evaluator': None}, 'no test_evaluator, expected both'),
    ],
)
def test_config_that_can_not_serve(clip_model, options, message):
    with pytest.raises(RobustnessError, match=message):
        prepare(*clip_model, cfg_options=options)


@pytest.mark.slow
def test_results_of_another_test(clip_model, tmp_path):
    settings = prepare(*clip_model).settings
    out = tmp_path / 'out.json'
    out.write_text(json.dumps({'settings': {**settings, 'checkpoint': 'abc'}, 'runs': {}}))
    with pytest.raises(RobustnessError, match="results are of checkpoint 'abc', expected"):
        run_benchmark(*clip_model, out)
    out.write_text('[]')
    with pytest.raises(RobustnessError, match='out.json: expected results of this benchmark'):
        run_benchmark(*clip_model, out)
    before = out.read_text()
    other = tmp_path / 'other.json'
    with open(tmp_path / '.other.json.lock', 'w') as file:
        assert lock(file)
        with pytest.raises(RobustnessError, match='other.json: another command adds its results'):
            run_benchmark(*clip_model, other)
    assert not other.exists()
    with pytest.raises(RobustnessError, match='results are of seed 0, expected 1'):
        out.write_text(json.dumps({'settings': settings, 'runs': {}}))
        run_benchmark(*clip_model, out, seed=1)
    assert before == '[]'


@pytest.mark.slow
def test_tool_says_what_is_wrong_in_one_line(tmp_path):
    done = subprocess.run(
        [quick_python(), str(TOOL), 'config.py', str(tmp_path / 'no.pth')],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f'{tmp_path / "no.pth"}: no such checkpoint'
    assert 'Traceback' not in done.stderr
    done = subprocess.run(
        [quick_python(), str(TOOL), 'config.py', 'no.pth', '--out', str(tmp_path / 'out.md')],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith('out.md does not end with .json')
    done = subprocess.run(
        [quick_python(), str(TOOL), 'config.py', 'no.pth', '--plot', 'ap.txt'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith('ap.txt ends with none of .png, .jpg, .pdf, .svg')
