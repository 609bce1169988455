# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` each work as the first command in a fresh clone: they make .venv and install into it.
# Another Python: make PYTHON=python3.13 demo
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-fast test-blender lint format types imports check repository eval-quick benchmark clean distclean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; exit; fi; done)
VENV := .venv
RUN := $(VENV)/bin/python
OUT ?= out/demo
PIP_OPTIONS := --quiet --disable-pip-version-check
# Tests run side by side, one thread each: a small tensor gains nothing from a second. One more than there are cores, since
# a quarter of their time they wait for servers and the like. Other numbers: make TEST_WORKERS=1 test
TEST_WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 3 ] && echo 4 || echo $$((n + 1)))
# Compiled files are kept, whatever a container's variables say: else each of some hundred processes compiles us anew.
# glibc keeps what was freed: to give each large tensor back to the system and take it again costs a tenth of the time.
PYTEST_MEMORY := MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_TOP_PAD_=67108864 MALLOC_MMAP_THRESHOLD_=268435456
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PYTEST_MEMORY) $(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist worksteal

help:
	@echo "make demo        texture a bundled teapot with three prompts; then open $(OUT)/index.html"
	@echo "make test        all tests (test-fast: without the slow ones)"
	@echo "make test-blender  the tests in every Blender that pip and this machine have (first makes .venv-bpy)"
	@echo "make check       tests, lint, types and import rules"
	@echo "make repository  the extension for all platforms as a repository that Blender updates itself from"
	@echo "make eval-quick  short evaluations: oracle recovery, and prompts with the built-in prior"
	@echo "make benchmark   measurements"
	@echo "make install     only make .venv and install into it"
	@echo "make clean       remove what the programs wrote (distclean: .venv too)"

$(RUN):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed; name one with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml .ci/install_torch.py | $(RUN)
	$(RUN) .ci/install_torch.py
	@echo "Installing the other packages."
	$(RUN) -m pip install $(PIP_OPTIONS) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tools for tests, lint and types."
	$(RUN) -m pip install $(PIP_OPTIONS) --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed

# Blender as a module, where a release of it fits this Python: for the tests of the extension and the demo's last picture.
$(VENV)/.installed-bpy: $(VENV)/.installed tests/blender/install_bpy.py
	$(RUN) -m tests.blender.install_bpy
	@touch $@

# Khronos' glTF validator, where there is npm; tests that need it say so where it is missing.
$(VENV)/.installed-npm: | $(VENV)/.installed
	@if npm install --prefix $(VENV) --silent --no-audit --no-fund --fetch-retries 1 --fetch-retry-mintimeout 1000 gltf-validator@2.0.0-dev.3.10 2>/dev/null; then touch $@; \
	else echo "gltf-validator could not be installed (is there npm?): its tests will be skipped."; fi

demo: $(VENV)/.installed-bpy
	$(RUN) -m pgc demo --out $(OUT)
	$(RUN) -m tests.blender.demo --out $(OUT)

test: $(VENV)/.installed-dev $(VENV)/.installed-bpy $(VENV)/.installed-npm
	$(PYTEST) $(PYTEST_OPTIONS)

test-fast: $(VENV)/.installed-dev $(VENV)/.installed-bpy $(VENV)/.installed-npm
	$(PYTEST) -m "not slow and not benchmark" $(PYTEST_OPTIONS)

# A folder for any web server: its index.json is what "Add Remote Repository" in Blender's preferences takes.
repository: $(VENV)/.installed-bpy
	$(RUN) build_addon.py --platforms all --out dist/repository
	$(RUN) "$$(find $(VENV)/lib -path '*bl_pkg/cli/blender_ext.py' | head -n 1)" server-generate --repo-dir=dist/repository

test-blender: $(VENV)/.installed-dev $(VENV)/.installed-bpy
	$(RUN) -m tests.blender.all_versions --install $(PYTEST_OPTIONS)

lint: $(VENV)/.installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(VENV)/.installed-dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

types: $(VENV)/.installed-dev
	$(RUN) -m pyright

imports: $(VENV)/.installed-dev
	$(VENV)/bin/lint-imports

check: test lint types imports

eval-quick: $(VENV)/.installed-dev
	$(RUN) -m pgc eval oracle --quick
	$(RUN) -m pgc eval prompts --quick

benchmark: $(VENV)/.installed-dev
	$(RUN) -m pytest -m benchmark $(PYTEST_OPTIONS)

clean:
	rm -rf out build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .venv-bpy
