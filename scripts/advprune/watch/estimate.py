"""How long a run will take, from the measured jobs of another.

A job takes its start, the same for all, and a time that grows with its work. How fast work goes is
measured step by step, and for attacks by what was pruned: filters that are gone cost nothing. How
many images survive, which decides how long AutoAttack takes, is taken to be as in the pilot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median

from advprune.base.errors import UserError
from advprune.identity.results import Result
from advprune.plan.grid import Model
from advprune.watch import times
from advprune.watch.place import Run
from advprune.watch.tasks import STEPS, chains
from advprune.watch.work import work

TRAININGS = ("pretrain", "prune", "finetune")
FAR = 3  # times the pilot's work
HARDLY = 4  # starts


@dataclass(frozen=True)
class Rates:
    """Seconds of a pilot's jobs: a start's, per unit of work, and of jobs without any.

    Work and fixed times are by step, and by step and structure where that was measured. `short` is
    the mean work of jobs that took less than four starts: what such a job takes besides, whatever
    its work, may be most of what its work seems to take.
    """

    start: float
    per_work: Mapping[tuple[str, str], float]
    fixed: Mapping[str, float]
    short: Mapping[str, float]

    def rough(self, step: str, amount: float) -> bool:
        """Whether a job has much more work than those of its step, which were hardly any."""
        return amount > FAR * self.short.get(step, amount)

    def seconds(self, step: str, structure: str, amount: float) -> float | None:
        """How long a job will take; None where the pilot had none of its step."""
        if amount == 0:
            return self.fixed.get(step, self.start if self._known(step) else None)
        rate = self.per_work.get((step, structure), self.per_work.get((step, "")))
        return None if rate is None else self.start + rate * amount

    def _known(self, step: str) -> bool:
        return (step, "") in self.per_work


@dataclass(frozen=True)
class Step:
    """A step of a run: its jobs, and their seconds together; None if no pilot job was measured.

    `rough` tells that the pilot's jobs took too little time to say how long these take.
    """

    step: str
    jobs: int
    seconds: float | None
    rough: bool = False


def measure(pilot: Run) -> Rates:
    """Rates of a run that has been; one without any measured job is a UserError."""
    found = [
        (task.script, _structure(task), amount, took) for task, amount, took in _measured(pilot)
    ]
    if not found:
        raise UserError(f"{pilot.logs}: no benchmark files, so there is nothing to go by")
    idle = [
        took for step, _, amount, took in found if amount == 0 and step in (*TRAININGS, "audit")
    ]
    start = median(idle) if idle else 0.0
    fixed = {
        step: fmean(took for s, _, amount, took in found if s == step and amount == 0)
        for step in {s for s, _, amount, _ in found if amount == 0}
    }
    spent: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for step, structure, amount, took in found:
        if amount:
            for key in {(step, structure), (step, "")}:
                spent.setdefault(key, []).append((max(took - start, 0.0), amount))
    per_work = {k: sum(t for t, _ in v) / sum(a for _, a in v) for k, v in spent.items()}
    whole = {step: spent[step, ""] for step, _ in spent}
    short = {
        step: fmean(amount for _, amount in jobs)
        for step, jobs in whole.items()
        if fmean(took for took, _ in jobs) < (HARDLY - 1) * start
    }
    return Rates(start, per_work, fixed, short)


def predict(run: Run, rates: Rates) -> list[Step]:
    """Jobs and seconds of every step of a run, as if nothing of it were there."""
    found: dict[str, list[float | None]] = {}
    rough = set()
    for task, model in _once(run):
        amount = work(run, task, model)
        found.setdefault(task.script, []).append(
            rates.seconds(task.script, _structure(task), amount)
        )
        if rates.rough(task.script, amount):
            rough.add(task.script)
    return [_step(step, found[step], step in rough) for step in STEPS if step in found]


def longest(run: Run, rates: Rates) -> float:
    """Seconds of the longest chain of jobs of one model: no number of cores makes a run shorter."""
    spans = []
    for model, tasks in chains(run).items():
        by_step: dict[str, float] = {}
        for task in tasks:
            took = rates.seconds(task.script, _structure(task), work(run, task, model)) or 0.0
            by_step[task.script] = max(by_step.get(task.script, 0.0), took)
        trained = sum(by_step.get(step, 0.0) for step in (*TRAININGS, "external"))
        distances = by_step.get("hofmn_tune", 0.0) + by_step.get("hofmn", 0.0)
        attacked = max(by_step.get("autoattack", 0.0), distances)
        spans.append(trained + attacked + by_step.get("reliability", 0.0))
    return max(spans)


def _step(name: str, seconds: list[float | None], rough: bool) -> Step:
    known = [took for took in seconds if took is not None]
    return Step(name, len(seconds), sum(known) if len(known) == len(seconds) else None, rough)


def _once(run: Run) -> Iterator[tuple[Result, Model]]:
    """Every job once, with a model that needs it."""
    seen: set[Result] = set()
    for model, tasks in chains(run).items():
        for task in tasks:
            if task not in seen:
                seen.add(task)
                yield task, model


def _measured(pilot: Run) -> Iterator[tuple[Result, float, float]]:
    for task, model in _once(pilot):
        took = times.seconds(pilot.path(task.benchmark))
        if took is not None:
            yield task, work(pilot, task, model), took


def _structure(task: Result) -> str:
    """What an attacked net was pruned of; training goes through all of a net."""
    if task.model is None or task.script in TRAININGS:
        return ""
    return task.model.structure
