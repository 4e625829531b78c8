# The verbs of this repository. `make help` lists them; each sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
# another Python has a venv of its own, so that trying one leaves the usual one as it is
VENV := $(if $(filter command line,$(origin PYTHON)),.venv-$(notdir $(PYTHON)),.venv)
BIN := $(VENV)/bin
ENGINE := .venv-engine
# what the agent is made of, and nothing of the controller's
AGENT_TESTS := $(wildcard tests/unit/test_core_*.py tests/unit/test_host_*.py) tests/unit/test_wire.py tests/unit/test_errors.py
# so many failures are one with many faces: what goes on after them only takes time
ENOUGH := --maxfail=25
# scenarios that measure nothing: they may share the machine with others, which wait as much as they
# do: three at a time for two processors. What measures may not, nor what sends more all the while
# than a busy machine can answer within a hold
ALONE := $(patsubst %,tests/contract/test_%.py,app_speed data_cost host_recovery lab_cached load)
ASIDE := $(wildcard $(patsubst %,tests/e2e/test_%.py,broken by_hand data_dead_host data_guide doctor faults gh_expressions github people pipeline readme schedule volumes wrong_input))
# what a stranger may send: there with the same examples each time, and with many others on request
HOSTILE := $(patsubst %,tests/unit/test_%.py,host_hostile control_hostile core_escape wire)
# the locks are whole: pip must not resolve again, since a newer release of what one names with an
# extra would then break an installation that worked the day before
LOCKED := --require-hashes --no-deps
# of the many packages for development few are used at a time: those compile when they first are
LAZY := --no-compile
# and stay compiled, whatever a shell says of its own programs: else every command compiles them anew
unexport PYTHONDONTWRITEBYTECODE
CODE := deploy foodbudget migrations app_factory.py config.py gunicorn.conf.py tests

.PHONY: help demo test test-fast test-agent bench data-evidence test-faults test-faults-others test-power lint format docs lock audit secrets scan ci image
.PHONY: image-bench publish mark gate choose sign release base ship engine way-in way-out
.PHONY: lab-down clean

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r verb text; do printf '  make %-11s %s\n' "$$verb" "$$text"; done

demo: $(BIN)/ready ## do the main job for real on a throwaway host, under load, and measure it
	$(BIN)/python -m bench.demo

test: lint ## run every test there is, on real parts, and hold coverage to its bounds
	$(BIN)/python -m lab.prepare
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --cov --cov-report= tests/unit tests/app tests/policy
	$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-append --cov-report= --durations=15 $(ENOUGH) tests/contract $(ASIDE) $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest --cov --cov-append --cov-report= --durations=15 $(ENOUGH) $(ALONE) tests/e2e $(ASIDE:%=--ignore=%)
	$(BIN)/python -m pipeline.coverage

test-fast: $(BIN)/ready ## run what needs no Docker; PYTHON=python3.12 for another Python
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --cov --cov-report= tests/unit tests/app tests/policy
	$(BIN)/python -m pipeline.coverage fast

test-agent: .venv-agent/ready ## run the agent's own tests, on Python 3.10 too: PYTHON=python3.10
	PYTHONPATH=deploy .venv-agent/bin/python -m pytest -q $(AGENT_TESTS)

bench: $(BIN)/ready ## compare with docker compose over SSH, in alternating pairs
	$(BIN)/python -m bench.compare

data-evidence: $(BIN)/ready ## save, migrate, damage, restore on real databases under load, and measure it
	$(BIN)/python -m lab.prepare
	$(BIN)/python -m bench.data

test-faults: $(BIN)/ready ## pull the plug at every point of every plan; FAULTS='--only PLAN' for a part
	$(BIN)/python -m bench.model --evidence
	$(BIN)/python -m lab.prepare
	$(BIN)/python -m bench.faults $(FAULTS)

test-faults-others: $(BIN)/ready ## try every other fault with plans, then soak; OTHERS='--only TEXT' for a part
	$(BIN)/python -m lab.prepare
	$(BIN)/python -m bench.faults.shown
	$(BIN)/python -m pytest -q -n 2 --hypothesis-profile faults $(HOSTILE)
	$(BIN)/python -m bench.faults.beyond --soak 100 $(OTHERS)

test-power: $(BIN)/ready ## cut the power at steps of plans, and lose what was not synced; POWER=part for a few
	$(BIN)/python -m lab.prepare
	HOMEPORT_POWER=$(or $(POWER),all) $(BIN)/python -m pytest --durations=5 tests/e2e/test_power.py

