"""Video human pose estimation: poses from videos, and what belongs to them."""

from __future__ import annotations

import argparse
import difflib
import sys
from importlib.metadata import version

from cmpose_cli import COMMANDS, run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs `cmpose COMMAND ...`; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments[0], arguments[1:])
    listed = '\n'.join(f'  {name:9} {what}' for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='cmpose',
        description=__doc__,
        epilog=f'commands:\n{listed}\n\n`cmpose COMMAND --help` has the arguments of each.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'cmpose_mm {version("cmpose_mm")}')
    parser.add_argument('command', metavar='COMMAND', help='one of those below')
    parser.add_argument('arguments', metavar='...', nargs=argparse.REMAINDER, help='of the command')
    command = parser.parse_args(arguments).command
    near = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f'; did you mean {near[0]}?' if near else f', expected one of {", ".join(COMMANDS)}'
    parser.error(f'there is no command {command}{hint}')


if __name__ == '__main__':
    sys.exit(main())
