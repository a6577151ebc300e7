# The list of commands; each installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:  # several commands install into one environment
.PHONY: help run preview check test style organization rule lock clean

PYTHON ?= python3.13
RULES := $(patsubst %/app.py,%,$(wildcard */app.py))
RUN_MODULE := .venv/bin/python -m
SAM := .venv-sam/bin/python -m samcli
# uv makes the environments: the one on the PATH, or one that pip installs into .venv.
UV_ON_PATH := $(shell command -v uv)
UV := $(or $(UV_ON_PATH),.venv/bin/uv)
# What is there when .venv is; another way of making it makes it again.
VENV := $(if $(UV_ON_PATH),.venv/by-uv,.venv/bin/uv)
INSTALL := $(UV) pip install --quiet --python
# An option of a command, if the variable of that name is given; ALL=0 means no. The shell quotes it.
option = $(if $($(1)),--$(2) "$$$(1)")
flag = $(if $(filter-out 0 no off false False,$($(1))),--$(2))
export SAM_CLI_TELEMETRY := 0
unexport PYTHONDONTWRITEBYTECODE  # without bytecode every later command takes twice as long

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: .venv/run  ## run the sample events; EVENT=file, RULE=folder, ALL=1, LOG=1; LIVE=1 in your account
	@$(RUN_MODULE) scripts.$(if $(call flag,LIVE,live),live,run_events) "$${EVENT-}" \
	  $(call option,RULE,rule) $(call flag,ALL,all) $(call flag,LOG,log)

preview: .venv/run  ## what the rules would report about ITEMS=files; RULE=, PARAMETERS=, ALL=1, CSV=, COMPARE=
	@$(RUN_MODULE) scripts.preview "$${ITEMS-}" $(call option,RULE,rule) \
	  $(call option,PARAMETERS,parameters) $(call option,CSV,csv) $(call option,COMPARE,compare) \
	  $(call flag,ALL,all)

check: .venv/run  ## check files, template and events, and run each sample event once
	@$(RUN_MODULE) scripts.check

test: .venv/dev .venv-sam/ready .sdk-oldest/ready  ## check everything and run all tests
	@$(RUN_MODULE) scripts.check
	@$(RUN_MODULE) ruff check .
	@$(RUN_MODULE) ruff format --check .
	@$(RUN_MODULE) mypy
	@PYTHONPATH=.sdk-oldest $(RUN_MODULE) pytest -m sdk
	@$(RUN_MODULE) pytest --numprocesses auto $(addprefix --cov=,$(RULES))
	@env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE $(SAM) validate --lint

style: .venv/dev  ## fix the style of the code, except long lines
	@$(RUN_MODULE) ruff format .
	@$(RUN_MODULE) ruff check --fix .

organization: .venv/dev  ## write organization.json, the stack for every account of an organization
	@$(RUN_MODULE) scripts.organization

rule: .venv/run  ## make a rule of your own: NAME=s3_bucket_versioning LIKE=desired_instance_type
	@$(RUN_MODULE) scripts.make_rule "$(NAME)" "$(LIKE)"

lock: $(VENV)  ## compile requirements/ from pyproject.toml, with the newest versions
	@for group in setup run dev sam sdk-oldest; do \
	  $(UV) pip compile --quiet --universal --upgrade --python-version 3.13 --no-emit-index-url \
	    --annotation-style line --custom-compile-command "make lock" \
	    --group $$group --output-file requirements/$$group.txt; done

clean:  ## remove what the other commands made
	rm -rf organization.json .aws-sam .venv .venv-sam .sdk-oldest .coverage .*_cache

$(VENV): requirements/setup.txt
ifdef UV_ON_PATH
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv
else
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2> /dev/null || { echo \
	  "This project needs Python 3.13: install it or uv, or name it with PYTHON=/path/to/python3.13."; \
	  exit 1; }
	@echo "Setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
endif
	@touch $@
.venv/run .venv/dev: .venv/%: $(VENV) requirements/run.txt requirements/%.txt
	@$(INSTALL) .venv/bin/python --requirement requirements/$*.txt && touch $@
.venv-sam/ready: $(VENV) requirements/sam.txt
	@echo "Setting up .venv-sam (once)"
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-sam
	@$(INSTALL) .venv-sam/bin/python --requirement requirements/sam.txt && touch $@
.sdk-oldest/ready: .venv/dev requirements/sdk-oldest.txt
	@rm -rf .sdk-oldest
	@$(INSTALL) .venv/bin/python --requirement requirements/sdk-oldest.txt --target .sdk-oldest
	@touch $@
