"""What methods have in common: the survey's traits, from the methods' YAMLs and from the nets.

A trait has a level for every method, such as "global" for the locality. Methods that the survey
counts to several levels, or to none, have no level: no contrast can say to which they belong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from advprune.report.records import Record

STAGES = {"after": "after training", "before": "before training", "during": "during training"}
LOCALITY = {"L": "layer by layer", "G": "global"}
SCHEDULE = {"1S": "one shot", "IT": "iterative"}
CRITERIA = {  # the survey's abbreviations, and what they stand for
    "LWM": "lowest weight magnitude",
    "LIS": "least importance score",
    "SOLWM": "magnitude after a solver",
    "RELWM": "magnitude after regularisation",
    "HGM": "highest gradient magnitude",
    "BCS": "Bayesian connectivity sampling",
}
CHANCE = "random"  # the criterion of the reference that has none
ONE_RATE = "one rate"
UNROBUST = "natural"  # the objective whose nets keep nothing, whatever is pruned


@dataclass(frozen=True)
class Trait:
    """A question of the survey: `key` is its column, `base` the level others are held against.

    `within` says that one method can have several levels, so that methods are their own control.
    """

    key: str
    question: str
    base: str
    within: bool = False


TRAITS = (
    Trait("stage", "When is pruned?", STAGES["after"]),
    Trait("locality", "Ranked within layers or over the net?", LOCALITY["L"]),
    Trait("criterion", "By what criterion?", "LWM"),
    Trait("schedule", "In one shot or in rounds?", SCHEDULE["1S"]),
    Trait("freedom", "May layers keep different shares?", ONE_RATE),
    Trait("objective", "By what objective is the pruned net trained?", "pgd"),
    Trait("objective", "The same method under two objectives", "pgd", within=True),
    Trait("structure", "The same method on weights and on larger units", "unstructured", True),
)
NAMES = {
    "stage": "stage",
    "locality": "locality",
    "criterion": "criterion",
    "schedule": "schedule",
    "freedom": "layer-wise freedom",
    "objective": "objective",
    "structure": "structure",
}


def of_methods(methods: Mapping[str, Record]) -> pd.DataFrame:
    """Levels of the methods by key: stage, locality, criterion, schedule; empty where unknown."""
    rows = {key: _levels(method) for key, method in methods.items()}
    columns = ["stage", "locality", "criterion", "schedule", "reference"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def with_traits(means: pd.DataFrame, methods: Mapping[str, Record]) -> pd.DataFrame:
    """Means of pruned methods with a column per trait; `freedom` is counted in the saved nets."""
    known = of_methods(methods).reindex(means["unit"]).set_axis(means.index)
    freedom = (means["one_rate"] > 0.5).map({True: ONE_RATE, False: "rates differ"})
    found = means.join(known).assign(freedom=freedom.where(means["one_rate"].notna()))
    pruned = (found["structure"] != "none") & ~found["external"]
    return found[pruned].replace({"objective": {"": None}}).reset_index(drop=True)


def _levels(method: Record) -> dict[str, Any]:
    taxonomy = method.get("taxonomy") or {}
    stage = method.get("stage")
    if stage == "baseline" and "finetuning" in taxonomy:  # classical criteria prune a trained net
        stage = "after"
    criterion = str(taxonomy.get("criterion"))
    return {
        "stage": STAGES.get(str(stage)),
        "locality": LOCALITY.get(str(taxonomy.get("locality"))),
        "criterion": criterion if criterion in (*CRITERIA, CHANCE) else None,
        "schedule": SCHEDULE.get(str(taxonomy.get("schedule"))),
        "reference": method.get("stage") == "baseline",
    }
