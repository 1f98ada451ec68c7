"""What the workflow must know of the machine it plans on. Pure Python without torch."""

import functools
import glob
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from advprune.base.errors import UserError
from advprune.plan.protocol import Protocol

# Minutes with a GPU, minutes and MB without, of the first attempt; each further one gets as much
# more. A training that hits its limit goes on after its last epoch, AutoAttack after the last of
# its attacks, so no limit must hold all of it. docs/scaling.md says where the figures come from.
FIRST_ATTEMPT = {
    "autoattack": (240, 2880, 12_000),
    "hofmn_tune": (60, 720, 4_000),
    "hofmn": (60, 1440, 16_000),
    "pgd": (60, 720, 12_000),
    "reliability": (60, 1440, 16_000),
    "other_attacks": (120, 1440, 12_000),
    "corruptions": (30, 720, 12_000),
    "corrupt": (240, 240, 4_000),
    "costs": (30, 60, 12_000),
    "pretrain": (480, 1440, 4_000),
    "prune": (480, 1440, 4_000),
    "finetune": (480, 1440, 4_000),
}


@functools.cache  # every job asks
def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, without loading any driver."""
    return bool(glob.glob("/dev/nvidia[0-9]*"))


def use_this_python() -> None:
    """Let `python` in the rules be the one that runs Snakemake.

    An activated conda environment comes before it, so `--sdm conda` is not disturbed.
    """
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])


def name_device(device: str) -> None:
    """Let the jobs' commands know the device, in their environment.

    It is no parameter: results of a cluster's GPUs are not stale on a login node that has none. And
    it is no resource: a text must be the same for all jobs of a group.
    """
    os.environ["ADVPRUNE_DEVICE"] = device


def check_order(configfiles: Iterable[str | Path]) -> None:
    """Refuse results that were read as configurations: words after --configfile are."""
    results = Path("results").absolute()
    for path in configfiles:
        if Path(path).absolute().is_relative_to(results):
            name = os.path.relpath(path)
            raise UserError(
                f"{name} was read as a configuration: a target goes before --configfile"
            )


def name_checkout(root: str) -> None:
    """Let the jobs' commands know where the code is, in their environment.

    In a command or among the inputs the place would be part of what Snakemake compares, and another
    one, as through a symbolic link, would make everything stale.
    """
    os.environ["ADVPRUNE_CHECKOUT"] = root


def check_place(folder: str) -> None:
    """Refuse to run in a folder that Snakemake cannot lock: it reads the path as a pattern."""
    if re.search(r"[{}]", re.sub(r"\{[A-Za-z_]\w*\}", "", folder)):
        raise UserError(f"{folder}: Snakemake cannot run here for the braces; rename the folder")


def check_folder(name: str) -> None:
    """Refuse a folder for results or logs that cannot be made or written."""
    place = Path(name).absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise UserError(f"{place} is not a folder, so nothing can be written to {name}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"{place} cannot be written, so nothing can be written to {name}")


def announce(protocol: Protocol, local: bool, gpu: int) -> None:
    """Say on standard error what is about to be planned, and warn of what would never end."""
    place = "the cluster" if not local else "the GPU" if gpu else "the CPU"
    preset, count = protocol.config["preset"], len(protocol.models)
    print(f"{preset}: {count} models on {place}", file=sys.stderr)
    if local and not gpu and protocol.full_size:
        print(
            "warning: nets of full size on a CPU take months; use a GPU or a cluster, or a smaller"
            " configuration such as config/demo.yaml",
            file=sys.stderr,
        )
