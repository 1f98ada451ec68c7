"""Measure what makes this project fast: pairs of the plain path and ours, answers compared."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from advprune.base.errors import UserError
from advprune.base.files import write_json
from advprune.base.provenance import features
from advprune.bench import compact_nets
from advprune.bench.full_size import FullSize, measure
from advprune.bench.pairs import SIZES, Bench
from advprune.bench.profiling import report
from advprune.bench.targets import judge
from advprune.data.prepare import prepare
from advprune.jobs import cli, provenance

ROOT = Path(__file__).resolve().parents[1]
# a job of some seconds whose answer is not needed: gradients of a net of the demo's size
JOB = """
import torch
from advprune.models.registry import NetSpec, build
torch.set_num_threads(1)
net = build(NetSpec("resnet18", 8, 10, 1, 8, (0.5,), (0.25,))).eval()
for _ in range(400):
    net(torch.rand(100, 1, 8, 8)).sum().backward()
"""


def main() -> None:
    """Run the job described by the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--out", type=Path, help="file for all figures")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--only", nargs="+", metavar="PAIR", help="some pairs instead of all")
    parser.add_argument("--data-root", type=Path, help="CIFAR-10, for what a GPU measures")
    parser.add_argument("--profile", action="store_true", help="only say where the time goes")
    args = parser.parse_args()
    cli.open_log(args.log)
    torch.set_num_threads(args.threads)
    if args.profile:
        for line in report():
            print(line, flush=True)
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = pairs_of([Bench(size, device) for size in SIZES[device.type]])
    if device.type == "cuda":
        pairs["full size"] = lambda: full_size(args.data_root, device)
    if unknown := set(args.only or ()) - set(pairs):
        raise UserError(f"no pair {', '.join(sorted(unknown))} (has: {', '.join(pairs)})")
    results, found = {}, features()
    for name in args.only or pairs:
        results[name] = pairs[name]()
        if device.type == "cpu":  # the targets are those of a processor
            results[name] |= judge(name, results[name], found)
        print(f"{name:40}", *summary(results[name]), sep="  ", flush=True)
    sizes = [vars(size) for size in SIZES[device.type]]
    card = provenance.of_job(sizes=sizes, threads=args.threads, features=found)
    if args.out:
        write_json(args.out, {"pairs": results, "machine": card})


def pairs_of(benches: list[Bench]) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by name; nets are trained when the first pair needs them."""
    pairs: dict[str, Callable[[], dict[str, Any]]] = {}
    for bench in benches:
        width = f"width {bench.size.width}"
        for net in bench.NETS:
            pairs[f"autoattack {net}, {width}"] = partial(bench.autoattack, net)
        pairs[f"autoattack bf16, {width}"] = bench.autoattack_bf16
        pairs[f"fmn, {width}"] = bench.fmn
        pairs[f"pgd epoch, {width}"] = bench.epoch
        pairs[f"pgd epoch bf16, {width}"] = partial(bench.epoch, "bf16")
        pairs[f"autoattack or curve, {width}"] = bench.curve
        for net in compact_nets.NETS:
            race = partial(compact_nets.measure, net, bench.size.width, bench.size.repeats)
            pairs[f"compact {net}, {width}"] = partial(race, bench.device)
    return pairs | {"two jobs": two_jobs, "plan": plan}


def summary(figures: dict[str, Any]) -> list[str]:
    """What a terminal shows of a pair."""
    words = ("ratio", "flips", "wall", "target", "left out")
    shown = {k: v for k, v in figures.items() if k in words}
    for name, part in figures.items():
        if isinstance(part, dict) and "images" in part:  # of the full size
            shown[name] = f"{part['seconds']} s for {part['images']} images"
    return [f"{name} {value}" for name, value in shown.items()]


def two_jobs() -> dict[str, object]:
    """Wall-clock seconds of two jobs one after the other, and side by side."""
    command = [sys.executable, "-c", JOB]
    environment = {"cwd": ROOT / "scripts"}
    before = time.perf_counter()
    for _ in range(2):
        subprocess.run(command, check=True, **environment)
    middle = time.perf_counter()
    running = [subprocess.Popen(command, **environment) for _ in range(2)]
    if any(process.wait() for process in running):
        raise RuntimeError("a job of the benchmark failed")
    wall = {"plain": middle - before, "ours": time.perf_counter() - middle}
    return {"wall": wall, "ratio": round(wall["plain"] / wall["ours"], 3)}


def plan() -> dict[str, object]:
    """Wall-clock seconds of planning the grid of every method."""
    snakemake = Path(sys.executable).with_name("snakemake")
    before = time.perf_counter()
    command = [snakemake, "--dry-run", "--quiet", "all", "--configfile", "config/all.yaml"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return {"wall": round(time.perf_counter() - before, 1)}


def full_size(root: Path | None, device: torch.device) -> dict[str, object]:
    """AutoAttack on all test images of CIFAR-10 and a PGD-10 epoch, both with a full ResNet18."""
    try:
        data = prepare("cifar10", data_root=root, cache=ROOT / "results/downloads")
    except UserError as error:  # the pairs need no download, and are not lost for want of one
        return {"left out": str(error)}
    return measure(*data, FullSize(), device)


if __name__ == "__main__":
    cli.run(main)
