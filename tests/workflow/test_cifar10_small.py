"""The preset for one workstation in miniature: its own settings on a few random images."""

import pandas as pd
import pytest
import yaml

from helpers.checkout import ROOT, Checkout, tiny_config
from helpers.command import advprune
from helpers.released_run import CIFAR10

pytestmark = pytest.mark.slow
# a reference, one with another objective, and methods whose schedules the preset changes, by stage
CHOSEN = {"dense", "lwm-mart", "radmm", "robustbird", "flyingbird"}
UNITS = {"radmm": ["filters"]}  # of the others the weights


def miniature():
    """The preset with a quarter of its width and fewer rows, images and queries."""
    config = yaml.safe_load((ROOT / "config/cifar10_small.yaml").read_text(encoding="utf-8"))
    config["archs"]["resnet18"]["width"] = 4
    del config["datasets"]["cifar10"]["limits"]
    config["evaluation"] |= tiny_config()["evaluation"]
    (block,) = config["grid"]
    found = {}
    for entry in block["methods"]:
        ((key, options),) = entry.items() if isinstance(entry, dict) else [(entry, [])]
        options = options if isinstance(options, dict) else {}
        options["structures"] = UNITS.get(key, ["unstructured"])
        if key == "dense":
            del options["structures"]
        found[options.get("as", key)] = {key: options} if options else key
    block |= {"methods": [found[name] for name in sorted(CHOSEN)], "unstructured": [0.9]}
    return config | {"device": "cpu"}


def test_it_runs_to_its_page_and_is_what_its_cards_say(tmp_path):
    checkout = Checkout(tmp_path / "repo", miniature())
    (checkout.folder / "scripts/advprune/data/sets/cifar10.py").write_text(CIFAR10, "utf-8")
    checkout.snakemake("--cores", "2")
    results = checkout.folder / "results/cifar10_small"
    table = pd.read_csv(results / "leaderboard.csv").set_index("method")
    assert set(table.index) == CHOSEN
    assert set(table["status"]) <= {"ok", "flagged"}, table["reason"]  # of random images: at chance
    assert (table["sparsity_achieved"] - table["sparsity"]).abs().max() < 0.01
    # one budget for all; a bird may be drawn before its search is over
    assert set(table["epochs"].drop("robustbird")) == {16}
    assert table.loc["robustbird", "epochs"] <= 16
    assert table["marks"].str.contains("trained in bf16").all()
    assert (results / "leaderboard.html").is_file()
    done = advprune(
        "verify", results, "--configfile", checkout.folder / "tiny.yaml", root=checkout.folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
