"""Scores PoseTrack predictions; the same as `cmpose eval`."""

import sys

from cmpose_cli import run_command

if __name__ == '__main__':
    sys.exit(run_command('eval', prog='python tools/eval_posetrack.py'))
