"""Name of an earlier version."""

_base_ = ['./schedules/adamw_20e.py']
