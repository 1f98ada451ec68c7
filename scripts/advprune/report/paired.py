"""Paired comparison of methods with references on the same images and seeds.

A reference is compared with methods trained as it was: `lwm` with those trained by PGD, its variant
trained by TRADES with those trained by TRADES. The references trained by PGD, which the rest of a
table has in common, stand beside them.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean, stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from advprune.attacks.verdicts import unpack
from advprune.base import text
from advprune.base.errors import UserError
from advprune.evaluation.significance import (
    FEWEST_SEEDS,
    LEVEL,
    below_best_on_images,
    below_best_over_seeds,
    holm,
    paired_t,
    sign_flip,
)
from advprune.report.records import (
    LARGEST_SPREAD,
    REFERENCES,
    Group,
    Record,
    full_title,
    group_of,
    percent,
    records,
    reference_of,
    seed_spread,
    spread_mark,
)

COMMON = "pgd"  # the objective of the references that every method is compared with
CLAIMS = ("above", "below")
COLUMNS = [
    *("dataset", "arch", "structure", "sparsity", "method", "objective"),
    *(
        "reference",
        "reference_kind",
        "reference_objective",
        "seeds",
        "images",
        "flagged",
        "accuracy",
    ),
    *("seed_spread", "difference", "lowest_seed", "highest_seed", "between_seeds"),
    *("only_method", "only_reference", "p_images", "p_images_adjusted"),
    *("p_trainings", "p_trainings_adjusted", "verdict"),
]

Methods = Mapping[str, Mapping[int, Record]]  # a group's records by method and seed


def compare(evaluations: Sequence[Record]) -> pd.DataFrame:
    """Each pruned method against the references of its group, over the seeds that both have.

    Shares in [0, 1]: `accuracy` is the method's mean in the worst case of the attacks, `difference`
    that mean minus the reference's, `seed_spread` the method's best seed minus its worst.
    `flagged` counts seeds whose evaluation has another status than ok. `p_images` is the test over
    images, `p_trainings` that over seeds (empty for one), adjusted (for at least `FEWEST_SEEDS`)
    within all comparisons with references of that kind: with the method's own objective, or with
    PGD instead. `verdict` (docs/reliability.md, "Told apart or not") is "above" or "below" if both
    adjusted values are below `LEVEL`; "above on these nets" or "below on these nets" if that over
    images is and all seeds agree; else "not told apart".
    """
    rows: list[Record] = []
    for group, methods in sorted(_by_method(records(evaluations)).items()):
        setting = dict(zip(COLUMNS, group, strict=False))
        for key, with_own in product(REFERENCES, (True, False)):
            rows += [setting | row for row in _column(methods, key, with_own)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _column(methods: Methods, key: str, with_own: bool) -> list[Record]:
    """Compare with one kind of reference, adjusted for looking at all of these."""
    rows: list[Record] = []
    chosen = _references(methods)
    for method, own in sorted(methods.items()):
        trained = _objective(own)
        objective = trained if with_own else COMMON
        reference = chosen.get((key, objective))
        # references are compared among themselves, and nothing twice
        again = not with_own and (trained == COMMON or method in chosen.values())
        if again or reference is None or reference == method:
            continue
        if pair := _pair(own, methods[reference]):
            names = {"method": method, "objective": trained, "reference": reference}
            rows.append(names | {"reference_kind": key, "reference_objective": objective} | pair)
    claimed = [row for row in rows if row["seeds"] >= FEWEST_SEEDS]
    for name, tested in (("p_images", rows), ("p_trainings", claimed)):
        for row, p in zip(tested, holm([row[name] for row in tested]), strict=True):
            row[f"{name}_adjusted"] = p
    return [row | {"verdict": _verdict(row)} for row in rows]


def _references(methods: Methods) -> dict[tuple[str, str | None], str]:
    """Find the row that is the reference of a kind and objective, before variants the method."""
    found: dict[tuple[str, str | None], str] = {}
    for method, own in sorted(
        methods.items(), key=lambda item: (item[0] not in REFERENCES, item[0])
    ):
        if key := reference_of(_any(own)):
            found.setdefault((key, _objective(own)), method)
    return found


def _verdict(row: Record) -> str:
    if not row["p_images_adjusted"] < LEVEL:
        return "not told apart"
    side = CLAIMS[row["difference"] < 0]
    if row.get("p_trainings_adjusted", 1.0) < LEVEL:
        return side
    agreed = row["lowest_seed"] > 0 or row["highest_seed"] < 0
    return f"{side} on these nets" if agreed else "not told apart"


def level_with_best(evaluations: Sequence[Record]) -> dict[tuple[Group, str], str]:
    """Find the methods that cannot be told from the best pruned one of their group, and the mark.

    The best has the highest mean in the worst case. Where all methods of a group have
    `FEWEST_SEEDS` seeds in common, the others are tested as methods, over trainings and over
    images, and else "on these nets" alone: a group has at least one of these methods, and in at
    most a share `LEVEL` of groups a method that is as good as the best lacks the mark. Where two
    have no seed in common there is no test, and nothing that tells them apart. Flagged models, and
    those without verdicts per image, neither lead nor count.
    """
    rows = [r for r in records(evaluations) if r["status"] == "ok" and "robust_images" in r]
    level: dict[tuple[Group, str], str] = {}
    for group, methods in _by_method(rows).items():
        means = {m: fmean(r["worst_accuracy"] for r in methods[m].values()) for m in methods}
        names = sorted(methods, key=lambda m: (-means[m], m))
        below = {
            m for m in names[1:] if _below_on_images(methods[names[0]], methods[m], len(names))
        }
        seeds = sorted(set.intersection(*(set(own) for own in methods.values())))
        mark = "≈ best on these nets"
        if len(seeds) >= FEWEST_SEEDS:
            mark = "≈ best"
            counts = [[_robust_images(methods[m][s]).sum() for s in seeds] for m in names]
            claimed = below_best_over_seeds(np.array(counts, dtype=np.int64), best=0)
            below &= {m for m, is_below in zip(names, claimed, strict=True) if is_below}
        level |= {(group, m): mark for m in names if m not in below}
    return level


def _below_on_images(best: Mapping[int, Record], other: Mapping[int, Record], k: int) -> bool:
    seeds = sorted(set(best) & set(other))
    return bool(seeds) and below_best_on_images(_verdicts(best, seeds), _verdicts(other, seeds), k)


def _by_method(rows: Sequence[Record]) -> dict[Group, dict[str, dict[int, Record]]]:
    """Pruned models by group, method and seed."""
    by_group: dict[Group, dict[str, dict[int, Record]]] = {}
    for row in rows:
        if row["structure"] != "none":
            by_group.setdefault(group_of(row), {}).setdefault(row["method"], {})[row["seed"]] = row
    return by_group


def _any(own: Mapping[int, Record]) -> Record:
    return next(iter(own.values()))


def _objective(own: Mapping[int, Record]) -> str | None:
    """Name of the last training's objective; None in files of earlier versions."""
    return _any(own).get("objective")


