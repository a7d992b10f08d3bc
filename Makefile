# Every target sets itself up: the first one you run makes `.venv` and fills it, later ones start
# at once. Change `pyproject.toml` and the next target brings the environment up to date.

PYTHON ?= python3
WORKERS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip -qq --no-input --disable-pip-version-check
READY := $(VENV)/.ready

.PHONY: help explore test bench docs build sbom setup clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

explore: $(READY)  ## open the explorer on the embedded model
	$(PY) -m apps.cli explore

# One thread for each worker: workers that share cores lose time to each other's thread pools.
test: $(READY)  ## everything that CI runs: style, types, tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

bench: $(READY)  ## speed beside the peers, as one table
	$(PY) -m benchmarks.hooks

# A notebook is run, for minutes, only if its page is missing or older than it is.
NOTEBOOKS := $(patsubst notebooks/%.ipynb,build/notebooks/%.html,$(wildcard notebooks/*.ipynb))

build/notebooks/%.html: notebooks/%.ipynb | $(READY)
	$(PY) -m notebooks.pages $* --out build/notebooks

docs: $(READY) $(NOTEBOOKS)  ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet
	@echo 'open build/site/index.html, or with its search: $(PY) -m http.server -d build/site'

build: $(READY)  ## a wheel and a source archive, in dist
	$(PY) -m build --no-isolation

sbom: $(READY)  ## the bill of materials of .venv, in dist
	@mkdir -p dist
	$(PY) -m apps.sbom > dist/sbom.json

setup: $(READY)  ## make or update .venv and nothing else

clean:  ## remove caches and builds (delete .venv yourself to start over)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# torch goes in before everything else, because the default build for Linux brings gigabytes of
# CUDA libraries. Without an accelerator the release is named: a pip configuration that offers a
# CPU build of just this release (a folder of wheels, a mirror) then wins over a newer CUDA one.
# A torch that is already in the environment stays. All of pip's configuration is the user's own.
# The stamp comes last, so a step that fails is tried again by the next `make`.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'interp needs Python 3.11 or newer, and "$(PYTHON)" is not one.' \
	         'Name one: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@rm -f $@
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	    echo '[1/3] making $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@$(PY) -c 'import torch' >/dev/null 2>&1 || { \
	    if command -v nvidia-smi >/dev/null 2>&1; \
	    then echo '[2/3] installing torch'; $(PIP) install torch; \
	    else echo '[2/3] installing torch (no accelerator found)'; \
	         $(PIP) install torch==2.13.0; fi; }
	@echo '[3/3] installing interp and its tools (minutes the first time)'
	@$(PIP) install --editable '.[dev]'
	@touch $@
