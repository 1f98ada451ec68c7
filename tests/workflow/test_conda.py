"""Environment files deployed by Snakemake's own code, through a stand-in for conda."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers.checkout import ROOT, Checkout, tiny_config

pytestmark = pytest.mark.slow
STANDIN = ROOT / "tests" / "helpers" / "conda"
PAGES = ("evaluate", "gather", "curves", "leaderboard")


@pytest.fixture
def path(tmp_path):
    """PATH on which the stand-in comes first; Snakemake cannot use a conda below a space."""
    shutil.copytree(STANDIN, tmp_path / "conda")
    folders = [str(tmp_path / "conda" / "bin"), os.path.dirname(sys.executable)]
    return os.pathsep.join([*folders, os.environ["PATH"]])


@pytest.fixture
def registry(tmp_path):
    """Skips the test where no package can be had."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "tqdm==4.70.1"]
    done = subprocess.run([*command, "--dest", tmp_path / "wheel"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package registry: {done.stderr.splitlines()[-1]}")


def test_the_pages_are_made_in_a_deployed_environment_without_torch(
    finished, tmp_path, path, registry
):
    """Every package that a report step needs is pinned in envs/report.yaml, and none is torch."""
    checkout = finished.copy(tmp_path / "repo")
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
    assert (checkout.folder / "prefix.txt").read_text(encoding="utf-8") == str(python.parents[1])
    asked = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in asked.stderr


@pytest.mark.skipif(not os.environ.get("ADVPRUNE_CONDA"), reason="takes 18 GB: make test-conda")
def test_the_whole_run_in_its_environments_gives_the_same_bytes(finished, tmp_path, path, registry):
    checkout = Checkout(tmp_path / "repo", tiny_config())
    environments = checkout.folder / ".snakemake/conda"
    try:
        checkout.snakemake("--cores", "2", "--sdm", "conda", environment={"PATH": path})
        used = ("data", "train", "attack", "report")
        wanted = {(checkout.folder / f"envs/{name}.yaml").read_bytes() for name in used}
        assert {file.read_bytes() for file in environments.glob("*_.yaml")} == wanted
    finally:
        shutil.rmtree(environments, ignore_errors=True)
    ours, theirs = (folder / "results" for folder in (checkout.folder, finished.folder))
    names = ("leaderboard.csv", "evaluation.json", "autoattack-*.csv", "hofmn-*.csv")
    files = [f.relative_to(ours) for n in (*names, "*.safetensors") for f in ours.rglob(n)]
    assert len(files) > 30
    assert [f for f in files if (ours / f).read_bytes() != (theirs / f).read_bytes()] == []
