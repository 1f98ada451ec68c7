# make demo · digits · cifar10 · verify · new-method · docs · quick · test · test-cpus · test-slurm · test-conda ·
#      bench · lint · format · clean
# (make owns .venv)
PYTHON ?= python3.11
BIN := .venv/bin
# The command of this checkout, even where .venv is a link that several share.
ADVPRUNE := PYTHONPATH=scripts $(BIN)/python -m advprune.cli
# Hash seed and threads are fixed so that runs on one machine give the same bytes.
export PYTHONHASHSEED := 0
export OMP_NUM_THREADS := 1
# Files are UTF-8 here, whatever the locale.
export PYTHONUTF8 := 1
# Snakemake makes a folder for its cache in the user's home; where that cannot be, it is here.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/cache
endif

.PHONY: demo digits cifar10 verify new-method docs quick test test-cpus test-slurm test-conda bench lint format clean

demo: .venv/ready
	$(BIN)/snakemake --cores all --configfile config/demo.yaml
	@$(ADVPRUNE) leaderboard results/demo

digits: .venv/ready
	$(BIN)/snakemake --cores all --configfile config/digits.yaml
	@$(ADVPRUNE) leaderboard results/digits

# Hours: it can be stopped at any time, and the same command goes on.
cifar10: .venv/ready
	$(BIN)/snakemake --cores all --configfile config/cifar10_small.yaml
	@$(ADVPRUNE) leaderboard results/cifar10_small

# Every run, or with RUN=results/demo that one.
verify: .venv/ready
	$(ADVPRUNE) verify $(RUN)

# The tests that are not slow; CONTRIBUTING.md says how long they take.
quick: .venv/ready
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Tests that compute, as on other processors; CPUS=--first is the oldest of them only.
test-cpus: .venv/ready
	$(BIN)/python tests/helpers/cpus.py $(CPUS)

docs: .venv/ready
	$(ADVPRUNE) docs

# make new-method KEY=foo
new-method: .venv/ready
	$(ADVPRUNE) new-method $(KEY)

# On a SLURM of its own on this machine, started and stopped by the tests; needs root. SLURM=long adds a
# grid of twelve models.
SLURM := short
test-slurm: .venv/ready
	.ci/install-slurm
	ADVPRUNE_SLURM=$(SLURM) $(BIN)/python -m pytest -rs tests/slurm

# Every environment of envs/ that a run needs, deployed through a stand-in for conda; takes 18 GB.
test-conda: .venv/ready
	ADVPRUNE_CONDA=1 $(BIN)/python -m pytest -rs tests/workflow/test_conda.py -k whole_run

bench: .venv/ready
	$(BIN)/python scripts/bench.py --out results/bench/bench.json

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow/Snakefile rules
	$(BIN)/snakemake --lint

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow/Snakefile rules

# The requirements are the complete list, so nothing is left to resolve. The last line puts the
# command `advprune` into .venv/bin; the code stays where it is.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What Snakemake keeps of results stays: by it they are told to be fresh.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache logs
