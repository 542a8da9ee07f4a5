# `make` lists what can be made. Everything runs in .venv; nothing outside the checkout is touched.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && command -v $$name && break; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

DATA ?=
FROM ?=
TO ?=
SEED ?=
USERS ?=
ARGS ?=
JOBS ?= 2

DEMO_ARGS = $(if $(DATA),--data "$(DATA)") $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO)) \
	$(if $(SEED),--seed $(SEED)) $(if $(USERS),--users $(USERS)) $(ARGS)

.PHONY: help demo up bench bench-schedule test check coverage format lock clean

help: ## list what can be made
	@echo "make demo      replay a simulated market on servers of its own: the whole way, start to end"
	@echo "               DATA=folder FROM=2023-01-02 TO=2024-12-31 SEED=7 USERS=10 ARGS='--json'"
	@echo "make up        run the Procfile's processes on embedded servers"
	@echo "make bench     measure the queue beside stock Dramatiq, Celery and Procrastinate, on servers of its own: ARGS='--rounds 5'"
	@echo "make bench-schedule  measure the scheduler beside them, up to 1,000,000 subscribers: ARGS='--users 10000'"
	@echo "make test      all checks and all tests (make check is the same)"
	@echo "make coverage  all tests with every line counted that a process of theirs runs: slow, no part of make test"
	@echo "make format    put the code into its form"
	@echo "make lock      write the locked requirements anew"
	@echo "make clean     remove .venv, caches and embedded data"

.venv/installed: requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found: install it, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, %s is %d.%d: say make PYTHON=/path/to/python" % (sys.executable, v[0], v[1]))'
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making .venv with $(PYTHON)" >&2; "$(PYTHON)" -m venv --clear .venv; } \
		|| { echo "Python cannot make a virtual environment: install its venv module (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing the locked requirements into .venv (once, some 250 MB)" >&2
	@$(BIN)/python -m pip install --require-hashes -r requirements-dev.txt >&2
	@$(BIN)/python -m pip install --no-deps --no-build-isolation --quiet -e . >&2
	@touch $@

demo: .venv/installed
	@$(BIN)/muhurat demo $(DEMO_ARGS)

up: .venv/installed
	@$(BIN)/muhurat up $(ARGS)

bench: .venv/installed
	@$(BIN)/muhurat bench queue --json $(ARGS)

bench-schedule: .venv/installed
	@$(BIN)/muhurat bench schedule --json $(ARGS)

test: check

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# Traced code runs at half its pace: the profile of Hypothesis is one without a deadline. JOBS and ARGS count here too.
COVERED := $(BIN)/coverage report --skip-empty

coverage: .venv/installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) --hypothesis-profile=ci $(ARGS)
	$(BIN)/coverage combine --quiet
	$(COVERED) --fail-under=80
	$(COVERED) --include='trading/*' --fail-under=90 --format=total
	$(COVERED) --include='db/*' --fail-under=90 --format=total

format: .venv/installed
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# For every platform and Python; no address of an index or of this machine gets in.
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header \
	--no-config --python-version 3.11 --quiet $(if $(UPGRADE),--upgrade)

lock: .venv/installed
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra dev --constraint requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf .venv .muhurat .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
