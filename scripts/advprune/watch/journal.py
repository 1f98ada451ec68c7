"""Reading a run's journal: which jobs Snakemake has begun, finished and given up, and when."""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SILENCE = 180  # seconds without a sign of life after which a run is taken for dead
# A job that ends by itself so shortly before Ctrl-C was ended by the same key.
SAME_KEY = 5.0


@dataclass
class Session:
    """One start of Snakemake: seconds of the epoch, and the last event of each job by its log."""

    begun: float
    head: Mapping[str, Any]
    last: float
    ended: str | None = None
    interrupted: float | None = None
    events: dict[str, tuple[str, float]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    groups: list[list[str]] = field(default_factory=list)

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in a line of the journal."""
        what, at, log = line["what"], float(line["at"]), line.get("log")
        self.last = max(self.last, at)
        if what == "end":
            self.ended = line["how"]
        elif what == "interrupted":
            self.interrupted = at
        elif what == "group":
            self.groups.append(line["logs"])
        elif log:
            self.events[log] = (what, at)
            if what == "start":
                self.started[log] = at

    def by_key(self, log: str) -> bool:
        """Whether a job that was given up ended because somebody interrupted the run."""
        return self.interrupted is not None and (self.events[log][1] >= self.interrupted - SAME_KEY)


def read(path: Path) -> list[Session]:
    """Sessions of a journal in their order; none if there is none. Damaged lines are left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    sessions: list[Session] = []
    for line in text.splitlines():
        try:
            content = json.loads(line)
            if content["what"] == "begin":
                at = float(content["at"])
                sessions.append(Session(at, content, at))
            elif sessions:
                sessions[-1].take(content)
        except (ValueError, KeyError, TypeError):
            continue
    return sessions


def alive(sessions: list[Session], path: Path) -> bool:
    """Whether the last session goes on: it shows signs of life and, if it is here, its process."""
    if not sessions or sessions[-1].ended:
        return False
    head = sessions[-1].head
    if head.get("host") == socket.gethostname() and not _process(head.get("pid")):
        return False
    return time.time() - path.stat().st_mtime < SILENCE


def _process(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
