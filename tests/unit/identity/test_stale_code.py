"""A table of files and the exact rules of the tiny run that a changed line in them concerns.

What lies below these in turn, Snakemake plans: tests/workflow/test_stale_table.py. Which folders
each script uses is told in tests/unit/house/test_users.py; here each kind of module has a line.
"""

import pytest

from helpers.checkout import every_method_config, shipped_methods
from helpers.planning import PAGES, behind, below, rules_with_code, with_code

TRAINING = {"pretrain", "prune", "finetune"}
ATTACKS = {"autoattack", "hofmn_tune", "hofmn", "reliability"}
ATTACKING = ATTACKS | {"pgd", "costs"}
CARDS = ATTACKING | TRAINING | {"dataset", "audit", "evaluate"}
OF_A_MODEL = CARDS - {"dataset", "pretrain"}
ANSWERS = {"best_known", "agreement", "survey"}


@pytest.mark.parametrize("rule", sorted(CARDS | PAGES))
def test_a_script_is_the_code_of_its_rule_alone(rule):
    assert rules_with_code(f"{rule}.py") == {rule}


def test_the_table_has_every_rule_of_the_run():
    assert {result.script for result in behind()} == CARDS | {"check_net"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("base/files.py", CARDS | PAGES),
        ("base/provenance.py", CARDS | {"overlap"}),
        ("base/progress.py", CARDS | PAGES),
        ("data/prepare.py", {"dataset"}),
        ("data/sets/digits.py", {"dataset"}),
        ("models/nets/resnet18.py", TRAINING | ATTACKING | {"audit", "check_net"}),
        ("models/precision.py", TRAINING | ATTACKING),
        ("training/loop.py", TRAINING),
        ("pruning/masks.py", {"prune", "finetune", "audit", "overlap"}),
        ("methods/base.py", {"prune", "finetune"}),
        ("methods/lwm.py", {"prune", "finetune"}),
        ("compact/convert.py", ATTACKING),
        ("attacks/fmn.py", {"hofmn_tune", "hofmn", "reliability"}),
        ("attacks/hofmn.py", {"hofmn_tune", "hofmn", "reliability"}),
        ("attacks/autoattack.py", {"autoattack", "reliability"}),
        ("attacks/square.py", {"autoattack", "reliability"}),
        ("attacks/indicators.py", {"reliability"}),
        ("evaluation/audit.py", {"audit"}),
        ("evaluation/pgd.py", {"pgd"}),
        ("evaluation/evaluate.py", {"evaluate"}),
        ("evaluation/best_known.py", {"evaluate"}),
        ("evaluation/intervals.py", {"evaluate", "thin_ice"}),
        ("report/records.py", PAGES - {"gather", "overlap"}),
        ("report/paired.py", {"compare", "tidy", "survey", "leaderboard"}),
        ("report/costs.py", {"table", "tidy", "figures", "leaderboard"}),
        ("report/answers/effects.py", {"survey"}),
        (
            "report/figures/style.py",
            ANSWERS | {"curves", "thin_ice", "figures", "leaderboard"},
        ),
        ("report/page/document.py", {"leaderboard"}),
        ("report/page/document.css", {"leaderboard"}),
        # not in this grid
        ("models/nets/vgg16.py", set()),
        ("data/sets/cifar100.py", set()),
        ("methods/awt.py", set()),
        ("models/convert.py", set()),
        # what a specification holds is compared itself; at its default it is not in it
        ("plan/specs.py", set()),
        # a changed check concerns no net that has passed it
        ("evaluation/net_check.py", set()),
        # what plans, and what people call
        ("identity/judge.py", set()),
        ("plan/protocol.py", set()),
        ("plan/machine.py", set()),
        ("cli/verify.py", set()),
    ],
)
def test_a_module_is_the_code_of_its_users_only(path, expected):
    assert rules_with_code(f"advprune/{path}") == expected


@pytest.mark.parametrize("script", ["check_net", "external", "other_attacks", "corruptions"])
def test_a_script_that_does_nothing_in_this_run_is_no_jobs_code(script):
    """Nor that of the check: a changed one concerns no net that has passed it."""
    assert rules_with_code(f"{script}.py") == set()


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("methods/hydra.py", {"hydra"}),
        ("methods/radmm.py", {"radmm"}),
        ("methods/flyingbird.py", {"flyingbird"}),
        ("pruning/dropgrow.py", {"flyingbird"}),
        ("pruning/admm.py", {"radmm"}),
        ("training/objectives/trades.py", {"hydra"}),
    ],
)
def test_a_module_of_some_methods_is_the_code_of_these(path, methods):
    used = {result.model.method for result in with_code(f"advprune/{path}") if result.model}
    assert used == methods


@pytest.mark.parametrize("method", shipped_methods())
def test_a_line_of_a_method_concerns_its_models_only(method):
    """With every method in one grid: its search and its training, and what lies below these."""
    changed = with_code(f"advprune/methods/{method}.py", every_method_config)
    own = {(rule, method) for rule in ("prune", "finetune")}
    assert {(result.script, result.model.method) for result in changed} == own
    again = below(behind(every_method_config), changed.__contains__)
    assert {result.model.method for result in again} == {method}
    assert {result.script for result in again} == OF_A_MODEL
