"""What was asked of models that share a table must be the same, and only that."""

import copy
from fractions import Fraction

import pytest

from advprune.base.record import to_dict
from advprune.evaluation.comparable import described, differing
from helpers.configs import changed, jobs


def specs(path=None, value=None):
    """Specifications of the demo's evaluations, with one entry of the configuration changed."""
    config = changed(path, value) if path else changed("seeds", [0, 1])
    found = {place: to_dict(spec) for place, spec in jobs(config).items()}
    return [spec for (kind, *_), spec in found.items() if kind == "evaluate"]


def test_models_and_seeds_of_one_run_may_be_joined():
    assert len(specs()) > 10 and differing(specs()) == {}


@pytest.mark.parametrize(
    ("path", "value", "fields"),
    [
        ("datasets.digits.eps", "1/4", {"eps", "autoattack.eps", "hofmn_tune.eps"}),
        ("evaluation.autoattack.batch", 100, {"autoattack.batch"}),
        ("evaluation.autoattack.shard", 100, {"autoattack.shard_size"}),
        ("budget.epochs", 20, {"budget"}),
        ("evaluation.hofmn.steps", 50, {"hofmn.steps"}),
        ("evaluation.hofmn.trials", 3, {"hofmn_tune.trials"}),
        ("evaluation.hofmn.tune_images", 32, {"hofmn_tune.images"}),
        (
            "evaluation.search_precision",
            "bf16",
            {"autoattack.precision", "hofmn.precision", "hofmn_tune.precision"},
        ),
    ],
)
def test_another_setting_of_the_evaluation_is_named(path, value, fields):
    assert set(differing([*specs(), *specs(path, value)])) == fields


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("evaluation.keep_adversarials", True),
        ("seeds", [7]),
        ("threads", 2),
        ("evaluation.reliability", {"images": 10}),
    ],
)
def test_what_does_not_change_how_models_are_judged_does_not_part_them(path, value):
    assert differing([*specs(), *specs(path, value)]) == {}


def test_two_ways_to_write_a_radius_are_one():
    one, other = specs()[0], copy.deepcopy(specs()[0])
    other |= {"eps_text": "2/10", "eps": float(Fraction("2/10"))}
    assert differing([one, other]) == {}


def test_what_a_caller_adds_is_compared_and_said():
    one = specs()[0]
    added = [one | {"width": 8, "images": 200}, one | {"width": 16, "images": 200}]
    assert differing(added) == {"width": [8, 16]}
    assert described(differing([*added, one])) == "images: 200 and default; width: 8 and 16"
    assert differing([]) == {}