def _pair(method: Mapping[int, Record], reference: Mapping[int, Record]) -> Record | None:
    """Numbers of one comparison; None where the two have no seed in common."""
    seeds = sorted(set(method) & set(reference))
    if not seeds:
        return None
    ours, theirs = _verdicts(method, seeds), _verdicts(reference, seeds)
    if ours.shape != theirs.shape:
        raise UserError(f"{_any(method)['method']}: other test images than the reference")
    each = (ours.mean(axis=1) - theirs.mean(axis=1)).tolist()
    counts = ours.sum(axis=1, dtype=int) - theirs.sum(axis=1, dtype=int)
    return {
        "seeds": len(seeds),
        "images": ours.shape[1],
        "flagged": sum(method[s]["status"] != "ok" for s in seeds),
        "accuracy": float(ours.mean()),
        "seed_spread": seed_spread(method.values()),
        "difference": fmean(each),
        "lowest_seed": min(each),
        "highest_seed": max(each),
        "between_seeds": stdev(each) if len(each) > 1 else math.nan,
        "only_method": int((ours & ~theirs).sum()),
        "only_reference": int((theirs & ~ours).sum()),
        "p_images": sign_flip(ours.sum(axis=0, dtype=int) - theirs.sum(axis=0, dtype=int)),
        "p_trainings": float(paired_t(counts)),
    }


