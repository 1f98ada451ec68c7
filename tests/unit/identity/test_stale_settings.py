"""A table of settings and the exact jobs that a change makes anew, if their results have cards.

The pages of all models follow whenever one of these runs: tests/workflow/test_stale_table.py.
"""

import pytest

from helpers.checkout import tiny_config
from helpers.planning import planned

NUMBERS = {"evaluate"}
CHECKED = {"reliability"} | NUMBERS
MEASURED = {"hofmn"} | CHECKED
TUNED = {"hofmn_tune"} | MEASURED
TESTED = {"autoattack", "pgd"} | MEASURED
ATTACKED = {"hofmn_tune"} | TESTED
AUDITED = ATTACKED | {"audit", "costs"}
FINETUNED = AUDITED | {"finetune"}
PRUNED = FINETUNED | {"prune"}
TRAINED = PRUNED | {"pretrain"}


def put(config, place, value):
    """Set an entry; recipes of the phases are one table in `tiny_config`, and are told apart."""
    recipes = config["budget"]["recipes"]
    config["budget"]["recipes"] = {phase: dict(recipe) for phase, recipe in recipes.items()}
    *way, last = place.split(".")
    for key in way:
        config = config[int(key) if key.isdigit() else key]
    config[last] = value


def rules(results):
    return {result.script for result in results}


def methods(results):
    return {result.model.method for result in results if result.model}


def names(results, place):
    """What the files of results have at a place of their path."""
    return {result.files[0].split("/")[place] for result in results}


def test_the_same_configuration_plans_nothing():
    assert planned(tiny_config()) == []


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("device", "auto", set()),
        ("training_precision", "fp32", set()),
        ("training_precision", "bf16", TRAINED),
        ("data_root", "elsewhere", set()),
        ("datasets.digits.eps", "1/3", TRAINED),
        ("datasets.digits.training_attack.steps", 2, TRAINED),
        ("budget.epochs", 7, PRUNED),  # two of pretraining and of a search as before
        ("budget.recipes.pretrain.lr", 0.06, TRAINED),
        ("datasets.digits.limits.train", 65, TRAINED | {"dataset"}),
        ("datasets.digits.limits.test", 11, TESTED | {"dataset"}),
        ("archs.resnet18.width", 6, TRAINED | {"check_net"}),
        ("evaluation.autoattack.batch", 5, {"autoattack", "pgd", "costs"} | CHECKED),
        ("evaluation.autoattack.shard", 5, {"autoattack"} | CHECKED),
        ("evaluation.search_precision", "fp32", set()),
        ("evaluation.hofmn.trials", 3, TUNED),
        ("evaluation.hofmn.steps", 6, MEASURED),
        ("evaluation.hofmn.shard", 5, MEASURED),
        ("overrides", {"li20": {"params": {}}}, set()),
    ],
)
def test_a_value_of_the_configuration(place, value, expected):
    config = tiny_config()
    put(config, place, value)
    assert rules(planned(config)) == expected


@pytest.mark.parametrize(
    ("kind", "name", "entry"),
    [
        ("archs", "wrn_28_4", {"width": 4}),
        (
            "datasets",
            "cifar100",
            {
                "eps": "8/255",
                "training_attack": {"step": "2/255", "steps": 1},
                "limits": {"train": 200, "val": 16, "test": 10},
            },
        ),
    ],
)
def test_another_net_or_dataset_plans_its_own_models(kind, name, entry):
    config = tiny_config()
    config[kind][name] = entry
    config["grid"][0][kind].append(name)
    again = planned(config)
    assert all(f"/{name}" in file for result in again for file in result.files)
    assert rules(again) - {"dataset"} == TRAINED | {"check_net"}


def test_a_new_variant_plans_only_its_own_jobs():
    config = tiny_config()
    variant = {"as": "lwm-trades", "structures": ["filters"], "objective": {"name": "trades"}}
    config["grid"][0]["methods"].append({"lwm": variant})
    again = planned(config)
    assert methods(again) == {"lwm-trades"} and rules(again) == TRAINED


def test_a_dataset_at_another_radius_plans_no_images():
    config = tiny_config()
    digits = config["datasets"]["digits"]
    config["datasets"]["digits-e4"] = digits | {"dataset": "digits", "eps": "1/4"}
    config["grid"][0]["datasets"].append("digits-e4")
    again = planned(config)
    assert names(again, 2) == {"digits-e4"} and rules(again) == TRAINED | {"check_net"}


def test_a_changed_share_plans_those_who_search_before_they_train():
    config = tiny_config()
    config["budget"]["shares"]["prune"] = 0.5
    again = planned(config)
    assert methods(again) == {"hydra", "radmm", "li20"} and rules(again) == PRUNED
    assert methods(r for r in again if r.script == "prune") == methods(again)


def test_a_recipe_of_a_phase_concerns_those_who_train_in_it():
    config = tiny_config()
    put(config, "budget.recipes.train.lr", 0.06)
    again = planned(config)
    assert methods(again) == {"li20", "flyingbird"} and rules(again) == PRUNED
    assert methods(r for r in again if r.script == "prune") == {"flyingbird"}


@pytest.mark.parametrize(
    ("place", "value", "part", "expected"),
    [
        ("grid.0.methods", ["dense", "hydra", "li20", "random"], 4, {"random"}),
        ("grid.0.unstructured", [0.8, 0.9], 5, {"unstructured-0.9"}),
        ("grid.0.structured", [0.25, 0.5], 5, {"filters-0.25"}),
        ("seeds", [0, 1], 6, {"seed1"}),
    ],
)
def test_what_is_added_is_planned_and_no_more(place, value, part, expected):
    config = tiny_config()
    put(config, place, value)
    again = [result for result in planned(config) if result.model]
    assert names(again, part) == expected and rules(again) == PRUNED
    assert all("/seed1" in r.files[0] for r in planned(config)) or place != "seeds"
