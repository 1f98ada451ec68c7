"""What a page shows: the run's findings as the caller has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from advprune.report.answers.section import Section
from advprune.report.page.details import Details
from advprune.report.records import Identity, Record

# the sections in the order in which a reader asks; those that are not named here come last
ORDER = ("survey", "ranking", "best_known", "agreement", "released", "pruning", "tradeoffs")


@dataclass(frozen=True)
class Partial:
    """What a page of a run that is not complete says: one line, and the models that are not done.

    Each of those has a name, its state and step, and if it failed the reason and the log.
    """

    summary: str
    unfinished: Sequence[Record]


@dataclass(frozen=True)
class Content:
    """Evaluations and methods (`records.known`) of a run, and what is known besides.

    `costs` are rows of costs.csv and `origins` of provenance.csv, both by identity; `made` is
    `origins.summary`. `details` is what the models' folders hold. `sections` are shown below the
    table and the curves by `ORDER`, `thin_ice` are PNG files. `files` are names of files that lie
    beside the page: only these are linked.
    """

    evaluations: Sequence[Record]
    methods: Mapping[str, Record]
    preset: str
    costs: Mapping[Identity, Record] = field(default_factory=dict)
    origins: Mapping[Identity, Record] = field(default_factory=dict)
    made: str = ""
    details: Details | None = None
    sections: Sequence[Section] = ()
    thin_ice: Sequence[Path] = ()
    files: Sequence[str] = ()
    partial: Partial | None = None

    def ordered(self) -> list[Section]:
        """The sections in the order of the page."""
        places = {key: place for place, key in enumerate(ORDER)}
        return sorted(self.sections, key=lambda s: (places.get(s.key, len(ORDER)), s.key))
