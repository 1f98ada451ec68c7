"""Attacks of other libraries, asked for by the configuration."""

import pandas as pd
import pytest

from advprune.attacks.other_libraries import ATTACKS
from helpers.checkout import tiny_config

pytestmark = pytest.mark.slow
TABLE = "results/tiny/other_attacks.csv"


def test_the_switch_adds_a_table_with_a_row_per_attack(finished, tmp_path):
    checkout = finished.copy(tmp_path / "repo")
    config = tiny_config()
    config["grid"][0]["methods"] = ["dense"]
    checkout.configure(config)
    assert "other_attacks" not in {rule for rule, _ in checkout.planned()}
    config["evaluation"]["other_attacks"] = {"images": 4, "steps": 2}
    checkout.configure(config)
    out = checkout.snakemake("--cores", "1", TABLE)
    assert "Failed to set device" not in out.stdout
    table = pd.read_csv(checkout.folder / TABLE)
    assert list(table["attack"]) == list(ATTACKS)
    assert (table["images"] == 4).all() and (table["method"] == "dense").all()
    assert (table["newly_broken"] <= table["robust_so_far"]).all()
    assert not {rule for rule, name in checkout.planned() if "other_attacks" in name}
