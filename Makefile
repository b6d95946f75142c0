# The two commands of a new user are `quickstart` and `test`; both make the environment they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
QUICKSTART := checkpoints/digits

.PHONY: quickstart test test-gpu check ci benchmark clean
.DELETE_ON_ERROR:

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "imagetune needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The main job on the bundled digits: search, results, retrained winner, per-class evaluation on the test images.
quickstart: $(VENV)/.installed
	@if [ -e $(QUICKSTART) ]; then echo "$(QUICKSTART) exists: going on with it"; fi
	$(BIN)/imagetune search digits $$([ -e $(QUICKSTART)/search.yaml ] && echo --resume)
	$(BIN)/imagetune results digits --top 5
	$(BIN)/imagetune retrain digits --top 1
	@for run in $(QUICKSTART)/winners/*; do echo; echo "$$run"; $(BIN)/imagetune evaluate $$run || exit 1; done

test: $(VENV)/.installed
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2 --dist loadgroup

# Everything that needs a CUDA GPU, in less than 8 minutes on an H100; without one, all is skipped.
test-gpu: $(VENV)/.installed
	$(BIN)/python -m pytest tests/gpu

# Speed against the official tutorial's program and against the floor, on this machine, in less than 25 minutes.
benchmark: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ci: check test

clean:
	rm -rf $(VENV) build *.egg-info
