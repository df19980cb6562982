# Every target that needs the environment makes it first; `make setup` alone is enough for a newcomer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Extra options for the command line, e.g. make ablate-norm ARGS="--preset smoke --seeds 2"
ARGS ?=
# The same, for what is changed most often: make ablate-norm SEEDS=10
SEEDS :=
override ARGS += $(if $(SEEDS),--seeds $(SEEDS))

.PHONY: help setup test lint smoke ablate-all report calibration bench faults clean

help:
	@echo "make setup            create $(VENV) and install"
	@echo "make smoke            every study at smoke size, in minutes"
	@echo "make ablate-all       every study at the quick preset (ARGS=... passes options on)"
	@echo "make ablate-STUDY     one study, e.g. make ablate-norm"
	@echo "make report           the report of what is done"
	@echo "make calibration      how often verdicts would be wrong, with what the runs show"
	@echo "make test | lint      the project's own checks"
	@echo "make bench            heads, verification and the training loop against peers, half an hour"
	@echo "make faults           kills, damage, hostile input and lack of resources, an hour"
	@echo "make clean            remove runs and generated reports"

# Bytecode is made on all cores, and once: where imports do not write it, every worker would compile PyTorch anew. Some
# packages carry files that cannot be compiled.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true
	@touch $@

setup: $(STAMP)

# In the order of files, of which the last are quick: otherwise the longest would come last, and on one core.
test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

smoke: $(STAMP)
	$(BIN)/python -m ablations run all --preset smoke --store runs/smoke --out reports/generated/smoke $(ARGS)

ablate-all: $(STAMP)
	$(BIN)/python -m ablations run all $(ARGS)

ablate-%: $(STAMP)
	$(BIN)/python -m ablations run $* $(ARGS)

report: $(STAMP)
	$(BIN)/python -m ablations report all $(ARGS)

calibration: $(STAMP)
	$(BIN)/python -m ablations calibrate all --coverage 100 $(ARGS)

bench: $(STAMP)
	$(BIN)/python tests/bench/run.py $(ARGS)

faults: $(STAMP)
	$(BIN)/python -m tests.faults.run $(ARGS)

clean:
	rm -rf runs reports/generated reports/maps .pytest_cache .mypy_cache .ruff_cache
