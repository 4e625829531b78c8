# The verbs of this repository. `make help` lists them; each sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
CODE := deploy foodbudget migrations app_factory.py config.py gunicorn.conf.py tests

.PHONY: help demo test test-fast bench lint format lock lab-down clean image image-bench publish mark

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r verb text; do printf '  make %-11s %s\n' "$$verb" "$$text"; done

demo: $(BIN)/ready ## do the main job for real on a throwaway host, under load, and measure it
	$(BIN)/python -m bench.demo

test: lint ## run every test there is, on real parts, and hold coverage to its bounds
	$(BIN)/python -m lab.prepare
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report= tests/unit tests/app tests/policy
	$(BIN)/python -m pytest --cov --cov-append --cov-report= tests/contract tests/e2e
	$(BIN)/coverage report --include='deploy/homeport/core/*' --fail-under=90
	$(BIN)/coverage report --fail-under=85

test-fast: $(BIN)/ready ## run what needs no Docker
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/unit tests/app tests/policy

bench: $(BIN)/ready ## compare with docker compose over SSH, in alternating pairs
	$(BIN)/python -m bench.compare

lint: $(BIN)/ready ## black, flake8, mypy
	$(BIN)/black --check --quiet $(CODE) || $(BIN)/black --check $(CODE)
	$(BIN)/flake8 $(CODE)
	$(BIN)/mypy --strict deploy/homeport

format: $(BIN)/ready ## let black write the code's form
	$(BIN)/black --quiet $(CODE)

lock: $(BIN)/ready ## resolve the requirements anew, with hashes
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --upgrade requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --upgrade requirements-dev.in -o requirements-dev.txt

image: $(BIN)/ready ## build MyFoodBudget's image for three platforms, start each, hold its size to a bound
	$(BIN)/python -m pipeline.image

image-bench: $(BIN)/ready ## compare that build with the usual one under emulation
	$(BIN)/python -m pipeline.image_bench

publish: $(BIN)/ready ## push the built image unchanged: REPOSITORY, DIGEST, TAGS
	@$(BIN)/python -m pipeline.publish

mark: $(BIN)/ready ## let production and previous point to digests: REPOSITORY, DIGEST, PREVIOUS
	@$(BIN)/python -m pipeline.publish mark

lab-down: $(BIN)/ready ## remove every throwaway host, its volumes and its network
	$(BIN)/homeport lab down --all

clean: ## remove what builds left in this folder
	rm -rf .venv build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache

# The virtual environment. Its absence, or a newer lock file, is what makes it anew.
$(BIN)/ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer with venv is needed: sudo apt-get install python3 python3-venv, or make PYTHON=python3.13' >&2; exit 1; }
	@echo 'making the virtual environment .venv' >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
