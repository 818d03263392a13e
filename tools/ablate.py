"""Trains a named set of variants with several seeds; writes tables with mean and spread, a plot."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from datetime import date
from pathlib import Path

import torch

from cmpose_mm.ablation import (
    EXPERIMENTS,
    NUMBERS,
    check_section,
    full_name,
    plot_results,
    replace_section,
    results_foot,
    results_tables,
    run_experiments,
)
from cmpose_mm.ablation.runs import FIRST_STAGE, results_file
from cmpose_mm.config_options import CfgOptions

EXAMPLES = """
examples:
  python tools/ablate.py table4 configs/cmpose_vit_posetrack17.py --seeds 0 1 2
  python tools/ablate.py table5 configs/experiments/cmpose.py \\
      --first-stage configs/experiments/single_frame.py --splits clean occluded --jobs 2
  python tools/ablate.py table4,table5,distance configs/experiments/jhmdb_cmpose.py \\
      --first-stage configs/experiments/jhmdb_single_frame.py --splits clean clean_full_body test
  python tools/ablate.py figure3 CONFIG -- --launcher pytorch --gpus 2   # for `mim train`

The same command continues after an interruption: it keeps finished runs and resumes others. Sets
share the runs of variants that they have in common. Results on splits also go into small files
(--records); a run whose file is there, made on whatever machine, is not repeated.

sets:
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES + '\n'.join(f'  {s}: {"; ".join(EXPERIMENTS[s])}' for s in EXPERIMENTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('experiment', metavar='SET', help='which set of variants, or several: A,B')
    parser.add_argument('config', help='config that the variants override')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--splits', nargs='+', default=[], metavar='SPLIT',
                        help='splits to test on after training: folders of labels beside that of '
                             "the config's test data (default: validate in training)")  # fmt: skip
    parser.add_argument(
        '--copies',
        action='store_true',
        help='also test on copies of the key frame: what neighbors are worth',
    )
    parser.add_argument('--first-stage', metavar='CONFIG',
                        help='train this once per seed; all variants start from it')  # fmt: skip
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/ablations/<config name>')
    parser.add_argument('--records', type=Path, metavar='DIR',
                        help='results of the runs with --splits, a file each '
                             '(default: benchmarks/results/<config name>)')  # fmt: skip
    parser.add_argument('--recorded', action='store_true',
                        help='train nothing: tables of the runs that --records has')  # fmt: skip
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write table and plot into the section of FILE that is named '
                             'after the set, and the picture into images/ beside FILE')  # fmt: skip
    parser.add_argument('--prefix', default='', help='of the names of section and picture')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of config and first stage, KEY=VALUE ...')  # fmt: skip
    parser.add_argument('mim_args', nargs='*', help='after `--`: further arguments for `mim train`')
    own, mim_args = sys.argv[1:], []
    if '--' in own:  # argparse takes them only where they follow the config
        place = own.index('--')
        own, mim_args = own[:place], own[place + 1 :]
    args = parser.parse_args(own)
    args.mim_args += mim_args
    if args.copies and not args.splits:
        parser.error('--copies: tests on splits, expected --splits with it')
    names = args.experiment.split(',')
    try:
        numbers = {name: NUMBERS.get(full_name(name)) for name in names}
    except KeyError as error:
        parser.error(error.args[0])
    try:
        run(args, names, numbers)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(str(error))


def run(args: argparse.Namespace, names: list[str], numbers: dict) -> None:
    """Runs the sets and writes their tables.

    Raises:
        OSError, RuntimeError, ValueError: one sentence about what is missing, failed or wrong.
    """
    for name in names:
        check_section(args.docs, args.prefix + name)
    work_dir = args.work_dir or Path('work_dirs/ablations', Path(args.config).stem)
    all_results = run_experiments(
        names,
        args.config,
        args.seeds,
        work_dir,
        splits=args.splits,
        first_stage=args.first_stage,
        mim_args=args.mim_args,
        jobs=args.jobs,
        records=args.records or Path('benchmarks/results', Path(args.config).stem),
        copies=args.copies,
        cfg_options=args.cfg_options,
        only_recorded=args.recorded,
    )
    foot = f'(torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, ' \
           f'{date.today():%B %Y}.)'  # fmt: skip
    for name, results in all_results.items():
        lacking = [variant for variant, by_seed in results.items() if not by_seed]
        what = (
            f'is recorded of seeds {", ".join(map(str, args.seeds))} on '
            f'{", ".join(args.splits) or "the validation data"}'
            + (', with and without neighbors' if args.copies else '')
        )
        if {*results} - {*lacking} <= {FIRST_STAGE}:
            raise ValueError(f'{name}: no result {what}')
        if lacking:
            print(f'{name}: left out {"; ".join(lacking)}: no result {what}', file=sys.stderr)
        tables = results_tables(results)
        print(f'{tables}\n{results_foot(results)}')
        table, plot, _ = files = [
            results_file(work_dir, name, ending) for ending in ('md', 'png', 'json')
        ]
        table.write_text(tables)
        plot_results(results, plot, numbers[name])
        if args.docs is not None:
            picture = args.docs.parent / 'images' / f'{args.prefix}{plot.name}'
            plot_results(results, picture, numbers[name])
            replace_section(
                args.docs,
                args.prefix + name,
                f'    {shlex.join(["python", *sys.argv])}\n\n{tables}\n'
                f'![{name}](images/{picture.name})\n\n{results_foot(results) or foot}',
            )
        print(f'written to {", ".join(map(str, files))}')


if __name__ == '__main__':
    main()
