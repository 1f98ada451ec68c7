"""What the scripts that train or attack share: arguments, device, threads, resume state."""

import argparse
import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from advprune.base.errors import UserError
from advprune.base.imports import code_files, digest, method_module, net_module
from advprune.data.batches import Augment, to_float
from advprune.data.dataset import TestData, TrainingData
from advprune.jobs import cli
from advprune.models.checkpoint import Loaded, load_checkpoint, provenance, sha256
from advprune.plan.config import fraction
from advprune.training.loop import Trainer
from advprune.training.objectives import Threat

log = logging.getLogger("advprune")


@dataclass
class Job:
    """Parsed arguments of one job, with the torch settings already made."""

    args: argparse.Namespace
    spec: dict[str, Any]
    device: torch.device
    started: float = field(default_factory=time.monotonic)
    kind: type[TrainingData] | type[TestData] = TrainingData  # what `--data` holds
    loaded: Any = None
    nets: set[str] = field(default_factory=set)  # kinds of the checkpoints that were read

    def fingerprint(self) -> str:
        """Digest of all the job depends on: specification, input files, code."""
        inputs = {n: sha256(p) for n, p in vars(self.args).items() if n in self.args.inputs and p}
        content = json.dumps([self.spec, inputs, self.code(), str(self.device)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def code(self) -> str:
        """Digest of the library files behind the job."""
        modules = [method_module(self.spec["method"])] if "method" in self.spec else []
        modules += map(net_module, sorted({*self.nets, self.spec.get("arch")} - {None}))
        return digest(code_files(f"scripts/{self.args.script}", *modules))

    def card(self, **fields: Any) -> dict[str, Any]:
        """Provenance of the job's result."""
        parents = {n: sha256(p) for n, p in vars(self.args).items() if n in self.args.inputs and p}
        seconds = round(time.monotonic() - self.started, 1)
        own = {"spec": self.spec, "parents": parents, "code": self.code(), "seconds": seconds}
        return provenance(**own, **fields)

    def trainer(self, data: TrainingData, seed: int, state_dir: Path) -> Trainer:
        """Training loop on the job's device."""
        return Trainer(
            train=data.train.to(self.device),
            val=data.val.to(self.device),
            augment=Augment(data.pad, data.flip),
            threat=threat(self.spec["threat"]),
            seed=seed,
            state_dir=state_dir,
            fingerprint=self.fingerprint(),
        )

    def data(self) -> Any:
        """The data given by `--data`, of the job's kind, read once."""
        if self.loaded is None:
            self.loaded = self.kind.load(self.args.data)
        return self.loaded

    def checkpoint(self, path: Path) -> Loaded:
        """Read a checkpoint onto the job's device; one of another net or data is a UserError."""
        loaded, data = load_checkpoint(path, self.device), self.data()
        found, wanted = loaded.spec.to_dict(), data.image_fields()
        self.nets.add(loaded.spec.arch)
        if any(found[key] != wanted[key] for key in wanted):
            raise UserError(f"{path}: is for other images than those of {data.name}")
        net = {key: self.spec.get(key, found[key]) for key in ("arch", "width")}
        if any(found[key] != net[key] for key in net):
            is_, not_ = (f"a {n['arch']} of width {n['width']}" for n in (found, net))
            raise UserError(f"{path}: is {is_}, not {not_}")
        return loaded

    def test_shard(self, shard: int, size: int) -> tuple[range, torch.Tensor, torch.Tensor]:
        """Indexes, images [n,C,H,W] in [0,1] and labels of one shard of the test images."""
        test = self.data().test
        index = range(shard * size, min((shard + 1) * size, len(test)))
        part = slice(index.start, index.stop)
        images = to_float(test.images[part].to(self.device))
        return index, images, test.labels[part].to(self.device)


def threat(spec: dict[str, Any]) -> Threat:
    """Training threat from its configuration, radius and step given as text."""
    return Threat(fraction(spec["eps"]), fraction(spec["step"]), spec["steps"])


def parser(description: str | None) -> argparse.ArgumentParser:
    """Argument parser with the options of training and attack jobs."""
    result = cli.parser(description)
    result.add_argument("--spec", type=json.loads, required=True, help="the job, as JSON")
    result.add_argument("--data", type=Path, required=True, help="dataset file")
    result.add_argument("--threads", type=int, default=1, help="torch threads")
    result.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    return result


def start(
    arguments: argparse.ArgumentParser,
    script: str,
    inputs: tuple[str, ...] = ("data",),
    kind: type[TrainingData] | type[TestData] = TrainingData,
) -> Job:
    """Parse the arguments, open the log and set torch up.

    `inputs` name arguments with files; `kind` is what the file of `--data` holds.
    """
    args = arguments.parse_args()
    args.script, args.inputs = Path(script).name, inputs
    cli.open_log(args.log)
    torch.set_num_threads(args.threads)
    device = torch.device(choose_device(args.device))
    if device.type == "cuda":  # on the CPU all we use is deterministic, and this costs a second
        torch.use_deterministic_algorithms(True, warn_only=True)
    log.info("%s on %s with %d thread(s)", args.script, device, args.threads)
    return Job(args, args.spec, device, kind=kind)


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
