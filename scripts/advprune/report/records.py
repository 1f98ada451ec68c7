"""Evaluations as records: reading them, and which of them may be compared.

A *record* is a dict with the model's identity (method, dataset, arch, structure, sparsity, seed)
and its numbers at the top level. Accuracies are shares in [0,1]; they become percentages only where
a person reads them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from advprune.base import structures, text
from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.evaluation.comparable import described, differing

Record = dict[str, Any]
Group = tuple[str, str, str, float]
Identity = tuple[Any, ...]  # the values of IDENTITY

STRUCTURES = ("none", *structures.STRUCTURES)
ACCURACIES = {
    "clean": "Clean",
    "autoattack": "AutoAttack",
    "hofmn": "HO-FMN",
    "worst": "Worst case",
}
IDENTITY = ["method", "dataset", "arch", "structure", "sparsity", "seed"]
NOT_AVAILABLE = "not available"  # status of a released net whose file cannot be had
REFERENCES = ("random", "lwm", "global_magnitude")  # methods that others are compared with
# Seeds of one method that differ by more than ten points in the worst case say little of it by
# their mean. Five draws with a standard deviation of 3 points do so in one case of eight, of 4.3
# points in every other one; and ten points are what the field's methods differ by.
LARGEST_SPREAD = 0.10


def load(paths: Iterable[str | Path], absent: bool = False) -> list[Record]:
    """Read files of one evaluation or a list of them, with `absent` also those without numbers.

    None at all, an unfit one, or one model twice is a UserError.
    """
    evaluations: dict[Identity, Record] = {}
    for path in paths:
        content = read_json(path)
        for evaluation in content if isinstance(content, list) else [content]:
            identity = _identity(path, evaluation)
            if identity in evaluations:
                raise UserError(f"{path}: this model was already given ({describe(identity)})")
            evaluations[identity] = evaluation
    check_comparable(list(evaluations.values()))
    found = nonempty(list(evaluations.values()))
    return [e for e in found if absent or e["status"] != NOT_AVAILABLE]


def check_comparable(evaluations: Iterable[Record]) -> None:
    """Refuse, as a UserError, evaluations that may not stand in one table.

    Those of one dataset and net must agree in radius, norm, images, attacks and width; those that
    become one mean, a method's seeds, also in the budget.
    """
    places: dict[tuple[Any, ...], list[Record]] = {}
    for evaluation in evaluations:
        model, settings = evaluation["model"], _settings(evaluation)
        budget = {"budget": settings.pop("budget")} if "budget" in settings else {}
        own = tuple(model[key] for key in IDENTITY if key != "seed")
        places.setdefault((model["dataset"], model["arch"]), []).append(settings)
        places.setdefault(own, []).append(budget)
    for place, found in places.items():
        if differ := differing(_known_to_all(found)):
            raise UserError(f"{', '.join(map(str, place))}: cannot be joined: {described(differ)}")


def _settings(evaluation: Record) -> Record:
    """What was asked of a model; of a failed one nothing is known."""
    threat = evaluation.get("threat") or {}
    known = {key: threat[key] for key in ("eps", "norm") if key in threat}
    known |= {"images": evaluation["images"]} if evaluation.get("images") is not None else {}
    return known | (evaluation.get("settings") or {})


def _known_to_all(found: Iterable[Record]) -> list[Record]:
    """Settings without what some do not tell, because an earlier version wrote them."""
    telling = [settings for settings in found if settings]
    shared = set.intersection(*map(set, telling)) if telling else set()
    return [{key: settings[key] for key in shared} for settings in telling]


def _identity(path: str | Path, evaluation: Record) -> Identity:
    try:
        identity = tuple(evaluation["model"][key] for key in IDENTITY)
        evaluation["status"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not an evaluation (lacks {error})") from None
    if {"doubts", "held"} & evaluation.keys():
        raise UserError(f"{path}: made by an earlier version; snakemake makes it again")
    if evaluation["model"]["structure"] not in STRUCTURES:
        raise UserError(f"{path}: unknown structure '{evaluation['model']['structure']}'")
    return identity


def load_methods(paths: Iterable[str | Path]) -> dict[str, Record]:
    """Read methods' YAMLs into a dict by key."""
    methods = {}
    for path in sorted(map(str, paths)):
        try:
            method = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            methods[method["key"]] = method
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a method's YAML ({type(error).__name__})") from None
    return methods


def external(methods: Mapping[str, Record], evaluations: Iterable[Record]) -> dict[str, Record]:
    """Methods of nets that were trained elsewhere: all that is known is in their evaluations.

    Of a released net the method is known, with its paper and taxonomy; how faithful our own
    implementation is says nothing of it.
    """
    models = [e["model"] for e in evaluations if e["model"].get("stage") == "external"]
    found = {}
    for m in models:
        known = methods.get(m.get("released_of", ""), {})
        theirs = {key: known[key] for key in ("citation", "taxonomy") if key in known}
        own = {"key": m["method"], "name": m["name"], "stage": "external"}
        found[m["method"]] = theirs | own
    return found


