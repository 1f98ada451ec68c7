"""Tidy tables of a run: a row per model, per model and image, per point of a curve, per layer.

docs/files.md describes every column. Figures are drawn from these tables, here and elsewhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advprune.attacks.verdicts import read_tables, worst
from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.plan.paths import model_folder
from advprune.report.costs import COUNTS, TIMES
from advprune.report.records import IDENTITY, Record, names, records
from advprune.report.tables import COLUMNS, leaderboard

TRAITS = ["schedule", "locality", "criterion"]  # of the survey's taxonomy
ABOUT = ["name", "stage", "variant_of", "objective", "fidelity", *TRAITS]
# counts that the leaderboard has too, and recounts itself
MEASURED = [c for c in (*COUNTS, *TIMES) if c not in COLUMNS]
MODELS = [*IDENTITY, *ABOUT, *COLUMNS[len(IDENTITY) :], *MEASURED]
POINT = ["accuracy", "low", "high"]
CURVES = [*IDENTITY, "attack", "eps", *POINT]
LAYERS = [*IDENTITY, "place", "layer", "units", "kept_units", "weights", "kept_weights"]
LAYERS += ["kept_share", "dead"]
SAMPLES = {
    **{"index": "int64", "official_index": "int64", "label": "int64"},
    **{"clean_correct": "bool", "autoattack_robust": "bool", "broken_by": "str"},
    **{"hofmn_distance": "float64", "worst_robust": "bool"},
}
IMAGES = [*IDENTITY, *SAMPLES]
STEMS, HEADS = ("conv", "stem"), ("classifier", "fc", "head", "linear")


def models(
    evaluations: Sequence[Record],
    methods: Mapping[str, Record],
    costs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per model with `MODELS`: the leaderboard, what the method is, and what it costs."""
    frame = leaderboard(evaluations)
    shown = names(methods)
    about = []
    for row in records(evaluations):
        method = methods.get(row["method"], {})
        traits = {key: (method.get("taxonomy") or {}).get(key) for key in TRAITS}
        known = {"name": shown.get(row["method"], row["method"]), "stage": method.get("stage")}
        told = {key: row.get(key) for key in ("variant_of", "objective")}
        told |= {"fidelity": method.get("fidelity")}
        about.append({key: row[key] for key in IDENTITY} | known | told | traits)
    frame = frame.merge(pd.DataFrame(about), on=IDENTITY, how="left", validate="1:1")
    if costs is not None:
        measured = costs[[*IDENTITY, *MEASURED]]
        frame = frame.merge(measured, on=IDENTITY, how="left", validate="1:1")
    frame = frame.reindex(columns=MODELS)
    # a column without any value has no type of its own: text where the others are
    return frame.astype({key: "string" for key in (*ABOUT, "device")})


def curves(evaluations: Sequence[Record]) -> pd.DataFrame:
    """One row per model and eps with `CURVES`, shares in [0, 1].

    `hofmn` is its curve. At the eps of the evaluation there is a row of `autoattack` and one of
    `worst` besides.
    """
    found = []
    for row in records(evaluations):
        model = {key: row[key] for key in IDENTITY}
        points = row.get("curve") or {}
        for values in zip(*(points.get(key, []) for key in ("eps", *POINT)), strict=True):
            eps, *point = values
            told = dict(zip(POINT, point, strict=True))
            found.append(model | {"attack": "hofmn", "eps": eps} | told)
        for attack in ("autoattack", "worst") if points else ():
            told = {key: row[f"{attack}_{key}"] for key in POINT}
            found.append(model | {"attack": attack, "eps": row["eps"]} | told)
    return pd.DataFrame(found, columns=CURVES)


def layers(places: Mapping[Path, Sequence[Record]]) -> pd.DataFrame:
    """One row per model and prunable layer with `LAYERS`, from the audits of the saved nets.

    `places` has the evaluations by the folder of their dataset and net. `kept_share` is that of
    the units, in [0, 1]; `dead` says that no weight of the layer is left.
    """
    found = []
    for place, evaluations in places.items():
        for model in (evaluation["model"] for evaluation in evaluations):
            folder = model_folder(place, model)
            if folder is None or not (folder / "audit.json").is_file():
                continue  # failed before it could be audited
            identity = {key: model[key] for key in IDENTITY}
            audited = read_json(folder / "audit.json")["layers"]
            found += [identity | row for row in _layers(audited)]
    return pd.DataFrame(found, columns=LAYERS)


def _layers(audited: Mapping[str, Mapping[str, int]]) -> Iterator[Record]:
    for place, (name, layer) in enumerate(sorted(audited.items(), key=lambda i: in_order(i[0]))):
        units, weights = layer["units"], layer["weights"]
        kept, left = units - layer["removed"], weights - layer["zeros"]
        yield {
            **{"place": place, "layer": name, "units": units, "kept_units": kept},
            **{"weights": weights, "kept_weights": left},
            **{"kept_share": kept / units, "dead": left == 0},
        }


def in_order(layer: str) -> tuple[Any, ...]:
    """Order of layers by name: stem, blocks by their numbers, classifier.

    An audit has its layers sorted by the alphabet.
    """
    rank = 0 if layer.startswith(STEMS) else 2 if layer.startswith(HEADS) else 1
    parts = re.split(r"(\d+)", layer)
    return (rank, *((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts))


def images(place: Path, model: Record, eps: float) -> pd.DataFrame | None:
    """Verdicts on one model's images with `IMAGES`; None without its tables."""
    folder = model_folder(place, model)
    if folder is None:
        return None
    names = [sorted(folder.glob(f"{attack}-*.csv")) for attack in ("autoattack", "hofmn")]
    if not all(names):
        return None
    attacked, nearest = map(read_tables, names)
    if len(attacked) != len(nearest):
        raise UserError(f"{folder}: AutoAttack and HO-FMN were run on different images")
    distance = nearest["distance"].to_numpy()
    attacked = attacked.rename(columns={"robust": "autoattack_robust"})
    told = {"hofmn_distance": distance}
    told["worst_robust"] = worst(attacked["autoattack_robust"], distance, eps)
    frame = attacked.assign(**{key: model[key] for key in IDENTITY}, **told)
    return frame[IMAGES].astype(SAMPLES | {"sparsity": np.float64})
