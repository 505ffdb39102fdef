# Every target sets up what it needs; builds and cluster state live in a cache directory outside the repository.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements/dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "slmfleet needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip sync -q --require-hashes requirements/dev.txt
	touch $@

.PHONY: venv
venv: $(VENV)/.ready ## The Python environment with everything that development needs

.PHONY: lock
lock: venv ## Lock the Python dependencies again (the engine environment is locked by hand: requirements/engine-cpu.in)
	$(BIN)/uv pip compile -q --no-header --generate-hashes --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --no-header --generate-hashes --python-version 3.11 -c requirements/runtime.txt \
		requirements/simulator.in -o requirements/simulator.txt
	$(BIN)/uv pip compile -q --no-header --generate-hashes --python-version 3.11 -c requirements/runtime.txt \
		requirements/fetcher.in -o requirements/fetcher.txt
	$(BIN)/uv pip compile -q --no-deps --no-header --no-annotate --no-emit-index-url --generate-hashes --python-version 3.11 \
		requirements/parsers/common.in -o requirements/parsers/common.txt
	$(BIN)/uv pip compile -q --no-header --generate-hashes --python-version 3.11 --extra simulator --extra fetcher --group dev pyproject.toml -o requirements/dev.txt

.PHONY: cluster cluster-down
cluster: venv ## A real one-node Kubernetes on this machine
	@$(BIN)/python -m e2e.cluster up
cluster-down: venv ## Stop it and leave nothing behind
	@$(BIN)/python -m e2e.cluster down

.PHONY: generate
generate: venv ## Write what is derived: CRDs, the chart's copy, reference pages
	PYTHONPATH=operator $(BIN)/python -m slmfleet.cli.generate

.PHONY: flags
flags: venv ## Read every vLLM release's options again: downloads 1 GB and the engine environment, 10 to 20 minutes
	@$(BIN)/python -m tools.flags

.PHONY: metrics
metrics: venv ## Read every vLLM release's metrics again: downloads as flags does, 10 to 15 minutes
	@$(BIN)/python -m tools.metrics

.PHONY: failures
failures: venv ## Start the real vLLM in every way that fails, and keep its logs for the tests: 40 minutes
	@$(BIN)/python -m tools.failures

.PHONY: format
format: venv ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --exit-zero --quiet .

.PHONY: check
check: venv ## The fast part of the tests: format, lint, types, import contracts, generated files, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=operator $(BIN)/lint-imports
	PYTHONPATH=operator $(BIN)/python -m slmfleet.cli.generate --check
	$(BIN)/pytest tests

# The local cluster unless KUBECONFIG names another one; only a cluster of our own is killed and recovered.
ifdef KUBECONFIG
CLUSTER_UP := true
CLUSTER_TESTS :=
else
CLUSTER_UP := $(BIN)/python -m e2e.cluster up
CLUSTER_TESTS := e2e/cluster
endif

.PHONY: test
test: check ## Everything: check, then the chart, the API, the scenarios, the engine contract and the fetcher's sources
	@$(CLUSTER_UP)
	$(BIN)/pytest e2e/chart e2e/acceptance e2e/scenarios e2e/contract e2e/fetcher $(CLUSTER_TESTS)

.PHONY: test-long
test-long: venv ## Soak tests: minutes of random changes and faults, then everything must have converged
	@$(CLUSTER_UP)
	$(BIN)/pytest -m soak e2e/soak

.PHONY: bench-autoscale bench-autoscale-smoke
bench-autoscale: venv ## Every autoscaler on every workload: bench/results/autoscale.md; an hour, goes on where it was cut
	$(BIN)/python -m bench.autoscale.matrix
bench-autoscale-smoke: venv ## A minute's worth of it, into build/autoscale
	$(BIN)/python -m bench.autoscale.matrix --smoke

.PHONY: bench-autoscale-live
bench-autoscale-live: venv ## How soon replicas follow a step of load on a real cluster, and whether a request is lost
	@$(CLUSTER_UP)
	@PYTHONPATH=operator $(BIN)/python -m bench.autoscale_live

.PHONY: bench-lora
bench-lora: venv ## 200 adapters on 25 replicas: how soon all are loaded, one more is, and a restarted replica has them again
	@PYTHONPATH=operator $(BIN)/python -m bench.lora

.PHONY: demo
demo: venv ## From this machine to a streamed answer of a real vLLM behind a Service
	@$(BIN)/python -m e2e.demo
