# Targets a person uses: setup, demo, test, lab, lint, crds, bench. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/bin/uv

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lint fix crds lab lab-down bench requirements clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## make .venv with the penstock command and everything the lab and the tests need

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/pip install -q uv==0.13.9
	@$(UV) pip sync -q --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@test -x $(UV) || $(BIN)/python -m ensurepip -q 2>/dev/null; test -x $(UV) || $(BIN)/python -m pip install -q uv==0.13.9
	@touch $@

requirements: ## compile the pinned requirements from requirements/*.in
	uv pip compile --python-version 3.11 --no-emit-index-url --generate-hashes -q requirements/operator.in -o requirements/operator.txt
	uv pip compile --python-version 3.11 --no-emit-index-url --generate-hashes -q requirements/dev.in -c requirements/operator.txt -o requirements/dev.txt
