"""Starts Python processes without the seconds that importing MMPose takes.

    process_server.py serve ADDRESS COMMAND   imports MMPose and waits
    process_server.py ask ADDRESS ARGUMENTS   like `python ARGUMENTS`, in a fork of that process

The fork has the caller's streams, folder, environment and arguments, and ``sys.executable`` is
COMMAND, so that what it starts comes from here, too. It ends when its caller is killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable

SIZE = 8
FORWARDED = (signal.SIGINT, signal.SIGTERM)


def ask(address: str, arguments: list[str]) -> int:
    """Has the server run ``python ARGUMENTS``; returns its exit status, negative for a signal."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    request = dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ))
    request = json.dumps(request).encode()
    socket.send_fds(server, [len(request).to_bytes(SIZE, 'big')], [0, 1, 2])
    server.sendall(request)
    for number in FORWARDED:
        signal.signal(number, lambda number, _: server.sendall(bytes([number])))
    return int.from_bytes(_receive(server, SIZE), 'big', signed=True)


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError('the other end is gone')
        data += part
    return data


def serve(listener: socket.socket) -> dict:
    """Answers requests until standard input ends; returns a request in each forked process."""
    ended, wake = os.pipe()
    for end in (ended, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    jobs: dict[socket.socket, int] = {}
    while True:
        ready, _, _ = select.select([0, listener, ended, *jobs], [], [])
        if 0 in ready:
            os._exit(0)
        if ended in ready:
            os.read(ended, 4096)
            _report(jobs)
        for connection in [c for c in jobs if c in ready]:
            if number := connection.recv(1):
                os.kill(jobs[connection], number[0])
            else:
                os.killpg(jobs.pop(connection), signal.SIGKILL)
                connection.close()
        if listener in ready:
            connection, _ = listener.accept()
            size, streams, _, _ = socket.recv_fds(connection, SIZE, 3)
            request = json.loads(_receive(connection, int.from_bytes(size, 'big')))
            process = os.fork()
            if process == 0:
                os.setsid()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for stream, own in enumerate(streams):
                    os.dup2(own, stream)
                for unused in (listener, connection, *jobs):
                    unused.close()
                for unused in (ended, wake, *streams):
                    os.close(unused)
                return request
            jobs[connection] = process
            for stream in streams:
                os.close(stream)


def _report(jobs: dict[socket.socket, int]) -> None:
    """Tells the callers of all processes that have ended."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not process:
            return
        for connection in [c for c, job in jobs.items() if job == process]:
            code = os.waitstatus_to_exitcode(status)
            connection.sendall(code.to_bytes(SIZE, 'big', signed=True))
            connection.close()
            del jobs[connection]


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """What ``python ARGUMENTS`` does: a file, -m MODULE or -c CODE, after -W and -u."""
    import runpy
    import warnings

    import numpy as np

    np.random.seed()  # The fork has the server's state.
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    arguments = list(arguments)
    while arguments[0] in ('-W', '-u'):
        if arguments.pop(0) == '-W':
            warnings.simplefilter(arguments.pop(0))
    first = arguments.pop(0)
    paths = [path for path in environment.get('PYTHONPATH', '').split(os.pathsep) if path]
    sys.path[:1] = [
        '' if first in ('-m', '-c') else os.path.dirname(os.path.abspath(first)),
        *paths,
    ]
    if first == '-m':
        module = arguments.pop(0)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name='__main__', alter_sys=True)
    elif first == '-c':
        code = arguments.pop(0)
        sys.argv = ['-c', *arguments]
        exec(compile(code, '<string>', 'exec'), {'__name__': '__main__'})
    elif first.startswith('-'):
        raise SystemExit(f'{__file__}: does not know the option {first}')
    else:
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name='__main__')


def leave(work: Callable[[], None]) -> None:
    """Works and ends the process as Python does, but frees no memory, which takes seconds."""
    import atexit
    import threading

    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
        if not isinstance(code, (int, type(None))):
            print(code, file=sys.stderr)
            code = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code or 0)


if __name__ == '__main__':
    role, address, *rest = sys.argv[1:]
    if role == 'ask':
        status = ask(address, rest)
        if status < 0:
            if -status in FORWARDED:
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        sys.exit(status)
    # Callers wait from now on, and hear of an import that fails.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print(flush=True)

    import functools
    import multiprocessing
    import warnings

    multiprocessing.set_executable(sys.executable)
    sys.executable = rest[0]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import cmpose_mm  # noqa: F401  first, as it makes MMPose importable

        # isort: split
        import mim.commands.test
        import mim.commands.train  # noqa: F401
        import mmpose.apis  # noqa: F401
        from quick_mmengine import make_quick

    make_quick()
    leave(functools.partial(run, **serve(listener)))