def known(methods: Mapping[str, Record], evaluations: Iterable[Record]) -> dict[str, Record]:
    """Complete the methods' YAMLs by what only evaluations tell: nets from elsewhere, and variants.

    A variant is its method under another key and name. Names that are equal are told apart.
    """
    variants = {m["method"]: m for m in (e["model"] for e in evaluations) if m.get("variant_of")}
    found = (
        dict(methods)
        | {
            key: methods.get(model["variant_of"], {})
            | {"key": key, "name": model.get("name") or key}
            for key, model in variants.items()
        }
        | external(methods, evaluations)
    )
    return {key: found[key] | {"name": name} for key, name in names(found).items()}


def names(methods: Mapping[str, Record]) -> dict[str, str]:
    """Display name of every method by key, in one line, and no two the same."""
    return text.distinct({key: str(method.get("name", key)) for key, method in methods.items()})


def records(evaluations: Sequence[Record]) -> list[Record]:
    """Lift audit, threat, reliability and identity of every evaluation to the top level.

    Warnings and marks become text.
    """
    return [
        e
        | (e.get("audit") or {})
        | (e.get("threat") or {})
        | (e.get("reliability") or {})
        | e["model"]
        # an attack's advice follows its finding; the evaluation itself has it in full
        | {"warnings": "; ".join(w.split(". ")[0] for w in e.get("warnings") or [])}
        | {"reliability": "; ".join((e.get("reliability") or {}).get("marks", []))}
        for e in evaluations
    ]


def groups(rows: Sequence[Record]) -> dict[Group, list[Record]]:
    """Collect the records that may be compared, by (dataset, arch, structure, sparsity).

    The dense nets of the same dataset and arch lead every group. They are a group of their own
    only where nothing was pruned.
    """
    by_group: dict[Group, list[Record]] = {}
    pruned_settings = {(r["dataset"], r["arch"]) for r in rows if r["structure"] != "none"}
    for row in sorted(rows, key=lambda r: (*_group_order(group_of(r)), r["method"], r["seed"])):
        setting = (row["dataset"], row["arch"])
        if row["structure"] != "none" or setting not in pruned_settings:
            by_group.setdefault(group_of(row), []).append(row)
    dense = sorted((r for r in rows if r["structure"] == "none"), key=lambda r: r["method"])
    for (dataset, arch, structure, _), members in by_group.items():
        if structure != "none":
            members[:0] = [d for d in dense if (d["dataset"], d["arch"]) == (dataset, arch)]
    return by_group


def group_of(row: Record) -> Group:
    """Return the group that a record belongs to."""
    return row["dataset"], row["arch"], row["structure"], row["sparsity"]


def _group_order(group: Group) -> tuple[str, str, int, float]:
    dataset, arch, structure, sparsity = group
    return dataset, arch, STRUCTURES.index(structure), sparsity


def across_seeds(members: Sequence[Record]) -> dict[str, list[Record]]:
    """Sort records by method; flagged seeds drop out unless the method has no other."""
    by_method: dict[str, list[Record]] = {}
    for row in members:
        by_method.setdefault(row["method"], []).append(row)
    return {m: [r for r in rs if r["status"] == "ok"] or rs for m, rs in by_method.items()}


def reference_of(row: Record) -> str | None:
    """Key of the reference that a model is, itself or as a variant; None for all others."""
    key = row.get("variant_of") or row["method"]
    return key if key in REFERENCES else None


def seed_spread(rows: Iterable[Record]) -> float:
    """Best seed minus worst seed of one method in the worst case of the attacks, in [0, 1].

    Only seeds that are not flagged and have a number; nan for fewer than two.
    """
    values = [r["worst_accuracy"] for r in rows if r["status"] == "ok"]
    values = [v for v in values if v is not None and not math.isnan(v)]
    return max(values) - min(values) if len(values) > 1 else math.nan


def seed_spreads(rows: Iterable[Record]) -> dict[tuple[Group, str], float]:
    """`seed_spread` of every method of every group."""
    seeds: dict[tuple[Group, str], list[Record]] = {}
    for row in rows:
        seeds.setdefault((group_of(row), row["method"]), []).append(row)
    return {method: seed_spread(own) for method, own in seeds.items()}


def spread_mark(spread: float) -> str:
    """`↕` where the seeds of one method differ by more than `LARGEST_SPREAD`, else nothing."""
    # differences of shares are off in the last bit
    return "↕" if spread > LARGEST_SPREAD + 1e-9 else ""


def percent(share: float | None, digits: int = 1) -> str:
    """Share in [0,1] as a percentage without the sign; a dash where there is no number."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"


def group_title(group: Group) -> str:
    """Readable structure and sparsity of a group, such as "unstructured, 90 % removed"."""
    *_, structure, sparsity = group
    return "dense" if structure == "none" else f"{structure}, {100 * sparsity:g} % removed"


def full_title(group: Group) -> str:
    """The group with its dataset and net: `cifar10, resnet18: unstructured, 90 % removed`."""
    return f"{group[0]}, {group[1]}: {group_title(group)}"


def describe(identity: Iterable[Any]) -> str:
    """Name a model by the values of `IDENTITY`, as messages and notes need it."""
    method, dataset, arch, structure, sparsity, seed = identity
    group = group_title((dataset, arch, structure, sparsity))
    return f"{method}, {dataset}, {arch}, {group}, seed {seed}"


def nonempty(evaluations: Sequence[Record]) -> list[Record]:
    """Return the evaluations; none at all is a UserError."""
    if not evaluations:
        raise UserError("no evaluations to report: give at least one evaluation.json")
    return list(evaluations)
