"""Two runs of the same models: which verdicts differ, and what differs in their cards."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from advprune.attacks.verdicts import SAMPLE, read_tables, worst
from advprune.base.errors import UserError
from advprune.evaluation.comparable import differing
from advprune.report.records import ACCURACIES, IDENTITY, Identity, Record
from advprune.runs.models import Model

Pairs = Sequence[tuple[Model, Model]]
MACHINE = ("platform", "device", "threads", "torch", "numpy", "python", "commit", "dirty")
VERDICT = ["robust", "broken_by", "distance"]


def common(
    first: Mapping[Identity, Model], second: Mapping[Identity, Model]
) -> list[tuple[Model, Model]]:
    """Models that two runs have in common, in order; none at all is a UserError."""
    both = sorted(first.keys() & second.keys(), key=str)
    if not both:
        raise UserError("the runs have no model in common; advprune merge joins different ones")
    return [(first[identity], second[identity]) for identity in both]


def compared(pairs: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(One row per model, one row per model and image whose verdict differs) of two runs.

    Of a model: both runs' accuracies in [0, 1] and their differences; `lost` counts the images that
    are robust in the worst case of the attacks in the first run alone, `gained` in the second
    alone, of the `images` that both have attacked.
    """
    rows, flips = [], []
    for one, other in pairs:
        identity = dict(zip(IDENTITY, one.identity, strict=True))
        verdicts = images(one, other)
        before, after = verdicts["robust_first"], verdicts["robust_second"]
        counts = {"images": len(verdicts), "lost": int((before & ~after).sum())}
        counts["gained"] = int((after & ~before).sum())
        rows.append(identity | _accuracies(one, other) | counts)
        flips.append(verdicts[before != after].assign(**identity))
    found = pd.concat(flips, ignore_index=True)
    order = [*IDENTITY, *(column for column in found if column not in IDENTITY)]
    return pd.DataFrame(rows), found[order]


def _accuracies(one: Model, other: Model) -> dict[str, float]:
    row: dict[str, float] = {}
    for name in ACCURACIES:
        found = (model.evaluation[f"{name}_accuracy"] for model in (one, other))
        a, b = (float("nan") if share is None else share for share in found)
        row |= {f"{name}_first": a, f"{name}_second": b, f"{name}_difference": b - a}
    return row


def images(one: Model, other: Model) -> pd.DataFrame:
    """Verdicts of both on the images that both have attacked, matched by their official index.

    Other labels of one official index, or no image in common, are a UserError.
    """
    keys = ["official_index", "label"]
    sides = [_verdicts(model) for model in (one, other)]
    joined = sides[0].merge(sides[1], on=keys, suffixes=("_first", "_second"))
    shared = set(sides[0]["official_index"]) & set(sides[1]["official_index"])
    if not shared or len(joined) != len(shared):
        raise UserError(f"{one.folder} and {other.folder}: not attacked on the same images")
    order = [*keys, *(f"{c}_{side}" for c in VERDICT for side in ("first", "second"))]
    return joined[order].sort_values("official_index", ignore_index=True)


def cards(pairs: Pairs) -> list[tuple[str, int]]:
    """(What differs in the cards of one kind of job, in how many models), the most frequent first.

    Settings by their dotted places with both values, machine and versions likewise, data by its
    hash, and of the code the modules.
    """
    counts = Counter(text for one, other in pairs for text in set(_differences(one, other)))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _verdicts(model: Model) -> pd.DataFrame:
    attack = read_tables(_shards(model.folder, "autoattack"))
    nearest = read_tables(_shards(model.folder, "hofmn"))
    if not attack[list(SAMPLE)].equals(nearest[list(SAMPLE)]):
        raise UserError(f"{model.folder}: the attacks did not see the same images")
    robust = worst(attack["robust"], nearest["distance"], model.evaluation["threat"]["eps"])
    found = attack.assign(robust=robust, distance=nearest["distance"])
    return found[["official_index", "label", *VERDICT]]


def _shards(folder: Path, attack: str) -> list[Path]:
    found = sorted(folder.glob(f"{attack}-[0-9]*.csv"))
    if not found:
        raise UserError(f"{folder}: no tables of {attack}")
    return found


def _differences(one: Model, other: Model) -> Iterator[str]:
    for name in sorted(one.cards.keys() | other.cards.keys()):
        cards = [model.cards.get(name) for model in (one, other)]
        kind = next(card["script"] for card in cards if card is not None)
        if cards[0] is None or cards[1] is None:
            yield f"{kind}: {name} is in one run only"
            continue
        yield from (f"{kind}: {text}" for text in _of_cards(cards[0], cards[1]))


def _of_cards(one: Record, other: Record) -> Iterator[str]:
    for place, (a, b) in differing([one["spec"], other["spec"]]).items():
        yield f"{place} {a}, {b}"
    for name in MACHINE:
        a, b = one.get(name), other.get(name)
        if a != b:
            yield f"{name} {a}, {b}"
    if one["parents"].get("data") != other["parents"].get("data"):
        yield "other images"
    for path in sorted(one["code"].keys() | other["code"].keys()):
        if one["code"].get(path) != other["code"].get(path):
            yield f"scripts/{path} is other code"
