"""What a card says of the process that wrote it."""

import argparse
import json
import platform
import shutil
import subprocess

import pytest
import torch

from advprune.base import provenance
from advprune.jobs.job import Job
from advprune.jobs.provenance import of_job
from advprune.plan.specs import AuditSpec


def test_provenance_tells_what_ran_and_lets_the_caller_add(monkeypatch):
    card = of_job(seed=3, device="cuda:0")
    assert card["seed"] == 3
    assert card["device"] == "cuda:0"
    assert card["torch"] == torch.__version__
    assert card["threads"] == torch.get_num_threads()
    assert 50 < card["peak_memory_mib"] < 2**16
    assert json.loads(json.dumps(card)) == card
    monkeypatch.setenv("PATH", "")
    assert (of_job()["commit"], of_job()["dirty"]) == (None, None)


def test_a_card_names_the_processor_of_a_job_that_does_not_use_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    spec = AuditSpec("resnet18", "filters", 0.5)
    job = Job(argparse.Namespace(), spec, "audit", (), torch.device("cpu"))
    assert job.card()["device"] == platform.machine()
    assert of_job()["device"] == "a GPU"


def test_provenance_sees_commits_and_changes(tmp_path, monkeypatch):
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    if not shutil.which("git"):
        pytest.skip("needs git")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "cards.py"))
    assert (of_job()["commit"], of_job()["dirty"]) == (None, None)
    (tmp_path / "cards.py").write_text("", encoding="utf-8")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    assert (of_job()["commit"], of_job()["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "cards.py").write_text("changed", encoding="utf-8")
    assert of_job()["dirty"] is True
