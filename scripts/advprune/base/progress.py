"""Progress bars: on the terminal for a script run by hand, as log lines inside the workflow."""

import sys
from typing import TextIO

from tqdm import tqdm

_log: TextIO | None = None


class _Lines:
    """Stream for a bar that adds a line at each refresh instead of redrawing the last one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        text = text.strip()
        if text:
            self.stream.write(text + "\n")

    def flush(self) -> None:
        self.stream.flush()


def send_to(stream: TextIO) -> None:
    """Write all bars of this process to `stream` (the job's log) from now on."""
    global _log
    _log = stream


def bar(title: str, total: int, initial: int = 0) -> tqdm:
    """Bar of `total` steps; in a log it becomes a line every ten seconds."""
    if _log is None:
        return tqdm(total=total, initial=initial, desc=title, file=sys.stderr, disable=None)
    lines = _Lines(_log)
    return tqdm(
        total=total, initial=initial, desc=title, file=lines, mininterval=10, ascii=True, ncols=90
    )
