# The list of commands; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.13
export SAM_CLI_TELEMETRY := 0
DEV := .venv/bin
SAM := .venv-sam/bin
OLDEST := .venv-oldest/bin
MUTANTS := .venv-mutants/bin

.DEFAULT_GOAL := help
.PHONY: help run test bench mutants clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: .venv/ready .aws-sam/build/template.yaml  ## run all sample events on this machine, or one: EVENT=file [RULE=folder]
	@$(DEV)/python -m scripts.run_events $(if $(RULE),--rule $(RULE)) $(EVENT)

test: .venv/ready .venv-oldest/ready .aws-sam/build/template.yaml  ## check style, types and template, run the tests with two SDKs
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(SAM)/sam validate --lint
	$(DEV)/pytest --quiet --cov
	$(OLDEST)/pytest --quiet

bench: .venv/ready .aws-sam/build/template.yaml  ## measure against the bare SDK call and against rdklib
	@$(DEV)/python -m scripts.bench

mutants: .venv-mutants/ready  ## mutate both handlers and list what no test notices (half an hour)
	rm -rf mutants
	$(MUTANTS)/mutmut run
	$(MUTANTS)/python -m scripts.check_mutants

clean:  ## remove what the other commands made
	rm -rf .aws-sam .venv .venv-mutants .venv-oldest .venv-sam mutants .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

.aws-sam/build/template.yaml: .venv-sam/ready template.yaml samconfig.toml desired_instance_type/app.py resource_count_limit/app.py
	@echo "sam build"
	@PATH="$(CURDIR)/$(SAM):$$PATH" sam build
	@touch $@

# SAM CLI pins a boto3 of its own, so it lives apart from the SDK under test.
.venv-sam/ready: requirements-sam.txt
	@echo "Installing SAM CLI into .venv-sam (a minute, once)"
	@$(PYTHON) -m venv --clear .venv-sam
	@$(SAM)/pip install --requirement requirements-sam.txt | sed -n 's/^Collecting/  &/p'
	@touch $@

.venv/ready: requirements-dev.txt
	@echo "Installing the development tools into .venv (a minute, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(DEV)/pip install --requirement requirements-dev.txt | sed -n 's/^Collecting/  &/p'
	@touch $@

.venv-oldest/ready: requirements-dev.txt requirements-oldest.txt
	@echo "Installing the tools with the oldest SDK into .venv-oldest (a minute, once)"
	@$(PYTHON) -m venv --clear .venv-oldest
	@$(OLDEST)/pip install --requirement requirements-dev.txt | sed -n 's/^Collecting/  &/p'
	@$(OLDEST)/pip install --requirement requirements-oldest.txt | sed -n 's/^Collecting/  &/p'
	@touch $@

.venv-mutants/ready: requirements-dev.txt requirements-mutants.txt
	@echo "Installing the tools for mutation testing into .venv-mutants (a minute, once)"
	@$(PYTHON) -m venv --clear .venv-mutants
	@$(MUTANTS)/pip install --requirement requirements-dev.txt --requirement requirements-mutants.txt | sed -n 's/^Collecting/  &/p'
	@touch $@
