"""Processes that train together, started without the seconds that their imports take."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import torch.multiprocessing


def start_processes(function: Callable, arguments: tuple, count: int) -> None:
    """Calls ``function(rank, *arguments)`` in `count` new processes; raises what one raises.

    They come from a server process that has imported MMPose once and run nothing.
    """
    multiprocessing.set_forkserver_preload(['cmpose_mm', 'mmpose.apis'])
    torch.multiprocessing.start_processes(
        function, arguments, nprocs=count, start_method='forkserver'
    )
