"""What a run does beside its jobs: keeps its plan and journal, tells how far it is, and ends.

Imported by the workflow while it plans, so nothing here may be slow to import.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from advprune.plan.config import save_config
from advprune.plan.paths import Layout
from advprune.watch import times
from advprune.watch.recorder import Recorder

MINUTE = 60.0


class Hooks:
    """What the workflow calls when jobs begin, and when the run has ended, well or not."""

    def __init__(self, layout: Layout, config: dict[str, Any]) -> None:
        self.layout, self.config = layout, config
        self.recorder = Recorder(Path(layout.journal))
        self._ended = threading.Event()

    def begin(self, queue: bool) -> None:
        """Jobs are about to begin; called by no dry-run. `queue`: they may wait in a cluster's."""
        save_config(self.config, self.layout.plan)
        self.recorder.begin(sys.argv, queue)
        if not sys.stderr.isatty():  # on a terminal there are bars
            threading.Thread(target=self._tell, args=(sys.stderr,), daemon=True).start()

    def success(self) -> None:
        """All that was asked for is there; partial tables go if these are the whole."""
        self._end("done")
        whole = Path(self.layout.summary("leaderboard.csv"))
        if whole.exists() and Path(self.layout.partial).is_dir():
            self._status("--quiet")

    def error(self) -> None:
        """Something failed, or somebody interrupted the run: tables of what there is."""
        stopped = self.recorder.interrupted
        self._end("interrupted" if stopped else "failed")
        self._status("--brief")
        print(f"go on with: {shlex.join(_command())}", file=sys.stderr, flush=True)

    def _end(self, how: str) -> None:
        self._ended.set()
        self.recorder.end(how)

    def _status(self, option: str) -> None:
        """Let the command write the tables: what draws figures is not loaded into Snakemake."""
        scripts = str(Path(__file__).resolve().parents[2])
        paths = [scripts, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "advprune.cli", "status", self.layout.root, option]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        output = (done.stdout, done.stderr)
        said, wrong = (text.decode("utf-8", errors="replace").split("\n") for text in output)
        # of a traceback the last line: an environment for Snakemake alone lacks what draws
        lines = [line for line in [*said, *wrong[-2:]] if line]
        if lines:
            print("\n".join(lines), file=sys.stderr, flush=True)

    def _tell(self, stream: TextIO) -> None:
        """Say once a minute how far the run is."""
        while not self._ended.wait(MINUTE):
            with contextlib.suppress(OSError, ValueError):
                print(self.line(), file=stream, flush=True)

    def line(self) -> str:
        """How far the run is: jobs of this start of Snakemake, and how long the rest will take."""
        recorder = self.recorder
        done, failed = recorder.done.total(), len(recorder.failed)
        running = recorder.running
        left = recorder.total.total() - done - failed - running
        rest = times.left(recorder.left(), recorder.measured, running)
        return (
            f"{time.strftime('%H:%M')} {self.layout.preset}: {done} jobs done,"
            f" {running} running, {failed} failed, {left} left; {rest}"
        )


def _command() -> list[str]:
    """The command that this run was started with, as a person would type it."""
    program, *arguments = sys.argv
    return ["snakemake" if Path(program).name == "__main__.py" else program, *arguments]
