# To begin: `make train` and `make test`. `make help` lists everything.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# Where Python may not write bytecode when it imports, compile at install time: otherwise every command starts several seconds later.
BYTECODE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

.DEFAULT_GOAL := help
.PHONY: help install train evaluate generate explore export report tensorboard test test-slow lint format lock \
  docs docs-figures docs-variants notebooks results bench bench-sweep gpu-check chaos clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## create .venv and install everything into it

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed, but $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(BYTECODE) --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

train: install ## train a VAE: ARGS="model=conv beta=4"
	$(BIN)/python train.py $(ARGS)

evaluate: install ## measure a run: ARGS="run=outputs/…"
	$(BIN)/python evaluate.py $(ARGS)

generate: install ## make figures from a run: ARGS="run=outputs/…"
	$(BIN)/python generate.py $(ARGS)

explore: install ## interactive page of a run's latents: ARGS="run=outputs/…"
	$(BIN)/python explore.py $(ARGS)

export: install ## write a run as ONNX and safetensors: ARGS="run=outputs/…"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[export]'
	$(BIN)/python export.py $(ARGS)

report: install ## summarise a sweep: ARGS="sweep=outputs/sweeps/…"
	$(BIN)/python report.py $(ARGS)

tensorboard: install ## show all runs in the browser
	$(BIN)/tensorboard --logdir outputs

test: install ## run the tests in two processes: ARGS="-k schedules"
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: install ## run the slow tests, which CI runs weekly
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[sweep,joblib,submitit,ray]'
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: install ## check style, format, types and imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: install ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## update requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --extra dev --no-emit-index-url --no-header \
	  --no-annotate pyproject.toml --output-file requirements.lock

docs: install ## update the code, outputs and tables in docs/
	$(BIN)/python docs/include.py
	$(BIN)/python docs/compositions.py

docs-figures: install ## redraw the pictures of docs/how_it_works.md (minutes)
	$(BIN)/python docs/figures.py $(ARGS)

docs-variants: install ## redo docs/variants.md: ARGS="--data ../shared/data" (1 h)
	$(BIN)/python docs/variants.py $(ARGS)

notebooks: install ## run docs/notebooks/*.py into notebooks (minutes)
	$(BIN)/python docs/notebooks/make.py

results: install ## write docs/results.md: ARGS="runs=outputs"
	$(BIN)/python -m vae_lightning.cli.published $(ARGS)

bench: install ## compare training speed with a bare loop and pythae
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[bench]'
	$(BIN)/python benchmarks/throughput.py $(ARGS)

bench-sweep: install ## measure a sweep's overhead, and 200 jobs in a row
	$(BIN)/python benchmarks/sweep.py $(ARGS)

gpu-check: install ## train, kill, resume and measure on a GPU, in under 8 minutes
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

chaos: install ## kill and break runs; results in docs/reliability.md
	$(BIN)/python -m tests.chaos.campaign $(ARGS)

clean: ## remove .venv and caches, never outputs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
