# Everything runs inside .venv, which the first target that needs it creates. `make` alone lists the targets.

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
# More words for pytest, for example: make test ARGS="-k simulator -x"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-input $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
# An install is repeated only when what it depends on changes.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALL_INPUTS := pyproject.toml setup.py $(CONSTRAINTS)

# Tests find the data sets that lie beside a checkout, unless the caller named a folder.
NEUROSIM_DATA ?= $(realpath ../shared/data)
# A process per core, each with one thread: two that both use all cores would only hinder each other.
PYTEST = OMP_NUM_THREADS=1 $(if $(NEUROSIM_DATA),NEUROSIM_DATA="$(NEUROSIM_DATA)") $(BIN)/python -m pytest -n auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@echo "neurosim: simulate circuits of neural populations that learn by plug-in plasticity rules"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Options: PYTHON=python3.12 (makes .venv), CONSTRAINTS= (no pinned torch), ARGS=\"-k name\" (for pytest)"

.PHONY: demo
demo: $(INSTALLED) ## install neurosim, train a small circuit, print its result and draw a picture
	$(BIN)/neurosim train --overwrite

.PHONY: gallery
gallery: $(INSTALLED) ## draw the pictures of docs/gallery.md from files under results/
	$(BIN)/python docs/make_gallery.py

.PHONY: install
install: $(INSTALLED) ## install neurosim into .venv, editable

.PHONY: test
test: lint ## install with test tools, lint, then run the tests
	$(PYTEST) -m "not slow" $(ARGS)

.PHONY: test-slow
test-slow: $(INSTALLED_DEV) ## run the tests that take minutes
	$(PYTEST) -m slow $(ARGS)

.PHONY: lint
lint: $(INSTALLED_DEV) ## check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tests/check_types.py

.PHONY: format
format: $(INSTALLED_DEV) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## remove caches and build products; .venv and runs stay
	rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) -e .
	touch $@

# What the demo needs is part of this install, so both stamps are set.
$(INSTALLED_DEV): $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[dev]'
	touch $(INSTALLED) $@
