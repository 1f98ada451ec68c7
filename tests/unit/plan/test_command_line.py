"""Entries of `snakemake --config` mean what they would mean in a file."""

import copy

import pytest
from snakemake.cli import parse_config
from snakemake.utils import update_config

from advprune.plan.config import load_config
from helpers.configs import DEMO


@pytest.mark.parametrize(
    ("entry", "place", "value"),
    [
        ("seeds=[0,1]", "seeds", [0, 1]),
        ("seeds=[2]", "seeds", [2]),
        ("threads=2", "threads", 2),
        ("data_root=null", "data_root", None),
        ("archs={resnet18: {width: 16}}", "archs.resnet18.width", 16),
        ("datasets={digits: {limits: {test: 50}}}", "datasets.digits.limits.test", 50),
        ("evaluation={keep_adversarials: true}", "evaluation.keep_adversarials", True),
        ("datasets={digits: {eps: 1/4}}", "datasets.digits.eps", "1/4"),
        ("preset=one", "preset", "one"),
    ],
)
def test_an_entry_of_the_command_line_is_read_as_a_file_would_be(entry, place, value):
    """Snakemake reads what is inside a list or a table as texts."""
    given = parse_config([entry])
    content = copy.deepcopy(DEMO)
    update_config(content, given)
    found = load_config(content, given)
    for key in place.split("."):
        found = found[key]
    assert found == value and type(found) is type(value)


def test_texts_of_the_file_stay_texts_where_the_command_line_changes_something_else():
    content = copy.deepcopy(DEMO)
    content["external"] = {"theirs": {"name": "0.5", "path": "1", "dataset": "digits"}}
    content["external"]["theirs"] |= {"arch": "resnet18", "mean": [0.5], "std": [0.5]}
    given = parse_config(["external={theirs: {seed: 3}}"])
    update_config(content, given)
    found = load_config(content, given)["external"]["theirs"]
    assert (found["name"], found["path"], found["seed"]) == ("0.5", "1", 3)
