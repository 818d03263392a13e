"""Trainings as `mim` runs them: what is left of one whose command was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from cmpose_mm.apis.mim_runs import run_mim

MIM = """
import os, sys, time
print(os.getpid(), flush=True)
time.sleep(0 if sys.argv[1] == 'short' else 60)
"""


@pytest.mark.skipif(os.name == 'nt', reason='files are locked where fcntl is')
def test_what_goes_on_after_a_kill_is_not_started_twice(tmp_path, monkeypatch):
    """The killed command's training still writes to its folder."""
    (tmp_path / 'mim').mkdir()
    (tmp_path / 'mim/__init__.py').touch()
    (tmp_path / 'mim/__main__.py').write_text(MIM)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    log = tmp_path / 'work' / 'output.log'
    code = (
        'from pathlib import Path; from cmpose_mm.apis.mim_runs import run_mim; '
        f'run_mim(["long"], Path({str(log)!r}))'
    )
    command = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
    while not (log.exists() and log.read_text().strip()):
        assert command.poll() is None
        time.sleep(0.05)
    pid = int(log.read_text())
    try:
        command.kill()
        command.wait()
        with pytest.raises(SystemExit, match='another process trains or tests there; wait until'):
            run_mim(['short'], log)
    finally:
        os.kill(pid, signal.SIGKILL)
    for _ in range(100):  # until it is gone
        try:
            run_mim(['short'], log)
            break
        except SystemExit:
            time.sleep(0.05)
    lines = log.read_text().split()
    assert len(lines) == 2 and lines[0] == str(pid)  # nothing is lost


def test_paths_with_spaces_reach_mim(tmp_path, monkeypatch):
    """In a config of the same name, since its ``--cfg-options`` lose them."""
    (tmp_path / 'mim').mkdir()
    (tmp_path / 'mim/__init__.py').touch()
    (tmp_path / 'mim/__main__.py').write_text("import sys; print('\\n'.join(sys.argv[1:]))")
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    config = tmp_path / 'small.py'
    config.write_text("load_from = None\nsets = [dict(root='x'), dict(root='y')]\nsteps = 5\n")
    command = ['train', 'mmpose', str(config), '--work-dir', 'w', '--cfg-options']
    log = tmp_path / 'my work' / 'output.log'
    run_mim([*command, 'steps=7', 'load_from=/x.pth'], log)
    assert log.read_text().splitlines() == [*command, 'steps=7', 'load_from=/x.pth']
    log.unlink()
    run_mim([*command, 'steps=7', 'load_from=/a b/x.pth', 'sets.1.root=my data'], log)
    kind, package, written, *rest = log.read_text().splitlines()
    assert (kind, package, rest) == ('train', 'mmpose', ['--work-dir', 'w'])
    assert Config.fromfile(written).to_dict() == dict(
        load_from='/a b/x.pth', sets=[dict(root='x'), dict(root='my data')], steps=7
    )
    assert Path(written).name == 'small.py'
