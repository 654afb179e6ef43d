# Everything that a person or CI runs here. Only Python, make and a package index are needed: tools come from lock files
# into .venv, and a stamp file stands for each finished installation, so that nothing is installed twice.

PYTHON ?= python3
PYTEST_ARGS ?=
LOCK_ARGS ?=
CHAOS_MODES ?= processes cluster

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin
# --python: with another environment activated, uv would otherwise install into that one.
UV_PIP := $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet \
	--custom-compile-command 'make lock' $(LOCK_ARGS)
BOOTSTRAPPED := .venv/.bootstrapped
INSTALLED := .venv/.installed
GENERATOR := .venv/generate/.installed
OLDEST := .venv/oldest/.installed
YARDSTICKS := .venv/bench/.installed
RAY := .venv/.ray
SUPPLY := .venv/supply/.installed
NATIVE := hatch_build.py $(wildcard gateway/rpc/http2/*.py[x] gateway/rpc/http2/*.px[di])

# Service accounts and some containers have no home to write to, where uv and buf would keep their caches.
ifneq ($(shell test -w "$$HOME" || echo none),)
export UV_CACHE_DIR ?= $(CURDIR)/build/uv-cache
export BUF_CACHE_DIR ?= $(CURDIR)/build/buf-cache
endif

# A copied or moved .venv still points at the tree where it was made: it is made anew.
ifneq ($(wildcard .venv/.location),)
ifneq ($(shell cat .venv/.location),$(CURDIR))
$(BOOTSTRAPPED): moved
endif
endif

.PHONY: help demo demo-cluster test test-ray serve chaos chaos-cluster fuzz clients compare-clients conformance conformance-oldest \
	bench bench-quick bench-cluster bench-test \
	check check-format check-code check-types check-layers check-protos check-generate check-docs \
	format generate docs baseline lock lock-java lock-debian audit sbom build clean moved

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  PYTHON=python3.12      the interpreter that .venv is made with (3.11 or newer)'
	@echo '  PYTEST_ARGS="-k name"  arguments for the test runner'
	@echo '  CLIENT=go              one language of "clients", "compare-clients", "conformance"; there also SCENARIO=watch, JOBS=2'
	@echo '  TRANSPORT=grpcio       what the gateways of "make test", "make chaos", "make conformance" speak HTTP/2 with'
	@echo '  STORE=redis            where the gateways of "make test" and "make chaos" have their records'
	@echo '  CHAOS_MODES=processes  what "make chaos-cluster" plays with: processes of one gateway, "gateways" on a Redis, a "cluster" with Ray'
	@echo '  GATEWAYS=processes     what "make demo-cluster" starts, by the same names; otherwise "cluster"'
	@echo '  FIGURES=calls          one group of "make bench", "make bench-quick" or "make bench-cluster"'
	@echo '  LOCK_ARGS=--upgrade    arguments for the resolver of "make lock"'

demo: $(INSTALLED) ## start a gateway with the example apps, play a session against it, stop
	@$(BIN)/python -m tools.demo

demo-cluster: $(INSTALLED) $(if $(filter-out cluster,$(GATEWAYS)),,$(RAY)) ## the same with Redis, Ray and three gateways, one of which is killed (GATEWAYS=)
	@$(BIN)/python -m tools.demo_cluster

serve: $(INSTALLED) ## run the gateway in the foreground with the example apps
	@$(BIN)/python -m tools.serve

test: $(INSTALLED) ## run the tests (PYTEST_ARGS=...)
	$(BIN)/pytest $(PYTEST_ARGS)
	@$(BIN)/python -m tools.clients missing

test-ray: $(INSTALLED) $(RAY) ## run the tests of workers on Ray, on a cluster of three nodes on this machine
	TEST_DEADLINE=60 $(BIN)/pytest --timeout 180 $(PYTEST_ARGS) tests/ray

clients: $(INSTALLED) ## check, build and test the clients of other languages (CLIENT=)
	@$(BIN)/python -m tools.clients $(addprefix --client ,$(CLIENT)) check build test

compare-clients: $(INSTALLED) $(GENERATOR) ## stubs of other languages are what the protos give (CLIENT=)
	@$(BIN)/python -m tools.clients $(addprefix --client ,$(CLIENT)) compare

chaos: $(INSTALLED) ## kill gateways and workers under load for CHAOS_SECONDS (180), and check every answer
	@$(BIN)/python -m tools.chaos gateway

chaos-cluster: $(INSTALLED) $(if $(filter ray cluster,$(CHAOS_MODES)),$(RAY)) ## the same with several gateways that are one, in each of CHAOS_MODES ("processes cluster")
	@$(BIN)/python -m tools.chaos $(CHAOS_MODES)

fuzz: $(INSTALLED) ## feed every parser with FUZZ_INPUTS (100,000) inputs that are nearly right, and write build/fuzz.json (PARSER=)
	@$(BIN)/python -m tools.fuzz $(PARSER)

conformance: $(INSTALLED) ## play the scenarios with the client of every language (CLIENT=, SCENARIO=), and write docs/conformance.md
	@$(BIN)/python -m tools.conformance $(addprefix --client ,$(CLIENT)) $(addprefix --scenario ,$(SCENARIO)) \
		$(addprefix --jobs ,$(JOBS))

conformance-oldest: $(INSTALLED) $(OLDEST) ## the same with the Python client on the oldest Python and libraries that it supports
	@SGW_PYTHON=$(CURDIR)/.venv/oldest/bin/python $(MAKE) conformance CLIENT=python

bench: bench-programs $(YARDSTICKS) ## measure everything against its yardsticks, some 10 minutes, and write docs/performance.md
	@$(BIN)/python -m bench $(addprefix --only ,$(FIGURES))

bench-quick: bench-programs ## the most telling figures in fewer rounds, under 90 s
	@$(BIN)/python -m bench --quick $(addprefix --only ,$(FIGURES))

bench-cluster: bench-programs $(YARDSTICKS) $(RAY) ## measure Redis, Ray and a million records beside the embedded default, and write docs/scale.md
	@$(BIN)/python -m bench --cluster $(addprefix --only ,$(FIGURES))

bench-test: $(INSTALLED) ## the tests of the load generator and of the echo server in Go
	@cd bench/load && go vet ./... && go test ./...
	@cd bench/echo && go vet ./... && go test ./...

check: check-format check-code check-types check-layers check-protos check-generate check-docs ## all checks but the tests

check-format: $(INSTALLED) ## formatting of Python
	$(BIN)/ruff format --check

check-code: $(INSTALLED) ## lint of Python
	$(BIN)/ruff check

# Each example is a tree of its own: an app's modules import each other without a package.
check-types: $(INSTALLED) ## mypy --strict
	$(BIN)/mypy
	@set -e; for app in $(wildcard examples/*/app.py); do \
		echo "mypy $${app%/app.py}"; MYPYPATH="$${app%/app.py}" $(BIN)/mypy "$${app%/app.py}"; \
	done

