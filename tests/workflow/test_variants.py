"""Variants go through a whole run: files, tables, provenance and reasons bear their names."""

import pandas as pd
import pytest

from helpers.checkout import Checkout, tiny_config
from helpers.command import advprune

# one worker: the run is made once
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("variants")]
LWM = {"as": "lwm-trades", "name": "LWM (TRADES)", "structures": ["filters"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One variant of a dataset, of a net and of a method; each model has one shard."""
    config = tiny_config()
    for attack in ("autoattack", "hofmn"):
        config["evaluation"][attack] |= {"shard": 10, "batch": 10}
    digits = config["datasets"]["digits"]
    config["datasets"]["digits-e4"] = digits | {"dataset": "digits", "eps": "1/4"}
    config["archs"] = {"resnet18-w2": {"arch": "resnet18", "width": 2}}
    (block,) = config["grid"]
    block |= {"archs": ["resnet18-w2"]}
    methods = (["dense"], [{"lwm": LWM | {"objective": {"name": "trades"}}}])
    config["grid"] = [
        block | {"datasets": [name], "methods": of_it}
        for name, of_it in zip(config["datasets"], methods, strict=True)
    ]
    checkout = Checkout(tmp_path_factory.mktemp("variants") / "repo", config)
    checkout.snakemake("--cores", "2")
    return checkout


def test_tables_have_a_row_per_variant(run):
    table = pd.read_csv(run.folder / "results/tiny/leaderboard.csv")
    assert set(table["arch"]) == {"resnet18-w2"}
    assert set(zip(table["dataset"], table["eps_text"], table["method"], strict=True)) == {
        ("digits", "1/2", "dense"),
        ("digits-e4", "1/4", "lwm-trades"),
    }


def test_images_are_shared_and_nothing_is_planned_again(run):
    results = run.folder / "results/tiny"
    assert [p.parent.name for p in results.glob("*/train.safetensors")] == ["digits"]
    assert run.planned() == set()


def test_results_match_their_cards_and_their_settings(run):
    results = run.folder / "results/tiny"
    verified = advprune("verify", results, root=run.folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    why = advprune("why", results, "--configfile", run.folder / "tiny.yaml", root=run.folder)
    assert why.returncode == 0, why.stdout + why.stderr
