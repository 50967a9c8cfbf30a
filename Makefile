# The index of commands. `make` lists them.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export PYTHONDONTWRITEBYTECODE := 1
# Tests at a time: they mostly wait, and a PostgreSQL has 100 connections for all of them.
WORKERS ?= 4
# What the image has beside the base install: add one here, then `make lock`.
IMAGE_EXTRAS := postgres archive cache traces

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.venv/.base: requirements/base.txt requirements/build.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements/build.txt
	$(PIP) install --require-hashes -r requirements/base.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.dev: .venv/.base requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

install: .venv/.base ## Install the bot into .venv (the command is .venv/bin/dragoman)

# The tests start hundreds of processes, and each would compile our source again: nothing else writes bytecode here.
develop: .venv/.dev ## Install the tools of development and the tests' libraries too
	@$(BIN)/python -m compileall -q src

run: install ## Start the bot with its embedded default
	@exec $(BIN)/dragoman run $(ARGS)

test: develop ## Run the tests (make test ARGS="-k slack")
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

check: develop ## Lint, types, layers, docs and changelog
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check

format: develop ## Format the code and write the generated reference
	$(BIN)/ruff format .
	$(BIN)/python docs/generate.py

budget: ## Measure the install's size, the first page's time and the idle memory against the budgets
	$(PYTHON) benchmarks/budget.py

build/bench/.ready: requirements/bench.txt
	$(PYTHON) -m venv build/bench/venv
	build/bench/venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/bench.txt
	@touch $@

bench: install build/bench/.ready ## Measure beside a naive handler and slack-bolt (make bench ARGS="profile")
	$(BIN)/python -m benchmarks.compare $(ARGS)

bench-quick: install build/bench/.ready ## The same in under two minutes; fails when a ratio is twice worse than recorded
	$(BIN)/python -m benchmarks.compare quick

faults: develop ## Hurt the service in some thirty ways and judge what came of it (make faults ARGS="--only partition")
	$(BIN)/python -m tests.faults $(ARGS)

faults-all: develop ## All faults, the long ones too, by FAULT_ROUNDS random schedules each (hours)
	$(BIN)/python -m tests.faults --long --times $${FAULT_ROUNDS:-3} $(ARGS)

rehearsal: develop ## Let a load go up and down, and scale real replicas behind haproxy by Kubernetes' formula (four minutes)
	$(BIN)/python -m tests.rehearsal $(ARGS)

upgrade-test: develop ## Upgrade and go back under traffic: from the release before, and to the next
	$(BIN)/python -m tests.upgrade

lock: develop ## Lock the dependencies again, with hashes
	$(BIN)/uv pip compile pyproject.toml -c requirements/limits.in --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/base.txt
	$(BIN)/uv pip compile requirements/build.in --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/build.txt
	$(BIN)/uv pip compile pyproject.toml --group test --group check -c requirements/base.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml $(IMAGE_EXTRAS:%=--extra %) -c requirements/dev.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/image.txt
	$(BIN)/uv pip compile requirements/image-build.in -c requirements/dev.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/image-build.txt
	$(BIN)/uv pip compile requirements/image-test.in --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/image-test.txt

	$(BIN)/uv pip compile requirements/bench.in -c requirements/base.txt --universal --python-version 3.11 --generate-hashes --no-header -q -o requirements/bench.txt

wheel: develop ## Build the wheel into dist/
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .

wheel-test: wheel ## Install the wheel alone into a fresh environment and hold a conversation with it
	rm -rf build/wheel && $(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/base.txt
	build/wheel/bin/python -m pip --disable-pip-version-check --quiet install --no-deps dist/dragoman-*.whl
	cd build && echo help | wheel/bin/dragoman chat --data wheel/data | grep -q "write to me"
	cd build && wheel/bin/dragoman trace e1 --data wheel/data | grep -q "d1 sent"

manifests: develop ## Render the Helm chart into build/manifests, for Kustomize (make manifests ARGS="--values my.yaml")
	$(BIN)/python deploy/manifests.py $(ARGS)

cluster-test: develop ## Install the chart into the cluster that KUBECONFIG names, and remove it (make cluster-test ARGS="--image REPOSITORY:TAG")
	$(BIN)/python -m deploy.cluster $(ARGS)

image: ## Build the container image with docker, podman or buildah (make image ARGS="--no-cache")
	$(PYTHON) deploy/image.py $(ARGS)

image-test: develop ## Build the image and hold a conversation with it, locked in and limited (needs podman; 2 minutes)
	$(BIN)/python -m tests.image container

secrets: ## Make the secrets that deploy/compose.yaml reads, once
	$(PYTHON) deploy/make_secrets.py

build/compose: requirements/image-test.txt
	$(PYTHON) -m venv build/compose
	build/compose/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/image-test.txt
	@touch $@

compose-test: develop build/compose ## Start deploy/compose.yaml with podman-compose, talk to it and kill parts of it
	$(BIN)/python -m tests.image compose

changelog: develop ## Show what the fragments will say in the next release
	$(BIN)/towncrier build --draft --version next

.PHONY: $(shell sed -n "s/^\([a-z-]*\):.*\#\#.*/\1/p" $(MAKEFILE_LIST))

.DEFAULT_GOAL := help
