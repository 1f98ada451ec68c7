"""A SLURM for the tests of this folder, and runs of the workflow that are submitted to it."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from helpers.checkout import Checkout, tiny_config
from helpers.cluster import Cluster

PROFILE = "workflow/profiles/slurm"
SUBMITTED = ("pretrain", "prune", "finetune", "autoattack", "hofmn_tune", "hofmn")
SUBMITTED += ("pgd", "reliability", "costs")  # members of a group count as well
# The profile as it is, but for what only depends on size: memory of one small machine, waiting.
SMALL = [
    *("--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "5"),
    *("--default-resources", "runtime=10", "mem_mb=400", "steps=1"),
]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if not os.environ.get("ADVPRUNE_SLURM"):
        pytest.skip("starts daemons as root: run by make test-slurm")
    obstacle = Cluster.obstacle()
    if obstacle:
        pytest.skip(obstacle)
    started = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


class Submission:
    """A run of the workflow in the background that submits its jobs to the cluster."""

    def __init__(self, checkout: Checkout, cluster: Cluster, *arguments: str, **resources: str):
        self.checkout, self.cluster = checkout, cluster
        limits = {"mem_mb": "400*attempt"} | resources
        sizes = [f"{rule}:{key}={value}" for rule in SUBMITTED for key, value in limits.items()]
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", PROFILE, *SMALL]
        command += [*arguments, "--configfile", "tiny.yaml", "--set-resources", *sizes]
        self.output = checkout.folder / "snakemake.out"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                command,
                cwd=checkout.folder,
                env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
                stdout=file,
                stderr=subprocess.STDOUT,
                # whoever started the tests in the background made them deaf to it
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def ids(self) -> list[str]:
        """SLURM's ids of the jobs submitted so far."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.text)

    def job(self, number: str) -> dict[str, str]:
        """What SLURM knows of a job."""
        text = self.cluster.ask("scontrol", "show", "job", number)
        return dict(re.findall(r"(\w+)=(\S*)", text))

    def log(self) -> str:
        """Logs of the jobs' scripts so far."""
        return "".join(
            p.read_text(encoding="utf-8") for p in self.checkout.folder.glob("logs/**/*.log")
        )

    def wait_for(self, condition, seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the run has ended:\n{self.text}"
            assert time.monotonic() < end, f"waited {seconds} s in vain:\n{self.text}"
            time.sleep(0.2)

    def finish(self, seconds: float = 1500) -> int:
        try:
            return self.process.wait(seconds)
        finally:
            self.end()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def submit(cluster):
    """Function that starts a run; whatever a failed test leaves behind is ended."""
    started = []

    def start(checkout, *arguments, **resources):
        started.append(Submission(checkout, cluster, *arguments, **resources))
        return started[-1]

    yield start
    for run in started:
        run.end()
    subprocess.run(["scancel", "--user=root"], timeout=30, check=False)


@pytest.fixture
def checkout(tmp_path):
    """Copy with one method on a few digits, on GPUs where there are some."""
    config = tiny_config() | {"device": "auto"}
    config["grid"][0]["methods"] = ["hydra"]
    return Checkout(tmp_path / "repo", config)