def _verdicts(rows: Mapping[int, Record], seeds: Sequence[int]) -> NDArray[np.bool_]:
    """Verdicts [seeds, images] of one method."""
    return np.array([_robust_images(rows[s]) for s in seeds])


def _robust_images(row: Record) -> NDArray[np.bool_]:
    if "robust_images" not in row:
        raise UserError(f"{row['method']}: this evaluation has no verdicts per image")
    return unpack(row["robust_images"], row["images"])


MARKDOWN_HEAD = f"""\
Accuracy in the worst case of the attacks, mean over seeds in %. Spread: best seed minus worst, in
points; ↕ above {100 * LARGEST_SPREAD:g}. Against a reference that was trained with the same
objective, and in a line of its own against one trained by PGD where that is another objective:
difference in points (lowest to highest seed) and p; for fewer than {FEWEST_SEEDS} seeds also the
images that only the method holds : those that only the reference holds.

* **Bold**: beyond doubt, p below {LEVEL:g} both over trainings (paired t-test, at least
  {FEWEST_SEEDS} seeds) and over images (exact sign-flip test). The larger p is given.
* *Italic*: told apart on these nets alone, over images and by every seed. Other trainings of the
  same methods may differ. For fewer than {FEWEST_SEEDS} seeds this p is given.

All p are adjusted by Holm's method within the column, the lines against PGD apart. † flagged.
"""
ACRONYMS = ("pgd", "trades", "mart", "fgsm", "lbgat")


def markdown(frame: pd.DataFrame, names: Mapping[str, str]) -> str:
    """One table per group, the best method first; `names` are display names by key."""
    parts = [MARKDOWN_HEAD]
    for group, rows in frame.groupby(list(COLUMNS[:4]), sort=True):
        parts.append(f"\n### {full_title(group)}\n\n")
        parts += _table(rows.fillna({"objective": "", "reference_objective": ""}), names)
    return "".join(parts)


def _table(rows: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    """Lines of one group: a line per method and objective of its references."""
    kinds = [k for k in REFERENCES if (rows["reference_kind"] == k).any()]
    trained = ["Trained with"] * bool(
        set(rows["objective"]) | set(rows["reference_objective"]) != {COMMON}
    )
    head = ["Method", *trained, "Seeds", "Worst case", "Spread"]
    head += [f"against {text.markdown(names.get(k, k))}" for k in kinds]
    lines = [_line(head), _line(["---"] * len(head))]
    best = rows.groupby("method")["accuracy"].max().sort_values(ascending=False, kind="stable")
    for method in best.index:
        own = rows[rows["method"] == method]
        # the line of the method's own objective comes first
        for objective in sorted(own["reference_objective"].unique(), key=lambda o: o == COMMON):
            line = own[own["reference_objective"] == objective].set_index("reference_kind")
            row = line.iloc[0]
            name = text.markdown(names.get(method, method)) + " †" * bool(own["flagged"].max())
            told = _objective_name(row["objective"])
            told += f", against {_objective_name(objective)}" * (objective != row["objective"])
            cells = [name, *[told] * len(trained), line["seeds"].max(), percent(row["accuracy"])]
            cells.append(f"{percent(row['seed_spread'])} {spread_mark(row['seed_spread'])}".strip())
            cells += [_cell(line.loc[k]) if k in line.index else "–" for k in kinds]
            lines.append(_line(cells))
    return lines


def _objective_name(name: str) -> str:
    return name.upper() if name in ACRONYMS else name or "unknown"


def _cell(row: pd.Series) -> str:
    parts = [f"{100 * row['difference']:+.1f}"]
    if row["seeds"] > 1:
        parts[0] += f" ({100 * row['lowest_seed']:+.0f} to {100 * row['highest_seed']:+.0f})"
    p = row["p_images_adjusted"]
    if row["seeds"] < FEWEST_SEEDS:
        parts.append(f"{row['only_method']} : {row['only_reference']}")
    else:
        p = max(p, row["p_trainings_adjusted"])
    told = ", ".join([*parts, f"p {_p(p)}"])
    mark = {"above": "**", "below": "**", "not told apart": ""}.get(row["verdict"], "*")
    return f"{mark}{told}{mark}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"
