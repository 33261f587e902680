# Every target runs `make setup` first: it creates .venv in the checkout, and updates it when its inputs change.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.made
# The first of these that runs, is new enough and can create an environment; or make setup PYTHON=/path/to/python.
GOOD := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
  "$$p" -c '$(GOOD)' 2>/dev/null && { command -v "$$p"; break; }; done)
endif
ARGS ?=

SECONDS ?= 600
COUNT ?= 5
SEED ?= 0

.PHONY: setup demo test test-integration test-all lint format bench base docs fuzz drills clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@"$(PYTHON)" -c '$(GOOD)' 2>/dev/null || { echo "No Python 3.11 or newer with the venv module was found." \
	  "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@[ -x $(PY) ] || "$(PYTHON)" -m venv $(VENV)
	$(PY) -m pip install --quiet $$(grep -E '^torch==' constraints.txt)
	$(PY) -m pip install --quiet -c constraints.txt -e '.[all,dev,docs]'
	@touch $(STAMP)

demo: setup
	$(VENV)/bin/gesta demo $(ARGS)

# Two worker processes with one thread each use two cores better than one process with two threads.
test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal -m "not slow and not integration" $(ARGS)

test-integration: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal -m "integration and not slow" $(ARGS)

test-all: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 $(ARGS)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m tools.structure

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The speed of preprocessing, inference and training, with the model that comes with the package.
bench: setup
	$(VENV)/bin/gesta benchmark demo $(ARGS)

# The release: builds sdist and wheel in dist/, then tests the wheel without PyTorch in a fresh environment.
base: setup
	$(PY) tools/base_install.py

# Builds docs/ as a site in build/site, with references of the commands and the Python API. Fails on any warning.
docs: setup
	$(PY) -m tools.site

# Feeds damaged inputs to all readers (docs/robustness.md); inputs that fail are kept in runs/fuzz.
fuzz: setup
	OMP_NUM_THREADS=1 $(PY) -m tools.fuzz --seconds $(SECONDS) --seed $(SEED) --out runs/fuzz $(ARGS)

# Kills and disturbs commands at random moments, resumes them and compares the results; resumable itself.
drills: setup
	OMP_NUM_THREADS=1 $(PY) -m tools.drills --count $(COUNT) --seed $(SEED) --out runs/drills $(ARGS)

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
