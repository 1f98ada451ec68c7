"""After a change, exactly the jobs that it concerns are planned: asserted over dry-runs."""

import os

import pytest
import yaml

from helpers.checkout import tiny_config

pytestmark = pytest.mark.slow
COSTS = {"costs", "gather", "table"}
ATTACKS = {"autoattack", "hofmn_tune", "hofmn", "reliability", "pgd"}
EVERYTHING_BELOW = {"audit", "evaluate", "thin_ice"} | ATTACKS | COSTS
ANSWERS = {"best_known", "agreement", "survey"}
SUMMARIES = {"gather", "compare", "origins", "leaderboard", "curves", "tidy", "overlap", "figures"}
SUMMARIES |= ANSWERS
SHARED = SUMMARIES | {"pretrain", "thin_ice", "table"}


@pytest.fixture
def checkout(finished, tmp_path):
    return finished.copy(tmp_path / "moved")


def rules(planned):
    return {rule for rule, _ in planned}


def methods(planned):
    """Methods whose own files are planned."""
    return {name.split("/")[4] for rule, name in planned if rule not in SHARED}


def test_a_finished_run_plans_nothing_even_moved(checkout):
    assert checkout.planned() == set()


def test_touching_every_file_plans_nothing(checkout):
    for path in checkout.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert checkout.planned() == set()


def test_one_line_of_one_method_plans_its_jobs_and_what_lies_below(checkout):
    line = "return learn_masks("
    checkout.edit("scripts/advprune/methods/hydra.py", line, f"pass; {line}")
    planned = checkout.planned()
    assert methods(planned) == {"hydra"}
    assert rules(planned) == {"prune", "finetune"} | EVERYTHING_BELOW | SUMMARIES


def test_a_parameter_in_a_methods_yaml_plans_its_jobs_only(checkout):
    checkout.edit("config/methods/radmm.yaml", "growth: 1.3", "growth: 1.4")
    planned = checkout.planned()
    assert methods(planned) == {"radmm"}
    assert rules(planned) == {"prune", "finetune"} | EVERYTHING_BELOW | SUMMARIES


def test_a_citation_plans_the_pages_only(checkout):
    checkout.edit("config/methods/hydra.yaml", "venue: NeurIPS", "venue: NeurIPS 33")
    pages = {"leaderboard", "compare", "curves", "thin_ice", "tidy", "figures"} | ANSWERS
    assert rules(checkout.planned()) == pages


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("scripts/advprune/report/page/document.css", {"leaderboard"}),
        (
            "scripts/advprune/attacks/autoattack.py",
            {"autoattack", "reliability", "evaluate"} | SUMMARIES,
        ),
        ("scripts/advprune/evaluation/audit.py", {"audit", "evaluate"} | COSTS | SUMMARIES),
        (
            "scripts/advprune/pruning/dropgrow.py",
            {"prune", "finetune"} | EVERYTHING_BELOW | SUMMARIES,
        ),
    ],
)
def test_a_library_module_plans_its_users_only(checkout, path, expected):
    """A table of many more is in tests/unit/identity/test_stale_code.py."""
    checkout.change(path)
    planned = checkout.planned()
    assert rules(planned) == expected
    if "dropgrow" in path:
        assert methods(planned) == {"flyingbird"}


def test_editing_back_plans_nothing(checkout):
    checkout.edit("scripts/advprune/pruning/masks.py", "Scores = dict", "Scores = {} and dict")
    assert "prune" in rules(checkout.planned())
    checkout.edit("scripts/advprune/pruning/masks.py", "Scores = {} and dict", "Scores = dict")
    assert checkout.planned() == set()


def test_another_seed_plans_its_own_models_and_the_pages(checkout):
    checkout.configure(tiny_config() | {"seeds": [0, 1]})
    planned = checkout.planned()
    assert all("/seed1" in name for rule, name in planned if rule not in SHARED - {"pretrain"})
    assert {"pretrain", "prune"} <= rules(planned)


def test_attack_settings_leave_training_alone(checkout):
    config = tiny_config()
    config["evaluation"]["hofmn"]["steps"] = 6
    checkout.configure(config)
    changed = {"hofmn", "reliability", "evaluate", "thin_ice"}
    assert rules(checkout.planned()) == changed | SUMMARIES


def test_a_lost_page_is_made_again_alone(checkout):
    (checkout.folder / "results" / "tiny" / "leaderboard.csv").unlink()
    assert rules(checkout.planned()) == {"leaderboard"}


def test_the_config_is_not_merged_into_the_default_one(checkout):
    """With --configfile the paper's datasets must not creep back in."""
    text = (checkout.folder / "config" / "config.yaml").read_text(encoding="utf-8")
    assert "cifar10" in text
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_config()), encoding="utf-8")
    assert "cifar10" not in checkout.snakemake("--summary").stdout
