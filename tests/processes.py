"""Processes without the seconds that their imports take."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


def start_processes(function: Callable, arguments: tuple, count: int) -> None:
    """Calls ``function(rank, *arguments)`` in `count` new processes; raises what one raises.

    They come from a server process that has imported MMPose once and run nothing.
    """
    import torch.multiprocessing

    multiprocessing.set_forkserver_preload(['cmpose_mm', 'mmpose.apis'])
    torch.multiprocessing.start_processes(
        function, arguments, nprocs=count, start_method='forkserver'
    )


@functools.lru_cache
def quick_python() -> str:
    """A command to use like ``sys.executable``, see process_server.py; that itself where none can
    fork, or without MMPose.

    For tests of what a command does. What depends on a fresh interpreter (imports, memory, help in
    time) wants ``sys.executable``.
    """
    if not hasattr(os, 'fork') or not find_spec('mmpose'):
        return sys.executable
    folder = Path(tempfile.mkdtemp())
    server, address = str(Path(__file__).with_name('process_server.py')), str(folder / 'server')
    command = folder / 'python'
    ask = [sys.executable, '-I', '-S', server, 'ask', address]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(ask)} "$@"\n')
    command.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, server, 'serve', address, str(command)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()  # It listens.

    def stop() -> None:
        process.stdin.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:  # It was never used, and is importing still.
            process.kill()
        shutil.rmtree(folder)

    atexit.register(stop)
    return str(command)
