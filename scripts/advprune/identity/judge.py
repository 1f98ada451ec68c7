"""Whether results on disk are the ones that a configuration asks for: settings held against cards.

Snakemake compares with its own records, which may be gone, or of a file that lay here before. So
the specification in every card is compared with the configuration's, whatever was recorded. Of a
file without a record its card alone tells: then code and parents are compared as well, and what
agrees counts as made here.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from advprune.base.files import read_json, write_json
from advprune.base.record import to_dict
from advprune.identity.cards import Card, differences, read, said_hash
from advprune.identity.results import Result
from advprune.plan import code

ACCEPTED = "accepted.json"  # in a run's folder
SHOWN = 3  # settings and names in a line
OTHER_CODE, OTHER_PARENTS = "made by other code", "made from other files"


@dataclass
class Judgement:
    """Results by what was found; those that agree and are recorded are in none of the lists."""

    settings: dict[Result, list[str]] = field(default_factory=dict)
    accepted: dict[Result, list[str]] = field(default_factory=dict)
    unrecorded: dict[Result, str] = field(default_factory=dict)  # and not to be taken over
    taken: list[Result] = field(default_factory=list)  # unrecorded, but as they would be made here
    untold: list[Result] = field(default_factory=list)  # no card that can be read

    @property
    def again(self) -> list[str]:
        """Files that have to be made again."""
        return [f for found in (self.settings, self.unrecorded) for r in found for f in r.files]

    def lines(self, accepting: bool = False) -> Iterator[str]:
        """What a user must know, a line for each kind; nothing where all is as it should be.

        `accepting` tells whether this plan accepts what it names (--touch) instead of making it.
        """
        again = "accepted with all that is named" if accepting else "planned again"
        for found, then in ((self.settings, again), (self.accepted, "kept as accepted")):
            if found:
                yield _line(f"of other settings, {then} ({_reasons(found.values())})", found)
        for reason in dict.fromkeys(self.unrecorded.values()):
            of = [result for result, why in self.unrecorded.items() if why == reason]
            yield _line(f"unknown to Snakemake, {reason}, {again}", of)
        if self.taken:
            yield _line("unknown to Snakemake, kept, as their cards allow", self.taken)
        if self.untold:
            yield _line("without a card that can be read, of unknown settings", self.untold)


def judge(
    results: Iterable[Result], recorded: Callable[[str], bool], accepted: Mapping[str, str]
) -> Judgement:
    """Judge the results that are on disk; `recorded` says whether Snakemake knows a file.

    `accepted` has what `acceptance` returned, by card. Nothing is changed.
    """
    found = Judgement()
    for result in results:
        if not Path(result.files[0]).is_file():
            continue
        card = read(result.card)
        if card is None:
            if Path(result.card).is_file() or not recorded(result.files[0]):
                found.untold.append(result)
        elif _as_asked(result, card, accepted, found) and not recorded(result.files[0]):
            _by_card_alone(result, card, found)
    return found


def _as_asked(result: Result, card: Card, accepted: Mapping[str, str], found: Judgement) -> bool:
    """Whether the settings of a result are those that are asked for, or were accepted."""
    differ = list(differences(card["spec"], to_dict(result.asked())))
    if not differ:
        return True
    is_accepted = accepted.get(result.card) == acceptance(differ)
    (found.accepted if is_accepted else found.settings)[result] = differ
    return is_accepted


def _by_card_alone(result: Result, card: Card, found: Judgement) -> None:
    """Judge the code and the parents of a result that Snakemake does not know."""
    if card["code"] != code.behind(result.script, result.asked()):
        found.unrecorded[result] = OTHER_CODE
    elif not _same_parents(result, card.get("parents", {})):
        found.unrecorded[result] = OTHER_PARENTS
    else:
        found.taken.append(result)


def _same_parents(result: Result, parents: Mapping[str, str]) -> bool:
    """Whether a result was made from the files that are here, by what their cards say."""
    return all(
        role not in result.inputs or said_hash(result.inputs[role]) == sum_
        for role, sum_ in parents.items()
    )


def take_over(results: Iterable[Result]) -> None:
    """Make files that were copied here as young as what they were made from, in their order.

    Without a record Snakemake has only time stamps to go by, and copying sets them anyhow. It looks
    at the benchmark as well.
    """
    for result in results:
        times = [os.stat(f).st_mtime for f in result.inputs.values() if os.path.exists(f)]
        own = (*result.files, result.card, result.benchmark)
        here = [f for f in own if os.path.exists(f)]
        if times and max(times) > min(os.stat(f).st_mtime for f in here):
            for file in here:
                os.utime(file)


def acceptance(differ: list[str]) -> str:
    """Digest of differences; another change of settings is not accepted with them."""
    return hashlib.sha256(json.dumps(differ).encode()).hexdigest()


def read_accepted(path: Path) -> dict[str, str]:
    """What was accepted before, by card; nothing where there is no such file."""
    return dict(read_json(path)) if path.is_file() else {}


def accept(
    path: Path, judgement: Judgement, results: Iterable[Result], targets: Iterable[str]
) -> None:
    """Accept results of other settings: all, or those that the files `targets` are made from."""
    above = _above(results, targets)
    chosen = {r: why for r, why in judgement.settings.items() if above is None or r.card in above}
    if chosen:
        new = {result.card: acceptance(differ) for result, differ in chosen.items()}
        write_json(path, read_accepted(path) | new)


def _above(results: Iterable[Result], targets: Iterable[str]) -> set[str] | None:
    """Cards of results that files are made from; None for all, as of a page or a rule."""
    by_file = {file: result for result in results for file in result.files}
    waiting, found = list(targets), set()
    if not waiting or not by_file.keys() >= set(waiting):
        return None
    while waiting:
        result = by_file.get(waiting.pop())
        if result and result.card not in found:
            found.add(result.card)
            waiting.extend(result.inputs.values())
    return found


def _line(what: str, found: Iterable[Result]) -> str:
    names = [result.files[0] for result in found]
    return f"{len(names)} result{'s' * (len(names) != 1)} {what}: {_some(names)}"


def _reasons(found: Iterable[list[str]]) -> str:
    """The most frequent differences."""
    counts = Counter(reason for reasons in found for reason in reasons)
    return _some([f"{reason}: {n}x" for reason, n in counts.most_common()])


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
