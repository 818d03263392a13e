"""Writes a trained model as a file that runs without MMPose; the same as `cmpose export`."""

import sys

from cmpose_cli import run_command

if __name__ == '__main__':
    sys.exit(run_command('export', prog='python tools/export_onnx.py'))
