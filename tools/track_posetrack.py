"""Adds track ids to the persons in PoseTrack predictions; the same as `cmpose track`."""

import sys

from cmpose_cli import run_command

if __name__ == '__main__':
    sys.exit(run_command('track', prog='python tools/track_posetrack.py'))
