"""Joints and joint angles over time, as figures and as numbers. Matplotlib draws the figures."""

from .joint_angles import JOINT_ANGLES, angles_of_joints, joint_angles, write_angles
from .trajectories import (
    Plotted,
    draw_person,
    need_matplotlib,
    plot_files,
    seconds_of_frames,
    write_plots,
)

__all__ = [
    'JOINT_ANGLES',
    'Plotted',
    'angles_of_joints',
    'draw_person',
    'joint_angles',
    'need_matplotlib',
    'plot_files',
    'seconds_of_frames',
    'write_angles',
    'write_plots',
]
