# make demo    a city, its ground truth, a trained model, its score and pictures
#              (sizes: make demo DEMO_TRAIN_SCENES=50 …, all of them in tools/demo.sh)
# make test    the tests; make test-all: those too that take long
# make lint    ruff and mypy; make coverage: the tests, and which lines they reach
# make docs    the documents as a website, build/site
# Each makes the virtual environment on first use.

PYTHON ?= python3
BASE_PYTHON ?= $(PYTHON)
VENV ?= .venv
TORCH ?= torch==2.13.0
EXTRAS ?= dev,tensorboard

# more than two cores need: some tests wait for processes of their own
TEST_WORKERS ?= 3
READY := $(VENV)/.mapllava-ready
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all coverage lint docs format

help:
	@sed -n 's/^# \?//p' Makefile | head -6

venv: $(READY)

$(READY): setup.py $(wildcard requirements/*.txt) tools/make_venv.sh
	TORCH="$(TORCH)" EXTRAS="$(EXTRAS)" bash tools/make_venv.sh "$(VENV)" "$(BASE_PYTHON)"
	@touch $@

demo: $(READY)
	@PYTHON="$(BIN)/python" bash tools/demo.sh

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

test-all: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m '' -n $(TEST_WORKERS) --dist loadfile

coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m '' -n $(TEST_WORKERS) --dist loadfile --cov --cov-report=term

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	@$(BIN)/python -c "import mkdocs, mkdocstrings" || $(BIN)/python -m pip install -r requirements/docs.txt
	$(BIN)/python -m mkdocs build --strict

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
