"""Which scripts and methods use each library module, written by hand.

A job is stale when a module that its script or its method imports has changed. The dry-runs of
tests/workflow show that the rules keep to this; here every module has its line, so that an import
that makes half of a grid depend on something new does not come about unnoticed.
"""

import pytest

from advprune import closure
from checkout import shipped_methods, tracked

TRAINING = {"pretrain", "prune", "finetune"}
PRUNING = {"prune", "finetune"}
TUNED = {"tune_hofmn", "run_hofmn"}
AGAIN = {"doubts", "opinions"}
ATTACKS = {"run_autoattack"} | TUNED | AGAIN
COMPACT = ATTACKS | {"costs", "corruptions"}
JOBS = TRAINING | COMPACT | {"corrupt"}
NETS = JOBS | {"audit", "external"}
TABLES = {"opinions_table", "corruptions_table", "costs_table"}
PAGES = {"leaderboard", "compare", "curves", "thin_ice"} | TABLES
BY_HAND = {"catalogue", "verify"}  # no rule runs them
EVERY = NETS | PAGES | BY_HAND | {"dataset", "evaluate", "collect"}


def each(users, *modules):
    """Modules that have the same users."""
    return {module: users for module in modules}


SCRIPTS = {
    **each(EVERY, "__init__", "cli", "errors", "progress", "results"),
    # data and nets
    "data/__init__": NETS | {"dataset", "evaluate", "thin_ice"},
    "data/specs": NETS - {"audit"} | {"dataset", "evaluate", "thin_ice"},
    "data/tensorfile": NETS | {"dataset"},
    "data/dataset": JOBS | {"dataset"},
    **each({"dataset"}, "data/digits", "data/prepare", "data/torchvision_sets"),
    **each(NETS | {"evaluate", "thin_ice"}, "models/__init__", "models/names"),
    **each(NETS, "cards", "models/normalize", "models/registry"),
    **each(NETS, "models/resnet", "models/vgg"),
    "models/frozen": JOBS | {"audit"},
    **each(PRUNING | {"audit"}, "masks", "models/graph"),
    "foreign": {"external"},
    # jobs
    "config": JOBS | {"evaluate", "thin_ice"},
    **each(JOBS, "closure", "data/batches", "jobs", "objectives", "recipes"),
    **each(JOBS, "resume", "seeds", "training"),
    **each(PRUNING, "methods/__init__", "methods/base", "sparse"),
    "attacks/boundary": ATTACKS,
    **each(COMPACT, "compact", "fused", "precision", "slimming"),
    "costs": {"costs"},
    "corruptions": {"corrupt", "corruptions"},
    "imagenet_c": {"corrupt"},
    **each({"run_autoattack", "doubts"}, "attacks/autoattack", "attacks/fab", "attacks/square"),
    **each(TUNED | {"doubts"}, "attacks/fmn", "attacks/hofmn"),
    **each({"doubts"}, "attacks/indicators", "attacks/recheck"),
    "attacks/opinions": {"opinions"},
    "audit": {"audit"},
    # numbers and pages
    **each(
        ATTACKS | PAGES - {"curves"} | {"evaluate", "verify"},
        "attacks/__init__",
        "attacks/verdicts",
    ),
    "doubts": PAGES - {"curves"} | {"doubts", "evaluate", "verify"},
    "evaluation": {"evaluate"},
    "intervals": {"evaluate", "thin_ice"},
    "origin": NETS | {"evaluate", "verify"},
    **each(PAGES | BY_HAND, "report/__init__", "report/records"),
    **each(PAGES - {"curves"} | {"verify"}, "report/tables", "report/explain"),
    **each({"curves", "leaderboard", "thin_ice"}, "report/curves", "report/look"),
    "report/paired": {"compare", "leaderboard", "verify"},
    "report/thin_ice": {"thin_ice"},
    "report/page": {"leaderboard"},
    "report/costs": {"costs_table", "leaderboard"},
    "report/corruptions": {"corruptions_table"},
    "report/catalogue": {"catalogue"},
    **each({"verify"}, "report/verify", "paths"),
    # what only the planning uses: a change of theirs shows in the jobs' specifications, or nowhere
    **each(set(), "external", "machine", "plausible", "protocol"),
    # what only the bench uses, which measures nearly everything else too
    **each(set(), "bench", "fullsize", "profiling", "stopwatch"),
}
METHODS = {
    "ddpg": {"heracles"},
    "distill": {"deadwooding", "pwoa"},
    "dropgrow": {"bcsp", "dnr", "flyingbird", "flyingbird_plus"},
    "kfac": {"mad"},
    "noise": {"luo23"},
    "rates": {"harp", "heracles"},
    "ratesearch": {"heracles"},
    "reparam": {"intrain", "rst", "twinrep"},
    "robust_dataset": {"rfp"},
    "rounds": {"lottery", "sehwag19"},
    "saliency": {"fre", "fsrp", "luo23", "mrs", "obd", "rfp", "snip", "taylor"},
    "tickets": {"awt", "cosentino19", "li20", "lottery", "sehwag19", "snip", "wang20"},
    **{f"methods/{key}": {key} for key in shipped_methods()},
}

LIBRARY = closure.SCRIPTS / closure.PACKAGE
CODE = [p for p in tracked("scripts") if p.suffix == ".py"]
MODULES = [str(p.relative_to(LIBRARY).with_suffix("")) for p in CODE if LIBRARY in p.parents]
NAMES = sorted({p.stem for p in CODE if p.parent == closure.SCRIPTS} - {"bench"})


def users(files):
    """Modules of the library among files, named as in the tables."""
    return {str(p.relative_to(LIBRARY).with_suffix("")) for p in files}


@pytest.fixture(scope="module")
def by_script():
    return {name: users(closure.code_files(f"scripts/{name}.py")) for name in NAMES}


@pytest.fixture(scope="module")
def by_method(by_script):
    shared = by_script["prune"] | by_script["finetune"]
    return {
        key: users(closure.code_files("scripts/prune.py", closure.method_module(key))) - shared
        for key in shipped_methods()
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_exactly_the_users_of_the_table(module, by_script, by_method):
    assert (module in SCRIPTS) != (module in METHODS), f"{module} must be in one of the tables"
    found = {name for name, modules in by_script.items() if module in modules}
    assert found == SCRIPTS.get(module, set())
    found = {key for key, modules in by_method.items() if module in modules}
    assert found == METHODS.get(module, set())


def test_the_tables_name_no_module_that_is_gone():
    assert SCRIPTS.keys() | METHODS.keys() == set(MODULES)
