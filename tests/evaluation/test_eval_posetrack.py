"""The command that scores prediction files, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slow_posetrack
from label_files import ORDER_15, ORDER_17, annolist, coco, merged, person, write
from test_average_precision import FULL, random_files

from cmpose_cli import run_command
from cmpose_mm.evaluation import evaluate_files, select_scored
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.predictions import write_predictions

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_posetrack.py'
GROUPS = ['Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle', 'Total', 'mean7']


def moved(x: float) -> dict:
    """All joints of a person, moved to the right."""
    return {name: (point[0] + x, point[1]) for name, point in FULL.items()}


@pytest.fixture
def run(capsys):
    """Runs the command; exit status, standard output, standard error."""

    def call(*args) -> tuple[int, str, str]:
        status = run_command('eval', list(map(str, args)))
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def files(tmp_path) -> Path:
    """Folders gt and pred of three videos, with the same as merged files."""
    gt, pred = random_files(random.Random(7), 3, distinct=True)
    for kind, videos in (('gt', gt), ('pred', pred)):
        for name, data in videos.items():
            write(tmp_path / kind / f'{name}.json', data)
        write(tmp_path / f'{kind}.json', merged(*videos.values()))
    return tmp_path


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def edit(path: Path, change) -> None:
    data = load(path)
    change(data)
    write(path, data)


# --------------------------------------------------------------------------------- output


def test_json_has_all_fields_in_full_precision(files, run) -> None:
    status, out, err = run(files / 'gt', files / 'pred', '--out', files / 'r.json')
    assert (status, err) == (0, '')
    result = load(files / 'r.json')
    assert list(result['per_joint']) == ORDER_15
    assert set(GROUPS) < set(result)
    names = sorted(path.name for path in (files / 'gt').iterdir())
    videos = [(load(files / 'gt' / name), load(files / 'pred' / name)) for name in names]
    expected = slow_posetrack.average_precision(videos)
    for name in ORDER_15:
        assert result['per_joint'][name] == pytest.approx(expected[name][0], abs=1e-9)
        assert result['precision'][name] == pytest.approx(expected[name][1], abs=1e-9)
        assert result['recall'][name] == pytest.approx(expected[name][2], abs=1e-9)
    assert result == evaluate_files(files / 'gt', files / 'pred')
    assert set(result['counts']) == {'videos', 'frames', 'persons', 'joints'}
    cleaned = [slow_posetrack.clean_frames(*pair, False, False) for pair in videos]
    persons = [gt for frames in cleaned for gts, _ in frames for gt in gts]
    assert result['counts'] == {
        'videos': 3,
        'frames': sum(map(len, cleaned)),
        'persons': len(persons),
        'joints': sum(len(gt['points']) for gt in persons),
    }
    assert result['protocol']['tie_break'] == 'stable'
    assert result['protocol']['dataset'] == '18'


def test_table_shows_what_the_json_has(files, run) -> None:
    _, out, _ = run(
        files / 'gt', files / 'pred', '--mota', '--per-video', '--out', files / 'r.json'
    )
    result = load(files / 'r.json')
    header, _, ap, mota = [line.split('|')[1:-1] for line in out.splitlines()[:4]]
    assert [cell.strip() for cell in header[1:]] == GROUPS
    assert [cell.strip() for cell in ap] == ['AP'] + [f'{result[g]:.1f}' for g in GROUPS]
    assert [cell.strip() for cell in mota][1:] == [f'{result["mota"][g]:.1f}' for g in GROUPS]
    for name in ORDER_15:
        assert f'| {name} ' in out
    for name in ('000000', '000001', '000002'):
        assert f'| {name} |' in out
    assert ' & '.join(f'{result[g]:.1f}' for g in GROUPS) + ' \\\\' in out
    assert f'Scored: 3 videos, {result["counts"]["frames"]} frames' in out
    assert 'tie_break = stable' in out and 'dataset = 18' in out


def test_visibility_in_table_and_json(files, run) -> None:
    args = (files / 'gt', files / 'pred', '--out', files / 'r.json')
    _, plain, _ = run(*args)
    status, out, err = run(*args, '--visibility', '--reach', 2)
    assert (status, err) == (0, '')
    result = load(files / 'r.json')['visibility']
    assert '| Recall visible' not in plain
    (row,) = [line for line in out.splitlines() if line.startswith('| Recall visible ')]
    shown = [cell.strip() for cell in row.split('|')[2:-1]]
    assert shown == [f'{result["recall"]["visible"][g]:.1f}' for g in GROUPS[:-1]]
    assert f'Joints: {result["joints"]["visible"]} visible, ' in out
    assert 'neighbors up to 2 x 1 frames' in out
    with pytest.raises(SystemExit):
        run(*args, '--visibility', '--reach', 0)


def test_frames_without_neighbors_are_told(tmp_path, run) -> None:
    """Names that are times: by their numbers, no frame is next to another."""
    for name, step in (('counted', 1), ('timed', 40)):
        video = coco([[person(FULL, scores=1)]] * 5, '000001', 100)
        for place, image in enumerate(video['images']):
            image['file_name'] = f'images/000001/{1633024800000 + step * place}.jpg'
        write(tmp_path / name / '000001.json', video)
        folders = tmp_path / name, tmp_path / name
        for options in (['--visibility'], ['--jitter'], ['--visibility', '--stride', 40], []):
            status, out, _ = run(*folders, *options)
            told = 'are at least 40 apart, so no frame has a neighbor; expected --stride 40' in out
            assert status == 0 and told == (step == 40 and len(options) == 1), options
    out = run(*folders, '--visibility', '--reach', 40)[1]
    assert 'apart' not in out


def test_a_result_that_can_not_be_written_is_still_shown(files, run) -> None:
    (files / 'taken').mkdir()
    status, out, err = run(files / 'gt', files / 'pred', '--out', files / 'taken')
    assert status == 1 and 'Total' in out and 'taken' in err


def test_head_boxes_without_extent_are_told(files, run) -> None:
    status, out, _ = run(files / 'gt', files / 'gt')
    assert 'without extent' not in out
    path = sorted((files / 'gt').iterdir())[0]
    edit(path, lambda data: data['annotations'][0].update(bbox_head=[5, 5, 0, 0]))
    status, out, _ = run(files / 'gt', files / 'pred')
    assert status == 0
    assert '1 labeled persons have a head box without extent: all their joints count as m' in out


def test_an_image_that_is_there_twice_is_refused(files, run) -> None:
    path = sorted((files / 'gt').iterdir())[0]
    edit(path, lambda d: d['images'][1].update(file_name=d['images'][0]['file_name']))
    status, out, err = run(files / 'gt', files / 'pred')
    assert (status, out) == (1, '') and 'expected one entry for an image' in err


@pytest.mark.parametrize(
    'options, message',
    [
        (['--reach', 2], '--reach: expected with --visibility'),
        (['--reach', 2, '--jitter'], '--reach: expected with --visibility'),
        (['--stride', 2], '--stride: expected with --visibility or --jitter'),
        (['--pck-visible-only'], '--pck-visible-only: expected with --pck'),
    ],
)
def test_options_without_effect_are_refused(files, run, capsys, options, message) -> None:
    with pytest.raises(SystemExit):
        run(files / 'gt', files / 'pred', *options)
    assert message in capsys.readouterr().err


def test_undefined_values_are_null_and_dashes(tmp_path, run) -> None:
    write(tmp_path / 'gt.json', coco([[person({'head_top': (100, 100)})]]))
    write(tmp_path / 'pred.json', coco([[person(FULL, scores=0.5)]]))
    args = (tmp_path / 'gt.json', tmp_path / 'pred.json', '--out', tmp_path / 'r.json')
    status, out, _ = run(*args)
    result = load(tmp_path / 'r.json')
    assert status == 0
    assert result['per_joint']['nose'] is None and result['Head'] is None
    assert result['Total'] == 0
    row = next(line for line in out.splitlines() if line.startswith('| AP '))
    assert 'nan' not in out.lower() and row.split('|')[2].strip() == '-'


def test_folders_and_merged_files_mix(files, run) -> None:
    results = []
    for gt in ('gt', 'gt.json'):
        for pred in ('pred', 'pred.json'):
            run(files / gt, files / pred, '--out', files / 'r.json', '--mota')
            result = load(files / 'r.json')
            del result['protocol']
            results.append(result)
    assert results[0] == results[1] == results[2] == results[3]


def test_posetrack17_files(files, run) -> None:
    """Labels, predictions or both as annolists: the same numbers."""
    for kind in ('gt', 'pred'):
        for path in (files / kind).iterdir():
            write(files / f'{kind}17' / path.name, annolist(load(path)))
    results = []
    for gt, pred in (('gt', 'pred'), ('gt17', 'pred'), ('gt', 'pred17'), ('gt17', 'pred17')):
        status, _, err = run(files / gt, files / pred, '--out', files / 'r.json')
        assert (status, err) == (0, '')
        results.append(load(files / 'r.json')['per_joint'])
    assert results[0] == results[1] == results[2] == results[3]


@pytest.mark.parametrize(
    'rename',
    [
        lambda name: name,
        lambda name: name.replace('images/val', 'my_images'),
        lambda name: name.replace('/', '\\'),
        lambda name: name.replace('.jpg', '.png'),
    ],
    ids=['same', 'other folder', 'backslashes', 'other suffix'],
)
@pytest.mark.parametrize('kinds', ['both annolists', 'annolist of predictions'])
def test_annolist_frames_are_paired_by_name(tmp_path, kinds, rename) -> None:
    """Sorted as strings: 1, 10, 11, 2 ...; each person has a place of its own."""
    frames = [[person(moved(200 * number), scores=0.5)] for number in range(12)]
    gt, pred = coco(frames), annolist(coco(frames))
    write(tmp_path / 'gt' / 'a.json', annolist(gt) if kinds == 'both annolists' else gt)
    for number, entry in enumerate(pred['annolist']):
        entry['image'] = [{'name': rename(entry['image'][0]['name'])}]
        entry['place'] = str(number)
    pred['annolist'].sort(key=lambda entry: entry['place'])
    assert [entry['place'] for entry in pred['annolist']][:3] == ['0', '1', '10']
    write(tmp_path / 'pred' / 'a.json', pred)
    assert evaluate_files(tmp_path / 'gt', tmp_path / 'pred')['Total'] == 100


def test_annolist_without_some_frames(files, run) -> None:
    """The others are paired by name; a frame that is not listed is an error unless allowed."""
    frames = [[person(FULL, scores=1)], [person(moved(300), scores=1)]]
    write(files / 'gt' / '000001.json', annolist(coco(frames, '000001', 100)))
    pred = annolist(coco(frames, '000001', 100))
    del pred['annolist'][0]
    write(files / 'pred' / '000001.json', pred)
    args = (files / 'gt', files / 'pred', '--videos', '000001', '--out', files / 'r.json')
    status, _, err = run(*args)
    assert status == 1
    assert "does not list frame images/val/000001/000000.jpg of video '000001'." in err
    assert run(*args, '--allow-missing')[0] == 0
    result = load(files / 'r.json')
    assert result['Total'] == 50 and result['protocol']['frames_without_entry'] == 1


@pytest.mark.parametrize('ids', ['restart in each frame', 'text'])
def test_annotation_ids_of_predictions_play_no_role(files, run, ids) -> None:
    """Neither in AP nor in MOTA, which goes by track ids."""
    options = ('--mota', '--out', files / 'r.json')
    run(files / 'gt', files / 'pred', *options)
    expected = load(files / 'r.json')

    def change(data: dict) -> None:
        for annotation in data['annotations']:
            number = annotation['id'] % 100
            annotation['id'] = number if ids != 'text' else f'person {number}'

    for path in (files / 'pred').iterdir():
        edit(path, change)
    status, _, err = run(files / 'gt', files / 'pred', *options)
    assert (status, err) == (0, '')
    assert load(files / 'r.json') == expected


def test_joints_without_score_are_told(files, run) -> None:
    status, out, _ = run(files / 'gt', files / 'pred')
    assert (status, 'no score' in out) == (0, False)
    anyone = person(FULL)
    write(files / 'gt' / '000001.json', coco([[anyone]], '000001', 100))
    write(files / 'pred' / '000001.json', coco([[anyone]], '000001', 100))
    status, out, _ = run(files / 'gt', files / 'pred')
    assert status == 0
    assert '15 predicted joints have no score: they rank last, with -9999, as in poseval' in out
    status, out, err = run(files / 'gt', files / 'pred', '--videos', '000001')
    assert (status, out) == (1, '')
    assert f'{files / "pred" / "000001.json"}: none of the 15 predicted joints' in err


def test_videos_of_other_names_are_found_by_image_ids(files, run) -> None:
    expected = evaluate_files(files / 'gt', files / 'pred')['per_joint']
    for path in list((files / 'pred').iterdir()):
        path.rename(path.with_name(f'my result for {path.name}'))
    assert evaluate_files(files / 'gt', files / 'pred')['per_joint'] == expected


def test_dataset_21(files, run) -> None:
    run(files / 'gt', files / 'pred', '--dataset', '21', '--out', files / 'r.json')
    result = load(files / 'r.json')
    videos = [
        (load(files / 'gt' / f'00000{i}.json'), load(files / 'pred' / f'00000{i}.json'))
        for i in range(3)
    ]
    expected = slow_posetrack.average_precision(
        videos, labeled_frames=True, positive=True, min_num_gt=1
    )
    for name in ORDER_15:
        assert result['per_joint'][name] == pytest.approx(expected[name][0], abs=1e-9)
    assert result['protocol']['labeled_frames'] is True


def test_poseval_ties_in_the_order_of_the_folder(tmp_path, monkeypatch) -> None:
    """The videos are pooled as the system lists them, which decides between equal scores."""
    gt, pred = random_files(random.Random(3), 4, distinct=False)
    for kind, videos in (('gt', gt), ('pred', pred)):
        for name, data in videos.items():
            write(tmp_path / kind / f'{name}.json', data)
    seen = []
    for order in ([2, 0, 3, 1], [0, 1, 2, 3]):
        listed = [f'00000{i}' for i in order]
        monkeypatch.setattr(os, 'listdir', lambda _, names=listed: [f'{n}.json' for n in names])
        result = evaluate_files(tmp_path / 'gt', tmp_path / 'pred', tie_break='poseval')
        expected = slow_posetrack.average_precision(
            [(gt[name], pred[name]) for name in listed], tie_break='poseval'
        )
        found = [result['per_joint'][name] for name in ORDER_15]
        np.testing.assert_allclose(
            found, [expected[name][0] for name in ORDER_15], rtol=0, atol=1e-9
        )
        seen.append(found)
    assert seen[0] != seen[1]


def test_some_videos_only(files, run) -> None:
    """Only those are scored; predictions for the others are neither needed nor used."""
    (files / 'pred' / '000000.json').unlink()
    alone = evaluate_files(files / 'gt' / '000001.json', files / 'pred' / '000001.json')
    status, _, err = run(
        files / 'gt', files / 'pred', '--videos', '000001', '--out', files / 'r.json'
    )
    assert (status, err) == (0, '')
    result = load(files / 'r.json')
    assert result['per_joint'] == alone['per_joint'] and result['counts'] == alone['counts']
    assert result['protocol']['videos_left_out'] == 2


def test_allow_missing_scores_the_rest(files, run) -> None:
    (files / 'pred' / '000000.json').unlink()
    status, out, err = run(files / 'gt', files / 'pred')
    assert (status, out) == (1, '')
    assert err.strip().endswith("video '000000' has no predictions.")
    status, out, err = run(files / 'gt', files / 'pred', '--allow-missing')
    assert (status, err) == (0, '')
    assert 'Scored: 2 videos' in out and 'videos_left_out = 1' in out


def test_mota_compat(files, run) -> None:
    run(files / 'gt', files / 'pred', '--mota', '--out', files / 'plain.json')
    run(files / 'gt', files / 'pred', '--mota-compat', 'poseval', '--out', files / 'compat.json')
    plain, compat = load(files / 'plain.json'), load(files / 'compat.json')
    assert plain['protocol']['mota'] == 'plain' and compat['protocol']['mota'] == 'poseval'
    assert plain['mota']['counts'] != compat['mota']['counts']
    assert plain['per_joint'] == compat['per_joint']


# --------------------------------------------------------------------------------- errors


def test_one_sentence_for_each_problem_of_both_sides(files, run) -> None:
    edit(files / 'gt' / '000001.json', lambda d: d.update(categories=3))
    (files / 'gt' / '000002.json').write_text('{')
    edit(files / 'pred' / '000000.json', lambda d: d['images'][0].update(id='x'))
    status, out, err = run(files / 'gt', files / 'pred')
    assert (status, out) == (1, '')
    lines = err.strip().splitlines()
    assert len(lines) == 3
    assert '000001.json: expected "categories" to be a list, found 3.' in lines[0]
    assert '000002.json: not valid JSON' in lines[1]
    assert '000000.json: images[0]: "id" is \'x\', expected an integer.' in lines[2]


def unknown_video(files: Path) -> None:
    data = coco([[person(FULL)]], '000009', 900)
    write(files / 'pred' / '000009.json', data)


def wrong_image_ids(files: Path) -> None:
    def change(data: dict) -> None:
        for image in data['images']:
            image['id'] += 5000
        for annotation in data['annotations']:
            annotation['image_id'] += 5000

    edit(files / 'pred' / '000001.json', change)


def unlisted_frames(files: Path) -> None:
    data = load(files / 'gt' / '000001.json')
    labeled = {annotation['image_id'] for annotation in data['annotations']}

    def change(data: dict) -> None:
        data['images'] = [i for i in data['images'] if i['id'] not in labeled] or [
            {'id': 1, 'file_name': 'images/val/000001/7.jpg'}
        ]
        data['annotations'] = []

    edit(files / 'pred' / '000001.json', change)


def no_head_boxes(files: Path) -> None:
    def change(data: dict) -> None:
        for annotation in data['annotations']:
            annotation['keypoints'][:3] = [-7, -7, 1]
            del annotation['bbox_head']

    edit(files / 'gt' / '000001.json', change)


def annolist_of_other_length(files: Path) -> None:
    data = annolist(load(files / 'pred' / '000001.json'))
    data['annolist'].append(data['annolist'][0])
    write(files / 'pred' / '000001.json', data)


def annolist_of_other_names(files: Path) -> None:
    data = annolist(load(files / 'pred' / '000001.json'))
    data['annolist'][0]['image'] = [{'name': 'images/frame_1.jpg'}]
    write(files / 'pred' / '000001.json', data)


def test_files_of_videos_that_their_folders_tell_apart(tmp_path) -> None:
    """Of an annolist, which has no ids: by the names that the writer gives the files."""
    data = annolist(coco([[person(FULL)], [person(FULL)]], 'v', 100))
    for entry, camera in zip(data['annolist'], 'ab'):
        entry['image'] = [{'name': f'images/{camera}/0001/000001.jpg'}]
    write(tmp_path / 'gt.json', data)
    labels = read_videos(tmp_path / 'gt.json')
    assert [video.name for video in labels] == ['images/a/0001', 'images/b/0001']
    write_predictions(labels, tmp_path / 'pred')
    scored = select_scored(labels, read_videos(tmp_path / 'pred'))
    assert scored.num_frames == 2 and len(scored.videos) == 2


def prediction_file_twice(files: Path) -> None:
    write(files / 'pred' / 'again.json', load(files / 'pred' / '000001.json'))


def image_ids_of_two_videos(files: Path) -> None:
    write(files / 'gt' / 'street.json', coco([[person(FULL)]], 'street', 100))
    (files / 'pred' / '000001.json').rename(files / 'pred' / '000001_poses.json')


@pytest.mark.parametrize(
    ('break_files', 'sentence'),
    [
        (
            image_ids_of_two_videos,
            '000001_poses.json: image id 100 is in 2 videos of the ground truth (000001, street), ',
        ),
        (
            unknown_video,
            "000009.json: predictions for video '000009', which the ground truth does not have.",
        ),
        (wrong_image_ids, "is not in the ground truth of video '000001'."),
        (unlisted_frames, '000001.json: does not list frame images/val/000001/00000'),
        (no_head_boxes, 'annotation id 10000, has no head box ("bbox_head", in an annolist x1,'),
        (
            annolist_of_other_length,
            "2 frames of video '000001' are named 000000.jpg, expected each name once, as the ",
        ),
        (
            annolist_of_other_names,
            "1 frames such as images/frame_1.jpg are not in the ground truth of video '000001', ",
        ),
        (prediction_file_twice, "predictions for video '000001' are also in "),
    ],
)
def test_what_does_not_fit_together(files, run, break_files, sentence) -> None:
    gt = coco([[person(FULL)]], '000001', 100)
    write(files / 'gt' / '000001.json', gt)
    write(files / 'pred' / '000001.json', coco([[person(FULL, scores=1)]], '000001', 100))
    assert run(files / 'gt', files / 'pred')[0] == 0
    break_files(files)
    status, out, err = run(files / 'gt', files / 'pred')
    assert (status, out) == (1, '')
    assert sentence in err
    for line in err.strip().splitlines():
        assert line.startswith(str(files)) and line.endswith('.')


def test_pck_counts_where_a_head_box_is_missing_and_ap_is_not_told(tmp_path, run) -> None:
    gt = coco([[person(FULL)], [person(FULL, head=None)]], '000001', 100)
    write(tmp_path / 'gt' / '000001.json', gt)
    pred = coco([[person(FULL, scores=1)], [person(FULL, scores=1)]], '000001', 100)
    write(tmp_path / 'pred' / '000001.json', pred)
    status, out, err = run(tmp_path / 'gt', tmp_path / 'pred', '--pck', 'torso', 'head')
    assert (status, err) == (0, '')
    assert '1 labeled persons have no head box, without which there is no AP' in out
    result = evaluate_files(tmp_path / 'gt', tmp_path / 'pred', pck_norms=['torso', 'head'])
    assert np.isnan([result['Total'], *result['per_joint'].values()]).all()
    assert result['pck']['torso']['tPCK@0.5']['Total'] == 100
    assert result['pck']['torso']['counts']['joints'] == 2 * len(FULL)
    assert result['pck']['head']['counts']['joints'] == len(FULL)
    for option in ('--mota', '--visibility', '--per-video'):
        status, out, err = run(tmp_path / 'gt', tmp_path / 'pred', '--pck', 'torso', option)
        assert (status, out) == (1, '') and 'has no head box' in err


def test_allow_missing_takes_unlisted_frames_as_empty(files, run) -> None:
    write(files / 'gt' / '000001.json', coco([[person(FULL)], [person(FULL)]], '000001', 100))
    pred = coco([[person(FULL, scores=1)], []], '000001', 100)
    del pred['images'][1]
    write(files / 'pred' / '000001.json', pred)
    args = (files / 'gt', files / 'pred', '--videos', '000001', '--out', files / 'r.json')
    assert run(*args)[0] == 1
    assert run(*args, '--allow-missing')[0] == 0
    result = load(files / 'r.json')
    assert result['Total'] == 50 and result['protocol']['frames_without_entry'] == 1


def test_unknown_names_of_videos(files, run) -> None:
    status, _, err = run(files / 'gt', files / 'pred', '--videos', '000001', 'x')
    assert status == 1
    assert err == "Video 'x' is to be scored but is not among the 3 of the ground truth.\n"


def test_missing_paths_and_unwritable_output(files, run) -> None:
    status, _, err = run(files / 'no', files / 'where')
    assert status == 1 and len(err.splitlines()) == 2
    status, _, err = run(files / 'gt', files / 'pred', '--out', files / 'no' / 'r.json')
    assert status == 1 and 'r.json: its folder is not there' in err


@pytest.mark.slow
def test_as_a_command(files) -> None:
    env = {**os.environ, 'PYTHONPATH': str(TOOL.parents[1]), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(TOOL)]
    done = subprocess.run(
        [*command, str(files / 'gt'), str(files / 'pred.json')],
        capture_output=True,
        text=True,
        env=env,
        cwd=files,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('|') and 'Traceback' not in done.stderr
    done = subprocess.run(
        [*command, str(files / 'gt'), 'nothing'], capture_output=True, text=True, env=env, cwd=files
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        'nothing: not found; expected a folder or a file of labels.'
    )


# ------------------------------------------------------------------------------ real data


def test_real_clip(real_data, tmp_path, run) -> None:
    """Perfect predictions; then all 15 joints written though noses are not labeled."""
    labels, name = real_data / 'posetrack_clip' / 'annotations' / 'val', '060470_mpii_test.json'

    def add_scores(data: dict) -> None:
        for annotation in data['annotations']:
            annotation['scores'] = [0.5] * 17

    write(tmp_path / name, load(labels / name))
    edit(tmp_path / name, add_scores)
    status, _, _ = run(labels, tmp_path / name, '--mota', '--out', tmp_path / 'r.json')
    result = load(tmp_path / 'r.json')
    assert status == 0
    assert result['counts'] == {'videos': 1, 'frames': 11, 'persons': 44, 'joints': 44 * 14}
    assert {ap for name, ap in result['per_joint'].items() if name != 'nose'} == {100}
    assert result['per_joint']['nose'] == 0
    assert result['Total'] == pytest.approx(100 * 14 / 15, abs=1e-12)
    assert result['mota']['Total'] == 100

    def add_noses(data: dict) -> None:
        for annotation in data['annotations']:
            annotation['keypoints'][:3] = annotation['keypoints'][3:6]

    edit(tmp_path / name, add_noses)
    run(labels, tmp_path / name, '--out', tmp_path / 'r.json')
    result = load(tmp_path / 'r.json')
    assert result['per_joint']['nose'] is None and result['Head'] is None
    assert result['Total'] == 100


def test_labels_of_nobody_are_not_scored_as_zero(files, run) -> None:
    def unlabel(data: dict) -> None:
        data['annotations'] = []

    edit(files / 'gt' / '000002.json', unlabel)
    folders = files / 'gt', files / 'pred'
    status, out, err = run(*folders, '--videos', '000002')
    assert (status, out) == (1, '')
    assert 'gt: no joint is labeled in the 1 videos that are scored (2 are left out' in err
    (files / 'pred' / '000001.json').unlink()
    status, _, err = run(*folders, '--videos', '000001', '--allow-missing')
    assert status == 1 and 'no joint is labeled in the 0 videos' in err
    run(files / 'gt', files / 'pred', '--per-video', '--allow-missing', '--out', files / 'r.json')
    parts = load(files / 'r.json')['per_video']
    assert {name: part['Total'] is None for name, part in parts.items()} == {
        '000000': False, '000002': True,
    }  # fmt: skip


@pytest.mark.parametrize('place', ['gt.json', 'pred.json', 'gt/000001.json', 'pred/new.json'])
def test_the_result_replaces_nothing_that_is_read(files, run, place, capsys) -> None:
    folder = '' if '/' in place else '.json'
    before = {path: path.read_bytes() for path in files.rglob('*.json')}
    with pytest.raises(SystemExit):
        run(files / f'gt{folder}', files / f'pred{folder}', '--out', files / place)
    assert 'is read from; expected another place' in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files.rglob('*.json')} == before


def test_an_annolist_with_the_images_of_another_video(files, run) -> None:
    """The frames of all videos have the same base names."""
    for kind in ('gt', 'pred'):
        for path in sorted((files / kind).iterdir()):
            write(files / f'{kind}17' / path.name, annolist(load(path)))
    first, second = files / 'pred17' / '000001.json', files / 'pred17' / '000002.json'
    swapped = load(second), load(first)
    count = min(len(data['annolist']) for data in swapped)
    for path, data in zip((first, second), swapped):
        write(path, {'annolist': data['annolist'][:count]})
    status, _, err = run(files / 'gt17', files / 'pred17', '--allow-missing')
    assert status == 1
    assert '000001.json: has the image' in err and "of video '000002', expected those of" in err


def test_names_that_are_not_utf8(files, run) -> None:
    for kind in ('gt', 'pred'):
        data = load(files / f'{kind}.json')
        for image in data['images']:
            image['file_name'] = image['file_name'].replace('000001', 'caf\udce9')
        (files / f'{kind}.json').write_text(json.dumps(data))
    args = files / 'gt.json', files / 'pred.json', '--per-video', '--out', files / 'r.json'
    status, _, err = run(*args)
    assert (status, err) == (0, '')
    assert {*load(files / 'r.json')['per_video']} == {'000000', 'caf\udce9', '000002'}


def test_real_clip_against_the_slow_reference(real_data, tmp_path) -> None:
    name = '060470_mpii_test.json'
    gt = load(real_data / 'posetrack_clip' / 'annotations' / 'train' / name)
    rng = random.Random(0)
    pred = json.loads(json.dumps(gt))
    for annotation in pred['annotations']:
        annotation['keypoints'] = [
            value + rng.gauss(0, 12) if place % 3 < 2 and value else value
            for place, value in enumerate(annotation['keypoints'])
        ]
        annotation['scores'] = [rng.random() for _ in ORDER_17]
    rng.shuffle(pred['annotations'])
    result = evaluate_files(write(tmp_path / 'gt.json', gt), write(tmp_path / 'pred.json', pred))
    expected = slow_posetrack.average_precision([(gt, pred)])
    assert 20 < result['Total'] < 90
    for joint in ORDER_15:
        assert result['per_joint'][joint] == pytest.approx(expected[joint][0], abs=1e-9)
