"""Paired comparison of methods with references on the same images and seeds.

Two sources of chance are kept apart. Which test images were drawn: an exact sign-flip test over
images, which for one seed is McNemar's exact test. How training went: the differences seed by seed.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean, stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from advprune.attacks.verdicts import unpack
from advprune.base.errors import UserError
from advprune.report.records import Group, Record, group_of, group_title, percent, records

REFERENCES = ("random", "lwm")
LEVEL = 0.05
COLUMNS = [
    *(
        "dataset",
        "arch",
        "structure",
        "sparsity",
        "method",
        "reference",
        "seeds",
        "images",
        "flagged",
    ),
    *("accuracy", "difference", "lowest_seed", "highest_seed", "between_seeds"),
    *("only_method", "only_reference", "p_value", "p_adjusted", "verdict"),
]


def sign_flip(differences: Sequence[int] | NDArray[np.int64]) -> float:
    """Two-sided p-value of the sum, when every difference is as likely to have the other sign.

    Exact: the distribution of the sum is the convolution of one scaled binomial distribution per
    size of difference. With differences in {-1, 0, 1} this is McNemar's exact test.
    """
    differences = np.asarray(differences, dtype=np.int64)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    law = np.ones(1)
    for size, n in zip(sizes, counts, strict=True):
        terms = np.zeros(2 * size * n + 1)
        terms[:: 2 * size] = binom.pmf(np.arange(n + 1), n, 0.5)
        law = np.convolve(law, terms)
    middle = len(law) // 2
    distance = abs(int(differences.sum()))
    # at a sum of zero the two tails share the middle
    return min(1.0, float(law[: middle - distance + 1].sum() + law[middle + distance :].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for looking at all of them (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = running
    return adjusted


def compare(evaluations: Sequence[Record]) -> pd.DataFrame:
    """Each pruned method against each reference of its group, over the seeds that both have.

    Shares in [0, 1]: `accuracy` is the method's mean in the worst case of the attacks, `difference`
    that mean minus the reference's. A verdict needs an adjusted p-value below `LEVEL` and the same
    sign for each seed. `flagged` counts seeds whose evaluation has another status than ok.
    """
    rows = []
    groups = _by_method(records(evaluations))
    for (group, methods), reference in product(sorted(groups.items()), REFERENCES):
        others = sorted(m for m in methods if m != reference) if reference in methods else []
        pairs = [_pair(methods[m], methods[reference]) for m in others]
        tested = [(m, pair) for m, pair in zip(others, pairs, strict=True) if pair]
        adjusted = holm([pair["p_value"] for _, pair in tested])
        for (method, pair), p in zip(tested, adjusted, strict=True):
            setting = dict(zip(COLUMNS, group, strict=False))
            names = {"method": method, "reference": reference, "p_adjusted": p}
            rows.append(setting | pair | names | {"verdict": _verdict(pair, p)})
    return pd.DataFrame(rows, columns=COLUMNS)


def level_with_best(evaluations: Sequence[Record]) -> set[tuple[Group, str]]:
    """Find the methods that the data do not tell apart from the best pruned one of their group.

    The best is the one with the highest mean in the worst case. The others of the group are tested
    against it as in `compare`. Where two have no seed in common there is no test, and nothing that
    tells them apart. Flagged models, and those without verdicts per image, neither lead nor count.
    """
    rows = [r for r in records(evaluations) if r["status"] == "ok" and "robust_images" in r]
    level = set()
    for group, methods in _by_method(rows).items():
        means = {m: fmean(r["worst_accuracy"] for r in methods[m].values()) for m in methods}
        best = min(means, key=lambda m: (-means[m], m))
        pairs = {m: _pair(methods[m], methods[best]) for m in sorted(methods) if m != best}
        tested = {m: pair for m, pair in pairs.items() if pair}
        adjusted = holm([pair["p_value"] for pair in tested.values()])
        below = {
            m
            for (m, pair), p in zip(tested.items(), adjusted, strict=True)
            if _verdict(pair, p) == "below"
        }
        level |= {(group, m) for m in methods if m not in below}
    return level


def _by_method(rows: Sequence[Record]) -> dict[Group, dict[str, dict[int, Record]]]:
    """Pruned models by group, method and seed."""
    by_group: dict[Group, dict[str, dict[int, Record]]] = {}
    for row in rows:
        if row["structure"] != "none":
            by_group.setdefault(group_of(row), {}).setdefault(row["method"], {})[row["seed"]] = row
    return by_group


def _pair(method: Mapping[int, Record], reference: Mapping[int, Record]) -> Record | None:
    """Numbers of one comparison; None where the two have no seed in common."""
    seeds = sorted(set(method) & set(reference))
    if not seeds:
        return None
    ours, theirs = (
        np.array([_robust_images(rows[s]) for s in seeds]) for rows in (method, reference)
    )
    if ours.shape != theirs.shape:
        raise UserError(f"{method[seeds[0]]['method']}: other test images than the reference")
    each = (ours.mean(axis=1) - theirs.mean(axis=1)).tolist()
    return {
        "seeds": len(seeds),
        "images": ours.shape[1],
        "flagged": sum(method[s]["status"] != "ok" for s in seeds),
        "accuracy": float(ours.mean()),
        "difference": fmean(each),
        "lowest_seed": min(each),
        "highest_seed": max(each),
        "between_seeds": stdev(each) if len(each) > 1 else math.nan,
        "only_method": int((ours & ~theirs).sum()),
        "only_reference": int((theirs & ~ours).sum()),
        "p_value": sign_flip(ours.sum(axis=0, dtype=int) - theirs.sum(axis=0, dtype=int)),
    }


def _robust_images(row: Record) -> NDArray[np.bool_]:
    if "robust_images" not in row:
        raise UserError(f"{row['method']}: this evaluation has no verdicts per image")
    return unpack(row["robust_images"], row["images"])


def _verdict(pair: Record, p_adjusted: float) -> str:
    if p_adjusted < LEVEL and pair["lowest_seed"] > 0:
        return "above"
    if p_adjusted < LEVEL and pair["highest_seed"] < 0:
        return "below"
    return "not told apart"


MARKDOWN_HEAD = """\
Accuracy in the worst case of the attacks, mean over seeds in %. Against a reference: difference
in points (lowest to highest seed), images that only the method holds : images that only the
reference holds, and the p-value of the exact sign-flip test over images, adjusted by Holm's method
within the column. **Bold**: adjusted p below 0.05 and the same sign for every seed. † flagged.
"""


def markdown(frame: pd.DataFrame, names: Mapping[str, str]) -> str:
    """One table per group, the best method first; `names` are display names by key."""
    parts = [MARKDOWN_HEAD]
    for group, rows in frame.groupby(list(COLUMNS[:4]), sort=True):
        title = f"{group[0]}, {group[1]}: {group_title(group)}"
        head = [
            "Method",
            "Seeds",
            "Worst case",
            *(f"against {names.get(r, r)}" for r in REFERENCES),
        ]
        parts += [f"\n### {title}\n\n", _line(head), _line(["---"] * len(head))]
        best = rows.groupby("method")["accuracy"].max().sort_values(ascending=False, kind="stable")
        for method, accuracy in best.items():
            own = rows[rows["method"] == method].set_index("reference")
            cells = [_cell(own.loc[r]) if r in own.index else "–" for r in REFERENCES]
            name = names.get(method, method) + " †" * bool(own["flagged"].max())
            parts.append(_line([name, own["seeds"].max(), percent(accuracy), *cells]))
    return "".join(parts)


def _cell(row: pd.Series) -> str:
    difference = f"{100 * row['difference']:+.1f}"
    text = (
        f"{difference} ({100 * row['lowest_seed']:+.0f} to {100 * row['highest_seed']:+.0f}), "
        f"{row['only_method']} : {row['only_reference']}, p {_p(row['p_adjusted'])}"
    )
    return text if row["verdict"] == "not told apart" else f"**{text}**"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"
