# Both commands do everything from a fresh clone; `make repro` ends with the scores, `make test` with pytest's summary and coverage.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test lint fast setup lock

repro: setup
	python -m pipeline check
	dvc repro
	@dvc metrics show
	@echo "report: results/report/index.html"

test: lint
	pytest --cov

lint: setup
	ruff check .
	ruff format --check .
	mypy

fast: setup
	pytest -m "not slow"

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml pipeline/core/version.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Renew the lock after a change of dependencies in pyproject.toml (needs uv).
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --quiet --output-file requirements.lock