check-layers: $(INSTALLED) ## who may import whom
	$(BIN)/lint-imports --no-logo --no-cache

check-protos: $(INSTALLED) ## lint, format and compatibility of the protos
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against proto/baseline.binpb

check-generate: $(INSTALLED) $(GENERATOR) ## generated code is what the protos give
	$(BIN)/python -m tools.check_generate

check-docs: $(INSTALLED) ## generated pages are what their sources give
	$(BIN)/python -m tools.docs --check

format: $(INSTALLED) ## format Python and protos, mend what the linter can
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format --write

generate: $(INSTALLED) $(GENERATOR) ## write the stubs from the protos
	$(BIN)/buf generate
	@$(BIN)/python -m tools.clients generate

docs: $(INSTALLED) ## write the generated pages of docs/
	$(BIN)/python -m tools.docs

baseline: $(INSTALLED) ## take the protos of now as the release that later ones must stay compatible with
	$(BIN)/buf build --exclude-source-info -o proto/baseline.binpb

lock: $(BOOTSTRAPPED) ## write requirements/*.lock (LOCK_ARGS=--upgrade, or --upgrade-package NAME)
	@mkdir -p build
	@echo 'sessiongateway @ file:./clients/python' > build/overrides.txt
	$(COMPILE) --group bootstrap -o requirements/bootstrap.lock
	$(COMPILE) --group generate -o requirements/generate.lock
	$(COMPILE) pyproject.toml --extra tracing --extra jwt --extra redis --group dev --no-emit-package sessiongateway --override build/overrides.txt \
		-o requirements/dev.lock
	$(COMPILE) --group ray --constraint requirements/dev.lock -o requirements/ray.lock
	$(COMPILE) --group bench -o requirements/bench.lock
	$(COMPILE) --group supply -o requirements/supply.lock
	$(COMPILE) clients/python/pyproject.toml --resolution lowest-direct -o requirements/oldest.lock

