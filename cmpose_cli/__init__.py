"""The command `cmpose`. Nothing here imports the package before the arguments are parsed.

`import cmpose_mm` takes seconds, since it imports torch and registers everything with MMPose; help
and a typo must not. So each module defines its arguments with the standard library alone, and its
``run`` imports what it needs. The scripts in `tools/` of the same names call the same code.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

_OF_MODELS = 'torch', 'cv2', 'mmengine', 'mmpose'
COMMANDS = {
    'infer': ('infer', 'poses of all persons in a video, as video, JSON and CSV'),
    'draw': ('draw', 'draw poses from a JSON or CSV file over their video'),
    'plot': ('plot', 'plot joints and joint angles over time'),
    'eval': ('evaluate', 'score predictions: AP, PCK, MOTA, recall of hidden joints, jitter'),
    'track': ('track', 'add track ids to predictions'),
    'smooth': ('smooth', 'smooth predictions over time and fill gaps'),
    'convert': ('convert', 'convert predictions to formats of other tools'),
    'check': ('check', 'tell what a PoseTrack folder holds, and whether training can start'),
    'export': ('export', 'write a trained model as ONNX or torch.export file'),
}
"""Name of each command -> its module here, and what it does."""


def parse_command(
    name: str, arguments: list[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    """The arguments of a command.

    Args:
        name: key of `COMMANDS`.
        arguments: those of the process by default.
        prog: how the command is called, for its help; by default ``cmpose NAME``.

    Returns:
        The arguments; also ``error``, the parser's, and ``name``, to begin a sentence with.
    """
    module = _module(name)
    parser = argparse.ArgumentParser(
        prog=prog or f'cmpose {name}',
        description=module.__doc__,
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.set_defaults(error=parser.error, name=Path(prog or f'cmpose {name}').stem)
    arguments = sys.argv[1:] if arguments is None else arguments
    # intermixed: videos may stand before and after options
    return parser.parse_intermixed_args(getattr(module, 'prepare', list)(arguments))


def run_command(name: str, arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Parses the arguments of a command, see `parse_command`, and runs it.

    Returns:
        The exit status.
    """
    if hasattr(sys.stdout, 'reconfigure'):  # names of files need not be UTF-8
        sys.stdout.reconfigure(errors='backslashreplace')
    args = parse_command(name, arguments, prog)
    if not _module(name).NEEDS_MMPOSE:
        # Without it the package imports in less time.
        sys.modules.setdefault('mmpose', None)
    elif missing := [package for package in _OF_MODELS if find_spec(package) is None]:
        print(
            f'{args.name}: needs what models need, and found no {", ".join(missing)}; in a clone, '
            "pip install '.[light,video]', as README says",
            file=sys.stderr,
        )
        return 1
    return _module(name).run(args)


def _module(name: str):
    return importlib.import_module(f'{__name__}.{COMMANDS[name][0]}')
