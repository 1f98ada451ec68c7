"""docs/files.md describes every file, column and card of a run; what travels of it is whole."""

import json
import zipfile

import pytest

from helpers.checkout import tiny_config
from helpers.command import advprune
from helpers.documented import CARD, columns_apart, undocumented_files

# one worker: the finished run is made once and shared
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]


@pytest.fixture
def run(finished):
    return finished.folder / "results" / "tiny"


def test_every_file_and_column_is_described(run):
    assert undocumented_files(run) == []
    assert columns_apart(run) == {}


def test_every_field_of_a_card_is_described(run):
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in run.rglob("*.json")]
    cards = [c for c in contents if isinstance(c, dict) and {"script", "code", "spec"} <= c.keys()]
    assert len(cards) > 20
    assert {field for card in cards for field in card} <= CARD


def test_a_run_is_packed_and_verified_elsewhere(run, tmp_path):
    out = tmp_path / "tiny.zip"
    assert advprune("archive", run, "--nets", "-o", out).returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = advprune("verify", out, cwd=elsewhere)
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(out) as archive:
        assert "configuration.yaml" in archive.namelist()
    assert advprune("compare", run, out).returncode == 0


def test_a_tidied_run_is_as_fresh_as_before(finished, tmp_path):
    """Nothing is planned; a new model is trained alone; a changed attack trains nothing."""
    checkout = finished.copy(tmp_path / "repo")
    run = checkout.folder / "results" / "tiny"
    done = advprune("tidy", run, "--yes")
    assert done.returncode == 0 and "pruned.safetensors" in done.stdout
    assert not list(run.rglob("pruned.safetensors")) and not list(run.rglob("seed*.last.saf*"))
    assert checkout.planned() == set()
    assert advprune("verify", run).returncode == 0
    config = tiny_config()
    config["evaluation"]["autoattack"]["batch"] = 3
    checkout.configure(config)
    rules = {rule for rule, _ in checkout.planned()}
    assert "autoattack" in rules and not rules & {"pretrain", "prune", "finetune"}
    config = tiny_config()
    config["grid"][0]["methods"] += ["global_magnitude"]
    checkout.configure(config)
    trained = {name for rule, name in checkout.planned() if rule in ("pretrain", "finetune")}
    assert trained and all("/global_magnitude/" in name for name in trained)
