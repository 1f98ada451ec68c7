"""The shipped grids hold what they say they hold."""

import functools
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from advprune.base.structures import STRUCTURED
from advprune.plan.config import load_config
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from helpers.checkout import shipped_methods

ROOT = Path(__file__).resolve().parents[3]


OBJECTIVES = ("pgd", "trades", "mart", "natural")  # for which there are references
REFERENCES = ("random", "lwm", "global_magnitude")
EVERY_METHOD = "cifar10_small.yaml extra/every_method.yaml"
COMMON = ["all.yaml", "digits.yaml", EVERY_METHOD]


@functools.cache
def protocol(names):
    """Of a configuration, or of several laid over each other as Snakemake does."""
    config = {}
    for name in names.split():
        content = (ROOT / "config" / name).read_text(encoding="utf-8")
        update_config(config, yaml.safe_load(content))
    return Protocol(load_config(config))


def grid(name):
    return protocol(name).models


def plain(name):
    """Models of a grid's methods as they are, without variants."""
    methods = protocol(name).methods
    return [m for m in grid(name) if methods[m.method].key == m.method]


@pytest.mark.parametrize("name", COMMON)
def test_every_method_is_there_in_every_structure_that_it_has(name):
    expected = {(key, s) for key in shipped_methods() for s in load_method(key)["structures"]}
    # a method that a user is writing is in the grid as well
    found = {(m.method, m.structure) for m in plain(name) if m.method in shipped_methods()}
    assert found == expected


def test_all_methods_come_in_the_order_of_their_keys():
    keys = [m.method for m in plain("digits.yaml")]
    assert keys == sorted(keys)


def trained_with(run, model):
    """The last objective of a model's training, but for where its attack starts."""
    plan = run.plan(model)
    last = [plan.objectives[p] for p in plan.recipes if p in plan.objectives][-1]
    return last["name"], last.get("beta")


@pytest.mark.parametrize("name", [*COMMON, "cifar10_small.yaml"])
def test_every_method_has_references_of_its_own_objective(name):
    """In its structure, at its sparsity, on its dataset and net, with its seed; and a dense net."""
    run = protocol(name)
    structures = {key: load_method(key)["structures"] for key in REFERENCES}
    there = {
        (run.methods[m.method].key, replace(m, method=""), trained_with(run, m)) for m in run.models
    }
    for model in run.models:
        objective = trained_with(run, model)
        if objective[0] in OBJECTIVES and model.structure != "none":
            dense = replace(model, method="", structure="none", sparsity="0")
            assert ("dense", dense, objective) in there
            for key in REFERENCES:
                if model.structure in structures[key]:
                    assert (key, replace(model, method=""), objective) in there, (model, key)


def test_variants_of_the_references_differ_by_their_objective_alone():
    run = protocol("all.yaml")
    for model in run.models:
        plan, variant = run.plan(model), run.methods[model.method]
        if variant.key != variant.name and variant.key in ("dense", *REFERENCES):
            own = run.plan(replace(model, method=variant.key))
            assert replace(plan, objectives=own.objectives) == own
            assert plan.objectives != own.objectives


@pytest.mark.parametrize("kind", ["unstructured", "structured"])
def test_all_methods_are_those_that_the_block_has_sparsities_for(kind):
    content = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text(encoding="utf-8"))
    content["grid"] = content["grid"][:1]
    del content["grid"][0][kind]
    models = Protocol(load_config(content)).models
    gone = STRUCTURED if kind == "structured" else ["unstructured"]
    left = {m for m in plain("digits.yaml") if m.structure not in gone}
    assert set(models) == left and len(models) == len(left)


def test_digits_prunes_ninety_percent_of_the_weights_and_half_of_the_rest():
    wanted = {"none": "0", "unstructured": "0.9"}
    assert all(m.sparsity == wanted.get(m.structure, "0.5") for m in grid("digits.yaml"))


def test_overlays_name_rows_that_their_configuration_has():
    laid = grid("digits.yaml extra/own_objective.yaml")
    assert {m.seed for m in laid} == set(range(5))
    assert {replace(m, seed=0) for m in laid} < set(grid("digits.yaml"))
    assert set(grid("cifar10_small.yaml")) < set(grid(EVERY_METHOD))
    assert {m.seed for m in grid("cifar10_small.yaml extra/three_seeds.yaml")} == {0, 1, 2}


def test_the_small_grid_has_the_methods_and_structures_of_the_published_leaderboard():
    def kinds(name):
        return {(m.method, m.structure) for m in plain(name) if m.method not in REFERENCES}

    assert kinds("cifar10_small.yaml") == kinds("config.yaml")
    wanted = {"none": {"0"}, "unstructured": {"0.9", "0.99"}}
    for m in grid("cifar10_small.yaml"):
        assert m.sparsity in wanted.get(m.structure, {"0.5"})


def test_the_default_grid_is_the_published_leaderboard():
    published = pd.read_csv(ROOT / "config" / "published" / "leaderboard.csv")
    columns = ["dataset", "arch", "method", "structure"]
    expected = {
        (*row[:-1], f"{row[-1] / 100:g}")
        for row in published[[*columns, "sparsity_percent"]].itertuples(index=False)
    }
    models = [m for m in grid("config.yaml") if m.structure != "none"]
    found = {
        (
            m.dataset,
            m.arch,
            m.method,
            "structured" if m.structure in STRUCTURED else "unstructured",
            m.sparsity,
        )
        for m in models
    }
    assert found == expected and len(models) == len(expected) == 168
    assert len({m.method for m in models}) == 10
    dense = {(m.dataset, m.arch) for m in grid("config.yaml") if m.method == "dense"}
    assert len(grid("config.yaml")) == 168 + len(dense) == 172


@pytest.mark.parametrize("name", ["all.yaml", "digits.yaml"])
def test_methods_with_the_same_objective_of_pretraining_share_it(name):
    run = protocol(name)
    asked = {}
    for m in run.models:
        if pretrained := run.pretrain_name(m.dataset, m.arch, m.method):
            objective = str(run.plan(m).objectives["pretrain"])
            asked.setdefault((m.dataset, m.arch, objective), set()).add(pretrained)
    assert len(asked) >= 3 and all(len(names) == 1 for names in asked.values())
