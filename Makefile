# `make help` lists what there is. Each target makes the virtual environment it needs, and
# does again only what has changed: a stamp file in build/stamps stands for what is done.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PYTEST_ARGS ?=
TESTS ?= tests
BENCH ?=
BENCH_ARGS ?=
# Two processes, and one test file always in one of them: the frameworks are heavy to import.
WORKERS ?= 2

DEMO := .venv-demo
TEST := .venv-test
CHECK := .venv-check
CHECKED := .venv-checked
SANITIZE := .venv-sanitize
STAMPS := build/stamps

BUILD_NEEDS := setuptools cython numpy
BASE_TEST_NEEDS := pytest pytest-xdist hypothesis mpmath
# Idle OpenMP threads sleep: two pytest workers share the processors.
QUIET_THREADS := OMP_WAIT_POLICY=passive
# Nothing here reads or writes the user's own Keras settings; Keras makes a file where none is.
export KERAS_HOME := $(CURDIR)/build/keras
unexport KERAS_BACKEND KCORE_BACKEND KCORE_CHECKED KCORE_SANITIZE KCORE_NO_EXTENSION
INSTALL = bin/python -m pip install --quiet --constraint constraints.txt

# What a change of asks for another build, or another install.
NATIVE := $(shell find kcore/_native -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -path '*/src/*' -type f)
SOURCES := $(shell find kcore benchmarks -type f \( -name '*.py' -o -name '*.gz' -o -path '*/page/*' -o -path '*/shipped/*' -o -name '*.json' \)) $(NATIVE)
RECIPE := setup.py pyproject.toml constraints.txt $(wildcard MANIFEST.in)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format bench checked sanitize dist clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

demo: $(STAMPS)/demo ## train, save and load a model with no framework installed
	$(DEMO)/bin/kcore demo

test: $(STAMPS)/test ## the whole test suite, on all four backends
	$(QUIET_THREADS) $(TEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS) $(TESTS)

check: $(STAMPS)/check ## formatting, lint and types
	$(CHECK)/bin/ruff format --check .
	$(CHECK)/bin/ruff check .
	$(CHECK)/bin/mypy

format: $(STAMPS)/check ## put formatting and import order right
	$(CHECK)/bin/ruff check --fix --exit-zero --quiet .
	$(CHECK)/bin/ruff format .

# BENCH selects rows, as BENCH='conv softmax'; the time on each is BENCH_ARGS='--effort 2', and so on.
bench: $(STAMPS)/bench ## the benchmarks: the table of ratios, and build/bench.json
	$(TEST)/bin/kcore bench $(BENCH) --json build/bench.json $(BENCH_ARGS)

# The kernels with bounds checks, and with sanitizers. Each is built in a copy of the tree, so
# that the extension under test here stays the fast one.
CHECKED_TESTS ?= $(wildcard tests/native tests/backends/reference)

checked: $(STAMPS)/checked ## kernel tests with every index checked
	cd build/checked && $(QUIET_THREADS) KCORE_BACKEND=reference \
	  ../../$(CHECKED)/bin/python -m pytest $(PYTEST_ARGS) $(CHECKED_TESTS)

# The address sanitizer must be there before Python is; Python's own leaks are not our subject.
sanitize: $(STAMPS)/sanitize ## kernel tests under the address and undefined-behaviour sanitizers
	cd build/sanitize && $(QUIET_THREADS) KCORE_BACKEND=reference \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	  ../../$(SANITIZE)/bin/python -m pytest -p no:cacheprovider $(PYTEST_ARGS) $(CHECKED_TESTS)

dist: $(STAMPS)/check $(SOURCES) $(RECIPE) ## the wheel and the source archive, in dist/
	$(CHECK)/$(INSTALL) build $(BUILD_NEEDS)
	rm -rf dist build/lib*
	$(CHECK)/bin/python -m build --no-isolation

clean: ## remove what was built; the environments stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find kcore -name '*.so' -delete
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf $(DEMO) $(TEST) $(CHECK) $(CHECKED) $(SANITIZE)

# The demo runs from an installed copy, as a user's would.
$(STAMPS)/demo: $(DEMO)/made $(SOURCES) $(RECIPE) | $(STAMPS)
	$(DEMO)/$(INSTALL) $(BUILD_NEEDS)
	rm -rf build/lib*
	$(DEMO)/$(INSTALL) --no-build-isolation .
	touch $@

# The tests run on the checkout, so only the kernels are ever built again, and that without pip,
# which would build them whenever a dependency changed.
$(STAMPS)/test-needs: $(TEST)/made $(RECIPE) | $(STAMPS)
	$(TEST)/$(INSTALL) $(BUILD_NEEDS)
	KCORE_NO_EXTENSION=1 $(TEST)/$(INSTALL) --no-build-isolation --editable '.[all,test]'
	touch $@

$(STAMPS)/test: $(STAMPS)/test-needs $(NATIVE)
	$(TEST)/bin/python setup.py --quiet build_ext --inplace
	touch $@

$(STAMPS)/bench: $(STAMPS)/test
	KCORE_NO_EXTENSION=1 $(TEST)/$(INSTALL) --no-build-isolation --editable '.[all,bench]'
	touch $@

$(STAMPS)/check: $(CHECK)/made constraints.txt | $(STAMPS)
	$(CHECK)/$(INSTALL) ruff mypy numpy
	touch $@

$(STAMPS)/checked: $(CHECKED)/made $(SOURCES) $(RECIPE) $(shell find tests -name '*.py') | $(STAMPS)
	$(call build_copy,checked,$(CHECKED),KCORE_CHECKED=1)

$(STAMPS)/sanitize: $(SANITIZE)/made $(SOURCES) $(RECIPE) $(shell find tests -name '*.py') | $(STAMPS)
	$(call build_copy,sanitize,$(SANITIZE),KCORE_SANITIZE=1)

# $(call build_copy,name,environment,flags): the tree in build/name, built there with flags.
# Files keep their times, so that only what changed is compiled again.
define build_copy
	mkdir -p build/$(1)
	tar -cf - --exclude='*.so' --exclude=__pycache__ kcore tests $(RECIPE) README.md LICENSE | tar -xf - -C build/$(1)
	$(2)/$(INSTALL) $(BUILD_NEEDS) $(BASE_TEST_NEEDS)
	KCORE_NO_EXTENSION=1 $(2)/$(INSTALL) --no-build-isolation --editable build/$(1)
	cd build/$(1) && $(3) ../../$(2)/bin/python setup.py --quiet build_ext --inplace
	touch $(STAMPS)/$(1)
endef

.venv-%/made:
	$(PYTHON) -m venv $(@D)
	touch $@

$(STAMPS):
	mkdir -p $@
