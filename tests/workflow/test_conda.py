"""An environment file deployed by Snakemake's own code, through a stand-in for conda."""

import os
import subprocess
import sys

import pytest

from checkout import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
STANDIN = ROOT / "tests" / "conda" / "bin"
PAGES = ("evaluate", "collect", "curves", "leaderboard")


@pytest.fixture
def registry(tmp_path):
    """Skips the test where no package can be had."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "tqdm==4.70.1"]
    done = subprocess.run([*command, "--dest", tmp_path / "wheel"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package registry: {done.stderr.splitlines()[-1]}")


def test_the_pages_are_made_in_a_deployed_environment_without_torch(finished, tmp_path, registry):
    """Every package that a report step needs is pinned in envs/report.yaml, and none is torch."""
    checkout = finished.copy(tmp_path / "repo")
    path = os.pathsep.join([str(STANDIN), os.path.dirname(sys.executable), os.environ["PATH"]])
    board = checkout.folder / "results/tiny/leaderboard.csv"
    before = board.read_bytes()
    board.unlink()
    where = '    __import__("pathlib").Path("prefix.txt").write_text(__import__("sys").prefix)\n'
    checkout.edit("scripts/leaderboard.py", "    parser = ", f"{where}    parser = ")
    checkout.snakemake(
        *("--cores", "1", "--sdm", "conda", "--allowed-rules", *PAGES),
        environment={"PATH": path},
    )
    assert board.read_bytes() == before
    (python,) = checkout.folder.glob(".snakemake/conda/*/bin/python")
    assert (checkout.folder / "prefix.txt").read_text() == str(python.parents[1])
    asked = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in asked.stderr
