# Two commands matter: `make run` and `make test`. Both install what they need the first time.
PORT ?= 8000
DATA ?= ./data
NAME ?=
ARGS ?=
export PORT DATA

.DEFAULT_GOAL := help
.PHONY: help run test lint bench demo clean

help: ## say what there is
	@echo "Usage: make WHAT"
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 10
	@echo "PORT and DATA choose where, for example: make run PORT=8001 DATA=./other"

run: ## run an instance until Ctrl-C (PORT=8000 DATA=./data)
	@sh .ci/bootstrap run && exec .venv/bin/vignette up

test: ## run all tests (ARGS are for pytest)
	@sh .ci/bootstrap test && sh .ci/chromium && exec .venv/bin/python -m pytest -q -n 2 --dist loadfile $(ARGS)

lint: ## check style, types and the direction of imports
	@sh .ci/bootstrap test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy app workers
	.venv/bin/lint-imports

bench: ## measure (NAME=pipeline, ...): a table, then one line of JSON
	@test -n "$(NAME)" -a -f "bench/$(NAME).py" || { echo "NAME must be one of: $$(cd bench && ls *.py | sed 's/\.py$$//' | tr '\n' ' ')" >&2; exit 1; }
	@sh .ci/bootstrap test && exec .venv/bin/python bench/$(NAME).py $(ARGS)

demo: ## put made-up people, cases and recordings into the instance (PORT, DATA as for run)
	@sh .ci/bootstrap run && exec .venv/bin/vignette demo

clean: ## remove the installed environment and caches; the data folder stays
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
