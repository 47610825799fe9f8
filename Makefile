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
HOST := examples/host/node_modules
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types site docs app test-app test-web clean

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

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

site: $(VENV)/.installed-dev ## Build the documentation into docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

docs: site ## ... and run the code of README and documentation, check the docstrings
	$(BIN)/python -m pytest tests/test_docs.py tests/test_public_api.py tests/test_defaults.py $(PYTEST_ARGS)

app: $(VENV)-app/.installed ## Serve the demo app on http://127.0.0.1:7860
	$(VENV)-app/bin/python examples/app/app.py

test-app: $(VENV)-app/.installed ## Test the app, over HTTP and in Chromium where there is one
	$(VENV)-app/bin/python -m pytest tests/test_app.py tests/test_app_files.py $(PYTEST_ARGS)

test-web: $(VENV)-app/.installed $(HOST)/.installed ## Test the page for browsers in Chromium
	@# 5: no test was collected, as what they need is missing; pytest has said what
	$(VENV)-app/bin/python -m pytest tests/test_web_browser.py $(PYTEST_ARGS) || test $$? -eq 5

clean: ## Remove the environment and what the targets wrote
	rm -rf $(VENV) $(VENV)-app $(HOST) out build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The stamps are older than what they were made from whenever a dependency changes.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) $(CONSTRAINTS) $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) $(CONSTRAINTS) $(PIP_ARGS) -e ".[dev]"
	@touch $(VENV)/.installed $@

# gradio wants an older Pillow than the rest is tested with: its environment lies over the other,
# whose torch it uses. So pip need not ask the index that the Space names, for every package.
$(VENV)-app/.installed: examples/app/requirements.txt $(VENV)/.installed-dev
	rm -rf $(VENV)-app
	$(PYTHON) -m venv $(VENV)-app
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
	  > "$$($(VENV)-app/bin/python -c 'import site; print(site.getsitepackages()[0])')/base.pth"
	grep -vi '^pillow==' constraints.txt > $(VENV)-app/constraints.txt
	grep -v '^--' examples/app/requirements.txt > $(VENV)-app/requirements.txt
	$(VENV)-app/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  -c $(VENV)-app/constraints.txt -r $(VENV)-app/requirements.txt "playwright>=1.55"
	@touch $@

# Without npm, or its registry, the tests that need these packages skip and say so.
$(HOST)/.installed: examples/host/package.json examples/host/package-lock.json
	@if cd examples/host && npm ci --ignore-scripts --no-audit --no-fund --loglevel error \
	  --fetch-retries 1 --fetch-retry-mintimeout 1000 --fetch-timeout 60000; \
	then touch node_modules/.installed; \
	else rm -rf node_modules; echo "npm cannot fetch the packages of examples/host" >&2; fi
