# Targets a person uses; `make` alone lists them.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Packages of the checkout that are linted and formatted.
SOURCES := operator lab tests bench manifests/samples
# make test PYTEST="-x -k index" narrows a run.
PYTEST ?=
LAB ?= default

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lab-test postgres-test node node-test lint fix crds lab lab-down controlplane bench bench-clusters bench-failovers bench-advice bench-chaos requirements clean

# Lab tests wait for real processes with wide bounds; what a busy machine still makes fail must hold when it runs alone.
again = { printf '\n--- once more and alone: what failed\n'; $(BIN)/pytest -q --last-failed --last-failed-no-failures none $(1); }

# A step of a longer run: its name before, its time after.
define step
@printf '\n==> %s\n' "$(1)"; began=$$SECONDS; $(2) && printf '    %s: %d s\n' "$(1)" $$((SECONDS - began))
endef

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## make .venv with the penstock command and all that the lab and the tests need

$(VENV)/.ready: requirements/dev.txt requirements/postgres.txt requirements/setup.sh requirements/postgres.sh pyproject.toml
	@requirements/setup.sh
	@touch $@

controlplane: setup ## build the lab's control plane from its Go modules, once (about 5 minutes on 2 cores)
	@$(BIN)/python -m penstock_lab.build

demo: setup ## the whole story on a lab of its own (as root on a real kubelet), narrated and checked; nothing is left running
	@$(BIN)/python -m penstock_lab.demo

lab: setup ## bring a lab up to play with, the operator in it (LAB=name for another one)
	@$(BIN)/penstock lab up --name $(LAB)
	@printf '\nThen, for example:\n\n'
	@printf '  %-62s   %s\n' \
	  'penstock plan -f manifests/samples/orders.yaml' 'what would be done, without doing it' \
	  'penstock plan -f manifests/samples/ledger.yaml' 'the same of an Aurora cluster' \
	  'kubectl describe ddb orders' 'conditions, plan and Events of one table' \
	  'kubectl apply -f manifests/samples/bad/three-mistakes.yaml' 'three mistakes, three sentences' \
	  'kubectl annotate ddb orders penstock.dev/mode=Plan' 'from now on only plans, until the annotation goes' \
	  'penstock lab fault throttle --rate 0.3 --for 60' 'a third of the AWS calls are refused for a minute' \
	  'penstock lab aws dynamodb list-tables' 'what AWS has' \
	  'penstock lab calls' 'what AWS was asked for'

node: setup ## the same with pods as containers of the Dockerfile's image on a real kubelet; needs root (LAB=name for another one)
	@$(BIN)/penstock lab up --kubelet --name $(LAB)

lab-down: setup ## take that lab down; nothing is left running
	@$(BIN)/penstock lab down --name $(LAB)

test: setup ## everything that must hold: lint, unit tests, lab tests, tests of its databases, tests on a real kubelet
	@began=$$SECONDS; \
	$(MAKE) --no-print-directory lint unit lab-test postgres-test node-test && printf '\n==> all of it holds: %d s\n' $$((SECONDS - began))

lint: setup ## ruff, formatting, mypy --strict, import contracts, freshness of generated files
	$(call step,ruff check,$(BIN)/ruff check $(SOURCES))
	$(call step,ruff format --check,$(BIN)/ruff format --check $(SOURCES))
	$(call step,mypy --strict,$(BIN)/mypy)
	$(call step,import contracts,$(BIN)/lint-imports)
	$(call step,generated files are fresh,$(BIN)/python -m penstock.api.crd --check)

unit: setup ## tests that need no lab
	$(call step,unit tests,$(BIN)/pytest -q tests --ignore=tests/lab --ignore=tests/lab_postgres --ignore=tests/node $(PYTEST))

lab-test: controlplane ## tests against a real API server and the lab's AWS endpoint, in two labs side by side
	$(call step,lab tests,$(BIN)/python tests/halves.py $(PYTEST))

postgres-test: controlplane ## tests of the PostgreSQL behind the lab's RDS: failovers, backups, faults
	$(call step,tests of the lab's PostgreSQL,$(BIN)/pytest -q --durations=10 tests/lab_postgres $(PYTEST) || $(call again,tests/lab_postgres))

node-test: controlplane ## tests of the image and the chart on a real kubelet; where that cannot be had they are skipped, and say why
	$(call step,tests on a real kubelet,$(BIN)/pytest -q --durations=10 tests/node $(PYTEST) || $(call again,tests/node))

fix: setup ## let ruff mend and format what it can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

crds: setup ## write crds/, the chart's copies and docs/reference from the models
	@$(BIN)/python -m penstock.api.crd --write

bench: controlplane ## measure convergence: 1, 100 and 1,000 tables against a plain script
	@$(BIN)/python bench/converge.py

bench-clusters: controlplane ## the same of Aurora clusters, and what they cost the account at rest (about 25 minutes)
	@$(BIN)/python bench/clusters.py

bench-failovers: controlplane ## measure failovers: commits lost, outages, what the object tells, connections (about 10 minutes)
	@$(BIN)/python bench/failovers.py --operator --out bench/results/failovers.json

bench-advice: setup ## hold the advisor against trying everything, 10,000 clusters and 10,000 tables (about 5 minutes)
	@$(BIN)/python bench/advice.py

bench-chaos: controlplane ## an hour of edits, drift, faults, kills and outages on 200 objects; then everything must be as declared
	@$(BIN)/python bench/chaos.py

requirements: setup ## compile requirements/*.txt from pyproject.toml and requirements/*.in, with hashes and no index addresses
	$(UV) pip compile --python-version 3.11 --no-emit-index-url --generate-hashes -q pyproject.toml -o requirements/operator.txt
	$(UV) pip compile --python-version 3.11 --no-emit-index-url --generate-hashes -q pyproject.toml requirements/dev.in -c requirements/operator.txt -o requirements/dev.txt
	$(UV) pip compile --python-version 3.11 --no-emit-index-url --generate-hashes --no-deps -q requirements/postgres.in -o requirements/postgres.txt

clean: ## delete .venv and the caches of the checkout (not the control plane in the user's cache folder)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
