"""Averages results of tools/eval_corruptions.py over models that differ in their seed.

python tools/average_corruptions.py seed0.json seed1.json seed2.json
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from cmpose_mm.ablation import check_section, replace_section
from cmpose_mm.robustness import RobustnessError, Run, format_seeds, read_results


def same_counts(files: list[Path], results: list[dict]) -> dict[str, int]:
    """What was scored on clean videos, the same in all results.

    Raises:
        RobustnessError: if a result does not say it, or another than the first.
    """
    found = [result['runs'].get(Run().name, {}).get('counts') for result in results]
    for file, counts in zip(files, found):
        if not counts or counts != found[0]:
            raise RobustnessError(
                f'{file}: found {counts} scored on clean videos, expected '
                f'{found[0] or "their counts"}'
            )
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('results', nargs='+', type=Path, help='JSON files, one for each seed')
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write into the section "posetrack_c" of FILE')  # fmt: skip
    args = parser.parse_args()
    try:
        check_section(args.docs, 'posetrack_c')
        results = [read_results(file) for file in args.results]
        table = format_seeds(results)
        counts = same_counts(args.results, results)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    scored = ', '.join(f'{number} {name}' for name, number in counts.items())
    foot = f'Scored: {scored}; {len(results)} seeds.'
    print(f'{table}\n\n{foot}')
    if args.docs is not None:
        command = shlex.join(['python', *sys.argv])
        try:
            replace_section(args.docs, 'posetrack_c', f'    {command}\n\n{table}\n\n{foot}')
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
