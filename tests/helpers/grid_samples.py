"""A synthetic grid of evaluations: many datasets, nets, sparsities and seeds, built in seconds.

Every net has a distance per image, drawn around how hard the image is, how good the method is (by
its stage and criterion) and the luck of the seed. All numbers of a record are counted from these
distances, so that accuracies, curves, verdicts and paired tests agree with each other. What HO-FMN
misses, what is flagged, failed or not done yet, and names from elsewhere are in it too.
"""

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from advprune.attacks.verdicts import EPS_TOLERANCE, pack, robust_at
from advprune.evaluation.evaluate import CURVE_POINTS
from advprune.evaluation.intervals import wilson
from advprune.evaluation.reliability import INDICATORS, marks
from advprune.models.sizes import LAYERS
from advprune.report.records import load_methods
from helpers.checkout import ROOT

EPS = 8 / 255
CLASSES = 10
WIDTH = 8
REFERENCES = ("dense", "random", "lwm", "global_magnitude")
HOSTILE = '=1+1|</script><script>window.broken=1</script><img src=x onerror="broken=1"> 名前 "&\'x'
STAGE = {"before": -0.25, "during": 0.1, "after": 0.2, "baseline": 0.0}
SIDES = ("accuracy", "low", "high")
ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")


@dataclass(frozen=True)
class Grid:
    """What the grid holds; the default is small. `PAPER` is as large as the survey's."""

    datasets: tuple[str, ...] = ("cifar10", "svhn")
    archs: tuple[str, ...] = ("resnet18", "vgg16")
    sparsities: tuple[float, ...] = (0.9, 0.99)
    structures: tuple[str, ...] = ("unstructured", "filters")
    seeds: int = 2
    images: int = 200
    methods: int = 28  # besides the references
    most: int | None = None  # models; those after them are "not done yet"
    hostile: bool = True


SMALL = Grid(archs=("resnet18",), seeds=3, methods=9, images=100)
PAPER = Grid(
    sparsities=(0.9, 0.95, 0.99),
    structures=("unstructured", "filters", "channels", "kernels"),
    seeds=3,
    images=500,
    methods=40,
    most=1800,
)


@functools.cache
def methods() -> dict[str, dict]:
    """The methods of the repository by key, as their YAMLs have them."""
    return load_methods((ROOT / "config" / "methods").glob("*.yaml"))


def chosen(grid: Grid) -> list[str]:
    """Keys of the references and of the grid's other methods, evenly from the alphabet."""
    others = sorted(set(methods()) - set(REFERENCES))
    places = np.linspace(0, len(others) - 1, min(grid.methods, len(others))).round().astype(int)
    return [*REFERENCES, *(others[i] for i in places)]


def evaluations(grid: Grid = SMALL) -> list[dict]:
    """One record per model, as `evaluation.json` holds it; equal grids give equal records.

    Of the models about one in forty is flagged and one in sixty failed.
    """
    found = [record for model in _models(grid) for record in [_evaluation(grid, model)]]
    return found[: grid.most]


def layers(evaluation: dict) -> dict[str, dict[str, int]]:
    """`layers` of the model's audit.json: units and weights of every layer and what is removed.

    Global criteria prune late layers more than early ones, local ones all alike.
    """
    model = evaluation["model"]
    rng = _rng("layers", *model.values())
    shapes = LAYERS[model["arch"]](WIDTH, CLASSES, 3)
    taxonomy = _about(model).get("taxonomy", {})
    depth = np.linspace(-1, 1, len(shapes)) * ("G" in str(taxonomy.get("locality", "")))
    kept = (1 - model["sparsity"]) * np.exp(-1.5 * depth + rng.normal(0, 0.05, len(shapes)))
    found = {}
    for i, (shape, share) in enumerate(zip(shapes, np.clip(kept, 0, 1), strict=True)):
        units = {"filters": shape.outputs, "channels": shape.inputs}
        units["kernels"] = shape.outputs * shape.inputs
        total = units.get(model["structure"], shape.weights)
        removed = 0 if model["structure"] == "none" else total - round(total * share)
        zeros = round(shape.weights * removed / total)
        entry = {"removed": removed, "units": total, "zeros": zeros, "weights": shape.weights}
        found[f"layer{i:02}"] = entry
    return found


