# Needs Python and make only. `make demo` draws a portrait; `make test` runs the tests.
#
# Variables:
#   PYTHON       interpreter that creates the environment (python3)
#   VENV         where it is created (.venv)
#   CONSTRAINTS  how versions are pinned (-c constraints.txt); empty lets pip choose
#   PIP_ARGS     more arguments for pip. On Linux plain pip brings the CUDA build of torch, 2 GB
#                and more; for the small CPU build:
#                make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   PYTEST_ARGS  more arguments for pytest, e.g. "-k tps -x"

PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= -c constraints.txt
PIP_ARGS    ?=
PYTEST_ARGS ?=

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types docs clean

help: ## Say what the targets do
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

demo: $(VENV)/.installed ## Draw the bundled photograph: out/demo.png, photo and portrait side by side
	$(BIN)/tps-portrait stylize src/tps_portrait/assets/astronaut.jpg --style animation \
	  --side-by-side --overwrite -o out/demo.png

test: $(VENV)/.installed-dev ## Run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.installed-dev ## Fix style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.installed-dev ## Check types, strictly
	$(BIN)/mypy

docs: $(VENV)/.installed-dev ## Build the site into docs/_build/html, run its code, check the docstrings
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python -m pytest tests/test_docs.py tests/test_public_api.py tests/test_defaults.py $(PYTEST_ARGS)

clean: ## Remove the environment and what the targets wrote
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The stamps are older than what they were made from whenever a dependency changes.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) $(CONSTRAINTS) $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) $(CONSTRAINTS) $(PIP_ARGS) -e ".[dev]"
	@touch $(VENV)/.installed $@
