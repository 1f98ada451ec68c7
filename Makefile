# make demo · digits · verify · test · test-cpus · test-slurm · test-conda · bench · docs · lint · clean
# (make owns .venv)
PYTHON ?= python3.11
BIN := .venv/bin
# Hash seed and threads are fixed so that runs on one machine give the same bytes.
export PYTHONHASHSEED := 0
export OMP_NUM_THREADS := 1
# Files are UTF-8 here, whatever the locale.
export PYTHONUTF8 := 1
# Snakemake makes a folder for its cache in the user's home; where that cannot be, it is here.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/cache
endif

.PHONY: demo digits verify test test-cpus test-slurm test-conda bench docs lint format clean

demo: .venv/ready
	$(BIN)/snakemake --cores all --configfile config/demo.yaml
	@$(BIN)/python scripts/leaderboard.py --print --methods config/methods/*.yaml \
	    --evaluations results/demo/*/*/evaluations.json

digits: .venv/ready
	$(BIN)/snakemake --cores all --configfile config/digits.yaml
	@$(BIN)/python scripts/leaderboard.py --print --methods config/methods/*.yaml \
	    --evaluations results/digits/*/*/evaluations.json

# Hash results again and compare with their cards: make verify, or make verify RUN=results/demo
RUN ?= $(filter-out results/reference results/downloads,$(wildcard results/*))
verify: .venv/ready
	$(BIN)/python scripts/verify.py $(RUN)

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Tests that compute, as on other processors; CPUS=--first is the oldest of them only.
test-cpus: .venv/ready
	$(BIN)/python tests/cpus.py $(CPUS)

docs: .venv/ready
	$(BIN)/python scripts/catalogue.py --methods config/methods/*.yaml \
	    --published config/published/leaderboard.csv --out docs/methods.md

# On a SLURM of its own on this machine, started and stopped by the tests; needs root.
test-slurm: .venv/ready
	.ci/install-slurm
	ADVPRUNE_SLURM=1 $(BIN)/python -m pytest -rs tests/slurm

# Every environment of envs/ that a run needs, deployed through a stand-in for conda; takes 18 GB.
test-conda: .venv/ready
	ADVPRUNE_CONDA=1 $(BIN)/python -m pytest -rs tests/workflow/test_conda.py -k whole_run

bench: .venv/ready
	$(BIN)/python scripts/bench.py --out results/bench/bench.json

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow/Snakefile rules
	$(BIN)/snakemake --lint

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow/Snakefile rules

# The requirements are the complete list, so nothing is left to resolve.
.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.txt
	touch $@

clean:
	rm -rf .venv .snakemake .pytest_cache .ruff_cache logs
