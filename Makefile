# The targets of this project; `make help` lists them. Nothing outside this folder is changed, except that
# `make test` installs the PostgreSQL and MariaDB server packages when they are missing and may be installed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo check test bench prove docs lock

BIN := .venv/bin
STAMP := .venv/.ready
BENCH ?= redeem
# What `tieout prove` is given.
ARGS ?=
# PYTHON is found at set-up: python3.11 where there is one, else a newer python3. Name another with `make setup PYTHON=...`.
PYTHON ?=

help:
	@echo 'make setup             the environment, .venv, with everything but servers'
	@echo 'make demo              points for a prize, then hotels, on SQLite; ends by itself, KEEP=1 serves points until Ctrl-C'
	@echo '                       half of it by RabbitMQ where one answers on 127.0.0.1:5672, or at BROKER=amqp://...'
	@echo 'make check             the one gate: format, lint, types, layers, fast tests'
	@echo 'make test              the gate, then every suite; installs the servers they need when missing'
	@echo 'make bench BENCH=name  one benchmark of bench/; default: redeem'
	@echo 'make prove             every kind of proof, and one table of them: ARGS="--small", ARGS="kill --seed 7"'
	@echo 'make docs              the documentation, into site/'

setup: $(STAMP)

# uv comes from pip at the version the lock names; after that uv installs exactly the lock, hashes checked.
$(STAMP): requirements.txt pyproject.toml scripts/find_python.sh
	@python="$$(sh scripts/find_python.sh $(PYTHON))"; \
	if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c '' 2>/dev/null; then "$$python" -m venv --clear .venv; fi
	@want="$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.txt)"; \
	[ "uv==$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = "$$want" ] \
	  || $(BIN)/python -m pip --disable-pip-version-check install --quiet "$$want"
	@export UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV="$$PWD/.venv"; \
	$(BIN)/uv pip sync --quiet --require-hashes requirements.txt; \
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/tieout demo points $(if $(KEEP),--keep) $(if $(BROKER),--broker $(BROKER)) $(if $(PRIZES),--prizes $(PRIZES))
	@$(BIN)/tieout demo hotels

check: setup
	@$(BIN)/python scripts/gate.py check

test: setup
	@bash scripts/servers.sh
	@$(BIN)/python scripts/gate.py test

bench: setup
	@bash scripts/servers.sh
	@$(BIN)/python -m bench.$(BENCH)

prove: setup
	@bash scripts/servers.sh
	@$(BIN)/tieout prove $(ARGS)

docs: setup
	@$(BIN)/zensical build --clean --strict

# After a change of dependencies in pyproject.toml: writes requirements.txt anew, with hashes and without any host.
lock:
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 --output-file requirements.txt
