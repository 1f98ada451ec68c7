"""What a run leaves behind, without having run: evaluations really counted from small tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from advprune.attacks.verdicts import write_table
from advprune.base.files import write_json, write_text
from advprune.base.provenance import sha256
from advprune.evaluation.evaluate import evaluate
from advprune.report import paired, tables

MACHINE = {"platform": "Linux-1", "device": "x86_64", "threads": 1, "torch": "2.14"}
MACHINE |= {"commit": "c" * 40, "dirty": False, "numpy": "2.4", "python": "3.11"}
CODE = {"advprune/attacks/fmn.py": "1" * 64}
AUDIT = {"params": 100, "nonzero": 10, "prunable": 90, "sparsity_achieved": 0.9, "macs": 1000}
AUDIT |= {"effective_macs": 100, "reasons": []}
AUDIT |= {"layers": {"conv1": {"units": 90, "removed": 80, "weights": 90, "zeros": 80}}}


def make_run(root: Path, methods=("dense", "hydra"), **given) -> Path:
    """A folder of results: `methods` on twelve digits, of which the nets break the last third."""
    records = [_model(root, method, **given) for method in methods]
    folder = root / "digits/resnet18"
    write_json(folder / "evaluations.json", records)
    write_json(folder / "net.json", {"arch": "resnet18"})
    (root / "digits/test.safetensors").write_bytes(b"test images")
    for name in ("seed0.safetensors", "seed0.last.safetensors"):
        path = folder / "pretrained/pgd-0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        write_json(path.with_suffix(".json"), _card("pretrain", path, {}, spec={"seed": 0}))
    tables.write_csv(tables.leaderboard(records), root / "leaderboard.csv")
    tables.write_csv(paired.compare(records), root / "comparison.csv")
    return root


def _model(root, method, *, seed=0, eps=0.2, broken=4, official=None, batch=200, **more):
    """Write one model's files; returns its evaluation."""
    dense = method == "dense"
    structure, sparsity = ("none", 0.0) if dense else ("unstructured", 0.9)
    target = "none-0" if dense else "unstructured-0.9"
    folder = root / "digits/resnet18" / method / target / f"seed{seed}"
    model = {"method": method, "dataset": "digits", "arch": "resnet18"}
    model |= {"structure": structure, "sparsity": sparsity, "seed": seed}
    _nets(folder, method, seed, **more)
    numbers = np.array(official or range(100, 112))
    n = len(numbers)
    first = {"index": range(n), "official_index": numbers}
    first |= {"label": numbers % 10, "clean_correct": True}
    robust = np.arange(n) < n - broken
    attack = pd.DataFrame(first | {"robust": robust, "broken_by": np.where(robust, "", "square")})
    nearest = pd.DataFrame(first | {"distance": np.where(robust, 2 * eps, eps / 2)})
    write_table(folder / "autoattack-0.csv", attack)
    write_table(folder / "hofmn-0.csv", nearest)
    parents = {"checkpoint": sha256(folder / "checkpoint.safetensors"), "data": "d" * 64}
    settings = {"arch": "resnet18", "seed": seed, "eps": eps, "batch": batch}
    for name in ("autoattack", "hofmn"):
        card = _card(name, folder / f"{name}-0.csv", parents, spec=settings, **_told(more))
        write_json(folder / f"{name}-0.card.json", card)
    for name in ("audit", "pgd", "reliability"):
        write_json(folder / f"{name}.json", {"reasons": []})
    record = evaluate(model, AUDIT, attack, nearest, [], eps=eps, classes=10, largest_answer=0.1)
    record |= {"threat": {"norm": "Linf", "eps": eps, "eps_text": str(eps)}}
    record["training"] = {"epochs": more.get("epochs", 40), "marks": []}
    write_json(folder / "evaluation.json", record)
    counted = ("audit.json", "autoattack-0.csv", "checkpoint.json", "hofmn-0.csv")
    parents = {name: sha256(folder / name) for name in counted}
    asked = {"row": model, "eps": eps, "eps_text": str(eps), "classes": 10, "autoattack": settings}
    card = _card("evaluate", folder / "evaluation.json", parents, spec=asked, **_told(more))
    write_json(folder / "evaluation.card.json", card)
    return record


def _nets(folder, method, seed, *, width=8, lr=0.1, **more):
    """Nets and their cards."""
    parents = {}
    for name, script in (("pruned", "prune"), ("checkpoint", "finetune")):
        path = folder / f"{name}.safetensors"
        write_text(path, f"{name} {method} {seed} {width} {lr}")
        spec = {"method": method, "seed": seed, "recipes": {"final": {"lr": lr}}}
        card = _card(script, path, parents, spec=spec, **_told(more))
        write_json(folder / f"{name}.json", card | {"net": {"width": width}})
        parents = {"pruned": sha256(path)}


def _told(more):
    """What a caller says of the process that makes the cards."""
    return {key: value for key, value in more.items() if key in MACHINE or key == "code"}


def _card(script, path, parents, **fields):
    found = {"script": script, "sha256": sha256(path), "parents": parents, "code": CODE}
    return found | {"time": "2026-01-01T00:00:00+00:00"} | MACHINE | fields
