"""Trainings as `mim` runs them: what is left of one whose command was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

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
