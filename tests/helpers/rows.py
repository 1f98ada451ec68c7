"""A grid of twelve models of which three fail, each in another step and for another reason."""

import json
import re
import zipfile
from pathlib import Path

import pandas as pd
import torch
import yaml

from advprune.models.registry import NetSpec, build
from helpers.checkout import Checkout, tiny_config

KILLED = "lwm/unstructured-0.8"  # HO-FMN on it is killed at every attempt
DIVERGED = "lwm-hot/filters-0.5"
UNREADABLE = "external-bad/none-0"
# The process ends like one that the kernel kills for its memory: when its result is to be written,
# and without a word. An environment variable does it, so that no code is another.
KILLER = """\
import os, sys

def watch(event, arguments):
    if event == "open" and os.path.basename(str(arguments[0])).startswith(".hofmn-0."):
        if os.environ["ADVPRUNE_TEST_KILLS"] in str(arguments[0]):
            os.kill(os.getpid(), 9)

if os.environ.get("ADVPRUNE_TEST_KILLS"):
    sys.addaudithook(watch)
"""


def twelve() -> dict:
    """Configuration of the grid: the tiny run's models, and six more, one of a hopeless rate."""
    config = tiny_config()
    hot = {"as": "lwm-hot", "structures": ["filters"], "recipes": {"finetune": {"lr": 1e30}}}
    both = ["unstructured", "filters"]
    own = [entry for entry in config["grid"][0]["methods"] if "lwm" not in entry]
    config["grid"][0]["methods"] = [*own, {"lwm": both}, {"lwm": hot}, {"random": both}]
    entry = {"dataset": "digits", "arch": "resnet18", "mean": [0.3], "std": [0.4]}
    config["external"] = {key: entry | {"path": f"{key}.pt"} for key in ("good", "bad")}
    return config


def checkout(folder: Path, config: dict | None = None, begun: Checkout | None = None) -> Checkout:
    """Copy with the grid, the files from elsewhere (one lacks numbers) and the killer.

    Of the tiny run that is done, `begun`, the models are there and the pages are not.
    """
    made = begun.copy(folder) if begun else Checkout(folder, {})
    made.configure(config or twelve())
    for path in (folder / "results/tiny").glob("*.*"):
        path.unlink()
    for key in ("good", "bad"):
        write_net(made.folder / f"{key}.pt")
    cut(made.folder / "bad.pt")
    (folder / "killer").mkdir()
    (folder / "killer" / "sitecustomize.py").write_text(KILLER, encoding="utf-8")
    return made


def write_net(path: Path) -> None:
    """A net as another program may have saved it."""
    net = build(NetSpec("resnet18", 4, 10, 1, 8, (0.3,), (0.4,)))
    state = {k: v for k, v in net.state_dict().items() if "normalize" not in k}
    torch.save({"state_dict": state}, path)


def cut(path: Path) -> None:
    """Take away half of a tensor's numbers, which no plan reads."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            keep = len(content) // 2 if name.endswith("/data/0") else len(content)
            archive.writestr(name, content[:keep])


def killing(made: Checkout) -> dict[str, str]:
    """Environment in which HO-FMN is killed on one model."""
    return {"PYTHONPATH": str(made.folder / "killer"), "ADVPRUNE_TEST_KILLS": KILLED}


def mend(made: Checkout) -> None:
    """Take away what made two of the three fail; the third was the environment."""
    config = yaml.safe_load((made.folder / "tiny.yaml").read_text(encoding="utf-8"))
    hot = next(e["lwm"] for e in config["grid"][0]["methods"] if "recipes" in str(e))
    del hot["recipes"]
    made.configure(config)
    write_net(made.folder / "bad.pt")


def started(made: Checkout) -> list[str]:
    """Logs of the jobs that the last start of Snakemake began."""
    text = (made.folder / "logs/tiny/run.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    begun = max(i for i, line in enumerate(lines) if line["what"] == "begin")
    return [line["log"] for line in lines[begun:] if line["what"] == "start"]


def check_failed(made: Checkout) -> None:
    """Nine rows, three failed ones with reasons and logs, figures and page; nothing whole."""
    results = made.folder / "results/tiny"
    assert not (results / "leaderboard.csv").exists()
    partial = results / "partial"
    table = pd.read_csv(partial / "leaderboard.csv")
    table["place"] = table["method"] + "/" + table["structure"]
    broken = table[table["status"] == "failed"].set_index("place")["reason"]
    numbers = table[table["status"] != "failed"]
    assert len(numbers) == 9 and numbers["worst_accuracy"].notna().all()
    reasons = {
        "lwm-hot/filters": "finetune: the training diverged",
        "external-bad/none": "external: bad.pt: ",
        "lwm/unstructured": "hofmn: killed or out of memory, last line: ",
    }
    assert set(broken.index) == set(reasons)
    for place, text in reasons.items():
        assert broken[place].startswith(text), broken[place]
        (log,) = re.findall(r"\((logs/tiny/\S+\.log)\)$", broken[place])
        assert (made.folder / log).exists()
    left = pd.read_csv(partial / "unfinished.csv")
    assert set(left["state"]) == {"failed"} and len(left) == 3
    page = (partial / "leaderboard.html").read_text(encoding="utf-8")
    assert "Partial" in page and "9 of 12 models evaluated, 3 failed" in page
    assert (partial / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (partial / "comparison.csv").stat().st_size and (partial / "costs.csv").exists()


def check_mended(made: Checkout) -> None:
    """Twelve rows, no partial tables, and that only jobs of the three models were run."""
    results = made.folder / "results/tiny"
    table = pd.read_csv(results / "leaderboard.csv")
    assert len(table) == 12 and table["worst_accuracy"].notna().all()
    assert not (results / "partial").exists()
    of_models = [log for log in started(made) if "/seed0" in log]
    chains = (KILLED, DIVERGED, UNREADABLE)
    assert all(any(chain in log for chain in chains) for log in of_models), of_models
    steps = {chain: {s.split("/")[2] for s in of_models if chain in s} for chain in chains}
    assert "finetune" not in steps[KILLED] and "prune" not in steps[DIVERGED]
    assert all({"hofmn", "reliability", "evaluate"} <= found for found in steps.values())
    assert {"finetune", "autoattack"} <= steps[DIVERGED] and "external" in steps[UNREADABLE]
    assert "autoattack" not in steps[KILLED]
