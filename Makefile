# `make demo` shows the main job working, `make test` passes all checks; both install what they need into .venv first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-
CONSTRAINTS := constraints.txt

.PHONY: help demo test check pytest format install clean

help:
	@echo "make demo    install into $(VENV) and run the tour: collect, train, evaluate, answer"
	@echo "             (make demo TRACES=../shared/data/math_l5.parquet: the same on traces of your own)"
	@echo "make test    install all extras and run every check: format, lint, types, tests"
	@echo "make format  put the code into shape"
	@echo "make clean   remove $(VENV), caches and the demo's output"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP)run: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@[ -e $(STAMP)dev ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[local]'
	@touch $@

$(STAMP)dev: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[local,otel,dev]'
	@touch $@

install: $(STAMP)dev

demo: $(STAMP)run
	$(BIN)/penstock demo --out demo-out $(if $(TRACES),--traces $(TRACES))
	@echo "(penstock stands in $(BIN); \`. $(BIN)/activate\` puts it on the path)"

test: check pytest

check: $(STAMP)dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

pytest: $(STAMP)dev
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest

format: $(STAMP)dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo-out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
