"""What the scripts of the workflow share: arguments, specification, device, threads, card."""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.base.provenance import sha256
from advprune.base.record import from_json, to_dict
from advprune.data.batches import to_float
from advprune.data.dataset import TestData, TrainingData
from advprune.jobs import cli, provenance
from advprune.models.checkpoint import Loaded, load_checkpoint
from advprune.models.names import OPTIONS
from advprune.plan import code

log = logging.getLogger("advprune")
S = TypeVar("S")


@dataclass
class Job(Generic[S]):
    """Parsed arguments of one job, with the torch settings already made.

    `inputs` names the arguments whose files the result depends on; one may have a list of them.
    """

    args: argparse.Namespace
    spec: S
    script: str
    inputs: tuple[str, ...]
    device: torch.device
    started: float = field(default_factory=time.monotonic)

    @property
    def parents(self) -> dict[str, str]:
        """SHA-256 of the input files that were given, by argument; by file name those of a list."""
        given = {name: getattr(self.args, name) for name in self.inputs}
        lists = [paths for paths in given.values() if isinstance(paths, list)]
        single = {name: path for name, path in given.items() if path and path not in lists}
        single |= {path.name: path for paths in lists for path in paths}
        return {name: sha256(path) for name, path in single.items()}

    def fingerprint(self) -> str:
        """Digest of all the job depends on: specification, input files, code, device."""
        own = code.digest(self.script, self.spec)
        content = json.dumps([to_dict(self.spec), self.parents, own, str(self.device)])
        return hashlib.sha256(content.encode()).hexdigest()

    def card(self, **fields: Any) -> dict[str, Any]:
        """Provenance of the job's result; `code` has a digest of every module behind it."""
        # a machine may have a GPU that this job was told not to use
        on_cpu = {"device": provenance.cpu()} if self.device.type == "cpu" else {}
        return provenance.of_job(
            spec=to_dict(self.spec),
            parents=self.parents,
            script=self.script,
            code=dict(code.behind(self.script, self.spec)),
            seconds=round(time.monotonic() - self.started, 1),
            **on_cpu,
            **fields,
        )

    def write_card(self) -> None:
        """Write the card of the file that `--out` names beside it."""
        out = self.args.out
        write_json(out.with_suffix(".card.json"), self.card(sha256=sha256(out)))

    @cached_property
    def data(self) -> TrainingData:
        """The training and validation images given by `--data`, read once."""
        return TrainingData.load(self.args.data)

    @cached_property
    def test_data(self) -> TestData:
        """The test images given by `--data`, read once."""
        return TestData.load(self.args.data)

    def checkpoint(self, path: Path, data: TrainingData | TestData) -> Loaded:
        """Read a checkpoint onto the job's device; one of another net or data is a UserError."""
        loaded = load_checkpoint(path, self.device)
        found, wanted = loaded.spec, data.image_fields()
        if any(getattr(found, key) != wanted[key] for key in wanted):
            raise UserError(f"{path}: is for other images than those of {data.name}")
        net = ("arch", "width", *OPTIONS)
        asked = {key: getattr(self.spec, key, getattr(found, key)) for key in net}
        if found != (other := dataclasses.replace(found, **asked)):
            raise UserError(f"{path}: is a {found}, not a {other}")
        return loaded

    def test_shard(
        self, shard: int, size: int
    ) -> tuple[dict[str, list[int]], torch.Tensor, torch.Tensor]:
        """First columns of a table, images [n,C,H,W] in [0,1] and labels of one test shard.

        `index` is an image's place in the run's order, `official_index` that in the official file.
        """
        data, test = self.test_data, self.test_data.test
        index = range(shard * size, min((shard + 1) * size, len(test)))
        part = slice(index.start, index.stop)
        official, labels = data.official_index[part].tolist(), test.labels[part]
        columns = {"index": list(index), "official_index": official, "label": labels.tolist()}
        images = to_float(test.images[part].to(self.device))
        return columns, images, labels.to(self.device)


def parser(description: str | None, *files: str, lists: str = "") -> argparse.ArgumentParser:
    """Argument parser with the options of jobs that use torch (see `cli.parser`)."""
    result = cli.parser(description, *files, lists=lists)
    cli.add_spec(result)
    result.add_argument("--threads", type=int, default=1, help="torch threads")
    result.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    return result


def start(
    arguments: argparse.ArgumentParser, script: str, kind: type[S], inputs: tuple[str, ...] = ()
) -> Job[S]:
    """Parse the arguments, open the log and set torch up; `script` is the caller's `__file__`."""
    args = arguments.parse_args()
    cli.open_log(args.log)
    torch.set_num_threads(args.threads)
    device = torch.device(choose_device(args.device))
    if device.type == "cuda":  # on the CPU all we use is deterministic, and this costs a second
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32: docs/precision.md
    name = Path(script).stem
    log.info("%s on %s with %d thread(s)", name, device, args.threads)
    return Job(args, from_json(kind, args.spec), name, inputs, device)


def choose_device(name: str) -> str:
    """`auto` is the GPU where there is one; asking for a missing GPU is a UserError."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda was asked for, but torch finds no GPU here")
    return name


@contextlib.contextmanager
def resume_state(out: Path) -> Iterator[Path]:
    """Folder for resume files beside `out`; it survives a failure and is removed on success."""
    folder = out.with_name(f".{out.stem}.state")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    # a job that outlived its killed Snakemake may have done the same and removed it already
    shutil.rmtree(folder, ignore_errors=True)
