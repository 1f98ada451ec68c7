"""The top group of methods and what its members share; what goes wrong, by family."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact, ttest_1samp

from advprune.evaluation.reliability import LIMITS
from advprune.evaluation.significance import holm
from advprune.report.answers.means import PLACE
from advprune.report.records import STRUCTURES, Group

SHARED = ("stage", "locality", "criterion", "schedule", "freedom", "objective")
FAMILIES = ("stage", "structure", "objective")
OVERFITTED = 0.05  # PGD-20 accuracy lost from the chosen epoch to the last, a share
FEWEST = 4  # methods for an interval
TOP = [*PLACE, "method", "worst", "seeds", "doubted", "mark"]
TRAITS = ["trait", "level", "top", "top_of", "rest", "rest_of", "p", "p_adjusted"]
ISSUES = [
    *("family_kind", "family", "methods", "models", "flagged", "collapsed"),
    *LIMITS,
    *("emptied_layers", "pgd_known", "overfitted", "overfitting", "overfitting_low"),
    "overfitting_high",
]


def top(rows: pd.DataFrame, level: Mapping[tuple[Group, str], str]) -> pd.DataFrame:
    """Methods of each group that the data do not tell from the best, the best first.

    `level` is that of `paired.level_with_best`, `mark` how certain it is, `doubted` the share of
    seeds whose verdicts are marked as possibly unreliable. Of one dataset and net the group of most
    weights removed comes first.
    """
    marks = [level.get((tuple(r[p] for p in PLACE), r["method"])) for _, r in rows.iterrows()]
    found = rows.assign(mark=marks)
    found = found[found["mark"].notna()]
    found = found.assign(order=found["structure"].map(STRUCTURES.index))
    by = ["dataset", "arch", "order", "sparsity", "worst", "method"]
    order = found.sort_values(by, ascending=[True, True, True, False, False, True])
    return order[TOP].reset_index(drop=True)


def shared(rows: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """How many methods of the top and of the rest have each level of each trait.

    A method counts once, to the top if it is there in more than half of its groups. p is Fisher's
    exact test of that level in the top against the rest, empty where all methods have it or all are
    on one side; Holm's over all tests, of which a trait with two levels is one. Variants are left
    out.
    """
    keys = set(best[[*PLACE, "method"]].itertuples(index=False, name=None))
    own = rows[~rows["variant"].astype(bool)]
    places = own[[*PLACE, "method"]].itertuples(index=False, name=None)
    own = own.assign(is_top=[place in keys for place in places])
    methods = own.groupby("unit")["is_top"].mean() > 0.5
    found = []
    for trait in SHARED:
        levels = own.groupby("unit")[trait].agg(lambda v: v.mode().iloc[0] if v.count() else None)
        levels = levels.dropna()
        inside = methods.reindex(levels.index).astype(bool)
        for name in sorted(levels.unique()):
            has = levels == name
            table = [[(has & side).sum(), (~has & side).sum()] for side in (inside, ~inside)]
            sides = [sum(line) for line in (*table, *zip(*table, strict=True))]
            p = fisher_exact(table).pvalue if all(sides) else np.nan
            row = {"trait": trait, "level": name, "p": p}
            row |= {"top": table[0][0], "top_of": sum(table[0])}
            found.append(row | {"rest": table[1][0], "rest_of": sum(table[1])})
    frame = pd.DataFrame(found, columns=TRAITS)
    return frame.assign(p_adjusted=_adjusted(frame))


def _adjusted(shared: pd.DataFrame) -> pd.Series:
    """Holm's p of each row; the second of two levels is the same test as the first."""
    known = shared["p"].astype(float).dropna()
    levels = shared.groupby("trait")["level"].transform("size")
    again = (levels == 2) & shared.duplicated("trait")
    tests = known[~again[known.index]]
    adjusted = pd.Series(holm(tests.tolist()), index=tests.index, dtype=float)
    adjusted = adjusted.reindex(shared.index)
    return adjusted.where(~again, adjusted.shift())


def issues(models: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """What went wrong, by family: counts of models, whatever their status.

    `traits` gives methods (by `unit`) their stage. `flagged` have another status than ok,
    `collapsed` a line about their training; the marks are those of possibly unreliable verdicts;
    `emptied_layers` have a layer without any weight. `overfitting` is PGD-20 accuracy of the chosen
    epoch minus that of the last, a mean over methods with its interval over methods, `overfitted`
    counts models with more than `OVERFITTED`, of the `pgd_known` that have both.
    """
    pruned = models[models["structure"] != "none"]
    stage = traits["stage"].reindex(pruned["unit"]).set_axis(pruned.index)
    named = pruned.assign(stage=stage, objective=pruned["objective"].replace("", np.nan))
    rows = [_issues("all", "all", named)] if len(named) else []
    for kind in FAMILIES:
        rows += [_issues(kind, str(name), own) for name, own in named.groupby(kind, sort=True)]
    return pd.DataFrame(rows, columns=ISSUES)


def _issues(kind: str, name: str, own: pd.DataFrame) -> dict[str, object]:
    fall = (own["pgd20_best"] - own["pgd20_last"]).dropna()
    each = fall.groupby(own["unit"]).mean()
    marks = own["marks"].str.split("; ")
    row: dict[str, object] = {"family_kind": kind, "family": name, "models": len(own)}
    row |= {"methods": own["unit"].nunique(), "flagged": int((own["status"] != "ok").sum())}
    row |= {"collapsed": int((own["trouble"] != "").sum())}
    row |= {mark: int(marks.map(lambda given, mark=mark: mark in given).sum()) for mark in LIMITS}
    row |= {"emptied_layers": int((own["empty"] > 0).sum()), "pgd_known": len(fall)}
    row |= {"overfitted": int((fall > OVERFITTED).sum()), "overfitting": each.mean()}
    if len(each) >= FEWEST and each.nunique() > 1:
        low, high = ttest_1samp(each, 0.0).confidence_interval(0.95)
        row |= {"overfitting_low": low, "overfitting_high": high}
    return row
