# The two commands of a newcomer are `make train` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# where Python may not keep bytecode as it imports, it is made at once: else each command would start several seconds later
BYTECODE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

.DEFAULT_GOAL := help
.PHONY: help install train evaluate generate explore export report tensorboard test test-slow lint format lock docs docs-figures docs-variants results \
  bench bench-sweep chaos clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## makes .venv with everything in it

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(BYTECODE) --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

train: install ## trains: make train ARGS="model=conv beta=4"
	$(BIN)/python train.py $(ARGS)

evaluate: install ## measures a run: make evaluate ARGS="run=outputs/…"
	$(BIN)/python evaluate.py $(ARGS)

generate: install ## draws a run: make generate ARGS="run=outputs/…"
	$(BIN)/python generate.py $(ARGS)

explore: install ## a page in which a run's decoder runs: make explore ARGS="run=outputs/…"
	$(BIN)/python explore.py $(ARGS)

export: install ## writes a run's encoder and decoder as ONNX and safetensors: make export ARGS="run=outputs/…"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[export]'
	$(BIN)/python export.py $(ARGS)

report: install ## answers a sweep: make report ARGS="sweep=outputs/sweeps/…"
	$(BIN)/python report.py $(ARGS)

tensorboard: install ## shows all runs in the browser
	$(BIN)/tensorboard --logdir outputs

test: install ## the tests, in two processes: make test ARGS="-k schedules"
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: install ## the tests that CI leaves out: launchers and sweeps in processes of their own
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[sweep,joblib,submitit,ray]'
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: install ## style (ruff), format, types (mypy) and imports between rooms (import-linter)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: install ## puts the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## writes requirements.lock anew from pyproject.toml, without a registry's address
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --extra dev --no-emit-index-url --no-header \
	  --no-annotate pyproject.toml --output-file requirements.lock

docs: install ## puts code, figures and what goes with what into the pages of docs/
	$(BIN)/python docs/include.py
	$(BIN)/python docs/compositions.py

docs-figures: install ## draws the pictures of docs/how_it_works.md anew (minutes)
	$(BIN)/python docs/figures.py $(ARGS)

results: install ## writes docs/results.md from the runs of published recipes: make results ARGS="runs=outputs"
	$(BIN)/python -m vae_lightning.cli.published $(ARGS)

docs-variants: install ## trains, measures and draws what docs/variants.md shows (an hour): ARGS="--data ../shared/data"
	$(BIN)/python docs/variants.py $(ARGS)

bench: install ## training speed beside a bare loop, torchvision's loader and pythae (installed into .venv)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[bench]'
	$(BIN)/python benchmarks/throughput.py $(ARGS)

bench-sweep: install ## what a sweep costs beside its runs, and two hundred jobs in a row
	$(BIN)/python benchmarks/sweep.py $(ARGS)

chaos: install ## kills runs 250 times, breaks disks and checkpoints, tries bad input, and writes docs/reliability.md of it
	$(BIN)/python -m tests.chaos.campaign $(ARGS)

clean: ## removes .venv and caches, never outputs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
