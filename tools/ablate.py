"""Train a named set of variants over several seeds and write a table with mean and spread."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmpose_mm.ablation import ABLATIONS, run_ablation

EXAMPLES = """
examples:
  python tools/ablate.py table4 configs/cmpose_vit_posetrack17.py --seeds 0 1 2
  python tools/ablate.py table5 configs/cmpose_demo.py --seeds 0 --work-dir work_dirs/table5
  python tools/ablate.py figure3 CONFIG -- --launcher pytorch --gpus 2   # for `mim train`

The same command continues after an interruption: finished runs are kept, begun ones resumed.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES + '\n'.join(f'{name}: {", ".join(ABLATIONS[name])}' for name in ABLATIONS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('ablation', choices=ABLATIONS, help='which set of variants')
    parser.add_argument('config', help='config that the variants override')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/ablations/<set>/<config name>'
    )
    parser.add_argument('mim_args', nargs='*', help='after `--`: further arguments of `mim train`')
    args = parser.parse_args()
    work_dir = args.work_dir or Path('work_dirs/ablations', args.ablation, Path(args.config).stem)
    work_dir.mkdir(parents=True, exist_ok=True)
    print(run_ablation(args.ablation, args.config, args.seeds, work_dir, args.mim_args))
    print(f'written to {work_dir}/table.md and results.json')


if __name__ == '__main__':
    main()