def history(evaluation: dict) -> dict[str, list[dict[str, float]]]:
    """Figures of every epoch by phase, as cards and logs of trainings hold them."""
    training, rng = evaluation["training"], _rng("history", *evaluation["model"].values())
    found = {}
    for phase, epochs in (("pretrain", 20), ("finetune", training["final_epochs"] or 0)):
        epoch = np.arange(1, epochs + 1)
        rise = 1 - np.exp(-epoch / 5)
        figures = {"loss": 2.3 - 1.2 * rise, "val_clean": 0.9 * rise}
        figures["val_pgd"] = training["pgd20_best"] * rise
        noisy = {k: v + rng.normal(0, 0.01, epochs) for k, v in figures.items()}
        found[phase] = [
            {"epoch": float(e)} | {k: round(float(v[i]), 4) for k, v in noisy.items()}
            for i, e in enumerate(epoch)
        ]
    return found


def _models(grid: Grid) -> Iterator[dict]:
    """Identities in the order of a run: dense nets first."""
    for dataset in grid.datasets:
        for arch in grid.archs:
            for key in chosen(grid):
                kinds = methods()[key]["structures"]
                for structure in (s for s in ("none", *grid.structures) if s in kinds):
                    for sparsity in (0.0,) if structure == "none" else grid.sparsities:
                        for seed in range(grid.seeds):
                            place = {"dataset": dataset, "arch": arch, "structure": structure}
                            yield {"method": key} | place | {"sparsity": sparsity, "seed": seed}
            if grid.hostile:
                yield _external(dataset, arch, "external-a", HOSTILE)
                yield _external(dataset, arch, "external-b", "N" * 80)


def _external(dataset: str, arch: str, key: str, name: str) -> dict:
    model = {"method": key, "dataset": dataset, "arch": arch, "structure": "unstructured"}
    return model | {"sparsity": 0.9, "seed": 0, "name": name, "stage": "external"}


def _evaluation(grid: Grid, model: dict) -> dict:
    """The record of one model, counted from its distances."""
    rng = _rng(*model.values())
    record = {"model": model | {"objective": _objective(model)}}
    if rng.random() < 1 / 60:
        return record | _failed(grid)
    distance = _distance(grid, model, rng)
    aa_robust = robust_at(distance, EPS) | ((rng.random(grid.images) < 0.004) & (distance > 0))
    missing = 0.12 * (rng.random() < 0.15) + 0.01  # in one net of seven HO-FMN misses many points
    near = np.where(rng.random(grid.images) < missing, distance * 3 + EPS, distance)
    near[distance <= 0] = 0.0
    verdicts = {"clean": distance > 0, "autoattack": aa_robust, "hofmn": robust_at(near, EPS)}
    verdicts["worst"] = verdicts["hofmn"] & aa_robust
    for name, robust in verdicts.items():
        low, high = _wilson(int(robust.sum()), grid.images)
        record |= {f"{name}_accuracy": float(robust.mean())}
        record |= {f"{name}_low": low, f"{name}_high": high}
    flagged = rng.random() < 1 / 40
    signs = _signs(verdicts, rng)
    return record | {
        "images": grid.images,
        "robust_images": pack(verdicts["worst"]),
        "audit": _audit(model),
        "curve": _curve(near),
        "broken_by": _broken_by(verdicts, rng),
        "warnings": ["gradients vanish"] * (rng.random() < 0.03),
        "status": "flagged" if flagged else "ok",
        "reason": f"sparsity is 0.8700 instead of {model['sparsity']:g}" * flagged,
        "training": _training(model, verdicts, rng),
        "threat": _threat(),
        "reliability": signs | {"marks": marks(signs)},
    }


