"""What is done, under way, failed and left: read off results, logs and the journal alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.identity.results import Result
from advprune.plan.grid import Model
from advprune.watch import failures, journal
from advprune.watch.place import Run
from advprune.watch.recorder import CLOCKS
from advprune.watch.tasks import SERVES, chains

DONE, RUNNING, FAILED, WAITING = STATES = ("done", "running", "failed", "waiting")
# What a row can be shown without.
BESIDE = ("corrupt", "costs", "other_attacks", "corruptions")


@dataclass(frozen=True)
class Failure:
    """What stopped a model: the job, why in one line, and its log as the workflow names it."""

    task: Result
    reason: str

    def __str__(self) -> str:
        return f"{self.task.script}: {self.reason} ({self.task.log})"


@dataclass(frozen=True)
class Row:
    """A model's state: done, running, failed or waiting.

    `step` is its first that is not done, None where all are. `evaluated` says whether its numbers
    are there and are those of the net that is there, `absent` that there is nothing to do because
    its released file cannot be had.
    """

    model: Model
    state: str
    step: str | None
    evaluated: bool
    failure: Failure | None = None
    absent: bool = False


class State:
    """The state of every job and model of a run at one moment."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.chains = chains(run)
        self.sessions = journal.read(run.path(run.layout.journal))
        self.alive = journal.alive(self.sessions, run.path(run.layout.journal))
        self._since: dict[str, float] = {}
        self._events = self._last_events()
        self._listed: dict[Path, set[str]] = {}
        self.tasks = self._judged()
        self.rows = [self._row(model) for model in run.protocol.models]

    @cached_property
    def complete(self) -> bool:
        """Whether nothing is left of any model."""
        return all(row.state == DONE for row in self.rows)

    def failures(self) -> list[Failure]:
        """Every failed job once, in the order of the models."""
        return list({row.failure.task: row.failure for row in self.rows if row.failure}.values())

    def _last_events(self) -> dict[str, tuple[str, float]]:
        """The last event of each job that still says something, and when its attempt began.

        While a run goes on, what an earlier one gave up is yet to be tried again.
        """
        found: dict[str, tuple[str, float]] = {}
        for session in self.sessions[-1:] if self.alive else self.sessions:
            begun = session.started
            for log, (what, _) in session.events.items():
                if what == "failed" and session.by_key(log) and not self._own_error(log):
                    what = "start"
                found[log] = (what, begun.get(log, session.begun))
                self._since[log] = session.begun
            for group in session.groups:
                culprit = self._culprit(group, session.begun)
                if found.get(culprit, ("", 0.0))[0] == "gave up" and not session.by_key(culprit):
                    found[culprit] = ("failed", found[culprit][1])
        return found

    def _culprit(self, logs: list[str], since: float) -> str:
        """The member of a failed group that failed: it names an error, or wrote last.

        An attempt that was not even submitted says nothing, so earlier ones of this start count.
        """
        fresh = [log for log in logs if self._fresh(log, since)]
        named = [log for log in fresh if failures.error(self._log(log))]
        by_age = sorted(named or fresh, key=lambda log: self._log(log).stat().st_mtime)
        return by_age[-1] if by_age else logs[0]

    def _log(self, name: str) -> Path:
        try:
            return self.run.path(name)
        except ValueError:  # of another preset, or not ours
            return Path(name)

    def _own_error(self, log: str) -> str:
        return failures.own_error(self._log(log))

    def _fresh(self, log: str, since: float) -> bool:
        path = self._log(log)
        return path.exists() and path.stat().st_mtime >= since - CLOCKS

    def _judged(self) -> dict[Result, str]:
        """State of every job; files that are no longer needed are not missed."""
        found: dict[Result, str] = {}
        for tasks in self.chains.values():
            reached: set[str] = set()
            for task in reversed(tasks):
                state = found.get(task) or self._of(task)
                if state == WAITING and SERVES.get(task.script) in reached:
                    state = DONE
                if state == DONE:
                    reached.add(task.script)
                found[task] = state
        return found | dict.fromkeys(self._outlived(found), DONE)

    def _outlived(self, found: Mapping[Result, str]) -> list[Result]:
        """Shared jobs whose files are gone, and all of whose models are evaluated."""
        users: dict[Result, list[Result]] = {}
        for tasks in self.chains.values():
            last = next((task for task in tasks if task.script == "evaluate"), tasks[-1])
            for task in tasks:
                if task.model is None and found[task] == WAITING:
                    users.setdefault(task, []).append(last)
        return [task for task, ends in users.items() if all(found[e] == DONE for e in ends)]

    def _of(self, task: Result) -> str:
        what, since = self._events.get(task.log, ("", 0.0))
        if all(self._there(name) for name in task.files):
            return DONE
        if what == "failed":
            return FAILED
        if self.alive:
            # a job in a cluster's queue has begun when it has written a line
            queued = self.sessions[-1].head.get("queue") and not self._fresh(task.log, since)
            return RUNNING if what == "start" and not queued else WAITING
        return FAILED if what != "gave up" and self._own_error(task.log) else WAITING

    def _there(self, name: str) -> bool:
        """Whether a file is there; each folder is listed once."""
        path = self.run.path(name)
        if path.parent not in self._listed:
            folder = path.parent
            self._listed[folder] = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        return path.name in self._listed[path.parent]

    def _row(self, model: Model) -> Row:
        tasks = self.chains[model]
        left = [(task, self.tasks[task]) for task in tasks if self.tasks[task] != DONE]
        states = [state for _, state in left]
        failed = next((task for task, state in left if state == FAILED), None)
        state = next((s for s in (FAILED, RUNNING, WAITING) if s in states), DONE)
        failure = Failure(failed, self._reason(failed)) if failed else None
        step = (failed or left[0][0]).script if left else None
        if state == DONE and tasks[-1].script == "unavailable":
            return Row(model, DONE, None, False, absent=True)
        return Row(model, state, step, self._evaluated(model, [task for task, _ in left]), failure)

    def _reason(self, task: Result) -> str:
        since = self._since.get(task.log, 0.0)
        return failures.reason(self._log(task.log), since - CLOCKS)

    def _evaluated(self, model: Model, left: list[Result]) -> bool:
        """Whether an evaluation is there, of the net that is there."""
        if any(task.script not in BESIDE for task in left):
            return False
        folder = self.run.path(self.run.layout.of_model("x").format(**model.wildcards)).parent
        try:
            counted = read_json(folder / "evaluation.card.json")["checkpoint"]
            net = folder / "checkpoint.json"
            return not net.exists() or bool(read_json(net)["sha256"] == counted)
        except (UserError, KeyError, TypeError):
            return False
