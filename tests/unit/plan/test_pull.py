"""A search in fewer steps than published is drawn to the sparse set as strongly as published."""

import math

import pytest
import yaml
from snakemake.utils import update_config

from advprune.data.specs import spec_of
from advprune.plan.config import ROOT, load_config, split_size
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from advprune.plan.specs import Recipe
from advprune.training.recipes import multiplier

EVERY_METHOD = "cifar10_small.yaml extra/every_method.yaml"


def steps(recipe, images):
    return recipe.epochs * math.ceil(images / recipe.batch)


def pull(recipe, params, images):
    """Sum of lr rho / (1 - momentum) over all steps; rho grows between the cycles."""
    total, count = 0.0, steps(recipe, images)
    for step in range(count):
        updates = min(recipe.cycles - 1, step * recipe.cycles // count)
        rho = params["rho"] * params["growth"] ** updates
        rate = recipe.lr * multiplier(recipe, step / count)
        total += rate * min(rho, params.get("rho_cap", math.inf)) / (1 - recipe.momentum)
    return total


def published(key):
    method = load_method(key)
    return Recipe(**method["recipes"]["prune"]), method["params"]


def plans(name, key):
    """Plans of a method in a configuration, with how many images of their datasets it trains on."""
    config = {}
    for laid in name.split():
        update_config(config, yaml.safe_load((ROOT / "config" / laid).read_text(encoding="utf-8")))
    run = Protocol(load_config(config))
    found = {m.dataset: run.plan(m) for m in run.models if m.method == key}
    return [(plan, split_size(run.config, dataset, "train")) for dataset, plan in found.items()]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("all.yaml", "radmm"),
        ("all.yaml", "pwoa"),
        ("cifar10_small.yaml", "radmm"),
        ("cifar10_small.yaml", "pwoa"),
        ("demo.yaml", "radmm"),
        ("digits.yaml", "radmm"),
    ],
)
def test_the_pull_of_a_short_admm_is_the_published_one(name, key):
    """Of as many images as the whole set has, and on digits that of CIFAR-10."""
    for plan, images in plans(name, key):
        reference = images if name == "all.yaml" else spec_of("cifar10").train
        found = pull(plan.recipes["prune"], plan.params, images)
        assert found == pytest.approx(pull(*published(key), reference), rel=0.025)


@pytest.mark.parametrize("name", ["all.yaml", "cifar10_small.yaml"])
def test_a_short_admm_keeps_its_course(name):
    """Its penalty reaches its cap after the same share of the cycles."""
    _, whole = published("pwoa")
    for plan, _ in plans(name, "pwoa"):
        assert plan.params["rho_cap"] / plan.params["rho"] == whole["rho_cap"] / whole["rho"]


def test_harps_budget_weighs_as_much_in_fewer_epochs():
    """Its weight rises by a step per epoch; what counts is its sum over the steps of training."""
    recipe, params = published("harp")

    def weight(recipe, step, images):
        return step * sum(range(1, recipe.epochs + 1)) * math.ceil(images / recipe.batch)

    for plan, images in plans("cifar10_small.yaml", "harp"):
        for structure, step in params["gamma_step"].items():
            own = plan.params["gamma_step"][structure]
            found = weight(plan.recipes["prune"], own, images)
            whole = weight(recipe, step, spec_of("cifar10").train)
            assert found == pytest.approx(whole, rel=0.03)


@pytest.mark.parametrize("name", ["all.yaml", EVERY_METHOD])
@pytest.mark.parametrize(
    ("key", "strength"), [("rsr", "lasso"), ("deadwooding", "dual_step"), ("luo23", "gate_lr")]
)
def test_a_pull_is_as_much_stronger_as_its_phase_is_shorter(name, key, strength):
    """But for those whose phase `all.yaml` has whole, or nearly half of."""
    recipe, params = published(key)
    for plan, images in plans(name, key):
        short, own = plan.recipes["prune"], plan.params[strength]
        if own == params[strength]:
            assert name == "all.yaml" and steps(short, images) > 0.4 * steps(recipe, images)
            continue
        assert (short.lr, short.schedule) == (recipe.lr, recipe.schedule)
        reference = images if name == "all.yaml" else spec_of("cifar10").train
        whole = params[strength] * steps(recipe, reference)
        assert own * steps(short, images) == pytest.approx(whole, rel=0.02)