lint: $(BIN)/ready ## every check of form: code, image, shell, workflows, compose files
	$(BIN)/python -m pipeline.lint

format: $(BIN)/ready ## let black write the code's form
	$(BIN)/black --quiet $(CODE)

docs: $(BIN)/ready ## write the pages that follow from the code: docs/cli.md, compose.md, homeport-toml.md
	$(BIN)/python -m pipeline.docs

lock: $(BIN)/ready ## resolve the requirements anew, with hashes
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --upgrade requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --upgrade requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --upgrade deploy/requirements.in -o deploy/requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.10 --upgrade deploy/requirements-agent.in -o deploy/requirements-agent.txt

audit: $(BIN)/ready ## known holes in what is locked
	$(BIN)/python -m pipeline.audit

secrets: $(BIN)/ready ## keys and passwords in any commit
	$(BIN)/python -m pipeline.secrets

scan: $(BIN)/ready ## known holes in the built image
	$(BIN)/python -m pipeline.scan

ci: $(BIN)/ready ## what GitHub runs for a pull request, here; says what it leaves out
	$(BIN)/python -m pipeline.ci

image: $(BIN)/ready ## build MyFoodBudget's image for three platforms, start each, hold its size to a bound
	$(BIN)/python -m pipeline.image

image-bench: $(BIN)/ready ## compare that build with the usual one under emulation
	$(BIN)/python -m pipeline.image_bench

publish: $(ENGINE)/ready ## push the built image unchanged: REPOSITORY, DIGEST, TAGS
	@$(ENGINE)/bin/python -m pipeline.publish

mark: $(ENGINE)/ready ## let production and previous point to digests: REPOSITORY, DIGEST, PREVIOUS
	@$(ENGINE)/bin/python -m pipeline.publish mark

lab-down: $(BIN)/ready ## remove every throwaway host, its volumes and its network
	$(BIN)/homeport lab down --all

clean: ## remove what builds left in this folder
	rm -rf .venv .venv-* build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache

# What the workflows call on GitHub; without a `##`, since nobody types them.
gate: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.gate
choose: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.choose
sign: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.sign
release: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.release
base: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.base
ship: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.base ship
way-in: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.way_in
way-out: $(ENGINE)/ready
	@$(ENGINE)/bin/python -m pipeline.way_in out

# The engine alone, for .github/actions/deploy: later steps find `homeport` on their PATH.
engine: $(ENGINE)/ready
	@mkdir -p $(ENGINE)/door && ln -sf ../bin/homeport $(ENGINE)/door/homeport
	@if [ -n "$$GITHUB_PATH" ]; then echo "$(CURDIR)/$(ENGINE)/door" >> "$$GITHUB_PATH"; fi

$(ENGINE)/ready: deploy/requirements.txt pyproject.toml
	@echo 'installing the engine into $(ENGINE)' >&2
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer with venv is needed: sudo apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(ENGINE)
	@$(ENGINE)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) --only-binary :all: -r deploy/requirements.txt
	@$(ENGINE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(ENGINE)/bin/python -m pip check >/dev/null
	@touch $@

# What the agent's own tests need; the agent itself needs nothing.
.venv-agent/ready: deploy/requirements-agent.txt
	@echo 'making the virtual environment .venv-agent' >&2
	@$(PYTHON) -m venv --clear .venv-agent
	@.venv-agent/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $(LAZY) -r deploy/requirements-agent.txt
	@.venv-agent/bin/python -m pip check >/dev/null
	@touch $@

# The virtual environment. Its absence, or a newer lock file, is what makes it anew. Of a hundred
# packages uv makes one in seconds where pip takes a minute on a small machine; pip is there for whoever
# has told only pip where packages come from.
$(BIN)/ready: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer with venv is needed: sudo apt-get install python3 python3-venv, or make PYTHON=python3.13' >&2; exit 1; }
	@echo 'making the virtual environment $(VENV)' >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >$(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $(LAZY) -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(LOCKED) -r requirements-dev.txt 2>$(VENV)/uv.log \
		|| { echo 'uv cannot (see $(VENV)/uv.log); pip does it, which takes longer' >&2; false; } \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $(LAZY) -r requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . 2>>$(VENV)/uv.log \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check >/dev/null
	@touch $@
