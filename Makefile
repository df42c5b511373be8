# One command for each thing: `make` alone lists them. Everything is installed into .venv and built into _build.
# Targets and recipes use paths relative to this folder only, so the clone's own path may hold spaces.

ifeq ($(wildcard pyproject.toml),)
$(error run make in the clone's own folder, or as make -C FOLDER)
endif

PYTHON ?= python3
PY := .venv/bin/python
STAMP := .venv/.installed
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
PYTEST := $(PY) -m pytest -n $(JOBS)
# the exact versions; empty (make CONSTRAINTS= test) for the newest that pyproject.toml allows
CONSTRAINTS ?= constraints.txt
MEASURED := _build/measured
BROWSER_TESTS := tests/test_site.py tests/test_explorer.py tests/test_ledger_page.py tests/test_pdf.py

# one thread a process: parallel kernels and test workers would fight for the cores
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export VECLIB_MAXIMUM_THREADS := 1
export NUMEXPR_NUM_THREADS := 1
# only .venv speaks: no user site, no user's Jupyter kernels
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book site pdf test measure links colab lab execute benchmark clean install

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv and fill it, once
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jepabook needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=--constraint %) --editable '.[symbolic,vision,book,test]'
	@touch $@

book: $(STAMP) ## run every notebook in a fresh kernel and build the site from the results
	@$(PY) -m tools.book book --jobs $(JOBS)

site: $(STAMP) ## build the site from the outputs that are committed, without running anything
	@$(PY) -m tools.book site

pdf: $(STAMP) ## print the site as one book with page numbers, _build/jepabook.pdf
	@$(PY) -m tools.pdf

test: $(STAMP) ## lint, unit tests, notebooks against their outputs, strict site, browser tests
	$(PY) -m ruff check .
	@rm -f $(MEASURED)/test-*.xml
	$(PYTEST) --dist loadscope --junitxml $(MEASURED)/test-package.xml tests $(BROWSER_TESTS:%=--ignore %)
	IPYTHONDIR='$(CURDIR)/_build/ipython' $(PYTEST) --dist loadscope -p tools.kernel_memory --nbval --nbval-current-env --junitxml $(MEASURED)/test-notebooks.xml notebooks
	@$(PY) -m tools.book site
	$(PYTEST) --junitxml $(MEASURED)/test-site.xml $(BROWSER_TESTS)

measure: book test ## for authors: record what `make book` and `make test` take, for the status page
	@$(PY) -m tools.speed
	@$(PY) -m tools.status
	@$(PY) -m tools.book site

links: site ## ask every link that leaves the book (needs the network)
	@$(PY) -m tools.weblinks

colab: $(STAMP) ## copy the notebooks for Colab, each with a cell that fetches and installs the book
	@$(PY) -m tools.colab

lab: $(STAMP) ## open the notebooks in JupyterLab
	$(PY) -m jupyterlab --notebook-dir notebooks

execute: $(STAMP) ## for authors: run notebooks in place (all of them, or NB=notebooks/02-*.ipynb)
	@$(PY) -m tools.notebooks --jobs $(JOBS) $(NB)
	@$(PY) -m tools.landing_figure

benchmark: $(STAMP) ## time the package's hot paths
	$(PY) -m pytest benchmarks

clean: ## remove what was built; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .benchmarks .hypothesis
