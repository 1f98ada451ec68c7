"""The section that answers the survey's questions: the best, what they share, what to distrust."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from advprune.evaluation.reliability import LIMITS
from advprune.report import records
from advprune.report.answers import common, means, show_survey, traits, words
from advprune.report.answers.common import OVERFITTED
from advprune.report.answers.effects import FEWEST, FREEDOM, effects
from advprune.report.answers.means import PLACE
from advprune.report.answers.section import Section
from advprune.report.answers.show_survey import contrast
from advprune.report.answers.traits import CRITERIA, NAMES
from advprune.report.marks import MARKS
from advprune.report.paired import level_with_best
from advprune.report.records import Record

MOST_NAMES = 8


def answer(
    evaluations: Sequence[Record], methods: Mapping[str, Record], files: Sequence[Path] = ()
) -> tuple[dict[str, pd.DataFrame], Section]:
    """The tables `effects`, `top`, `shared` and `issues`, and what they say."""
    models = means.models(evaluations)
    rows = traits.with_traits(means.means(models), methods)
    best = common.top(rows, level_with_best(evaluations))
    tables = {
        "effects": effects(rows),
        "top": best,
        "shared": common.shared(rows, best),
        "issues": common.issues(models, traits.of_methods(methods)),
    }
    return tables, section(rows, **tables, names=records.names(methods), files=files)


def section(
    rows: pd.DataFrame,
    effects: pd.DataFrame,
    top: pd.DataFrame,
    shared: pd.DataFrame,
    issues: pd.DataFrame,
    names: Mapping[str, str],
    files: Sequence[Path],
) -> Section:
    """Everything about the survey's questions; the tables are those of `effects` and `common`."""
    text = [
        *_best(rows, top, names),
        _share(shared),
        *_effects(effects),
        _distrust(issues),
        _cannot(rows),
    ]
    drawn = [show_survey.forest(effects, files)]
    grids = [
        show_survey.tops(rows, top, names),
        show_survey.traits(shared),
        show_survey.contrasts(effects),
        show_survey.families(issues),
    ]
    return Section("survey", "The survey's questions", text, drawn, [g for g in grids if g.rows])


def _best(rows: pd.DataFrame, top: pd.DataFrame, names: Mapping[str, str]) -> list[str]:
    said = [
        "Which methods are best? Those that the data do not tell from the best of their group, in "
        "the worst case of AutoAttack and HO-FMN at eps, seeds averaged. A group is one dataset, "
        "net, structure and sparsity. With fewer than five common seeds they are the best on "
        "these nets, tested over images alone: other trainings may change who is among them."
    ]
    if not len(top):
        return [*said, "No group has such methods: verdicts per image are not known."]
    first = top.groupby(PLACE, sort=False).head(1)
    for _, row in first.head(4).iterrows():
        own = top[(top[PLACE] == row[PLACE]).all(axis=1)]
        all_ = rows[(rows[PLACE] == row[PLACE]).all(axis=1)]
        rest = own.iloc[1:]
        others = [
            f"{names.get(r.method, r.method)} {words.share(r.worst)}" for r in rest.itertuples()
        ]
        told = (
            f"not told from it: {words.listed(others, MOST_NAMES)}. So the first place is open "
            f"among {len(own)} of {len(all_)} methods"
            if others
            else f"told from all {len(all_) - 1} others"
        )
        tested = "over trainings and images" if row["mark"] == "≈ best" else "on these nets alone"
        said.append(
            f"{words.place(row)}: {names.get(row['method'], row['method'])} with "
            f"{words.share(row['worst'])} %, {told}, tested {tested}. {_doubts(own, row)}"
        )
    if len(first) > 4:
        said[-1] += f" {words.count(len(first) - 4, 'more group')} in the table."
    return said


def _doubts(own: pd.DataFrame, first: pd.Series) -> str:
    """How many of the best methods have a seed with marked verdicts."""
    marked = int((own["doubted"] > 0).sum())
    if not marked:
        return "No verdicts of theirs are marked as possibly unreliable."
    also = ", the first among them," * bool(first["doubted"]) * (len(own) > 1)
    return f"{marked} of {len(own)}{also} have seeds with possibly unreliable verdicts."


def _share(shared: pd.DataFrame) -> str:
    start = (
        "What do they share? A method counts to the top if it is there in more than half of its "
        "groups, and once, however many rows it has; variants are left out. "
    )
    if not len(shared) or not (shared["top_of"] * shared["rest_of"]).any():
        return start + "There are no methods on both sides, and nothing is compared."
    sure = shared[shared["p_adjusted"] < 0.05]
    if len(sure):
        return (
            f"{start}Told apart from the rest (Fisher's exact test, adjusted for all levels): "
            + "; ".join(_count(row) for _, row in sure.iterrows())
            + "."
        )
    near = shared.sort_values("p", kind="stable").head(3)
    return (
        f"{start}No trait is told apart from chance after adjusting for all of them; the nearest: "
        + "; ".join(_count(row) for _, row in near.iterrows())
        + "."
    )


