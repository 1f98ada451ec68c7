"""Equal time: every method of a common budget trains for the same number of epochs.

Where the recipes are the authors', as many as the plan says.

The plan's arithmetic is not asked: each method's own code runs, and its calls are counted.
"""

import functools

import pytest
import yaml

from advprune.plan.config import ROOT, load_config
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from helpers.checkout import shipped_methods, tracked
from helpers.effort import count

CONFIGS = [
    path.name
    for path in tracked("config")
    if path.parent.name == "config" and path.suffix == ".yaml"
]


@functools.cache
def protocol(name):
    return Protocol(
        load_config(yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8")))
    )


def cases():
    """One model for each plan, structure and sparsity of every configuration."""
    for name in CONFIGS:
        found = {}
        trained = (m for m in protocol(name).models if m.method in protocol(name).methods)
        for m in trained:  # and not nets from elsewhere
            plan = protocol(name).plan(m)
            found.setdefault((m.method, str(plan), m.structure, m.sparsity), m)
        yield from ((name, model) for model in found.values())


def label(case):
    name, m = case
    return f"{name.removesuffix('.yaml')}-{m.method}-{m.target}"


CASES = list(cases())


def test_there_are_configurations_of_both_budgets():
    assert {"all.yaml", "config.yaml", "demo.yaml", "digits.yaml"} <= set(CONFIGS)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_every_method_takes_the_whole_budget(case, tmp_path, monkeypatch):
    name, model = case
    run = protocol(name)
    counted, _ = count(run, model, tmp_path, monkeypatch)
    recipes = run.plan(model).recipes
    pretraining = recipes["pretrain"].epochs if "pretrain" in recipes else 0
    assert pretraining + counted.total() == run.plan(model).epochs
    if run.config["budget"] != "published":
        assert run.plan(model).epochs == run.config["budget"]["epochs"]


@pytest.mark.parametrize("key", shipped_methods())
def test_every_objective_of_a_method_is_read(key, tmp_path, monkeypatch):
    """By its pretraining, its search or its finetuning; what says nothing is no setting."""
    run = protocol("all.yaml")
    model = next(m for m in run.models if m.method == key)
    _, read = count(run, model, tmp_path, monkeypatch)
    assert set(load_method(key)["objectives"]) - {"pretrain"} == read
    assert "pretrain" not in load_method(key)["objectives"] or (
        "pretrain" in load_method(key)["recipes"]
    )
