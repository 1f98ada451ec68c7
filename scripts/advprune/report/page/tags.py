"""Marks as short tags: what a reader must know of a row, in a word, with its explanation."""

from collections.abc import Sequence

from advprune.report.marks import MARKS
from advprune.report.records import LARGEST_SPREAD, Record, percent

SHORT = {
    "disagreement": "disagree",
    "square_alone": "Square alone",
    "unavailable_gradients": "no gradient",
    "unstable_predictions": "unstable",
    "silent_success": "silent success",
    "incomplete_optimisation": "incomplete",
    "transfer_failure": "transfer",
    "unconstrained_failure": "unbounded",
}
SQUARE = "Square Attack has decreased"  # how AutoAttack's warning begins
DOUBTS = tuple(MARKS)  # marks that the verdicts are possibly too optimistic

# (key of its explanation, kind, text, title)
Tag = tuple[str, str, str, str]


def of(rows: Sequence[Record], level: str = "", spread: float = float("nan")) -> list[Tag]:
    """Tags of one method's rows of the leaderboard: its seeds, or one of them.

    Where there are several seeds, a tag says how many of them bear it, and its title which.
    `level` is the mark of those that are level with the best; `spread` that of the seeds.
    """
    tags: list[Tag] = []
    for status in dict.fromkeys(r["status"] for r in rows if r["status"] != "ok"):
        told = {r["seed"]: r["reason"] for r in rows if r["status"] == status}
        tags.append(_tag("status", "flag", f"⚑ {status}", told, rows))
    if level:
        tags.append(("level", "level", level.replace(" on these nets", "*"), level))
    for key in MARKS:
        marked = [r for r in rows if key in str(r["reliability"]).split("; ")]
        if marked:
            told = {r["seed"]: f"{MARKS[key][0]} {percent(r[key])} %" for r in marked}
            tags.append(_tag(key, "doubt", f"△ {SHORT[key]}", told, rows))
    for key, kind, name, said in (
        ("says", "doubt", "warning", {r["seed"]: _warnings(r) for r in rows}),
        ("training", "note", "training", {r["seed"]: str(r["marks"] or "") for r in rows}),
    ):
        told = {seed: text for seed, text in said.items() if text}
        if told:
            tags.append(_tag(key, kind, f"△ {name}", told, rows))
    if spread > LARGEST_SPREAD + 1e-9:
        text = f"↕ {percent(spread)}"
        tags.append(("spread", "note", text, "best seed minus worst seed, in points"))
    return tags


def _warnings(row: Record) -> str:
    """What AutoAttack warns of, but for what the mark of Square alone has said already."""
    said = str(row["warnings"] or "").split("; ")
    if "square_alone" in str(row["reliability"]).split("; "):
        said = [text for text in said if not text.startswith(SQUARE)]
    return "; ".join(said)


def doubted(rows: Sequence[Record]) -> bool:
    """Whether a mark says of a seed that its verdicts are possibly too optimistic."""
    return any(str(r["reliability"]) for r in rows)


def _tag(key: str, kind: str, text: str, told: dict[int, str], rows: Sequence[Record]) -> Tag:
    several = len(rows) > 1
    count = f" {len(told)}/{len(rows)}" * (several and len(told) < len(rows))
    lines = [f"seed {seed}: {line}" if several else line for seed, line in sorted(told.items())]
    return key, kind, text + count, "\n".join(lines)