lock-java: $(INSTALLED) ## write clients/java/dependencies.lock from what Maven resolves
	@$(BIN)/python -m tools.supply lock-java

lock-debian: $(INSTALLED) ## write clients/cpp/packages.lock and clients/ruby/packages.lock from what apt resolves
	@$(BIN)/python -m tools.supply lock-debian

audit: $(INSTALLED) $(SUPPLY) ## pins, hashes, licences and known vulnerabilities of all dependencies (AUDIT_ALL=1: unasked is a failure)
	@.venv/supply/bin/python -m tools.supply audit

sbom: $(INSTALLED) $(SUPPLY) ## write and validate build/sbom/*.cdx.json, the CycloneDX bills of materials
	@.venv/supply/bin/python -m tools.supply sbom

build: $(INSTALLED) ## build the wheels of server and SDK into dist/
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist clients/python
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .
	@ls dist/*.whl

clean: ## remove the environments, what was built, and caches
	rm -f gateway/rpc/http2/*.so
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BOOTSTRAPPED): requirements/bootstrap.lock
	@$(PYTHON) -c 'pass' || { echo 'make: no Python named "$(PYTHON)"; say which one: make PYTHON=python3.12'; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: Python 3.11 or newer is needed, $$($(PYTHON) -V) was found; name another: make PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo 'make: this Python cannot make virtual environments; on Debian or Ubuntu install python3-venv, or name another: make PYTHON=...'; exit 1; } >&2
	@echo 'making .venv and installing what the lock files name'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@printf '%s\n' '$(CURDIR)' > .venv/.location
	@touch $@

# Build dependencies are in the lock as well, hence no build isolation: nothing is installed that has no hash.
$(INSTALLED): $(BOOTSTRAPPED) requirements/dev.lock pyproject.toml clients/python/pyproject.toml $(NATIVE)
	@$(UV_PIP) --require-hashes -r requirements/dev.lock
	@$(BIN)/python hatch_build.py
	@$(UV_PIP) --no-deps --no-build-isolation -e clients/python -e .
	@touch $@

$(GENERATOR): $(BOOTSTRAPPED) requirements/generate.lock
	@$(BIN)/python -m venv --without-pip .venv/generate
	@$(BIN)/uv pip sync --quiet --python .venv/generate/bin/python --require-hashes requirements/generate.lock
	@touch $@

# The lower bounds of clients/python/pyproject.toml, on its oldest Python.
$(OLDEST): requirements/oldest.lock $(INSTALLED)
	@$(BIN)/uv venv --quiet --clear --python 3.11 --no-python-downloads .venv/oldest
	@$(BIN)/uv pip install --quiet --python .venv/oldest/bin/python --require-hashes -r $<
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir .venv/oldest clients/python
	@$(BIN)/uv pip install --quiet --python .venv/oldest/bin/python --no-deps .venv/oldest/sessiongateway-*.whl
	@touch $@

# It sees the installed packages of .venv besides, for what they say of their licences.
$(SUPPLY): requirements/supply.lock $(INSTALLED)
	@echo 'making .venv/supply for audits and bills of materials'
	@$(BIN)/python -m venv --without-pip .venv/supply
	@$(BIN)/uv pip sync --quiet --python .venv/supply/bin/python --require-hashes requirements/supply.lock
	@touch $@

# Beside the server, in versions that agree with its own: the driver and the actors load both.
$(RAY): requirements/ray.lock $(INSTALLED)
	@echo 'installing Ray'
	@$(UV_PIP) --require-hashes -r $<
	@touch $@

# Ray, in versions that need not agree with the server's.
$(YARDSTICKS): requirements/bench.lock $(INSTALLED)
	@echo 'making .venv/bench for Ray'
	@$(BIN)/python -m venv --without-pip .venv/bench
	@$(BIN)/uv pip sync --quiet --python .venv/bench/bin/python --require-hashes requirements/bench.lock
	@touch $@

# Go itself knows what has changed.
.PHONY: bench-programs
bench-programs: $(INSTALLED)
	@command -v go >/dev/null || { echo 'make: the load generator is a Go program: install Go 1.25 or newer, and put "go" on PATH'; exit 1; } >&2
	@mkdir -p build/bench
	@cd bench/load && go build -o ../../build/bench/load .
	@cd bench/echo && go build -o ../../build/bench/echo .

moved:
	rm -rf .venv
