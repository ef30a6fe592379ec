# `make demo` and `make test` need nothing but Linux, make and Python 3.11-3.13.
# Another torch build: make demo PIP_ARGS="--index-url URL" or PIP_ARGS="--find-links DIR".

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest

.PHONY: help demo up test test-browser check format bench torture screenshots docs clean

help: ## show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.installed ## fine-tune the starter model and compare it with its base
	$(BIN)/tunebus demo

up: $(VENV)/.installed ## serve the studio; Ctrl-C stops it
	$(BIN)/tunebus up

test: $(VENV)/.developer ## the tests, without a browser and the long forms
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not browser and not torture and not benchmark"

test-browser: $(VENV)/.developer ## the pages in a real Chromium
	$(PYTEST) -m browser

torture: $(VENV)/.developer ## the long forms: kills, outages, gigabytes
	$(PYTEST) -m torture --timeout 3600 -s

check: $(VENV)/.developer ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.developer ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.developer ## measure against the baselines, side by side
	$(BIN)/python -m tests.benchmarks

screenshots: $(VENV)/.developer ## pictures of every page into docs/screenshots
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.screenshots

docs: $(VENV)/.developer ## regenerate the bus reference
	$(BIN)/python -m tunebus.contracts.asyncapi > docs/asyncapi.yaml

clean: ## remove what was built
	rm -rf $(VENV) .types build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Tunebus needs Python 3.11-3.13; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(PIP) install --quiet --progress-bar on -c constraints.txt $(PIP_ARGS) -e '.[all]'
	@touch $@

# mypy does not follow an editable install of mapped folders: it reads them through these links.
$(VENV)/.developer: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt $(PIP_ARGS) -e '.[all,dev]'
	@mkdir -p .types/tunebus
	@for root in contracts projections services ui; do ln -sfn ../../$$root .types/tunebus/$$root; done
	@touch $@
