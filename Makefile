# One virtual environment in .venv: `make demo` puts the torch-free package into it, `make test`
# adds the extra [dev]. Both are skipped while pyproject.toml is older than their stamp.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-run ## install without torch and scan the shipped sample
	$(BIN)/dragoman demo

test: $(VENV)/.stamp-dev ## run all tests, training included, with the coverage gate
	$(BIN)/python -m pytest --cov=dragoman --cov-report=term:skip-covered $(ARGS)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  echo; echo "NOT RUN, for chromium is not on the PATH:"; \
	  $(BIN)/python -m pytest --collect-only -m browser 2>/dev/null | grep :: | sed 's/^/  /'; \
	  echo "Install it (Debian, Ubuntu: sudo apt-get install chromium) and run make test again."; }

check: lint types test ## what CI runs

lint: $(VENV)/.stamp-dev ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-dev ## mypy, strict
	$(BIN)/mypy

format: $(VENV)/.stamp-dev ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.stamp-run ## speed and memory of the shipped bundle on this machine
	$(BIN)/dragoman bench payloads $(ARGS)

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Dragoman needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-run: pyproject.toml | $(BIN)/python
	@echo "Installing Dragoman into $(VENV) (about a minute) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(BIN)/python
	@echo "Installing Dragoman with [dev] into $(VENV): torch and the test tools, some minutes ..."
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.stamp-run
