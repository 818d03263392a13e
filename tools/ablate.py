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
    full_name,
    plot_results,
    replace_section,
    results_tables,
    run_experiment,
)
from cmpose_mm.ablation.runs import results_file

EXAMPLES = """
examples:
  python tools/ablate.py table4 configs/cmpose_vit_posetrack17.py --seeds 0 1 2
  python tools/ablate.py table5 configs/experiments/cmpose.py \\
      --first-stage configs/experiments/single_frame.py --splits clean occluded --jobs 2
  python tools/ablate.py figure3 CONFIG -- --launcher pytorch --gpus 2   # for `mim train`

The same command continues after an interruption: it keeps finished runs and resumes others. Sets
share the runs of variants that they have in common.

sets:
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES + '\n'.join(f'  {s}: {"; ".join(EXPERIMENTS[s])}' for s in EXPERIMENTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('experiment', metavar='SET', help='which set of variants')
    parser.add_argument('config', help='config that the variants override')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--splits', nargs='+', default=[], metavar='SPLIT',
                        help='splits to test on after training: folders of labels beside that of '
                             "the config's test data (default: validate in training)")  # fmt: skip
    parser.add_argument('--first-stage', metavar='CONFIG',
                        help='train this once per seed; all variants start from it')  # fmt: skip
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/ablations/<config name>')
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write table and plot into the section of FILE that is named '
                             'after the set, and the picture into images/ beside FILE')  # fmt: skip
    parser.add_argument('mim_args', nargs='*', help='after `--`: further arguments for `mim train`')
    args = parser.parse_args()
    try:
        numbers = NUMBERS.get(full_name(args.experiment))
    except KeyError as error:
        parser.error(error.args[0])
    work_dir = args.work_dir or Path('work_dirs/ablations', Path(args.config).stem)
    results = run_experiment(
        args.experiment,
        args.config,
        args.seeds,
        work_dir,
        splits=args.splits,
        first_stage=args.first_stage,
        mim_args=args.mim_args,
        jobs=args.jobs,
    )
    tables = results_tables(results)
    print(tables)
    table, plot, _ = files = [
        results_file(work_dir, args.experiment, ending) for ending in ('md', 'png', 'json')
    ]
    table.write_text(tables)
    plot_results(results, plot, numbers)
    if args.docs is not None:
        plot_results(results, args.docs.parent / 'images' / plot.name, numbers)
        replace_section(
            args.docs,
            args.experiment,
            f'    {shlex.join(["python", *sys.argv])}\n\n{tables}\n'
            f'![{args.experiment}](images/{plot.name})\n\n'
            f'(torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, '
            f'{date.today():%B %Y}.)',
        )
    print(f'written to {", ".join(map(str, files))}')


if __name__ == '__main__':
    main()
