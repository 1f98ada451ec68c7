"""Configurations that cannot run, and places that cannot be written, as a user meets them."""

import shutil
import subprocess

import pytest
import yaml

from advprune.base.errors import UserError
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from helpers.checkout import Checkout, tiny_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bad config")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("bad") / "repo", tiny_config())
    (checkout.folder / "results/tiny").mkdir(parents=True)
    (checkout.folder / "results/tiny/leaderboard.csv").write_text("made before", encoding="utf-8")
    return checkout


MINE = {"path": "no.pt", "dataset": "digits", "arch": "resnet18", "mean": [0], "std": [1]}


def tiny(**changes):
    return yaml.safe_dump(tiny_config() | changes)


# Snakemake reads the file and sees no more than that it is no configuration; the rest is ours.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [1,\npreset: }", "not valid JSON or YAML"),
        ("- 1\n- 2\n", "with keys at top level"),
        ("", "with keys at top level"),
        ("!!python/object/apply:os.mkdir [never]\n", "not valid JSON or YAML"),
        (tiny().replace("eps: 1/2", "eps: 31"), "eps: 31 is greater than the maximum of 1"),
        (tiny(external={"mine": MINE}), "external.mine.path: no.pt: no such file"),
    ],
)
def test_it_is_refused_in_one_line_before_anything_runs(checkout, text, message):
    (checkout.folder / "tiny.yaml").write_text(text, encoding="utf-8")
    done = checkout.snakemake("--cores", "1", check=False)
    assert done.returncode and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert sum(message in line for line in done.stderr.splitlines()) == 1
    made = [p for p in (checkout.folder / "results").rglob("*") if p.is_file()]
    assert [p.read_text(encoding="utf-8") for p in made] == ["made before"]
    assert not (checkout.folder / "never").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: tiny\n", "'seeds' is a required property"),
        (tiny().replace("- 0.8", "- .nan"), "nan is not a finite number"),
        (
            tiny(budget={"epochs": 6, "shares": {"pretrain": 0.9}}),
            "no share of the epochs for prune",
        ),
        (tiny().replace("- dense", "- dense: {as: hydra}"), "'hydra' is a name of its own"),
        (tiny(grid=[]), "neither grid nor external nor released names a model"),
        (tiny(seeds="all"), "seeds: 'all' is not of type 'array'"),
        (tiny(data_root=7), "data_root: 7 is not of type"),
        (tiny(overrides={"radmm": {"params": {"rho": "big"}}}), "'big' is text"),
        (
            tiny(external={"mine": {"path": "no.pt", "arch": "resnet18"}}),
            "external.mine: 'dataset' is a required property",
        ),
    ],
)
def test_what_the_plan_refuses_is_one_line(text, message):
    """Which the rules hand to Snakemake as above, for all complaints alike."""
    with pytest.raises(UserError) as refused:
        Protocol(load_config(yaml.safe_load(text)))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def missing(path):
    path.unlink()


def folder(path):
    path.unlink()
    path.mkdir()


def latin(path):
    path.write_bytes("preset: dürer\n".encode("latin-1"))


@pytest.mark.parametrize(
    ("spoil", "last"),
    [(missing, "FileNotFoundError"), (folder, "IsADirectoryError"), (latin, "UnicodeDecodeError")],
)
def test_what_snakemake_itself_cannot_read_starts_no_job(tmp_path, spoil, last):
    """Snakemake opens the file before any code of ours runs: the last line says what is wrong."""
    checkout = Checkout(tmp_path / "repo", tiny_config())
    spoil(checkout.folder / "tiny.yaml")
    done = checkout.snakemake("--cores", "1", check=False)
    assert done.returncode and done.stderr.strip().splitlines()[-1].startswith(last), done.stderr
    assert not (checkout.folder / "results").exists()


def refused(checkout, message):
    done = checkout.snakemake("--cores", "1", check=False)
    assert done.returncode and "Traceback" not in done.stderr + done.stdout
    assert message in done.stderr and "nothing can be written to results/tiny" in done.stderr


def test_a_file_in_place_of_the_results(tmp_path):
    checkout = Checkout(tmp_path / "repo", tiny_config())
    (checkout.folder / "results").write_text("made before", encoding="utf-8")
    refused(checkout, "results is not a folder")
    assert (checkout.folder / "results").read_text(encoding="utf-8") == "made before"


def test_results_on_a_read_only_disk(tmp_path):
    checkout = Checkout(tmp_path / "repo", tiny_config())
    results = checkout.folder / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(results)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        refused(checkout, "results cannot be written")
    finally:
        subprocess.run(["umount", str(results)], check=True)
