# The list of commands; each installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:  # several commands install into one environment
.PHONY: help run preview test style organization rule clean

PYTHON ?= python3.13
RULES := $(patsubst %/app.py,%,$(wildcard */app.py))
DEV := .venv/bin/python -m
SAM := .venv-sam/bin/python -m samcli
PIP := python -m pip install --quiet --disable-pip-version-check --requirement
# An option of a script, if the variable of that name is given; ALL=0 means no. The shell quotes it.
option = $(if $($(1)),--$(2) "$$$(1)")
flag = $(if $(filter-out 0 no off false False,$($(1))),--$(2))
export SAM_CLI_TELEMETRY := 0
unexport AWS_PROFILE AWS_DEFAULT_PROFILE

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: .venv/run  ## run the sample events; EVENT=file, RULE=folder, ALL=1, LOG=1 to see the log
	@$(DEV) scripts.run_events $(EVENT) $(call option,RULE,rule) $(call flag,ALL,all) $(call flag,LOG,log)

preview: .venv/run  ## what the rules would report of ITEMS=files; RULE=, PARAMETERS=, ALL=1, CSV=file
	@$(DEV) scripts.preview $(ITEMS) $(call option,RULE,rule) $(call option,PARAMETERS,parameters) \
	  $(call option,CSV,csv) $(call flag,ALL,all)

test: .venv/dev .venv-sam/ready .sdk-oldest/ready  ## check style, types and template; run all tests
	@$(DEV) ruff check .
	@$(DEV) ruff format --check .
	@$(DEV) mypy
	@PYTHONPATH=.sdk-oldest $(DEV) pytest -m sdk
	@$(DEV) pytest $(addprefix --cov=,$(RULES))
	@$(SAM) validate --lint

style: .venv/dev  ## fix the style of the code, except long lines
	@$(DEV) ruff format .
	@$(DEV) ruff check --fix .

organization: .venv/dev  ## write organization.json, the stack for every account of an organization
	@$(DEV) scripts.organization

rule: .venv/run  ## make a rule of your own: NAME=s3_bucket_versioning LIKE=desired_instance_type
	@$(DEV) scripts.make_rule "$(NAME)" "$(LIKE)"

clean:  ## remove what the other commands made
	rm -rf organization.json .aws-sam .venv .venv-sam .sdk-oldest .coverage .*_cache

.venv/python .venv-sam/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2> /dev/null || { echo \
	  "This project needs Python 3.13: install it, or name it with PYTHON=/path/to/python3.13."; exit 1; }
	@echo "Installing tools into $(@D) (once)"
	@$(PYTHON) -m venv $(@D) && touch $@
.venv/run .venv/dev: .venv/%: .venv/python requirements/run.txt requirements/%.txt
	@.venv/bin/$(PIP) requirements/$*.txt && touch $@
.venv-sam/ready: .venv-sam/python requirements/by_hand/sam.txt
	@.venv-sam/bin/$(PIP) requirements/by_hand/sam.txt && touch $@
.sdk-oldest/ready: .venv/dev requirements/by_hand/sdk-oldest.txt
	@rm -rf .sdk-oldest
	@.venv/bin/$(PIP) requirements/by_hand/sdk-oldest.txt --no-deps --target .sdk-oldest && touch $@
