# Every target sets up what it needs; nothing but Python 3.11+ and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

STRATEGY ?=
SCENARIO ?=
PROFILE ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup bench nightly smoke test test-long test-unit lint types contracts check-all calibrate doctor list format lock \
        audit licences site tutorials faults queues atlas reference examples up down bench-compose browser clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make bench STRATEGY=executor:threads=32,native SCENARIO=slow:ms=20 PROFILE=standard"

setup: $(STAMP) ## make .venv from requirements.lock

$(STAMP): requirements.lock requirements-apart.lock scripts/setup.sh
	@sh scripts/setup.sh "$(PYTHON)" $(VENV) requirements.lock
	@touch $(STAMP)

bench: $(STAMP) ## compare the strategies and write the report
	@$(BIN)/python bench.py run $(if $(STRATEGY),--strategy "$(STRATEGY)") \
	  $(if $(SCENARIO),--scenario "$(SCENARIO)") $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

smoke: $(STAMP) ## does everything work, in under a minute
	@$(BIN)/python bench.py run --profile smoke $(ARGS)

calibrate: $(STAMP) ## what the load generator and this machine can do, in a minute
	@$(BIN)/python bench.py calibrate $(ARGS)

BASE ?= HEAD~1
MINUTES ?= 60

nightly: $(STAMP) ## the night's gate against BASE within MINUTES: red only where something got worse
	@sh scripts/nightly.sh $(BIN)/python "$(BASE)" "$(MINUTES)" $(if $(STRATEGY),--strategy "$(STRATEGY)") \
	  $(if $(SCENARIO),--scenario "$(SCENARIO)") $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

doctor: $(STAMP) ## what was found on this machine and what is missing
	@$(BIN)/python bench.py doctor

list: $(STAMP) ## strategies, scenarios and profiles with their knobs
	@$(BIN)/python bench.py list

SHORT := $(if $(ASYNCDB_BENCH_LONG),,-m "not long")
PURE := not services and not e2e and not browser
# most tests wait more than they work
TEST_WORKERS ?= $(shell expr 2 \* $$(nproc))

test-long: $(STAMP) ## all tests, and those that take longest
	@ASYNCDB_BENCH_LONG=1 $(MAKE) --no-print-directory test

test: $(STAMP) ## all tests, in twice as many processes as there are cores
	@$(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(SHORT) $(ARGS)

test-unit: $(STAMP) ## the tests that need no service, in seconds
	@$(BIN)/python -m pytest -q -n $$(nproc) --dist loadfile -m "$(PURE)" $(ARGS)

lint: $(STAMP) ## ruff: lint and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict
	@$(BIN)/mypy

contracts: $(STAMP) ## import-linter: the layers
	@$(BIN)/lint-imports

check-all: lint types contracts test ## all of CI

audit: $(STAMP) ## known vulnerabilities of what requirements.lock holds, where advisories can be reached
	@sh scripts/audit.sh $(BIN)

licences: $(STAMP) ## write docs/licences.md anew
	@$(BIN)/python scripts/licences.py

site: $(STAMP) ## the documents as a site under site/, without network
	@$(BIN)/zensical build --clean --strict -f zensical.toml

tutorials: $(STAMP) ## follow the tutorials word for word, half an hour
	@$(BIN)/python scripts/follow.py docs/tutorials/*.md

faults: $(STAMP) ## the whole matrix of faults, about an hour: writes its table into docs/reliability.md
	@$(BIN)/python -m tests.faults --table docs/reliability.md $(ARGS)

queues: $(STAMP) ## task queues beside Celery, an hour, resumable: writes docs/queues.md's tables
	@$(BIN)/python scripts/queues.py $(ARGS)

format: $(STAMP) ## let ruff format and fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(STAMP) ## compile requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --upgrade \
	  --python-version 3.11 --no-emit-package asyncdb-bench-attach \
	  pyproject.toml --extra queues --group dev --group history -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --upgrade \
	  --python-version 3.11 --group apart -o requirements-apart.lock

reference: $(STAMP) ## measure the committed reference report anew (eleven minutes)
	@sh scripts/reference.sh $(BIN)/python

examples: $(STAMP) ## measure the committed claims and maps under docs/ anew (35 minutes)
	@sh scripts/examples.sh $(BIN)/python

ATLAS ?= .artifacts/atlas
atlas: $(STAMP) ## measure the releases of the last years for docs/versions.md: hours, gone on with where interrupted
	@PYTHONPATH=. $(BIN)/python scripts/atlas.py $(ATLAS) $(ARGS)

browser: ## install Chromium for the browser tests (Debian, as root)
	@command -v chromium >/dev/null 2>&1 || (apt-get update -qq && apt-get install -y -qq chromium)

APPS ?=
WORKERS ?=
LOAD ?=

up: ## start everything in containers; APPS=2 WORKERS=16 LOAD=4: so many copies of each
	@sh scripts/write-env.sh APPS=$(APPS) WORKERS=$(WORKERS) LOAD=$(LOAD)
	docker compose up --detach --wait

down: ## stop the containers and remove their data
	docker compose down --volumes

bench-compose: ## drive the containers with Locust for 30 s
	docker compose --profile load up --abort-on-container-exit --exit-code-from locust

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
