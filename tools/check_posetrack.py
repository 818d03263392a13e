"""Tells whether training can start from a PoseTrack folder; the same as `cmpose check`."""

import sys

from cmpose_cli import run_command

if __name__ == '__main__':
    sys.exit(run_command('check', prog='python tools/check_posetrack.py'))
