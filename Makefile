# Four commands; each sets up what it needs, once: system libraries (by apt where permitted) and environments.
#   make demo     a policy works the simulated table; table, videos and report in outputs/
#   make test     every check, as CI runs them
#   make lint     style, types and the rules between the rooms
#   make bundle   train again what ships in models/
# Another Python: make PYTHON=python3.12 demo. What to pass on: make test TESTS=tests/rig
SHELL := /bin/bash
PYTHON ?= python3
TESTS ?=
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input -qq
# ROS from a sourced installation would be mixed with the wheels of this environment.
unexport PYTHONPATH AMENT_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: demo test lint bundle system clean

# A fresh run each time; `xdistill up demo --output FOLDER` takes up the run in FOLDER instead.
demo: $(VENV)/.demo
	rm -rf outputs/demo
	$(VENV)/bin/xdistill up demo

test: $(VENV)/.test .venv-colcon/.ready
	$(VENV)/bin/python -m pytest -n 2 $(TESTS)

lint: $(VENV)/.test
	$(VENV)/bin/python -m pytest -q tests/house/test_style.py tests/house/test_rules_between_rooms.py

bundle: $(VENV)/.test
	tools/bundle.sh

system:
	@tools/system-libraries.sh $(PYTHON)

$(VENV)/bin/python: | system
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -U 'pip>=25'

$(VENV)/.demo: pyproject.toml setup.py $(VENV)/bin/python | system
	@echo "Setting up .venv for the demo (once, a minute or two) ..."
	$(PIP) install -e '.[ros,sim]'
	@touch $@

$(VENV)/.test: pyproject.toml setup.py constraints/test.txt $(VENV)/bin/python | system
	@echo "Setting up .venv for tests and training (once, some minutes) ..."
	$(PIP) install -c constraints/test.txt $$(tools/torch-index.sh $(PYTHON)) -e '.[ros,sim,episodes,teleop,remote,realsense,learn,bench,dev]'
	@# torchvision's wheels pin a torch of their own, and timm asks for torchvision: only their networks are used
	$(PIP) install --no-deps -c constraints/test.txt torchvision timm
	@touch $@ $(VENV)/.demo

# colcon needs an older setuptools than the rest: an environment of its own.
.venv-colcon/.ready: Makefile | system
	$(PYTHON) -m venv .venv-colcon
	.venv-colcon/bin/python -m pip --disable-pip-version-check --no-input -qq install \
	  'setuptools>=68,<80' 'colcon-core<1' 'colcon-ros<1' 'colcon-recursive-crawl<1' 'colcon-defaults<1' \
	  'colcon-package-information<1' 'colcon-package-selection<1' 'colcon-parallel-executor<1' 'colcon-output<1' 'colcon-library-path<1' 'empy<4'
	@touch $@

clean:
	rm -rf $(VENV) .venv-colcon build install log outputs *.egg-info
