"""Writing a run's journal: what Snakemake says of its jobs, as lines of JSON beside their logs.

Jobs on other machines are known to Snakemake alone, and a job that is killed leaves no word. The
journal is read by `watch.journal`; while the run lives its time stamp is never old.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from advprune.watch import times
from advprune.watch.times import Seconds

PULSE = 20  # seconds between two signs of life
CLOCKS = 5.0  # seconds by which the clocks of a shared file system may differ
STOPPED = "Terminating processes on user request"  # what Snakemake says after Ctrl-C


class Recorder(logging.Handler):
    """A handler of Snakemake's logger; nothing is written before `begin`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.failed: set[Any] = set()
        self.measured: Seconds = {}
        self.interrupted = False
        self._rules: dict[Any, tuple[str, str]] = {}  # rule and log of a job by Snakemake's number
        self._started: dict[Any, float] = {}  # of the jobs under way
        self._queue = self._begun = False
        self._ended = threading.Event()

    @property
    def running(self) -> int:
        """Jobs under way; one that may wait in a queue has begun when it has written to its log."""
        jobs = list(self._started.items())  # another thread changes it
        return sum(not self._queue or _written(self._rules[job][1]) >= at for job, at in jobs)

    def left(self) -> Counter[str]:
        """Jobs by rule that are neither finished nor given up, those under way included."""
        return self.total - self.done

    def begin(self, command: list[str], queue: bool = False) -> None:
        """Open the journal: the first job is about to begin, or to wait in a cluster's queue."""
        self._begun, self._queue = True, queue
        self.measured = times.read(self.path.parent)
        who = {"pid": os.getpid(), "host": socket.gethostname()}
        self._write("begin", command=command, jobs=self.total.total(), queue=queue, **who)
        threading.Thread(target=self._pulse, daemon=True).start()

    def end(self, how: str) -> None:
        """Close the journal; `how` is "done", "failed" or "interrupted"."""
        self._ended.set()
        quieten()  # or Snakemake would wait for them before it ends
        self._write("end", how=how)

    def attach(self, logger: logging.Logger) -> None:
        """Listen to Snakemake's logger, and spare its other listeners what would only confuse."""
        logger.addHandler(self)
        logger.addFilter(self._shown)

    def _shown(self, record: logging.LogRecord) -> bool:
        """Whether a record goes on to who shows it.

        Jobs that Ctrl-C has ended are no errors. And logs that a job did not live to write would
        be read all the same.
        """
        event = str(getattr(record, "event", "") or "")
        if self.interrupted and event in ("job_error", "group_error", "error"):
            self.emit(record)
            return False
        for error in (vars(record), *getattr(record, "job_error_info", ())):
            if event in ("job_error", "group_error") and "log" in error:
                error["log"] = [log for log in error["log"] if os.path.exists(log)]
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event; whatever is wrong with it must not disturb the run."""
        with contextlib.suppress(Exception):
            event = str(getattr(record, "event", "") or "")
            if not event and str(record.msg).startswith(STOPPED):
                self.interrupted = True
                self._write("interrupted")
            elif note := getattr(self, f"_on_{event}", None):
                note(record)

    def _on_run_info(self, record: Any) -> None:
        self.total = Counter(record.stats)
        for key in ("total", "all"):
            self.total.pop(key, None)

    def _on_job_info(self, record: Any) -> None:
        log = next(iter(record.log), "")
        self._rules[record.jobid] = (record.rule_name, log)
        self._started[record.jobid] = time.time() - CLOCKS
        # of what a checkpoint adds to the plan nothing is told before it begins
        of_rule = sum(self._rules[job][0] == record.rule_name for job in list(self._started))
        known = self.done[record.rule_name] + of_rule
        self.total[record.rule_name] = max(self.total[record.rule_name], known)
        self.failed.discard(record.jobid)  # another attempt
        if log:
            self._write("start", log=log)

    def _on_job_finished(self, record: Any) -> None:
        quieten()
        self._over(record.job_id, "done")

    def _on_group_error(self, record: Any) -> None:
        self._write("group", logs=[log for job in record.job_error_info for log in job["log"]])

    def _on_job_error(self, record: Any) -> None:
        # which member of a group it was that failed, Snakemake does not know
        self._over(record.jobid, "gave up" if record.indent else "failed")

    def _over(self, job: Any, what: str) -> None:
        rule, log = self._rules.get(job, ("", ""))
        if rule == "all":
            return
        self._started.pop(job, None)
        if what == "done":
            self.done[rule] += 1
            if (took := times.seconds(Path(log).with_suffix(".tsv"))) is not None:
                self.measured.setdefault(rule, []).append(took)
        else:
            self.failed.add(job)
        if log:
            self._write(what, log=log)

    def _pulse(self) -> None:
        while not self._ended.wait(PULSE):
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _write(self, what: str, **fields: Any) -> None:
        if not self._begun:
            return
        line = json.dumps({"at": round(time.time(), 1), "what": what, **fields})
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def _written(log: str) -> float:
    """When a log was last written to, in seconds of the epoch; 0 for one that is not there."""
    try:
        return os.stat(log).st_mtime
    except OSError:
        return 0.0


def quieten() -> None:
    """Cancel the timers of Snakemake's scheduler.

    Each of its rounds starts one, which starts a round, and so on: there is one more for ever for
    each job that has ended, and after some hundred they take a core. The next round has its own.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
