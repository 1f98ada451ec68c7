"""A run's folder as jobs leave it, without any job: files, logs and a journal."""

import copy
import json
import os
import socket
import time
from pathlib import Path

from advprune.base.files import write_json
from advprune.base.record import to_dict
from advprune.identity.results import Result
from advprune.plan.config import load_config, save_config
from advprune.plan.protocol import Protocol
from advprune.watch.place import Run
from advprune.watch.state import State
from advprune.watch.tasks import chain
from helpers.checkout import tiny_config
from helpers.report_samples import cost, evaluation

AT = "2026-11-26 08:22:18,730"
SHARED = ("dataset", "check_net", "pretrain")


class Site:
    """A run of the tiny configuration in `folder`, and means to let its jobs have happened."""

    def __init__(self, folder: Path, **changes) -> None:
        config = tiny_config() | changes
        self.folder = folder
        results = folder / "results" / config["preset"]
        results.mkdir(parents=True)
        save_config(config, results / "configuration.yaml")
        protocol = Protocol(load_config(copy.deepcopy(config)))
        self.run = Run(results, folder / "logs" / config["preset"], protocol)

    @property
    def models(self):
        return self.run.protocol.models

    def model(self, method, structure=None):
        return next(
            m for m in self.models if m.method == method and structure in (None, m.structure)
        )

    def task(self, model, step) -> Result:
        return next(task for task in chain(self.run, model) if task.script == step)

    def do(self, task: Result, model) -> None:
        """Write what a job writes: of most only that it is there matters."""
        self.log(task, f"{AT} INFO    done\n")
        for name in (*task.files, task.card):
            path = self.run.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        row = to_dict(self.run.protocol.row(model))
        if task.script == "evaluate":
            worst = 0.1 + 0.01 * self.models.index(model)
            content = evaluation(worst=worst, robust_images="80", images=8) | {"model": row}
            write_json(self.run.path(task.files[0]), content)
            write_json(self.run.path(task.card), {"checkpoint": "a net's hash"})
        if task.script == "costs":
            write_json(self.run.path(task.files[0]), cost() | row)
        if task.script in ("finetune", "external"):
            write_json(self.run.path(task.card), {"sha256": "a net's hash"})

    def do_until(self, model, step=None) -> None:
        """Every job of a model's chain before `step`; all without."""
        for task in chain(self.run, model):
            if task.script == step:
                return
            self.do(task, model)

    def log(self, task: Result, text: str) -> Path:
        path = self.run.path(task.log)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def took(self, task: Result, seconds: float) -> None:
        """Leave the benchmark file of a job."""
        path = self.run.path(task.benchmark)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n", encoding="utf-8")

    def journal(self, *events, ended=None, ago=0.0, pid=None, queue=False) -> None:
        """Add a start of Snakemake: pairs of a word and a job, or of a word and jobs of a group."""
        at = time.time() - ago
        who = {"pid": pid or os.getpid(), "host": socket.gethostname(), "queue": queue}
        lines = [{"what": "begin", **who}]
        for what, job in events:
            key = {"logs": [task.log for task in job]} if what == "group" else {"log": job.log}
            lines.append({"what": what, **key})
        lines += [{"what": "interrupted"}] if ended == "interrupted" else []
        lines += [{"what": "end", "how": ended}] if ended else []
        path = self.run.path(self.run.layout.journal)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"at": at, **line}) + "\n" for line in lines)

    def state(self) -> State:
        return State(self.run)

    def row(self, model):
        return next(row for row in self.state().rows if row.model == model)
