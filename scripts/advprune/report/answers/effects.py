"""What a trait changes in the worst case at equal sparsity, with the method as the unit.

Trainings of one method are alike, and so are its results on two datasets: a method counts once,
however many rows it has. First every method gets one number, its mean height above the others of
its groups (two-way least squares: groups and methods). Then the numbers of two families are held
against each other. Where methods exist on both levels, each is its own control instead.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import ttest_1samp, ttest_ind

from advprune.evaluation.significance import holm
from advprune.report.answers.means import PLACE
from advprune.report.answers.traits import CHANCE, TRAITS, UNROBUST, Trait

FEWEST = 4  # methods on a side: with fewer there is a difference and no interval
FREEDOM = 10  # degrees of freedom below which several traits at once are not told apart
LEVEL = 0.95
TOGETHER = ("stage", "locality", "criterion")  # schedule is none of its own during training
COLUMNS = [
    *("trait", "question", "design", "level", "base", "methods", "base_methods", "groups"),
    *("difference", "low", "high", "standardised", "p", "p_adjusted"),
    *("together", "together_low", "together_high"),
]


def effects(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per trait and level against the trait's base level; differences are shares.

    `rows` as `traits.with_traits` makes them. `difference` with its 95 % interval and p (Welch's t
    over methods, or Student's over each method's own difference), empty with fewer than `FEWEST`
    methods on a side. `standardised` is Hedges' g. `p_adjusted` is Holm's over all rows with a p.
    `together` is the same difference when stage, locality and criterion are estimated at once.
    Random pruning has no criterion and is left out but where methods are their own control, and so
    are nets trained naturally, which keep nothing whatever is pruned.
    """
    found = []
    trained = rows[rows["objective"] != UNROBUST]
    for trait in TRAITS:
        chosen = trained if trait.within else trained[trained["criterion"] != CHANCE]
        compare = _within if trait.within else _between
        levels = sorted(set(chosen[trait.key].dropna()) - {trait.base})
        found += [compare(chosen, trait, level) for level in levels]
    frame = pd.DataFrame([row for row in found if row["methods"] and row["base_methods"]]).reindex(
        columns=COLUMNS
    )
    frame["p_adjusted"] = frame["p_adjusted"].astype(float)
    tested = frame["p"].notna()
    frame.loc[tested, "p_adjusted"] = holm(frame.loc[tested, "p"].tolist())
    return _with_others_held(frame, trained[trained["criterion"] != CHANCE])


def heights(rows: pd.DataFrame) -> pd.Series:
    """Height of every method above the mean of its groups, in shares, by `unit`.

    Least squares of the worst case on groups and methods; only methods that a chain of common
    groups connects can be compared, so the largest such set is taken. Variants are other trainings
    of a method and not its own: left out.
    """
    own = rows[~rows["variant"].astype(bool)]
    group = own.groupby(PLACE, sort=True).ngroup().to_numpy()
    unit, names = pd.factorize(own["unit"], sort=True)
    if not len(own):
        return pd.Series(dtype=float)
    inside = _largest(group, unit)
    a, b, y = group[inside], unit[inside], own["worst"].to_numpy()[inside]
    design = np.hstack([np.eye(a.max() + 1)[a], np.eye(len(names))[b]])
    effect = np.linalg.lstsq(design, y, rcond=None)[0][a.max() + 1 :]
    present = np.unique(b)
    return pd.Series(effect[present] - effect[present].mean(), index=names[present])


