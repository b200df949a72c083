# make up | make test | make check | make help      (PYTHON=python3.12 make … chooses another Python)

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=

# Two stamps: what a bank needs is installed at once, what is needed to work on it not before it is asked for.
INSTALLED := $(VENV)/.installed
INSTALLED_TOOLS := $(VENV)/.installed-tools

# What `make robustness` takes: seeds, minutes of chaos, states of a disk after a power loss, processes.
SEEDS ?= 10000
MINUTES ?= 10
STATES ?= 10000
JOBS ?= $(shell nproc)

# An environment whose python does not start any more, or does not find what was installed, or that was made in
# another folder (a clone that was moved, or copied) is made anew. Nothing in it is anybody's but ours.
# The shell asks for the folder itself: its name may have quotes in it, which the newest `activate` writes otherwise.
BROKEN := $(shell \
  if [ -e $(VENV) ] || [ -L $(VENV) ]; then \
    { $(RUN) -c '' && grep -qF "$$(pwd -P)/$(VENV)" $(VENV)/pyvenv.cfg $(VENV)/bin/activate && \
      { [ ! -e $(INSTALLED) ] || $(RUN) -I -c 'import bankrmi, click'; } && \
      { [ ! -e $(INSTALLED_TOOLS) ] || $(RUN) -I -c 'import pytest'; }; } >/dev/null 2>&1 || echo yes; \
  fi)
ifneq ($(BROKEN),)
.PHONY: $(INSTALLED)
endif

.PHONY: help up demo test test-long test-all check lint types layers docs audit man picture wheel robustness mutants coverage

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 17

up: $(INSTALLED) ## start a bank that stays: name server, witness, servers, menu (ARGS=--console: and its page)
	@$(RUN) -m bankrmi up $(ARGS)

demo: $(INSTALLED) ## start a throw-away bank with clients at work, and open its page
	@$(RUN) -m bankrmi demo $(ARGS)

# Six workers on two cores: tests mostly wait for processes.  Each has files of its own until it is done: what the tests
# of one file share is made once.
# pytest says 5 when it found nothing to run.
test: $(INSTALLED_TOOLS) ## run the tests; ARGS='-k menu' chooses
	@$(RUN) -m pytest -n 6 --dist worksteal $(ARGS) || { code=$$?; [ $$code -eq 5 ] && echo "no tests were found" || exit $$code; }

test-long: $(INSTALLED_TOOLS) ## run those that are too long for every run: every crash point, more seeds
	@$(RUN) -m pytest -n 3 --dist worksteal -m long $(ARGS)

# Each Python has an environment of its own.
test-all: ## run the tests on every Python from 3.11 on that this machine has
	@.ci/pythons | while read -r version python; do \
	  echo "Python $$version: $$python" >&2; \
	  $(MAKE) --no-print-directory test PYTHON="$$python" VENV=".venv-$$version" </dev/null || exit 1; \
	done

# The hooks of .pre-commit-config.yaml are these, too.
check: lint types layers docs audit ## all of lint, types, layers, docs and audit

lint: $(INSTALLED_TOOLS) ## ruff: habits and form of the code
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

types: $(INSTALLED_TOOLS) ## mypy --strict
	@$(RUN) -m mypy

layers: $(INSTALLED_TOOLS) ## import-linter: each room imports only rooms below it
	@$(VENV)/bin/lint-imports

docs: $(INSTALLED_TOOLS) ## the pages of docs/ as a site, in build/docs; what is wrong with one, or with a link, is an error
	@$(RUN) -m sphinx -q -j auto -W --keep-going -b html docs build/docs

audit: $(INSTALLED_TOOLS) ## pip-audit: known vulnerabilities in what is installed, where its data can be had
	@$(RUN) .ci/audit.py

man: $(INSTALLED_TOOLS) ## write the manual pages anew (docs/man), of the help texts
	@$(RUN) docs/manual_pages.py docs/man

picture: $(INSTALLED_TOOLS) ## take the picture of README.md anew: the page in the moment of a failover
	@$(RUN) -m tests.console.picture docs/failover.png

