# One command for each thing: `make` alone lists them. Everything is installed into .venv and built into _build.
# Targets and recipes use paths relative to this folder only, so the clone's own path may hold spaces.

ifeq ($(wildcard pyproject.toml),)
$(error run make in the clone's own folder, or as make -C FOLDER)
endif

PYTHON ?= python3
# these are set on the command line alone: what the environment has of such names is meant for others
VENV := .venv
NB :=
IMAGES :=
ID :=
UPGRADE :=
# the exact versions and hashes; empty (make CONSTRAINTS= test) for the newest that pyproject.toml allows
CONSTRAINTS := lock/all.txt

PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
UV := _build/uv/bin/uv
PIP_INSTALL := $(PY) -I -m pip install --quiet --disable-pip-version-check
# Python in the book's own environment variables, whatever is in those outside
RUN := $(PY) -I tools/surroundings.py
JOBS ?= $(shell $(PYTHON) -I -c 'import os; print(os.cpu_count() or 1)')

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book site pdf test check mutants portable measure links colab lab execute benchmark gpu clean install lock aarch64

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv and fill it, once
$(STAMP): pyproject.toml $(wildcard lock/*.txt)
	@$(PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jepabook needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(PY) || $(PYTHON) -I -m venv $(VENV)
ifneq ($(CONSTRAINTS),)
	$(PIP_INSTALL) --no-deps --requirement $(CONSTRAINTS)
	@# the CPU build if it is there already or pip finds it
	$(PIP_INSTALL) --no-deps --requirement lock/torch-cpu.txt 2>/dev/null || $(PIP_INSTALL) --no-deps --requirement lock/torch.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	$(PY) -I -m pip check
else
	$(PIP_INSTALL) --editable '.[symbolic,vision,book,test]'
endif
	@touch $@

book: $(STAMP) ## run every notebook in a fresh kernel and build the site from the results
	@$(RUN) -m tools.book book --jobs $(JOBS)

site: $(STAMP) ## build the site from the outputs that are committed, without running anything
	@$(RUN) -m tools.book site

pdf: $(STAMP) ## print the site as one book with page numbers, _build/jepabook.pdf
	@$(RUN) -m tools.pdf

test: $(STAMP) ## lint, unit tests, notebooks against their outputs, strict site, browser tests: all, then a table
	@$(RUN) -m tools.stages --jobs $(JOBS)

check: $(STAMP) ## the quick part: lint and the unit tests that make no environment and open no browser
	@$(RUN) -m tools.stages --jobs $(JOBS) --quick

mutants: $(STAMP) ## every wrong variant of one token of every claim against its check (an hour; ID="eq:46 thm:3.2" for some)
	@$(RUN) -m tools.mutants --jobs $(JOBS) $(ID)

portable: $(STAMP) ## for authors: notebooks and recorded beginnings under other arithmetic (other kernels, one and two threads)
	@$(RUN) -m tools.portable --jobs $(JOBS)

measure: book test ## for authors: record what `make book` and `make test` take, for the status page
	@$(RUN) -m tools.speed
	@$(RUN) -m tools.status
	@$(RUN) -m tools.book site

links: site ## ask every link that leaves the book (needs the network)
	@$(RUN) -m tools.weblinks

colab: $(STAMP) ## copy the notebooks for Colab, each with a cell that fetches and installs the book
	@$(RUN) -m tools.colab

lab: $(STAMP) ## open the notebooks in JupyterLab
	$(RUN) --desk -m jupyterlab --notebook-dir notebooks

execute: $(STAMP) ## for authors: run notebooks in place (all of them, or NB=notebooks/02-*.ipynb)
	@$(RUN) -m tools.notebooks --jobs $(JOBS) $(NB)
	@$(RUN) -m tools.landing_figure

benchmark: $(STAMP) ## time the package's hot paths
	$(RUN) -m pytest benchmarks

gpu: $(STAMP) ## on a large GPU: all that needs one, in eight minutes; go on by the same command (IMAGES="photos")
	@$(RUN) -m tools.gpu $(IMAGES:%=--images %)

$(UV): lock/uv.txt
	@test -x _build/uv/bin/python || $(PYTHON) -I -m venv _build/uv
	@_build/uv/bin/python -I -m pip install --quiet --disable-pip-version-check --no-deps --requirement lock/uv.txt
	@touch $@

lock: $(STAMP) $(UV) ## for authors: write lock/ from pyproject.toml (UPGRADE=1: the newest versions)
	@$(RUN) -m tools.lock --uv $(UV) $(UPGRADE:%=--upgrade)

aarch64: $(STAMP) $(UV) ## for authors: run the theory on an emulated ARM processor (as root, on Debian)
	@$(RUN) -m tools.aarch64 --uv $(UV) --jobs $(JOBS)

clean: ## remove what was built; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .benchmarks .hypothesis
