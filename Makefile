# The only list of commands; CI calls the same ones.
# Python >= 3.11 with venv is all that must be there: `make PYTHON=/path/to/python3 setup` names one.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
CODE := interlock graphs nodes state benchmarks tests scripts
LANGSMITH_TRACING ?= false
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest
# In the order of the folders: files of few, but long tests (tests/acceptance) come first, and short ones (tests/unit) last.
BESIDE = -n $(JOBS) --dist loadfile --no-loadscope-reorder
# What failed beside others is run again, alone: it must pass then, and both are told.
tested = $(PYTEST) $(BESIDE) $(1) || { [ $$? = 1 ] && echo "Again, alone, what failed:" && $(PYTEST) --last-failed $(1); }
export PYTHON LANGSMITH_TRACING

.PHONY: help setup setup-dev setup-wire demo test test-long check format wheel bench serve lock clean

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with everything that Interlock needs to run
	@scripts/setup.sh runtime

setup-dev: ## The same with the tools for development
	@scripts/setup.sh dev

setup-wire: setup-dev ## The same with a small local model (130 MB), for the tests over the wire
	@scripts/setup.sh wire

demo: setup ## Research a real question over real documents, with approval and a cited report
	@$(BIN)/interlock demo

test: check wheel ## Check everything, build the wheel, run the tests (JOBS=2 processes)
	@$(call tested)

test-long: setup-wire check wheel ## The same with the tests that take minutes or a local model
	@$(call tested,-m "")

check: setup-dev ## Format, lint, types, who imports whom, and prompts
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "Run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m interlock.core.prompts nodes/research/prompts interlock/core/memory_prompts

format: setup-dev ## Format the code and sort its imports
	@$(BIN)/ruff check --quiet --select I --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

wheel: setup-dev ## Build the wheel into dist/
	@rm -rf dist && $(BIN)/python -m hatchling build -t wheel

bench: setup-dev ## Run each benchmark in its short form
	@for file in benchmarks/[a-z]*.py; do [ -e "$$file" ] || continue; \
	  echo "== $$file"; $(BIN)/python -m "benchmarks.$$(basename $$file .py)" --quick || exit 1; done

serve: setup ## Serve the graphs of langgraph.json over HTTP, with the dashboard
	@$(BIN)/interlock serve --workers-inside 16

lock: ## Resolve the dependencies anew within their ranges, for every platform (UPGRADE=--upgrade)
	@scripts/lock.sh $(UPGRADE)

clean: ## Remove .venv and everything that was built
	@rm -rf .venv dist build reports .langgraph_api .mypy_cache .ruff_cache .pytest_cache \
	  .hypothesis .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
