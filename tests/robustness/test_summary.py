"""PoseTrack-C: means over severities and corruptions, and how they are shown."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path

import pytest
from run_tools import run_tool

from cmpose_mm.corruptions import SEVERITIES
from cmpose_mm.evaluation.report import COLUMNS
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.robustness import (
    RobustnessError,
    format_seeds,
    format_summary,
    planned_runs,
    summarize,
)
from cmpose_mm.robustness.results_file import read_results

TOOL = Path(__file__).parents[2] / 'tools' / 'average_corruptions.py'
ALL = (tuple(SEVERITIES), (1, 2, 3, 4, 5), ('key', 'persistent'))


def random_result(rng):
    values = {name: rng.uniform(0, 100) for name in (*JOINT_NAMES, *COLUMNS)}
    return {'AP': values, 'recall_occluded': rng.uniform(0, 100)}


def test_a_table_finds_all_of_its_runs():
    rng = random.Random(0)
    for num_frames in (1, 3):
        for _ in range(20):
            corruptions = rng.sample(list(SEVERITIES), rng.randint(1, 10))
            severities = sorted(rng.sample(range(1, 6), rng.randint(1, 5)))
            modes = rng.choice([['key'], ['persistent'], ['key', 'persistent']])
            plan = planned_runs(corruptions, severities, modes, num_frames)
            runs = {run.name: random_result(rng) for run in plan}
            summarize(runs, corruptions, severities, modes, num_frames)


def test_means_by_hand():
    rng = random.Random(1)
    runs = {run.name: random_result(rng) for run in planned_runs(*ALL, num_frames=3)}
    summary = summarize(runs, *ALL, num_frames=3)
    images = [name for name in SEVERITIES if not name.startswith('frame_')]
    clean = runs['clean']['AP']
    assert summary['temporal_gain'] == clean['Total'] - runs['clean/repeated']['AP']['Total']
    for mode in ('key', 'persistent'):
        for column in ('Total', 'Wrist', 'left_knee'):
            total = 0.0
            for name in images:
                part = 0.0
                for severity in range(1, 6):
                    part += runs[f'{name}/{severity}/{mode}']['AP'][column]
                total += part / 5
            mpc = summary['modes'][mode]['mPC'][column]
            assert mpc == pytest.approx(total / 8, abs=1e-9)
            rpc = summary['modes'][mode]['rPC'][column]
            assert rpc == pytest.approx(100 * total / 8 / clean[column], abs=1e-9)
        row = summary['modes'][mode]['corruptions']['low_light']
        gains, recalls = 0.0, 0.0
        for severity in range(1, 6):
            run = runs[f'low_light/{severity}/{mode}']
            alone = runs[f'low_light/{severity}/key/repeated']
            assert row['AP'][str(severity)] == run['AP']['Total']
            gains += run['AP']['Total'] - alone['AP']['Total']
            recalls += run['recall_occluded']
        assert row['temporal_gain'] == pytest.approx(gains / 5, abs=1e-9)
        assert row['recall_occluded'] == pytest.approx(recalls / 5, abs=1e-9)
    drop = summary['modes']['neighbors']['corruptions']['frame_drop']
    assert drop['temporal_gain'] == pytest.approx(
        sum(runs[f'frame_drop/{s}/neighbors']['AP']['Total'] for s in range(1, 6)) / 5
        - runs['clean/repeated']['AP']['Total'],
        abs=1e-9,
    )
    # As from a file.
    assert summarize(json.loads(json.dumps(runs)), *ALL, num_frames=3) == summary


def test_no_occluded_joints_and_no_precision_are_shown_as_unknown():
    rng = random.Random(2)
    runs = {'clean': random_result(rng), 'shot_noise/1/key': random_result(rng)}
    for result in runs.values():
        result['recall_occluded'] = None
        result['counts'] = {'videos': 1}
    runs['clean']['AP']['Wrist'] = 0.0
    summary = summarize(runs, ['shot_noise'], [1], ['key'], num_frames=1)
    assert math.isnan(summary['modes']['key']['rPC']['Wrist'])
    text = format_summary(dict(summary=summary, settings={}, runs=runs))
    row = next(line for line in text.splitlines() if 'shot_noise, key' in line)
    assert [cell.strip() for cell in row.split('|')[-3:-1]] == ['-', '-']


def test_seeds_are_averaged_and_must_be_of_one_test(tmp_path):
    rng = random.Random(2)
    what = (['low_light', 'frame_drop'], [3], ['key'])
    plan = planned_runs(*what, num_frames=3)
    results = []
    for checkpoint in 'abc':
        runs = {run.name: random_result(rng) for run in plan}
        summary = summarize(runs, *what, num_frames=3)
        results.append({'settings': {'seed': 0, 'checkpoint': checkpoint}, 'summary': summary})
    lines = [[c.strip() for c in line.strip('|').split('|')] for line in
             format_seeds(results).splitlines()]  # fmt: skip
    table = {line[0]: line[1:] for line in lines}
    gains = [r['summary']['modes']['key']['corruptions']['low_light']['temporal_gain']
             for r in results]  # fmt: skip
    expected = f'{statistics.mean(gains):.1f} ± {statistics.stdev(gains):.1f}'
    assert table['low_light, key'][1] == table['mPC, key'][1] == expected
    assert [*table][2:] == ['clean', 'low_light, key', 'mPC, key', 'frame_drop, neighbors',
                            'mPC, neighbors']  # fmt: skip
    old = json.loads(json.dumps(results).replace('"neighbors"', '"neighbours"'))
    file = tmp_path / 'old.json'
    file.write_text(json.dumps({**old[0], 'runs': {}}))
    assert format_seeds([read_results(file), *results[1:]]) == format_seeds(results)
    for other in ([4], [3, 4]):
        more = {run.name: random_result(rng) for run in planned_runs(*what[:1], other, ['key'], 3)}
        summary = summarize(more, *what[:1], other, ['key'], num_frames=3)
        with pytest.raises(RobustnessError, match=rf'severities \[{other[0]}.*\] and of \[3\]'):
            format_seeds([results[0], {**results[1], 'summary': summary}])
    with pytest.raises(RobustnessError, match='two results are of one checkpoint'):
        format_seeds([*results, results[0]])
    results[1]['settings']['labels'] = 'aa'
    for order in (results, results[::-1]):
        with pytest.raises(RobustnessError, match='results of labels .*; expected those of'):
            format_seeds(order)
    del results[1]['settings']['labels']
    results[1]['settings']['seed'] = 1
    with pytest.raises(RobustnessError, match='results of seed 1 and of 0; expected those of one'):
        format_seeds(results)


def test_the_command_averages_files_and_writes_the_section(tmp_path):
    rng = random.Random(3)
    what = (['low_light'], [3], ['key'])
    files = []
    for checkpoint in 'ab':
        runs = {run.name: random_result(rng) for run in planned_runs(*what, num_frames=3)}
        runs['clean']['counts'] = {'videos': 3, 'persons': 44}
        content = {'settings': {'checkpoint': checkpoint}, 'runs': runs,
                   'summary': summarize(runs, *what, num_frames=3)}  # fmt: skip
        files.append(tmp_path / f'{checkpoint}.json')
        files[-1].write_text(json.dumps(content))
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin posetrack_c -->\n<!-- end posetrack_c -->\n')
    done = run_tool(TOOL, *files, '--docs', page)
    assert done.returncode == 0, done.stderr
    assert '| low_light, key | ' in page.read_text() and done.stdout.strip() in page.read_text()
    assert 'Scored: 3 videos, 44 persons; 2 seeds.\n' in done.stdout
    whole = files[1].read_text()
    files[1].write_text(whole.replace('"persons": 44', '"persons": 45'))
    done = run_tool(TOOL, *files)
    assert done.returncode == 1 and done.stderr == (
        f"{files[1]}: found {{'videos': 3, 'persons': 45}} scored on clean videos, expected "
        "{'videos': 3, 'persons': 44}\n"
    )
    for damaged in ({'modes': {}}, {'modes': {'key': {'corruptions': {}}}}, {'clean': None}):
        content = json.loads(whole)
        content['summary'].update(damaged)
        files[1].write_text(json.dumps(content))
        done = run_tool(TOOL, *files)
        assert done.returncode == 1 and 'Traceback' not in done.stderr
        assert done.stderr.startswith('the summary of result 2 is not whole (')
    files[1].write_text(whole)
    page.write_text('nothing')
    done = run_tool(TOOL, *files, '--docs', page)
    assert done.returncode == 1 and 'expected the lines' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr and page.read_text() == 'nothing'
    done = run_tool(TOOL, files[0], tmp_path / 'none.json')
    assert done.returncode == 1 and 'none.json' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize('text', ['[1]', '{"a": 1}', '{', '{"settings": 1, "runs": {}}'])
def test_files_that_are_no_results(tmp_path, text):
    file = tmp_path / 'a.json'
    file.write_text(text)
    done = run_tool(TOOL, file)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f'{file}: expected results of this benchmark (JSON with "settings'
    )
    file.write_text('{"settings": {}, "runs": {}}')
    done = run_tool(TOOL, file)
    assert done.stderr == 'a result has no summary, expected those of finished tests\n'
