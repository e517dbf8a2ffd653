# What people and CI type. `make demo` and `make test` are all that a fresh clone needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
RAY := $(VENV)/installed-ray
PYTEST := $(BIN)/python -m pytest
# The fast tests' models are so small that threads would only wait for one another: a process a core instead.
FAST := OMP_NUM_THREADS=1 $(PYTEST) -m "not slow" -n auto --maxprocesses 8 --dist loadfile

.PHONY: help install demo test test-slow test-gpu check bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(STAMP)  ## Tunesmith and what its tests need, into .venv

# Made anew when pyproject.toml changed; an interrupted installation leaves no stamp and goes on at the next call.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tunesmith needs Python 3.11 or newer: make install PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); PyTorch is the largest part and takes a while."
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@

demo: install  ## the whole road on the bundled example, ending in a dossier
	$(BIN)/tunesmith demo demo

test: install  ## the fast tests
	$(FAST) tests

# Ray is for the slow tests alone: the fast ones need a fresh clone to be quick.
$(RAY): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev,ray]'
	@touch $@

test-slow: install $(RAY)  ## the tests that need the real model, a browser or minutes, one at a time
	$(PYTEST) tests -m slow --timeout 1800

test-gpu: install  ## the tests of models and tuning on this machine's GPU
	TUNESMITH_TEST_GPU=1 OMP_NUM_THREADS=1 $(PYTEST) tests/models tests/tuning -n 8 --dist loadfile

check: install  ## format, lint, types, and the tests of the house and the docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(FAST) tests/house

bench: install  ## measure speed and memory; docs/benchmarks.md tells the results
	$(BIN)/python -m benchmarks

clean:  ## remove what the targets above made, but no workspace
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