def _count(row: pd.Series) -> str:
    return (
        f"{NAMES[row['trait']]} {row['level']}: {row['top']} of {row['top_of']} in the top, "
        f"{row['rest']} of {row['rest_of']} of the rest (p {words.p_value(row['p'])}, adjusted "
        f"{words.p_value(row['p_adjusted'])})"
    )


def _effects(effects: pd.DataFrame) -> list[str]:
    said = [
        "What does a trait change at equal sparsity? Differences of the worst case in points. The "
        "unit is the method: each counts once, by its mean height above the others of its groups "
        "(its own default setting, seeds averaged), or, where methods exist on both levels, by its "
        "own difference. Random pruning has no criterion and is left out of contrasts between "
        "methods; so are nets trained naturally, which keep nothing whatever is pruned, and all "
        "flagged ones. Classical criteria that prune a trained net count as after training. "
        f"Criteria: {'; '.join(f'{k}, {v}' for k, v in CRITERIA.items())}. Layer-wise freedom is "
        "counted in the saved nets: one rate is the same share kept by all layers."
    ]
    tested = effects[effects["p"].notna()]
    if not len(tested):
        said.append(f"No contrast has {FEWEST} methods on each side, so that none is tested.")
    else:
        said.append(_sure(tested))
    few = effects[effects["p"].isna() & effects["difference"].notna()]
    if len(few):
        names = [contrast(row) for _, row in few.iterrows()]
        said.append(
            f"Fewer than {FEWEST} methods are on one side, so that there is a difference and no "
            f"interval, in: {words.listed(names, 12)}."
        )
    if not (effects["trait"] == "structure").any():
        said.append("No two structures have a sparsity in common, so that none are compared.")
    if effects["together"].notna().any():
        said.append(
            "“Together” is the same difference when stage, locality and criterion are estimated at "
            "once. Families overlap, so that a contrast of one trait holds a part of the others."
        )
    else:
        said.append(
            "Families overlap (methods that prune before training mostly rank over the whole net, "
            f"for instance), and traits could not be estimated at once: that takes {FEWEST} "
            f"methods a level and {FREEDOM} degrees of freedom. So a contrast of one trait holds a "
            "part of the others."
        )
    return said


def _sure(tested: pd.DataFrame) -> str:
    """Which contrasts of those that have a p stand up to adjusting for all of them."""
    sure = tested[tested["p_adjusted"] < 0.05]
    told = [f"{contrast(row)}: {_value(row)}" for _, row in sure.iterrows()]
    found = (
        f"{len(told)} stand up to adjusting for all of them: {'; '.join(told)}."
        if told
        else "none stands up to adjusting for all of them: with so few methods, which differ among "
        "themselves, the data do not tell the families apart. That is not to say that a trait "
        "changes nothing; the intervals say how much it might."
    )
    count = words.count(len(tested), "contrast")
    return f"Of {count} with at least {FEWEST} methods on each side, {found}"


def _value(row: pd.Series) -> str:
    return (
        f"{words.points(row['difference'])} ({words.bounds(row['low'], row['high'])}, "
        f"p {words.p_value(row['p_adjusted'])})"
    )


def _distrust(issues: pd.DataFrame) -> str:
    if not len(issues):
        return "There are no pruned models."
    row = issues.iloc[0]
    marks = [f"{MARKS[m][0]} {row[m]}" for m in LIMITS if row[m]]
    fall = (
        (
            f"from the chosen epoch to the last, PGD-20 accuracy changes by "
            f"{words.points(-row['overfitting'])} points in the mean over methods (95 % interval "
            f"{words.bounds(-row['overfitting_high'], -row['overfitting_low'])}), and falls by "
            f"more than {100 * OVERFITTED:g} in {row['overfitted']} of {row['pgd_known']} models"
        )
        if row["pgd_known"]
        else "whether robustness falls towards the last epoch is not known"
    )
    return (
        f"What would one distrust? Of {words.count(row['models'], 'pruned model')}: "
        f"{row['flagged']} flagged, {row['collapsed']} with a line about their training, "
        f"{row['emptied_layers']} with a layer without any weight; marks of possibly unreliable "
        f"verdicts: {', '.join(marks) or 'none'}. Square alone and unavailable gradients are the "
        f"signs of masked gradients; attacks that disagree mean that one misses points. Robust "
        f"overfitting: {fall}. The last table has these by family."
    )


def _cannot(rows: pd.DataFrame) -> str:
    datasets = ", ".join(sorted(set(rows["dataset"]))) or "no dataset"
    width = words.spread(rows["width"]) if len(rows) else "not known"
    return (
        f"What cannot be said: anything of other datasets, nets or budgets than these ({datasets}, "
        f"width {width}); a small set such as digits ranks nothing for CIFAR-10. The methods are "
        "those that exist and no sample of all that could, families are small, and nobody drew "
        "lots for which method prunes when: these are differences, and not effects of changing a "
        "trait of a method. What the survey leaves open or counts to two levels has none here."
    )
