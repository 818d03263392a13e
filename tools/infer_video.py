"""Poses of all persons in a video; the same as `cmpose infer`."""

import sys

from cmpose_cli import run_command

if __name__ == '__main__':
    sys.exit(run_command('infer', prog='python tools/infer_video.py'))
