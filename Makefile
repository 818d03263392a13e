# `make help` lists the targets. Each does its own set-up: a virtual environment in .venv, made once.

PYTHON ?= $(shell command -v python3 || echo python3.11)
VENV := .venv
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-classic lint format clean

help:  ## list the targets
	@echo "make TARGET [ARGS='...' for the command behind it]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv as requirements.txt says, if it is not there (first time: compiles mmcv, minutes)
	@$(PYTHON) scripts/setup_env.py $(VENV)

demo: setup  ## see CM-Pose work: render videos, train, test, table and picture (10 minutes on 2 cores)
	@$(VENV)/bin/python tools/demo.py $(ARGS)

test: setup  ## run the tests; CMPOSE_TEST_DATA=FOLDER adds those on real PoseTrack frames
	@$(VENV)/bin/python -m pytest $(ARGS)

test-classic:  ## the same tests on classic OpenMMLab: Python 3.10, torch 2.1, mmcv 2.1 (in .venv-classic)
	@$(PYTHON) scripts/setup_env.py .venv-classic --python 3.10
	@.venv-classic/bin/python -m pytest $(ARGS)

lint: setup  ## check style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: setup  ## format the code and sort its imports
	@$(VENV)/bin/ruff check --select I --fix .
	@$(VENV)/bin/ruff format .

clean:  ## remove the virtual environments (the cache with the compiled wheels stays)
	rm -rf .venv .venv-classic
