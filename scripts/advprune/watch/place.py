"""A run's folder and what the run plans, without Snakemake."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.identity.results import Results
from advprune.plan.config import load_config, read_yaml
from advprune.plan.paths import Layout
from advprune.plan.protocol import Protocol
from advprune.plan.verdicts import Verdicts


@dataclass(frozen=True)
class Run:
    """A run: its protocol, and the folders of its results and logs, wherever they lie."""

    folder: Path
    logs: Path
    protocol: Protocol

    @cached_property
    def layout(self) -> Layout:
        """File names as the workflow has them."""
        return Layout(self.protocol.config["preset"])

    @cached_property
    def results(self) -> Results:
        """What its jobs make."""
        return Results(self.protocol)

    @cached_property
    def verdicts(self) -> Verdicts:
        """The jobs that attack and count."""
        return Verdicts(self.protocol)

    def path(self, name: str) -> Path:
        """Where a file of `layout` lies, of the results or of the logs."""
        for root, folder in ((self.layout.root, self.folder), (self.layout.logs, self.logs)):
            if name.startswith(f"{root}/"):
                return folder / name.removeprefix(f"{root}/")
        raise ValueError(f"{name} is no file of the run")


def open_run(
    folder: Path, config: dict[str, Any] | None = None, option: str = "--configfile"
) -> Run:
    """The run whose results are in `folder`, planned by what lies there or by `config`.

    A folder without either is a UserError, which names the `option` that would help. Its logs are
    where Snakemake puts them: `logs/<preset>` beside `results/<preset>`.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if config is None:
        plan = folder / Path(Layout("").plan).name
        if not plan.exists():
            raise UserError(
                f"{plan}: no such file (a run writes it when its first job begins);"
                f" name the configuration with {option}"
            )
        config = read_yaml(plan)
    protocol = Protocol(load_config(config))
    logs = folder.parents[1] / "logs" / protocol.config["preset"]
    return Run(folder, logs, protocol)
