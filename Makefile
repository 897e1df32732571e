# The workshop's verbs. Needs Python >= 3.10, pip and make; everything else is installed into .venv.
#   make quickstart   see it work: train, register, deploy, query (about a minute)
#   make test         set up and run the whole test suite        ARGS='-k name' narrows it
#   make check        format, lint, types, floors, sizes, docs: under 30 s
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv does not know pip's configuration (mirrors, folders of wheels); this tells it.
AS_PIP := $(BIN)/python tools/as_pip.py
ARGS ?=
# LANES='-n 2' shares the tests out between two processes; tests/conftest.py says how.
LANES ?=
CODE := src tests tools examples bench

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup quickstart serve check fix test test-all bench bench-cold bench-scale bench-gateway docs clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Headgate needs Python 3.10 or newer: make PYTHON=python3.11")'
	@# Debian without python3-venv has no ensurepip; its pip can fill an empty environment all the same.
	$(PYTHON) -m venv $(VENV) || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet uv

$(VENV)/.development: pyproject.toml | $(BIN)/uv
	$(AS_PIP) $(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]'
	@touch $@ $(VENV)/.usage

$(VENV)/.usage: pyproject.toml | $(BIN)/uv
	$(AS_PIP) $(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[mlflow,warehouse]'
	@touch $@

setup: $(VENV)/.development

quickstart: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/python examples/quickstart.py

serve: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/headgate serve $(ARGS)

check: setup
	$(BIN)/ruff format --check --quiet $(CODE)
	$(BIN)/ruff check --quiet $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py
	$(BIN)/python -m tools.generate_docs --check

fix: setup
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

test: setup
	$(AS_PIP) $(BIN)/python -m pytest $(LANES) $(ARGS)

# As in CI: what is absent (PostgreSQL, …) fails instead of being skipped.
test-all: setup
	HEADGATE_CI=1 $(AS_PIP) $(BIN)/python -m pytest $(LANES) $(ARGS)

# Against the peers, each in an environment of its own below ~/.cache/headgate-bench; needs wrk. docs/performance.md
bench: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/python -m bench.compare $(ARGS)
	@$(AS_PIP) $(BIN)/python -m bench.large

# Requests to sleeping endpoints, and from create to READY; three minutes.
bench-cold: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/python -m bench.cold $(ARGS)

# Memory of 40 endpoints that are awake, and what 1,000 that sleep cost.
bench-scale: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/python -m bench.scale $(ARGS)

# Gateways to language models; needs wrk and nginx, node for Portkey. ARGS='--soak 30': memory under half an hour of mixed load.
bench-gateway: $(VENV)/.usage
	@$(AS_PIP) $(BIN)/python -m bench.language.compare $(ARGS)

docs: setup
	$(BIN)/python -m tools.generate_docs

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
