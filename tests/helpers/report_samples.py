"""Small evaluations and methods for the tests of the report."""

import json

from advprune.report.costs import COUNTS, TIMES
from advprune.report.records import ACCURACIES

EPS = [0.0, 0.1, 0.2, 0.3]


def evaluation(method="hydra", structure="unstructured", sparsity=0.9, seed=0, worst=0.3, **extra):
    """One evaluation whose every number is a simple function of `worst`."""
    values = {"clean": 0.9, "autoattack": worst + 0.02, "hofmn": worst + 0.01, "worst": worst}
    content = {
        "model": {
            "method": method,
            "dataset": "digits",
            "arch": "resnet18",
            "structure": structure,
            "sparsity": sparsity,
            "seed": seed,
        },
        "audit": {
            "params": 176258,
            "nonzero": 18233,
            "prunable": 175432,
            "sparsity_achieved": sparsity,
            "macs": 1234567,
            "effective_macs": 123456,
        },
        "threat": {"eps": 0.2, "eps_text": "1/5", "norm": "Linf"},
        "images": 200,
        "curve": {
            "eps": EPS,
            "accuracy": [0.9, 0.6, worst, 0.0],
            "low": [0.85, 0.55, worst - 0.05, 0.0],
            "high": [0.93, 0.65, worst + 0.07, 0.02],
        },
        "broken_by": {"clean": 20},
        "status": "ok",
        "reason": "",
    }
    for name, value in values.items():
        content |= {f"{name}_accuracy": value, f"{name}_low": value - 0.05}
        content |= {f"{name}_high": value + 0.07}
    return content | extra


def trained(**extra):
    """How a model was trained, as an evaluation says it."""
    found = {"epochs": 60, "best_epoch": 12, "final_epochs": 20}
    found |= {"pgd20_best": 0.5, "pgd20_last": 0.4, "clean_last": 0.8, "marks": []}
    return found | extra


def dense(**extra):
    """Evaluation of an unpruned net."""
    return evaluation("dense", "none", 0.0, worst=0.5, **extra)


def failed(**extra):
    """Evaluation of a model whose training collapsed: no numbers, no curve."""
    numbers = {f"{a}_{b}": None for a in ACCURACIES for b in ("accuracy", "low", "high")}
    return evaluation(
        "radmm", **numbers, curve=None, status="collapsed", reason="loss is <NaN> & gone", **extra
    )


def cost(seed=0, **extra):
    """Costs of the net of `evaluation`."""
    counts = dict.fromkeys(COUNTS, 1000) | {"theoretical_macs": None}
    times = dict.fromkeys(TIMES, 12.5) | {"device": "x86_64", "threads": 1, "batch": 100}
    return evaluation(seed=seed)["model"] | counts | times | extra


def method_entry(key, **extra):
    """What a method's YAML says of it."""
    return {
        "key": key,
        "name": key.upper(),
        "stage": "after",
        "fidelity": "code",
        "taxonomy": {"criterion": "LIS"},
        "citation": {"title": "A title", "authors": "A. Uthor", "url": f"https://arxiv.org/{key}"},
        "deviations": ["Fewer images & epochs."],
    } | extra


# two groups with a dense net, one method in two seeds and one failed model
SEVERAL = [
    evaluation(seed=1, worst=0.25),
    failed(),
    evaluation(structure="filters", sparsity=0.5),
    evaluation("awt", worst=0.31, warnings=["gradients vanish", "Square <wins>"]),
    evaluation(seed=0, worst=0.35),
    dense(),
]
METHODS = {key: method_entry(key) for key in ("awt", "dense", "hydra", "radmm")}


def saved(folder, evaluations):
    """Write evaluations as files and return their paths."""
    paths = [folder / f"{i}.json" for i in range(len(evaluations))]
    for path, content in zip(paths, evaluations, strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths
