"""The shipped grids hold what they say they hold."""

import functools
from pathlib import Path

import pandas as pd
import pytest
import yaml

from advprune.base.structures import STRUCTURED
from advprune.plan.config import load_config
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from helpers.checkout import shipped_methods

ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def grid(name):
    config = load_config(yaml.safe_load((ROOT / "config" / name).read_text()))
    return Protocol(config).models


@pytest.mark.parametrize("name", ["config.yaml", "digits.yaml"])
def test_every_method_is_there_in_every_structure_that_it_has(name):
    expected = {(key, s) for key in shipped_methods() for s in load_method(key)["structures"]}
    # a method that a user is writing is in the grid as well
    found = {(m.method, m.structure) for m in grid(name) if m.method in shipped_methods()}
    assert found == expected


def test_all_methods_come_in_the_order_of_their_keys():
    keys = [m.method for m in grid("digits.yaml")]
    assert keys == sorted(keys)


@pytest.mark.parametrize("kind", ["unstructured", "structured"])
def test_all_methods_are_those_that_the_block_has_sparsities_for(kind):
    content = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())
    del content["grid"][0][kind]
    models = Protocol(load_config(content)).models
    gone = STRUCTURED if kind == "structured" else ["unstructured"]
    left = {m for m in grid("digits.yaml") if m.structure not in gone}
    assert set(models) == left and len(models) == len(left)


def test_digits_prunes_ninety_percent_of_the_weights_and_half_of_the_rest():
    wanted = {"none": "0", "unstructured": "0.9"}
    assert all(m.sparsity == wanted.get(m.structure, "0.5") for m in grid("digits.yaml"))


def test_the_survey_grid_is_the_published_leaderboard():
    published = pd.read_csv(ROOT / "config" / "published" / "leaderboard.csv")
    columns = ["dataset", "arch", "method", "structure"]
    expected = {
        (*row[:-1], f"{row[-1] / 100:g}")
        for row in published[[*columns, "sparsity_percent"]].itertuples(index=False)
    }
    models = [m for m in grid("survey.yaml") if m.structure != "none"]
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
    assert found == expected and len(models) == len(expected)
    assert len({m.method for m in models}) == 10
