"""Which folders of the library stand behind each script, written by hand.

A job is stale when a module that its script or its method imports has changed. The dry-runs of
tests/workflow show that the rules keep to this; here every script has its line, so that an import
that makes half of a grid depend on something new does not come about unnoticed.
"""

import pytest

from advprune.base import imports

FILES = {"base", "jobs"}
TORCH = FILES | {"data", "models", "plan"}
TRAINING = TORCH | {"training"}
PRUNING = TRAINING | {"methods", "pruning"}
ATTACK = TORCH | {"attacks", "compact"}
TABLE = FILES | {"attacks", "evaluation", "report"}

FOLDERS = {
    "dataset": FILES | {"data", "plan"},
    "corrupt": TORCH | {"evaluation"},
    "external": TORCH,
    "fetch": TORCH,
    "released": FILES,
    "unavailable": FILES | {"attacks", "evaluation", "plan"},
    "beside": TABLE,
    "check_net": TORCH | {"compact", "evaluation", "pruning"},
    "pretrain": TRAINING,
    "prune": PRUNING,
    "finetune": PRUNING,
    "audit": TORCH | {"evaluation", "pruning"},
    "autoattack": ATTACK,
    "hofmn_tune": ATTACK,
    "hofmn": ATTACK,
    "reliability": ATTACK | {"evaluation"},
    "pgd": TORCH | {"compact", "evaluation", "training"},
    "other_attacks": ATTACK | {"evaluation"},
    "corruptions": TORCH | {"compact", "evaluation"},
    "costs": TORCH | {"compact", "evaluation"},
    "evaluate": FILES | {"attacks", "evaluation", "plan"},
    "gather": FILES,
    "table": TABLE | {"plan"},
    "curves": FILES | {"evaluation", "report"},
    "compare": TABLE,
    "origins": TABLE | {"plan"},
    "tidy": TABLE | {"plan"},
    "figures": TABLE | {"plan"},
    "overlap": TORCH | {"evaluation", "pruning"},
    "leaderboard": TABLE | {"plan"},
    "thin_ice": TABLE | {"plan"},
    "best_known": TABLE,
    "agreement": TABLE,
    "survey": TABLE,
    # run by hand
    "bench": TRAINING | {"attacks", "bench", "compact", "pruning"},
}
SCRIPTS = sorted(path.stem for path in imports.SCRIPTS.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_the_folders_of_the_table(script):
    library = imports.SCRIPTS / imports.PACKAGE
    files = [p.relative_to(library).parts for p in imports.code_files(script)]
    assert {parts[0] for parts in files if len(parts) > 1} == FOLDERS[script]


def test_the_table_names_no_script_that_is_gone():
    assert sorted(FOLDERS) == SCRIPTS
