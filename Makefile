# The list of commands; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test newest oldest checks organization rule clean

PYTHON ?= python3.13
RULES := $(patsubst %/app.py,%,$(wildcard */app.py))
# An older make, as macOS has it, runs one after the other.
PARALLEL := $(if $(filter output-sync,$(.FEATURES)),--jobs=2 --output-sync=target)
DEV := .venv/bin/python -m
SAM := .venv-sam/bin/python -m samcli
export SAM_CLI_TELEMETRY := 0
unexport AWS_PROFILE AWS_DEFAULT_PROFILE

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: .venv/ready build  ## run the sample events on this machine; EVENT=file, RULE=folder, LOG=1 to see the log
	@$(DEV) scripts.run_events $(if $(RULE),--rule $(RULE)) $(if $(LOG),--log) $(EVENT)

test: .venv/ready .sdk-oldest/ready build  ## check style, types and template; run the tests with the newest SDK and the oldest
	@$(MAKE) --no-print-directory $(PARALLEL) newest checks oldest
	@echo "make test: style, types, template and all tests passed, with both SDKs."

newest:
	$(DEV) pytest --quiet $(addprefix --cov=,$(RULES))
oldest:
	PYTHONPATH=.sdk-oldest $(DEV) pytest --quiet -m sdk
checks:
	$(DEV) ruff check --quiet .
	$(DEV) ruff format --check --quiet .
	$(DEV) mypy
	$(SAM) validate --lint

organization: .venv/ready  ## write organization.json, the stack for every account of an organization
	@$(DEV) scripts.organization

rule: .venv/ready  ## make a rule: NAME=s3_bucket_versioning LIKE=desired_instance_type
	@$(DEV) scripts.make_rule $(NAME) $(LIKE)

clean:  ## remove what the other commands made
	rm -rf organization.json .aws-sam .venv .venv-sam .sdk-oldest .coverage .mypy_cache .pytest_cache .ruff_cache

# sam build prints much and says little: show it only when it fails.
build: .aws-sam/build/template.yaml
.aws-sam/build/template.yaml: .venv-sam/ready template.yaml samconfig.toml $(wildcard $(addsuffix /*,$(RULES)))
	@PATH="$(CURDIR)/.venv-sam/bin:$$PATH" $(SAM) build > .venv-sam/build.log 2>&1 || { cat .venv-sam/build.log; exit 1; }
	@touch $@

.venv/ready: requirements/dev.txt
	@$(call install,.venv,the development tools)
.venv-sam/ready: requirements/sam.txt
	@$(call install,.venv-sam,SAM CLI)

.sdk-oldest/ready: .venv/ready requirements/sdk-oldest.txt
	@rm -rf .sdk-oldest
	@$(DEV) pip install --quiet --no-deps --target .sdk-oldest --requirement requirements/sdk-oldest.txt
	@touch $@

define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2> /dev/null \
	|| { echo "This project needs Python 3.13: install it, or name it with PYTHON=/path/to/python3.13."; exit 1; }; \
echo "Installing $(2) into $(1) (a minute, once)"; \
$(PYTHON) -m venv --clear $(1); \
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<; \
touch $@
endef
