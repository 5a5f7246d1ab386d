# `make` makes .venv and runs the default experiment (config.yaml), down to its report. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
# Many containers set it; importing torch and transformers then takes 12 s in place of 6, in every job.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: all test test-slow test-all lint format lock help
all: .venv/.installed  ## run the default experiment, down to its report
	$(BIN)/snakemake

# Workers share the cores, a test file each; what starts jobs that fill the cores runs alone.
test: .venv/.installed  ## run the tests: about 8 minutes on two cores
	$(BIN)/pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-slow: .venv/.installed  ## run what takes longer: dress rehearsal, Slurm, kills, disturbances and trainings
	$(BIN)/pytest -m "slow and not soak"

test-all: test test-slow  ## run both

lint: .venv/.installed  ## check style, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --configfile configs/mini-world.yaml

format: .venv/.installed  ## put code and rules into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# Pins stay where they still fit; `make lock LOCKFLAGS=--upgrade` moves them to the newest versions.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --no-header --universal --python-version 3.11
lock: .venv/.installed  ## make requirements.lock and envs/ear.yaml from pyproject.toml
	$(COMPILE) --group dev --generate-hashes --output-file requirements.lock $(LOCKFLAGS)
	sed -i '/^      - /d' envs/ear.yaml
	$(COMPILE) --no-annotate --constraints requirements.lock | sed 's/^/      - /' >> envs/ear.yaml

# uv comes from the lock too, by way of pip. Where uv reaches no package index (a mirror or a certificate that only
# pip knows of), pip installs the rest as well.
PIP = $(PYTHON) -m pip --python $(BIN)/python
.venv/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is Python %d.%d, \
	wanted 3.11 or newer, as in: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv --without-pip .venv
	sed -n '/^uv==/,/# via/p' requirements.lock > .venv/uv.lock
	$(PIP) install --quiet --require-hashes --requirement .venv/uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock \
		|| $(PIP) install --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	touch $@

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 10
