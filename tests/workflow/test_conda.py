"""Environment files deployed by Snakemake's own code, through a stand-in for conda."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers.checkout import ROOT, Checkout, tiny_config, tracked

pytestmark = pytest.mark.slow
STANDIN = ROOT / "tests" / "helpers" / "conda"
LIGHT = ("report", "survey")  # environments of rules that need no torch
PAGES = sorted(
    body.split(":")[0]
    for file in tracked("rules")
    for body in file.read_text(encoding="utf-8").split("\nrule ")[1:]
    if any(f'environment("{name}")' in body for name in LIGHT)
)
MADE_IN = {"evaluate": "report", "curves": "report", "leaderboard": "report", "survey": "survey"}
DEPLOYED = ".snakemake/conda/*_.yaml"


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


def test_the_pages_are_made_in_deployed_environments_without_torch(
    finished, tmp_path, path, registry
):
    """Every package that they need is pinned in their rule's environment, and none is torch."""
    checkout = finished.copy(tmp_path / "repo")
    # where a checkpoint is, Snakemake deploys the environments of all rules, allowed or not
    checkout.edit("rules/released.smk", "checkpoint released:", "rule released:")
    tables = {p: p.read_bytes() for p in (checkout.folder / "results/tiny").glob("*.csv")}
    tell = '__import__("pathlib").Path("{}.txt").write_text(__import__("sys").prefix)'
    for script in MADE_IN:
        told = f"    {tell.format(script)}\n"
        checkout.edit(f"scripts/{script}.py", "    parser = ", f"{told}    parser = ")
    (checkout.folder / "results/tiny/leaderboard.csv").unlink()
    checkout.snakemake(
        *("--cores", "2", "--sdm", "conda", "--allowed-rules", *PAGES),
        environment={"PATH": path},
    )
    assert {table: table.read_bytes() for table in tables} == tables
    deployed = {p.read_bytes(): p.with_suffix("") for p in checkout.folder.glob(DEPLOYED)}
    assert set(deployed) == {(checkout.folder / f"envs/{n}.yaml").read_bytes() for n in LIGHT}
    for script, name in MADE_IN.items():
        prefix = deployed[(checkout.folder / f"envs/{name}.yaml").read_bytes()]
        assert (checkout.folder / f"{script}.txt").read_text(encoding="utf-8") == str(prefix)
    for prefix in deployed.values():
        command = [prefix / "bin" / "python", "-c", "import torch"]
        asked = subprocess.run(command, capture_output=True, text=True)
        assert "No module named 'torch'" in asked.stderr


@pytest.mark.skipif(not os.environ.get("ADVPRUNE_CONDA"), reason="takes 18 GB: make test-conda")
def test_the_whole_run_in_its_environments_gives_the_same_bytes(finished, tmp_path, path, registry):
    checkout = Checkout(tmp_path / "repo", tiny_config())
    environments = checkout.folder / ".snakemake/conda"
    try:
        checkout.snakemake("--cores", "2", "--sdm", "conda", environment={"PATH": path})
        used = ("data", "train", "attack", *LIGHT)
        wanted = {(checkout.folder / f"envs/{name}.yaml").read_bytes() for name in used}
        assert {file.read_bytes() for file in checkout.folder.glob(DEPLOYED)} == wanted
    finally:
        shutil.rmtree(environments, ignore_errors=True)
    ours, theirs = (folder / "results" for folder in (checkout.folder, finished.folder))
    names = ("leaderboard.csv", "evaluation.json", "autoattack-*.csv", "hofmn-*.csv")
    files = [f.relative_to(ours) for n in (*names, "*.safetensors") for f in ours.rglob(n)]
    assert len(files) > 30
    assert [f for f in files if (ours / f).read_bytes() != (theirs / f).read_bytes()] == []