def _largest(group: NDArray[np.intp], unit: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Rows of the largest set of methods that common groups connect."""
    size = group.max() + 1
    nodes = size + unit.max() + 1
    graph = coo_array((np.ones(len(group)), (group, size + unit)), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1]
    return np.asarray(label[group] == np.bincount(label[size:]).argmax())


def _between(rows: pd.DataFrame, trait: Trait, level: str) -> dict[str, object]:
    """Methods of one level against methods of the base level."""
    own = rows[~rows["variant"].astype(bool)]
    most = own.groupby("unit")[trait.key].agg(_most)
    height = heights(rows)
    a, b = (height[most.reindex(height.index) == side] for side in (level, trait.base))
    row = _about(trait, "between methods", level, len(a), len(b))
    shared = own[own[trait.key].isin([level, trait.base])].groupby(PLACE)[trait.key].nunique()
    row["groups"] = int((shared == 2).sum())
    if not len(a) or not len(b):
        return row
    row["difference"] = a.mean() - b.mean()
    if min(len(a), len(b)) >= FEWEST:
        test = ttest_ind(a.to_numpy(), b.to_numpy(), equal_var=False)
        low, high = test.confidence_interval(LEVEL)
        row |= {"low": low, "high": high, "p": test.pvalue, "standardised": hedges(a, b)}
    return row


def _within(rows: pd.DataFrame, trait: Trait, level: str) -> dict[str, object]:
    """Each method's mean difference between the two levels, all else of its groups equal."""
    same = [*(p for p in PLACE if p != trait.key), "unit"]
    if trait.key != "objective":
        same.append("objective")
    known = rows.fillna({"objective": ""})
    table = known.pivot_table("worst", index=same, columns=trait.key, aggfunc="mean")
    if level not in table or trait.base not in table:
        return _about(trait, "within methods", level, 0, 0)
    both = (table[level] - table[trait.base]).dropna()
    each = both.groupby("unit").mean()
    row = _about(trait, "within methods", level, len(each), len(each))
    row["groups"] = len(both.reset_index()[same[:-1]].drop_duplicates())
    if len(each):
        row["difference"] = each.mean()
    if len(each) >= FEWEST:
        test = ttest_1samp(each.to_numpy(), 0.0)
        low, high = test.confidence_interval(LEVEL)
        row |= {"low": low, "high": high, "p": test.pvalue}
    return row


def hedges(a: Sequence[float], b: Sequence[float]) -> float:
    """Difference of the means in pooled standard deviations, freed of its bias (Hedges' g)."""
    n = len(a) + len(b) - 2
    pooled = np.sqrt(((len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)) / n)
    return float((np.mean(a) - np.mean(b)) / pooled * (1 - 3 / (4 * n - 1)))


def _with_others_held(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill `together`: one linear model of the methods' heights on all traits of `TOGETHER`.

    Levels with fewer than `FEWEST` methods go with their methods; a model in which traits cannot
    be told apart, or with too few methods, is none.
    """
    table = rows.groupby("unit")[list(TOGETHER)].agg(_most)
    table = table.join(heights(rows).rename("height"), how="inner").dropna()
    for key in TOGETHER:
        table = table[table.groupby(key)["height"].transform("size") >= FEWEST]
    base = {trait.key: trait.base for trait in TRAITS if trait.key in TOGETHER}
    used = [k for k in TOGETHER if table[k].nunique() > 1 and base[k] in set(table[k])]
    if len(used) < 2:
        return frame
    terms = [f'C({key}, Treatment("{base[key]}"))' for key in used]
    model = smf.ols(f"height ~ {' + '.join(terms)}", table)
    if np.linalg.matrix_rank(model.exog) < model.exog.shape[1]:
        return frame
    fit = model.fit()
    if fit.df_resid < FREEDOM:
        return frame
    bounds = fit.conf_int(1 - LEVEL)
    for key, term in zip(used, terms, strict=True):
        for i in frame.index[(frame["trait"] == key) & (frame["design"] == "between methods")]:
            name = f"{term}[T.{frame.at[i, 'level']}]"
            if name in fit.params:
                frame.at[i, "together"] = fit.params[name]
                frame.loc[i, ["together_low", "together_high"]] = bounds.loc[name].tolist()
    return frame


def _about(trait: Trait, design: str, level: str, methods: int, base: int) -> dict[str, object]:
    return {
        "trait": trait.key,
        "question": trait.question,
        "design": design,
        "level": level,
        "base": trait.base,
        "methods": methods,
        "base_methods": base,
        "groups": 0,
    }


def _most(levels: pd.Series) -> object:
    """The level that most rows of a method have; None without any."""
    counts = levels.value_counts()
    return counts.index[0] if len(counts) else None
