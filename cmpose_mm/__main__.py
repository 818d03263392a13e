"""Runs a script after ``import cmpose_mm``: ``python -m cmpose_mm SCRIPT [ARGUMENT ...]``.

For scripts that import MMPose before anything else, as most of MMPose's own tools and demos do: in
an environment without mmcv's operators, MMDetection or xtcocotools they would end there, see
`cmpose_mm.placeholders`.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        found = f'there is no file {sys.argv[1]}' if sys.argv[1:] else 'no script was given'
        raise SystemExit(f'{found}; expected: python -m cmpose_mm SCRIPT [ARGUMENT ...]')
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)  # as Python does for a script
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
