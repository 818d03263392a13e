"""The command `cmpose`: quick help, typos, the same code as the scripts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from run_tools import run_tool

from cmpose_cli import COMMANDS, infer, overlay_arguments
from cmpose_cli.evaluate import PCK_NORMS, RULES, TIE_BREAKS
from cmpose_mm import __version__, evaluation
from cmpose_mm.apis import engines, loading, video_inferencer
from cmpose_mm.visualization import skeletons

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    'infer': 'infer_video.py',
    'eval': 'eval_posetrack.py',
    'track': 'track_posetrack.py',
    'check': 'check_posetrack.py',
    'export': 'export_onnx.py',
}


def cmpose(*arguments):
    return run_tool(ROOT / 'cmpose_cli/__main__.py', *arguments)


def test_version():
    result = cmpose('--version')
    assert result.returncode == 0 and result.stdout == f'cmpose_mm {__version__}\n'


def test_choices_are_those_of_the_package():
    assert RULES == tuple(evaluation.RULES)
    assert TIE_BREAKS == tuple(evaluation.TIE_BREAKS)
    assert PCK_NORMS == tuple(evaluation.PCK_NORMS)
    for name in ('OWN_DETECTORS', 'OUTPUT_JOINTS'):
        assert getattr(infer, name) == tuple(getattr(video_inferencer, name))
    assert infer.ENGINES == engines.ENGINES
    assert overlay_arguments.COLOR_BY == skeletons.COLOR_BY
    assert infer.CONFIG_SUFFIXES == loading.CONFIG_SUFFIXES


@pytest.mark.parametrize('name', COMMANDS)
def test_help(name):
    done = cmpose(name, '--help')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: cmpose {name} ')
    assert f'cmpose {name} ' in done.stdout.split('example')[1]
    if name in SCRIPTS:
        done = run_tool(ROOT / 'tools' / SCRIPTS[name], '--help')
        assert done.stdout.startswith(f'usage: python tools/{SCRIPTS[name]} ')


def test_list_of_commands():
    done = cmpose('--help')
    assert done.returncode == 0
    assert all(f'  {name} ' in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    'arguments, said',
    [
        (['trak', 'x'], 'there is no command trak; did you mean track?'),
        (['zzz'], 'there is no command zzz, expected one of infer, '),
        ([], 'the following arguments are required: COMMAND'),
        (['track'], 'the following arguments are required: PREDICTIONS, OUT'),
        (['eval', 'a', 'b', '--mta'], 'unrecognized arguments: --mta'),
        (['check', 'no_such_folder'], 'no_such_folder: no such folder'),
        (
            ['draw', 'a', 'b', 'c', '--joint-thr', 'nan'],
            "--joint-thr: expected a number, found 'nan'",
        ),
        (['infer', 'a', '--score-thr', 'nan'], "--score-thr: expected a number, found 'nan'"),
        (['smooth', 'a', 'b', '--window', 'x'], "--window: expected a number, found 'x'"),
    ],
)
def test_typos_are_one_sentence(arguments, said):
    done = cmpose(*arguments)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize('arguments', [['--help'], ['eval', '--help'], ['exprt']])
def test_answers_at_once(arguments, tmp_path):
    """Help and typos cost below half a second of CPU; the best of three, as machines are busy."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, '-m', 'cmpose_cli', *arguments],
            capture_output=True, text=True, env=env, cwd=tmp_path,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert 'usage: cmpose' in done.stdout + done.stderr
    assert min(times) < 0.5


@pytest.mark.slow
def test_only_the_standard_library_is_imported_before_the_arguments_are_parsed(tmp_path):
    code = (
        'import sys\nbefore = set(sys.modules)\nfrom cmpose_cli.__main__ import main, COMMANDS\n'
        "for name in COMMANDS:\n    try:\n        main([name, '--help'])\n"
        '    except SystemExit:\n        pass\n'
        "new = {module.split('.')[0] for module in set(sys.modules) - before}\n"
        "print('found', sorted(new - set(sys.stdlib_module_names) - {'cmpose_cli'}))"
    )
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == 'found []', done.stderr


@pytest.mark.parametrize('name', ['infer', 'draw', 'export'])
def test_without_what_models_need(name, tmp_path):
    script = (
        'import sys; from importlib import machinery; import cmpose_cli;'
        'sys.modules["torch"] = sys.modules["mmpose"] = None;'
        f'sys.exit(cmpose_cli.run_command({name!r}, {["a.mp4", "b", "c.onnx"]}))'
    )
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f'cmpose {name}: needs what models need, and found no torch, mmpose; in a clone, '
        "pip install '.[light,video]', as README says\n"
    )


@pytest.mark.slow
def test_as_a_command(tmp_path):
    """In a process of its own, where MMPose is not imported for nothing."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-m', 'cmpose_cli', 'eval', 'no', 'nothing'],
        capture_output=True, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        f'{name}: not found; expected a folder or a file of labels.' for name in ('no', 'nothing')
    ]


def test_videos_after_the_values_of_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a.mp4', 'csv', 'x=1'):
        (tmp_path / name).touch()
    (tmp_path / 'folder').mkdir()
    prepared = infer.prepare(
        ['--formats', 'json', 'csv', 'a.mp4', 'folder', '--cfg-options', 'x=1', 'rtsp://c/s']
    )
    assert prepared == [
        'a.mp4', 'folder', 'rtsp://c/s', '--formats', 'json', 'csv', '--cfg-options', 'x=1',
    ]  # fmt: skip
    unchanged = ['a.mp4', '--formats', 'jsn', '--out-dir', 'folder', '--cfg-options', 'y', '2']
    assert infer.prepare(unchanged) == unchanged
    address = ['--formats', 'json', 'http://host/s?token=x']
    assert infer.prepare(address) == [address[2], *address[:2]]
    assert infer.prepare(['--detector', 'rtmdet-m', 'a.mp4']) == [
        '--detector', 'rtmdet-m', '', 'a.mp4',
    ]  # fmt: skip
    assert infer.prepare(['--detector', 'c.py', 'a.pth']) == ['--detector', 'c.py', 'a.pth']


def test_names_of_files_that_are_not_utf8(tmp_path):
    data = {'images': [], 'annotations': [], 'categories': []}
    (tmp_path / 'caf\udce9.json').write_text(json.dumps(data))
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'PYTHONIOENCODING': 'utf-8:strict'}
    done = subprocess.run(
        [sys.executable, '-m', 'cmpose_cli', 'smooth', b'caf\xe9.json', b'out\xe9.json'],
        capture_output=True, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and r'out\udce9.json' in done.stdout, done.stderr
