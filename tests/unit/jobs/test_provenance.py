"""What a card says of the process that wrote it."""

import argparse
import json

import torch

from advprune.jobs.job import Job
from advprune.jobs.provenance import cpu, of_job
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
    assert job.card()["device"] == cpu()
    assert of_job()["device"] == "a GPU"