def _distance(grid: Grid, model: dict, rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest adversarial per image, 0 where it is wrong from the start."""
    setting = (model["dataset"], model["arch"])
    hard = _rng("images", model["dataset"], grid.images).normal(0, 0.8, grid.images)
    own = _rng("method", model["method"]).normal(0, 0.15)
    skill = STAGE.get(_about(model).get("stage", ""), 0.0) + own + _rng(*setting).normal(0, 0.1)
    if model["structure"] != "none":
        rough = {"filters": 0.35, "channels": 0.35, "kernels": 0.2}
        skill -= 0.12 * -np.log10(1 - model["sparsity"]) + rough.get(model["structure"], 0.0)
        skill -= 0.5 * (model["method"] == "random")
    else:
        skill += 0.2
    skill += rng.normal(0, 0.06)
    spread = hard + rng.normal(0, 0.3, grid.images)
    distance = EPS * np.exp(spread + skill)
    return np.where(spread + skill < -1.4, 0.0, distance)


def _curve(near: np.ndarray) -> dict[str, list[float]]:
    radii = [2 * EPS * i / (CURVE_POINTS - 1) for i in range(CURVE_POINTS)]
    ends = [0.0, *(radius + EPS_TOLERANCE for radius in radii[1:])]  # as `robust_at` has it
    counts = [len(near) - int(c) for c in np.searchsorted(np.sort(near), ends, side="right")]
    bounds = [_wilson(count, len(near)) for count in counts]
    low, high = (list(side) for side in zip(*bounds, strict=True))
    accuracy = [count / len(near) for count in counts]
    return {"eps": radii, "accuracy": accuracy, "low": low, "high": high}


def _signs(verdicts: dict[str, np.ndarray], rng: np.random.Generator) -> dict:
    near, robust = ~verdicts["hofmn"], verdicts["autoattack"]
    signs = {
        "disagreement": float(np.mean(near == robust)),
        "hofmn_missed": float(np.mean(~near & ~robust)),
        "autoattack_missed": float(np.mean(near & robust)),
        "square_alone": 0.01 * (rng.random() < 0.05),
    }
    signs |= {name: 0.1 * (rng.random() < 0.01) for name in INDICATORS}
    recovered = round(0.8 * signs["hofmn_missed"] * len(near))
    distances = (1.4 * EPS, 0.9 * EPS) if recovered else (None, None)
    return (
        signs
        | {"hofmn_recovered": recovered}
        | dict(zip(("distance_before", "distance_after"), distances, strict=True))
    )


def _broken_by(verdicts: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, int]:
    clean, robust = int(verdicts["clean"].sum()), int(verdicts["autoattack"].sum())
    counts = rng.multinomial(clean - robust, (0.8, 0.17, 0.025, 0.005))
    found = {"clean": len(verdicts["clean"]) - clean} | dict(
        zip(ATTACKS, map(int, counts), strict=True)
    )
    return {key: count for key, count in sorted(found.items()) if count}


def _audit(model: dict) -> dict:
    shapes = LAYERS[model["arch"]](WIDTH, CLASSES, 3)
    prunable = sum(shape.weights for shape in shapes)
    left = round(prunable * (1 - model["sparsity"]))
    counts = {"params": prunable + 5000, "nonzero": left + 5000, "prunable": prunable}
    counts |= {"sparsity_achieved": 1 - left / prunable, "prunable_nonzero": left}
    return counts | {"macs": 60 * prunable, "effective_macs": 60 * left}


def _training(model: dict, verdicts: dict[str, np.ndarray], rng: np.random.Generator) -> dict:
    if model.get("stage") == "external":
        return {}
    pgd = float(verdicts["autoattack"].mean()) + 0.03
    overfit = float(rng.exponential(0.02))
    searched = _about(model).get("stage") == "during"
    chosen_epoch = {} if searched else {"best_epoch": int(rng.integers(8, 21)), "final_epochs": 20}
    found = {"epochs": 40, "best_epoch": None, "final_epochs": None} | chosen_epoch
    found |= {"pgd20_best": pgd, "pgd20_last": max(pgd - overfit, 0.0)}
    text = ["single-step training collapsed in epoch 12: PGD on validation 0.41 → 0.03"]
    return found | {"clean_last": 0.95, "marks": text * (rng.random() < 0.02)}


def _failed(grid: Grid) -> dict:
    """What is shown of a model whose job failed (`watch.partial.failed`)."""
    names = [f"{a}_{b}" for a in ("clean", "autoattack", "hofmn", "worst") for b in SIDES]
    reason = "finetune: the training diverged (logs/grid/finetune/seed0.log)"
    found = dict.fromkeys(names) | {"status": "failed", "reason": reason, "curve": None}
    return found | {"threat": _threat(), "images": grid.images}


def _threat() -> dict:
    return {"norm": "Linf", "eps": EPS, "eps_text": "8/255"}


def _objective(model: dict) -> str | None:
    if model.get("stage") == "external":
        return None
    objectives = _about(model).get("objectives") or {}
    last = objectives.get("finetune") or objectives.get("prune") or {}
    return last.get("name", "pgd")


def _about(model: dict) -> dict:
    return methods().get(model["method"], {})


@functools.cache
def _wilson(count: int, images: int) -> tuple[float, float]:
    return wilson(count, images)


def _rng(*names: object) -> np.random.Generator:
    """Random numbers that belong to these names, on every machine the same."""
    return np.random.default_rng(zlib.crc32("/".join(map(str, names)).encode()))
