"""Options of the benchmarks that train on real and on rendered videos and keep records."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cmpose_mm.config_options import CfgOptions

FOLDER = 'configs/experiments'


def add_run_options(parser: argparse.ArgumentParser, rendered: str, work_dir: str) -> None:
    """Adds them; `rendered` is the config for rendered videos, a name in configs/experiments."""
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--real', nargs=2, metavar=('CONFIG', 'FIRST_STAGE'),
                        default=[f'{FOLDER}/jhmdb_cmpose.py', f'{FOLDER}/jhmdb_single_frame.py'],
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--rendered', nargs=2, metavar=('CONFIG', 'FIRST_STAGE'),
                        default=[f'{FOLDER}/{rendered}', f'{FOLDER}/single_frame.py'],
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--work-dir', type=Path, default=Path(work_dir),
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--records', type=Path, default=Path('benchmarks/results'),
                        help='default: %(default)s')  # fmt: skip
    parser.add_argument('--recorded', action='store_true',
                        help='train nothing: tables of the runs that --records has')  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of all configs')  # fmt: skip


def in_one_sentence(run: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Runs a command; what is missing, failed or wrong ends it with its sentence and status 1."""
    try:
        run(args)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
