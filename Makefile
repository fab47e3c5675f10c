# Everything needs Python 3.11+ with venv, make and a package index; no root and no container engine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TOOLS  := $(VENV)/.installed-dev
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Where PyPI's default build is too large: make test-torch TORCH='--index-url URL_OF_CPU_BUILDS torch==2.13.0'
TORCH        := torch==2.13.0
TRANSFORMERS := transformers==5.24.0
TORCH_VENV   := .venv-torch

RUN_EXTRAS := --extra local --extra grpc --extra zstd --extra build
UV_COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url
MESSAGES := src/modelserve/protocol/messages
DEV_EXTRAS := $(RUN_EXTRAS) --extra sklearn --extra xgboost --extra lightgbm --extra redis --extra s3 --extra postgres --extra plot --extra dev

QUICK := -n 2 --dist loadfile $(addprefix --ignore=tests/,faults surface clients pytorch oracle terraform)

CHECKOV      := 3.3.30
CHECKOV_VENV := .venv-checkov

.DEFAULT_GOAL := help
.PHONY: help install tools demo up down test test-platform test-torch test-terraform faults fuzz check format bench bench-serving bench-judge proto train lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(STAMP) ## Set up .venv from the lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "Setting up .venv from requirements.lock ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(TOOLS): $(STAMP) requirements-dev.lock
	@echo "Adding what the tests need from requirements-dev.lock ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

tools: $(TOOLS)

demo: install ## Serve two models, promote the good versions, roll three bad ones back (about 2 minutes)
	@$(BIN)/python -m examples.demo

up: install ## Start the platform with two models and leave it running
	@$(BIN)/python -m examples.up

down: install ## Stop the platform
	@$(BIN)/modelserve down

test: tools ## Run the tests
	@$(BIN)/pytest $(QUICK) -m 'not platform'

test-platform: tools ## Run the tests that start a whole platform each
	@$(BIN)/pytest $(QUICK) -m platform

test-torch: tools $(TORCH_VENV)/.installed ## Run the tests of PyTorch models and those beside transformers, in .venv-torch (installs both)
	@$(TORCH_VENV)/bin/python -m pytest tests/oracle
	@$(TORCH_VENV)/bin/python -m pytest tests/pytorch tests/runtimes/test_every_runtime_keeps_to_the_port.py \
	  tests/docs/test_examples_of_the_runtimes.py -k torch

# An environment on top of .venv: PyTorch is larger than everything else together, and stays out of the lock.
$(TORCH_VENV)/.installed: $(STAMP) Makefile
	@echo "Setting up $(TORCH_VENV) with $(TORCH) and $(TRANSFORMERS) ..."
	@$(PYTHON) -m venv $(TORCH_VENV)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > "$$($(TORCH_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/below.pth"
	@$(TORCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(TORCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(TRANSFORMERS)
	@touch $@

faults: tools ## Run the slow tests: faults under load, bad input at the whole platform, other people's clients
	@$(BIN)/pytest tests/faults tests/surface tests/clients

# checkov has an environment of its own: it pins half of PyPI.
$(CHECKOV_VENV)/.installed:
	@echo "Setting up $(CHECKOV_VENV) ..."
	@$(PYTHON) -m venv $(CHECKOV_VENV)
	@$(CHECKOV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check checkov==$(CHECKOV)
	@touch $@

test-terraform: tools $(CHECKOV_VENV)/.installed ## Check terraform/, apply the environment dev to a local AWS, look at it, destroy it
	@CHECKOV=$(CURDIR)/$(CHECKOV_VENV)/bin/checkov $(BIN)/pytest -rs --timeout 1800 tests/terraform

fuzz: tools ## A million mutated bodies against every decoder (about 4 minutes)
	@$(BIN)/python -m tests.surface.fuzz_bodies

check: tools ## Lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: tools ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: tools ## Throughput through the front door as a ratio to raw onnxruntime
	@$(BIN)/python -m benchmarks.throughput

bench-serving: tools ## The model server beside raw onnxruntime, FastAPI, mosec and LitServe; BENCH=--help tells more
	@$(BIN)/python -m benchmarks.serving $(BENCH)

bench-judge: tools ## How often the judge is wrong and how fast it is right, beside its goals and others (10 minutes)
	@$(BIN)/python -m benchmarks.judge $(BENCH)

proto: tools ## Generate the classes of gRPC's messages from their .proto files
	@cd $(MESSAGES) && $(CURDIR)/$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. *.proto
	@sed -i 's/^from google.protobuf import descriptor_pool/from modelserve.protocol.messages import pool/' $(MESSAGES)/*_pb2.py

train: tools ## Train the bundled models again (installs PyTorch)
	@$(PIP) -e '.[train]'
	@$(BIN)/python -m training

lock: install ## Resolve the pinned versions and hashes anew
	@$(PIP) uv
	@$(UV_COMPILE) $(RUN_EXTRAS) -o requirements.lock pyproject.toml
	@echo kserve | $(UV_COMPILE) -o tests/clients/kserve.lock -
	@$(UV_COMPILE) $(DEV_EXTRAS) -c requirements.lock -o requirements-dev.lock pyproject.toml

clean: ## Stop what runs and delete everything that is not in git
	@if [ -x $(BIN)/modelserve ]; then $(BIN)/modelserve down || true; fi
	@rm -rf $(VENV) $(TORCH_VENV) $(CHECKOV_VENV) .venv-clients .modelserve build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
