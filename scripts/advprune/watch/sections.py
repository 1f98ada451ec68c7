"""Figures and answers of a run that is not complete, for its page: each says that it is partial."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from advprune.base import imports
from advprune.report import catalogue, records
from advprune.report.answers import best_known, tell_agreement
from advprune.report.answers.section import Section
from advprune.report.figures import draw, source
from advprune.report.figures.canvas import Options
from advprune.report.records import Record

PUBLISHED = imports.ROOT / "config" / "published" / "leaderboard.csv"


def made(
    folder: Path,
    evaluations: Sequence[Record],
    methods: Mapping[str, Record],
    others: Sequence[Record],
    words: str,
) -> list[Section]:
    """All sections but what needs the saved nets; `words` stand above each and its figures.

    `folder` has the tables that figures are drawn from, `others` are rows of other_attacks.json.
    """
    from advprune.report.answers import tell_survey  # statsmodels takes a second to import

    names = records.names(methods)
    found = draw.sections(source.of_run(folder), Options(note=words))
    found.append(best_known.answer(evaluations, names, others)[1])
    found.append(tell_survey.answer(evaluations, methods)[1])
    if PUBLISHED.is_file():
        published = catalogue.load_published(PUBLISHED)
        found.append(tell_agreement.answer(evaluations, names, published)[2])
    return [_marked(section, words) for section in found]


def _marked(section: Section, words: str) -> Section:
    told = [f"{words}."]
    pictures = [replace(p, caption=f"{words}. {p.caption}") for p in section.pictures]
    return replace(section, text=[*told, *section.text], pictures=pictures)
