"""Commands of the repository, run within the process of the tests."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

from processes import quick_python


def run_tool(tool: str | Path, *arguments, cwd: str | Path | None = None):
    """Runs a script as ``python TOOL ARGUMENTS`` does, without the seconds that its imports take.

    Each command also has a test that starts a process of its own. Processes that the script itself
    starts as ``sys.executable`` are quick, too.

    Returns:
        A ``subprocess.CompletedProcess`` with what was printed.
    """
    out, err = io.StringIO(), io.StringIO()
    argv, folder, modules, code = sys.argv, os.getcwd(), dict(sys.modules), 0
    python, path = sys.executable, list(sys.path)
    sys.argv, sys.executable = [str(tool), *map(str, arguments)], quick_python()
    tool = str(Path(tool).resolve())
    sys.path.insert(0, str(Path(tool).parent))
    try:
        os.chdir(cwd or folder)
        printed = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with printed[0], printed[1], warnings.catch_warnings():
            try:
                with fresh_loggers():
                    runpy.run_path(tool, run_name='__main__')
            except SystemExit as end:
                code = end.code
                if isinstance(code, str):
                    print(code, file=err)
                    code = 1
            except Exception:
                traceback.print_exc(file=err)
                code = 1
    finally:
        sys.argv, sys.executable, sys.path[:] = argv, python, path
        os.chdir(folder)
        for name in [name for name, module in sys.modules.items() if module is None]:
            del sys.modules[name]  # what the tool does without, later tests do not
        sys.modules.update(modules)
    return subprocess.CompletedProcess(sys.argv, code or 0, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def fresh_loggers():
    """MMEngine's loggers as in a process of its own; those of the tests are back afterward."""
    if not find_spec('mmengine'):
        yield
        return
    from mmengine.logging import MMLogger

    known = MMLogger._instance_dict
    kept = dict(known)
    known.clear()
    try:
        yield
    finally:
        known.clear()
        known.update(kept)
