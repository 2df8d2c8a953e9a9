# What a developer runs; `make` alone lists it. State of this machine: .venv and .local.

PYTHON ?= python3
ARGS ?=
FUZZ_SECONDS ?= 300

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MLFLOW := .local/mlflow
LOCKS := deploy/requirements.lock deploy/requirements-dev.lock
CODE := ingest worker deploy tests
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command "make lock"

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run demo test chaos fuzz bench bench-peers profile image check lint fmt up down lock \
	clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## Start everything here in the foreground: servers, gateway on 127.0.0.1:8080, worker
	@$(BIN)/python -m deploy.local run

demo: $(READY) ## Send a simulated training run to the running gateway and read it back
	@$(BIN)/python -m deploy.local demo

test: $(READY) ## Run the tests on servers of their own (ARGS="-k word -x" goes to pytest)
	@$(BIN)/python -m deploy.local setup
	@$(BIN)/python -m pytest $(ARGS)

chaos: $(READY) ## Break everything, thoroughly, and count what is lost (ARGS="--short broker" picks)
	@$(BIN)/python -m deploy.local setup
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(READY) ## Fuzz the parsers byte by byte, then a live gateway (FUZZ_SECONDS=300 for each)
	@$(BIN)/python -m deploy.local setup
	@$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest tests/input --timeout 0 $(ARGS)

bench: $(READY) ## Measure everything, with ratios, on this machine (ARGS="--quick gateway drain" picks)
	@$(BIN)/python -m tests.bench $(ARGS)

bench-peers: $(READY) $(MLFLOW)/.ready ## Measure against an MLflow tracking server, which is installed in .local
	@$(BIN)/python -m tests.bench mlflow $(ARGS)

profile: $(READY) ## Profile gateway and worker under load (ARGS="--metrics 100 --saturate")
	@$(BIN)/python -m tests.bench.profile $(ARGS)

image: $(READY) ## Build the image without Docker (buildah, debootstrap; root), and run both its commands
	@$(BIN)/python -m deploy.image

check: lint test ## Do what CI does: formatting, lint, types, import rules, tests

lint: $(READY) ## Check formatting, lint, types and import rules only
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "formatting: run make fmt" >&2; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy --no-error-summary
	@output=$$($(BIN)/lint-imports) || { echo "$$output"; exit 1; }
	@echo "formatting, lint, types and import rules: fine"

fmt: $(READY) ## Format the code and mend what the linter can
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

up: $(READY) ## Start RabbitMQ and MongoDB alone, in the background; then: . .local/servers.env
	@$(BIN)/python -m deploy.local up

down: $(READY) ## Stop what `make up` started
	@$(BIN)/python -m deploy.local down

lock: $(READY) ## Lock the newest versions of all dependencies that pyproject.toml allows
	@$(COMPILE) --upgrade --extra tracing --output-file deploy/requirements.lock pyproject.toml
	@$(COMPILE) --upgrade --extra tracing --extra local --extra test \
		--constraint deploy/requirements.lock --output-file deploy/requirements-dev.lock pyproject.toml
	@echo mlflow | $(COMPILE) --upgrade --output-file deploy/requirements-mlflow.lock -

clean: ## Remove what was built, the virtual environment and all data in .local
	@if [ -e .local/run/lock ] && ! flock --nonblock .local/run/lock true; then \
		echo "make run is still running here: stop it first" >&2; exit 1; fi
	@if [ -e .local/servers.env ] && [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local down; fi
	@rm -rf .local $(VENV) build dist *.egg-info .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -type d -name __pycache__ -prune -exec rm -rf {} +

$(READY): deploy/requirements-dev.lock
	@PYTHON="$(PYTHON)" deploy/local/venv.sh $(VENV) $< $@

$(MLFLOW)/.ready: deploy/requirements-mlflow.lock
	@PYTHON="$(PYTHON)" deploy/local/venv.sh $(MLFLOW) $< $@
