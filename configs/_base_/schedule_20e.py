"""Old path of `schedules/adamw_20e.py`."""

_base_ = ['./schedules/adamw_20e.py']
