"""Which folders of the library stand behind each script, written by hand.

A job is stale when a module that its script or its method imports has changed. The dry-runs of
tests/workflow show that the rules keep to this; here every script has its line, so that an import
that makes half of a grid depend on something new does not come about unnoticed.
"""

import pytest

from advprune.base import imports

FILES = {"base", "jobs"}
NETS = FILES | {"data", "models"}
TRAINING = NETS | {"plan", "training"}
PRUNING = TRAINING | {"methods", "pruning"}
ATTACK = TRAINING | {"attacks", "compact"}
TABLE = FILES | {"attacks", "evaluation", "report"}

FOLDERS = {
    "dataset": FILES | {"data"},
    "corrupt": TRAINING | {"evaluation"},
    "external": NETS,
    "pretrain": TRAINING,
    "prune": PRUNING,
    "finetune": PRUNING,
    "audit": NETS | {"evaluation", "pruning"},
    "run_autoattack": ATTACK,
    "tune_hofmn": ATTACK,
    "run_hofmn": ATTACK,
    "doubts": ATTACK | {"evaluation"},
    "opinions": ATTACK,
    "corruptions": TRAINING | {"compact", "evaluation"},
    "costs": TRAINING | {"compact", "evaluation"},
    "evaluate": FILES | {"attacks", "data", "evaluation", "models", "plan"},
    "collect": FILES,
    "curves": FILES | {"report"},
    "compare": TABLE,
    "leaderboard": TABLE,
    "corruptions_table": TABLE,
    "costs_table": TABLE,
    "opinions_table": TABLE,
    "thin_ice": TABLE | {"data", "models", "plan"},
    # run by hand
    "bench": TRAINING - {"plan"} | {"attacks", "bench", "compact", "pruning"},
}
SCRIPTS = sorted(path.stem for path in imports.SCRIPTS.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_the_folders_of_the_table(script):
    library = imports.SCRIPTS / imports.PACKAGE
    files = [p.relative_to(library).parts for p in imports.code_files(f"scripts/{script}.py")]
    assert {parts[0] for parts in files if len(parts) > 1} == FOLDERS[script]


def test_the_table_names_no_script_that_is_gone():
    assert sorted(FOLDERS) == SCRIPTS
