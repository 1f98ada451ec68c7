"""Why a job failed: one line, from what the job wrote to its log."""

import re
from pathlib import Path

LONGEST = 300  # letters of a reason
TAIL = 100_000  # bytes of a log that are read: its end
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?P<level>[A-Z]+) +(?P<text>.*)$")
TERMINATED = "terminated from outside"


def error(log: Path) -> str:
    """The error that a job's log ends with, as one line; empty if it names none."""
    lines = _lines(log)
    for i in range(len(lines) - 1, -1, -1):
        found = _STAMP.match(lines[i])
        if found and found["level"] in ("ERROR", "CRITICAL"):
            return _short(found["text"] if found["text"] != "failed" else _raised(lines[i + 1 :]))
        if found and found["level"] == "WARNING" and found["text"].startswith(TERMINATED):
            return f"{TERMINATED}: a time limit, a preemption, or somebody ended it"
    return ""


def own_error(log: Path) -> str:
    """The same, but for a job that somebody ended: that is no error of its own."""
    found = error(log)
    return "" if found.startswith(TERMINATED) else found


def reason(log: Path, since: float = 0.0) -> str:
    """Why a job failed that is known to have failed, as one line of at most `LONGEST` letters.

    A job that was killed says nothing: then the last line of its log must do. A log older than
    `since` (seconds of the epoch) is another attempt's.
    """
    if not log.exists() or log.stat().st_mtime < since:
        return "ended before it wrote to its log"
    if found := error(log):
        return found
    lines = [line for line in _lines(log) if line.strip()]
    last = _STAMP.sub(lambda m: m["text"], lines[-1]) if lines else "none"
    return _short(f"killed or out of memory, last line: {last}")


def _lines(log: Path) -> list[str]:
    """End of a log; whatever is in it, and empty if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _raised(lines: list[str]) -> str:
    """The exception below the last traceback: its first line, which is not indented."""
    marks = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    below = lines[marks[-1] + 1 :] if marks else lines
    return next((line for line in below if line.strip() and not line.startswith(" ")), "failed")


def _short(text: str) -> str:
    """One line of printable letters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
