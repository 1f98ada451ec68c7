"""Killing a run of the workflow at random moments, again and again, until it is complete.

By hand, in a working copy without results of that configuration:

    .venv/bin/python tests/helpers/killing.py --configfile config/demo.yaml --kills 50
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from advprune.data import dataset
from advprune.models.checkpoint import load_checkpoint


def broken(results: Path) -> list[str]:
    """Files below `results` that are not whole; hidden ones are nobody's results."""
    return [
        str(path)
        for path in sorted(results.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(results).parts)
        and not _whole(path)
    ]


def _whole(path: Path) -> bool:
    try:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.name == "train.safetensors":
            dataset.TrainingData.load(path)
        elif path.name == "test.safetensors":
            dataset.TestData.load(path)
        elif path.suffix == ".safetensors":
            load_checkpoint(path)
        elif path.suffix == ".csv":
            return path.read_text(encoding="utf-8").endswith("\n")
        else:
            return path.stat().st_size > 0
    except Exception:  # whatever is wrong with it, it is not whole
        return False
    return True


def disturb(
    folder: Path, configfile: str, kills: int, seed: int, longest: float = 20.0, target: str = "all"
) -> list[str]:
    """Make `target` in `folder`, killed `kills` times at most; returns what each kill hit.

    Every time, after up to `longest` CPU seconds of jobs, a job gets SIGKILL, or by turns Snakemake
    itself; on a busy machine the same wall seconds would see less work. Jobs of a killed Snakemake
    go on by themselves for a while, as they do in real life.
    """
    draw = random.Random(seed)
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1"]
    command += ["--configfile", configfile]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    hit: list[str] = []
    orphans: list[psutil.Process] = []
    while len(hit) < kills:
        # a killed Snakemake leaves its lock behind
        subprocess.run([*command, "--unlock"], cwd=folder, env=environment, check=True, **quiet)
        before = len(hit)
        with subprocess.Popen(command, cwd=folder, env=environment, **quiet) as run:
            # after a killed job Snakemake goes on with those that do not need it
            while len(hit) < kills:
                victim = _victim(run, draw.uniform(0, longest), jobs=len(hit) % 2 == 0)
                if victim is None:
                    break
                if victim.pid == run.pid:
                    orphans += victim.children(recursive=True)
                hit.append(_name(victim))
                print("killed:", hit[-1], flush=True)
                _kill(victim)
        if found := broken(folder / "results"):
            raise AssertionError(f"after kills of {hit[before:]}: {found}")
        if len(hit) == before:  # undisturbed to its end
            break
    for process in orphans:
        _kill(process)
    subprocess.run([*command, "--unlock"], cwd=folder, env=environment, check=True, **quiet)
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return hit


def _victim(run: subprocess.Popen, after: float, jobs: bool) -> psutil.Process | None:
    """Wait until jobs have worked for so long; a job or Snakemake. None: the run has ended."""
    worked: dict[int, float] = {}
    while run.poll() is None:
        try:
            main = psutil.Process(run.pid)
            working = [p for p in main.children(recursive=True) if _script(p)]
            worked |= {p.pid: sum(p.cpu_times()[:2]) for p in working}
        except psutil.NoSuchProcess:
            continue
        if working and sum(worked.values()) >= after:
            return working[0] if jobs else main
        time.sleep(0.05)
    return None


def _script(process: psutil.Process) -> str:
    """Name of the workflow's script that a process runs, if it runs one."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    paths = [Path(word) for word in words[1:3] if word.endswith(".py")]
    return next((f"scripts/{path.name}" for path in paths if path.parent.name == "scripts"), "")


def _name(process: psutil.Process) -> str:
    return _script(process) or "snakemake"


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(len(disturb(Path.cwd(), args.configfile, args.kills, args.seed)), "kills")