wheel: $(INSTALLED_TOOLS) ## build a wheel, in dist/
	@$(RUN) -m build --wheel

robustness: $(INSTALLED_TOOLS) mutants ## try for an hour or two to break every promise (SEEDS=, MINUTES=, STATES=, JOBS=)
	$(RUN) -m bankrmi simulate --seeds $(SEEDS) --jobs $(JOBS)
	$(RUN) -m bankrmi simulate --seeds $$(( $(SEEDS) / 4 )) --jobs $(JOBS) --servers 3
	$(RUN) -m bankrmi simulate --seeds $$(( $(SEEDS) / 10 )) --jobs $(JOBS) --clocks-apart
	$(RUN) -m bankrmi simulate --seeds $$(( $(SEEDS) / 20 )) --jobs $(JOBS) --load
	$(RUN) -m bankrmi simulate --services --seeds $(SEEDS) --jobs $(JOBS)
	$(RUN) -m bankrmi simulate --exhaustive --minutes 10
	$(RUN) -m tests.model --servers 2 --epochs 3
	$(RUN) -m tests.model --servers 3 --epochs 3 --requests 1 --crashes 0 --no-switchover
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --leases 1,2
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --crashes 0 --disks 2 --copies-min 2
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --restores 1
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 2 --members 1 --forces 1 --no-switchover
	$(RUN) -m tests.model --servers 3 --epochs 3 --requests 1 --members 2 --forces 1 --crashes 0 --no-switchover
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --movers 1 --cancels 1
	$(RUN) -m tests.model --servers 2 --epochs 4 --requests 1 --crashes 0 --movers 2 --cancels 1 --no-switchover
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --crashes 0 --movers 1 --restores 1
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --crashes 0 --movers 1 --leases 1,2
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --crashes 0 --members 1 --movers 1 --cancels 1 --forces 1 --no-switchover
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --pipelined
	$(RUN) -m tests.model --servers 2 --epochs 3 --requests 1 --pipelined --crashes 2 --no-switchover
	$(RUN) -m bankrmi.robustness.power_loss --states $(STATES)
	$(RUN) -m bankrmi chaos --minutes $(MINUTES) --report chaos.html
	$(RUN) -m bankrmi chaos --minutes $(MINUTES) --servers 3 --report chaos-3.html
	$(RUN) -m pytest -n 3 --dist worksteal --hypothesis-profile thorough -m "long or not long"
	ROBUSTNESS=1 $(RUN) -m pytest tests/robustness/test_chaos_finds.py

mutants: $(INSTALLED_TOOLS) ## plant every known bug, and count the seeds until it is found
	@$(RUN) -m bankrmi.robustness.mutants --jobs $(JOBS) --write docs/robustness.md

coverage: $(INSTALLED_TOOLS) ## run the tests, and say which lines they did not reach
	@$(RUN) -m coverage run -m pytest $(ARGS)
	@$(RUN) -m coverage combine -q
	@$(RUN) -m coverage report

# Made anew when what it installs has changed; an environment that works is completed, never deleted.
# In "compat" mode the folder of the clone is on Python's path, with the package in it. In the usual one a script in the
# folder above would find the folder `bankrmi` itself, and take it for a package with nothing in it.
$(INSTALLED): setup.cfg pyproject.toml Makefile
	@command -v $(PYTHON) >/dev/null || { \
	  echo "bankrmi needs Python 3.11 or newer, and there is no '$(PYTHON)': install python3 (apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "bankrmi needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version): make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@[ -z "$(BROKEN)" ] || { echo "$(VENV) is broken, or was made in another folder: it is made anew" >&2; rm -rf $(VENV); }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing: install the package python3-venv (apt install python3-venv)" >&2; exit 1; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || { echo "creating $(VENV) …" >&2; $(PYTHON) -m venv $(VENV); }
	@echo "installing bankrmi and what it needs into $(VENV) …" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat --editable '.[console]'
	@touch $@

$(INSTALLED_TOOLS): $(INSTALLED)
	@echo "installing what tests, checks and pages need into $(VENV) …" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat --editable '.[console,test,check,docs]'
	@touch $@
