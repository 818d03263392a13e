# `make help` lists the targets. Each makes the virtual environment that it runs in, once; docs/install.md
# compares the three.

PYTHON ?= $(shell command -v python3 || echo python3.11)
VENV := .venv
ARGS ?=
# A worker on each core with one thread; the tests of a file share what they build, and stay together.
PYTEST := -m pytest -n logical --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo model test test-full test-classic lint format clean

help:  ## list the targets
	@echo "make TARGET [ARGS='...' for the command behind it]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv, the light stack, as requirements.txt says, if it is not there
	@$(PYTHON) scripts/setup_env.py light

demo: setup  ## see CM-Pose work: render videos, train, test, table and picture (9 to 31 minutes on 2 cores)
	@$(VENV)/bin/python tools/demo.py $(ARGS)

model: setup  ## train the models that ship, on rendered videos and data/jhmdb (10 hours on 2 cores; resumes)
	@$(VENV)/bin/python tools/train_model.py $(ARGS)

test: setup  ## run the tests; CMPOSE_TEST_DATA=FOLDER adds those on real PoseTrack frames
	@CMPOSE_TEST_STACK=light OMP_NUM_THREADS=1 $(VENV)/bin/python $(PYTEST) $(ARGS)

test-full:  ## the same tests and those that need MMDetection, on OneDL's stack (.venv-full; compiles mmcv)
	@$(PYTHON) scripts/setup_env.py full
	@CMPOSE_TEST_STACK=full OMP_NUM_THREADS=1 .venv-full/bin/python $(PYTEST) $(ARGS)

test-classic:  ## the same as test-full on classic OpenMMLab: Python 3.10, torch 2.1 (.venv-classic; compiles)
	@$(PYTHON) scripts/setup_env.py classic
	@CMPOSE_TEST_STACK=full OMP_NUM_THREADS=1 .venv-classic/bin/python $(PYTEST) $(ARGS)

lint: setup  ## check style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: setup  ## format the code and sort its imports
	@$(VENV)/bin/ruff check --select I --fix .
	@$(VENV)/bin/ruff format .

clean:  ## remove the virtual environments (the cache with downloads and compiled wheels stays)
	rm -rf .venv .venv-full .venv-classic
