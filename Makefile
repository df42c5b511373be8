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
# the build of PyTorch: cpu or cuda; empty: cuda where there is a GPU, else cpu (on a Mac there is one build)
TORCH :=
ifneq ($(filter-out cpu cuda,$(TORCH))$(word 2,$(TORCH)),)
$(error TORCH must be cpu or cuda, got '$(TORCH)')
endif
# the exact versions and hashes; empty (make CONSTRAINTS= test) for the newest that pyproject.toml allows
CONSTRAINTS := lock/all.txt

PY := $(VENV)/bin/python
# one more for a build that was asked for, so that asking for another one installs it
STAMP := $(VENV)/.installed$(TORCH:%=-%)
THEORY := .venv-theory
UV := _build/uv/bin/uv
PIP := -I -m pip install --quiet --disable-pip-version-check
PIP_INSTALL := $(PY) $(PIP)
# where PyTorch's CPU builds for Linux are; pip is not to knock there for minutes where it gets no answer
CPU_BUILDS := --extra-index-url https://download.pytorch.org/whl/cpu --retries 1 --timeout 20
# asked for when something is installed only
GPU = nvidia-smi --list-gpus 2>/dev/null | grep -q '^GPU'
BUILD = $(or $(TORCH),$(shell if [ "$$(uname -s)" = Linux ] && ! { $(GPU); }; then echo cpu; else echo cuda; fi))
NO_CPU_BUILD := echo 'the CPU build of PyTorch is not to be had here: taking that of PyPI, on Linux with CUDA' >&2
INSTALL_cuda := $(PIP_INSTALL) --no-deps --requirement lock/torch.txt
INSTALL_cpu := $(PIP_INSTALL) --no-deps $(CPU_BUILDS) --requirement lock/torch-cpu.txt 2>/dev/null || { $(NO_CPU_BUILD); $(INSTALL_cuda); }
# to pip a CPU build is the version that lock/torch.txt asks for
CLEAR_cuda := if $(PY) -I -m pip show torch 2>/dev/null | grep -q '^Version:.*+cpu$$'; then $(PY) -I -m pip uninstall --quiet --yes torch; fi
CLEAR_cpu := :
# Python in the book's own environment variables, whatever is in those outside
RUN := $(PY) -I tools/surroundings.py
OLD_PYTHON := 'import sys; sys.exit(sys.version_info < (3, 11) and "jepabook needs Python 3.11 or newer: make PYTHON=python3.11")'
JOBS ?= $(shell $(PYTHON) -I -c 'import os; print(os.cpu_count() or 1)')

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help theory book site pdf report test check mutants portable pythons measure links photographs colab lab execute benchmark gpu clean install lock metadata aarch64

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv and fill it, once
$(STAMP): pyproject.toml $(wildcard lock/*.txt)
	@$(PYTHON) -I -c $(OLD_PYTHON)
	test -x $(PY) || $(PYTHON) -I -m venv $(VENV)
ifneq ($(CONSTRAINTS),)
	$(PIP_INSTALL) --no-deps --requirement $(CONSTRAINTS)
	@$(CLEAR_$(BUILD))
	$(INSTALL_$(BUILD))
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	$(PY) -I -m pip check
else
	@$(CLEAR_$(BUILD))
	$(PIP_INSTALL) $(if $(filter cpu,$(BUILD)),$(CPU_BUILDS)) --editable '.[symbolic,vision,book,test]'
endif
	@rm -f $(VENV)/.installed-*
	@touch $(VENV)/.installed $@

theory: $(THEORY)/.installed ## the theory alone, without PyTorch, in .venv-theory, and a first result: half a minute
	@$(THEORY)/bin/python -I tools/surroundings.py -m tools.theory
$(THEORY)/.installed: pyproject.toml lock/theory.txt
	@$(PYTHON) -I -c $(OLD_PYTHON)
	test -x $(THEORY)/bin/python || $(PYTHON) -I -m venv $(THEORY)
	$(THEORY)/bin/python $(PIP) --no-deps --requirement lock/theory.txt
	$(THEORY)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

book: $(STAMP) ## run every notebook in a fresh kernel and build the site from the results
	@$(RUN) -m tools.book book --jobs $(JOBS)

site: $(STAMP) ## build the site from the outputs that are committed, without running anything
	@$(RUN) -m tools.book site

pdf: $(STAMP) ## print the site as one book with page numbers, _build/jepabook.pdf
	@$(RUN) -m tools.pdf

report: $(STAMP) ## print the report of the reproduction, _build/report.pdf
	@$(RUN) -m tools.report

test: $(STAMP) ## lint, unit tests, notebooks against their outputs, strict site, browser tests: all, then a table
	@$(RUN) -m tools.stages --jobs $(JOBS)

check: $(STAMP) ## the quick part: lint and the unit tests that make no environment and open no browser
	@$(RUN) -m tools.stages --jobs $(JOBS) --quick

mutants: $(STAMP) ## every wrong variant of one token of every claim against its check (an hour; ID="eq:46 thm:3.2" for some)
	@$(RUN) -m tools.mutants --jobs $(JOBS) $(ID)

portable: $(STAMP) ## for authors: notebooks and recorded beginnings under other arithmetic (other kernels, one and two threads)
	@$(RUN) -m tools.portable --jobs $(JOBS)

pythons: $(STAMP) ## for authors: make test, its outcome kept for the page (on another Python: PYTHON=python3.12 VENV=_build/python3.12)
	@$(RUN) -m tools.pythons --jobs $(JOBS)

measure: book test ## for authors: record what `make book` and `make test` take, for the status page
	@$(RUN) -m tools.speed
	@$(RUN) -m tools.status
	@$(RUN) -m tools.book site

links: site ## ask every link that leaves the book (needs the network)
	@$(RUN) -m tools.weblinks

photographs: $(STAMP) ## for authors: take the photographs of results/folds.py out of Debian's packages (DEBS=folder, where there is no apt)
	@$(RUN) -m tools.photographs $(if $(DEBS),--debs $(DEBS))

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

metadata: $(STAMP) ## for authors: write CITATION.cff, .zenodo.json and codemeta.json from their sources
	@$(RUN) -m tools.metadata

aarch64: $(STAMP) $(UV) ## for authors: run the theory on an emulated ARM processor (as root, on Debian)
	@$(RUN) -m tools.aarch64 --uv $(UV) --jobs $(JOBS)

clean: ## remove what was built; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .benchmarks .hypothesis
