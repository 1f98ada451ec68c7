"""Jobs given files that are damaged, swapped or dangerous: one line, status 2, nothing overwritten.

Every case runs one script of the workflow with one bad argument among good ones.
"""

import logging
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from advprune.attacks.verdicts import write_table
from advprune.base import progress
from advprune.base.files import write_json
from advprune.base.record import to_json
from advprune.data.prepare import prepare
from advprune.evaluation.reliability import INDICATORS
from advprune.models.checkpoint import save_checkpoint
from advprune.models.registry import NetSpec, build
from advprune.plan.config import load_config
from advprune.plan.protocol import Protocol
from advprune.plan.specs import ExternalSpec
from advprune.plan.verdicts import Verdicts
from helpers.checkout import ROOT, tiny_config
from helpers.damages import (
    TEST_OF_CIFAR10,
    content,
    dataset_of,
    empty,
    folder,
    good_one,
    lines,
    missing,
    net_of,
    one_bit,
    runs_code,
    state,
    text,
    truncated,
    without_splits,
)
from helpers.report_samples import evaluation

PROTOCOL = Protocol(load_config(tiny_config()))
VERDICTS = Verdicts(PROTOCOL)
LWM = next(m for m in PROTOCOL.models if (m.method, m.structure) == ("lwm", "filters"))
SPECS = {
    "dataset": PROTOCOL.data("digits", "train"),
    "pretrain": PROTOCOL.pretrain("digits", "resnet18", "lwm", 0),
    "prune": PROTOCOL.prune(LWM),
    "finetune": PROTOCOL.finetune(LWM),
    "audit": VERDICTS.audit(LWM),
    "autoattack": VERDICTS.autoattack(LWM),
    "hofmn_tune": VERDICTS.hofmn_tune(LWM),
    "hofmn": VERDICTS.hofmn(LWM),
    "pgd": VERDICTS.pgd(LWM),
    "external": ExternalSpec("resnet18", 4, 10, 1, 8, (0.3,), (0.4,)),
    "evaluate": VERDICTS.evaluate(LWM),
}
FOUND = {"images": 10, "indicators": dict.fromkeys(INDICATORS, 0), "missed": []}
CHECKED = {"images": 10, "best": {"clean": 0.9, "pgd": 0.5, "largest_answer": 0.2}}
OLD = "made before"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """One good file for every argument of every script."""
    folder = tmp_path_factory.mktemp("good")
    limits = tiny_config()["datasets"]["digits"]["limits"]
    data, test = prepare("digits", data_root=None, cache=folder, limits=limits)
    data.save(folder / "train.safetensors")
    test.save(folder / "test.safetensors")
    spec = NetSpec("resnet18", 4, **data.net_fields())
    save_checkpoint(folder / "net.safetensors", build(spec), spec)
    state = {k: t for k, t in build(spec).state_dict().items() if "normalize" not in k}
    torch.save({"state_dict": state}, folder / "theirs.pt")
    verdicts = {"index": range(10), "official_index": range(10), "label": 0, "clean_correct": True}
    autoattack = pd.DataFrame(verdicts | {"robust": True, "broken_by": ""})
    write_table(folder / "autoattack.csv", autoattack)
    write_table(folder / "hofmn.csv", pd.DataFrame(verdicts | {"distance": 0.3}))
    config = {"loss": "LL", "optimizer": "SGD", "schedule": "cosine", "step_size": 1.0}
    write_json(folder / "tuned.json", {"config": config, "trials": []})
    write_json(folder / "warnings.json", [])
    write_json(folder / "audit.json", {"reasons": [], "layers": {}})
    write_json(folder / "reliability.json", FOUND)
    write_json(folder / "pgd.json", CHECKED)
    write_json(folder / "evaluation.json", evaluation())
    write_json(folder / "card.json", {"sha256": "0", "parents": {}})
    return folder


def arguments(script, good, out):
    """A command line on which a script succeeds."""
    data, test = (["--data", good / f"{part}.safetensors"] for part in ("train", "test"))
    net = ["--checkpoint", good / "net.safetensors"]
    card = ["--card", out.with_suffix(".card")]
    evaluations = ["--evaluations", good / "evaluation.json"]
    own = {
        "dataset": [],
        "pretrain": [*data, "--last", out.with_suffix(".last")],
        "prune": [*data, "--pretrained", good / "net.safetensors"],
        "finetune": [
            *(*data, "--pruned", good / "net.safetensors"),
            *("--last", out.with_suffix(".last")),
        ],
        "audit": net,
        "autoattack": [*test, *net, *card, "--warnings", out.with_suffix(".w")],
        "hofmn_tune": [*data, *net, *card],
        "hofmn": [*test, *net, *card, "--tuned", good / "tuned.json"],
        "pgd": [*test, *net, "--last", good / "net.safetensors"],
        "external": ["--source", good / "theirs.pt"],
        "evaluate": [
            *("--audit", good / "audit.json", "--reliability", good / "reliability.json"),
            *("--autoattack", good / "autoattack.csv", "--warnings", good / "warnings.json"),
            *("--distances", good / "hofmn.csv", "--checkpoint", good / "card.json"),
            *("--tuned", good / "tuned.json", *card, "--pgd", good / "pgd.json"),
        ],
        "gather": ["--findings", good / "evaluation.json"],
        "leaderboard": evaluations,
        "compare": evaluations,
    }[script]
    outputs = {
        "leaderboard": ["--csv", out, "--tex", out.with_suffix(".tex")],
        "compare": ["--csv", out, "--markdown", out.with_suffix(".md")],
    }
    spec = ["--spec", to_json(SPECS[script])] if script in SPECS else []
    return [*spec, *own, *outputs.get(script, ["--out", out])]


CASES = [
    # datasets
    ("pretrain", "data", truncated, "damaged"),
    ("pretrain", "data", one_bit, "damaged"),
    ("pretrain", "data", empty, "damaged"),
    ("pretrain", "data", text, "damaged"),
    ("pretrain", "data", missing, "no such file"),
    ("pretrain", "data", folder, "damaged"),
    ("pretrain", "data", runs_code, "damaged"),
    ("pretrain", "data", good_one("net.safetensors"), "not a file of kind 'training-data-1'"),
    ("pretrain", "data", without_splits, "train/images"),
    ("pretrain", "data", dataset_of("digits", 1, 8, classes=3), "labels 0..5 are outside 0..2"),
    ("prune", "data", dataset_of("cifar10", 3, 32), "is for other images"),
    ("finetune", "data", dataset_of("cifar10", 3, 32), "is for other images"),
    ("autoattack", "data", TEST_OF_CIFAR10, "is for other images"),
    ("autoattack", "data", good_one("train.safetensors"), "not a file of kind 'test-data-2'"),
    ("hofmn_tune", "data", one_bit, "damaged"),
    # checkpoints
    ("prune", "pretrained", truncated, "damaged"),
    ("prune", "pretrained", one_bit, "damaged"),
    ("prune", "pretrained", missing, "no such file"),
    ("prune", "pretrained", runs_code, "not a safetensors file"),
    ("prune", "pretrained", good_one("train.safetensors"), "not a file of kind 'checkpoint-1'"),
    ("prune", "pretrained", net_of("vgg16"), "is a vgg16"),
    ("prune", "pretrained", net_of(width=8), "of width 8"),
    ("finetune", "pruned", net_of("vgg16", hidden=()), "width 4, hidden [], not a resnet18 of"),
    ("finetune", "pruned", text, "damaged"),
    ("audit", "checkpoint", truncated, "damaged"),
    ("audit", "checkpoint", folder, "damaged"),
    ("audit", "checkpoint", runs_code, "not a safetensors file"),
    ("autoattack", "checkpoint", one_bit, "damaged"),
    ("autoattack", "checkpoint", net_of(channels=3, size=32), "is for other images"),
    ("autoattack", "checkpoint", net_of(classes=7), "is for other images"),
    ("hofmn_tune", "checkpoint", net_of(channels=3, size=32), "is for other images"),
    ("hofmn", "checkpoint", empty, "damaged"),
    ("hofmn", "tuned", text, "not valid JSON"),
    ("hofmn", "tuned", content({"config": {"loss": "LL"}}), "trials"),
    ("hofmn", "tuned", content([1]), "not the result of a tuning"),
    # nets that were trained elsewhere
    ("external", "source", truncated, "damaged"),
    ("external", "source", empty, "no checkpoint: empty"),
    ("external", "source", text, "it begins with 'these are not the bytes'"),
    ("external", "source", folder, "a folder, not a file"),
    ("external", "source", runs_code, "more than tensors"),
    ("external", "source", state({"epoch": 3}), "holds no state_dict"),
    ("external", "source", state(build(NetSpec("vgg16", 4, 10, 1, 8, (0.3,), (0.4,)))), "tensors"),
    ("external", "source", state({"fc.weight": torch.ones(10, 32)}), "Missing key"),
    # verdicts and records
    ("evaluate", "autoattack", truncated, "did not see the same images"),
    ("evaluate", "autoattack", good_one("hofmn.csv"), "autoattack: not its table"),
    ("evaluate", "autoattack", empty, "damaged"),
    ("evaluate", "autoattack", lines(lambda t: t[:4] + t[5:]), "sample 3 is missing"),
    ("evaluate", "autoattack", lines(lambda t: [*t, t[-1]]), "sample 9 appears twice"),
    ("evaluate", "distances", lines(lambda t: t[:-1]), "did not see the same images"),
    ("evaluate", "distances", runs_code, "damaged"),
    ("evaluate", "audit", truncated, "not valid JSON"),
    ("evaluate", "audit", content([]), "not an audit"),
    ("evaluate", "audit", content({}), "not an audit"),
    ("evaluate", "warnings", content({"a": 1}), "not a list of warnings"),
    ("evaluate", "reliability", text, "not valid JSON"),
    ("evaluate", "reliability", content({"images": 10}), "not a check of reliability"),
    ("evaluate", "pgd", content({"images": 10}), "not a check by PGD"),
    ("evaluate", "checkpoint", content([]), "not a checkpoint's card"),
    ("evaluate", "spec", "[1]", "not a EvaluateSpec"),
    ("autoattack", "spec", '{"eps": 1}', "not a AutoattackSpec"),
    ("prune", "spec", "{", "not valid JSON"),
    ("gather", "findings", truncated, "not valid JSON"),
    ("leaderboard", "evaluations", content([]), "no evaluations"),
    ("leaderboard", "evaluations", content({"model": 5}), "not an evaluation"),
    ("leaderboard", "evaluations", content([evaluation()] * 2), "already given"),
    ("leaderboard", "evaluations", runs_code, "not valid JSON"),
    ("leaderboard", "methods", text, "not a method's YAML"),
    ("compare", "evaluations", content([evaluation("random"), evaluation()]), "no verdicts"),
]


def name_of(case):
    script, argument, damage, _ = case
    return f"{script}-{argument}-{damage if isinstance(damage, str) else damage.__name__}"


@pytest.fixture
def run(good, monkeypatch, capsys, tmp_path):
    """Run a script of the workflow as a job would, but in this process; returns its error."""
    log = logging.getLogger("advprune")
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    handlers = list(log.handlers)
    threads = torch.get_num_threads()

    def run(script, *options):
        out = tmp_path / "out" / "result.csv"
        argv = [*arguments(script, good, out), *options, "--log", tmp_path / "job.log"]
        monkeypatch.setattr(sys, "argv", [script, *map(str, argv)])
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "scripts" / f"{script}.py"), run_name="__main__")
        assert end.value.code == 2
        return capsys.readouterr().err

    yield run
    for number, handler in signals.items():
        signal.signal(number, handler)
    log.handlers[:] = handlers
    progress.send_to(None)
    torch.set_num_threads(threads)


def files(place):
    """Everything below a folder with its bytes, but for the folders of resume files."""
    return {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_one_line_and_overwrites_nothing(case, good, run, tmp_path):
    script, argument, damage, message = case
    (tmp_path / "out").mkdir()
    for suffix in (".csv", ".w", ".card", ".tex", ".md", ".json"):
        (tmp_path / "out" / "result").with_suffix(suffix).write_text(OLD, encoding="utf-8")
    value = damage
    if not isinstance(damage, str):
        listed = [*map(str, arguments(script, good, tmp_path / "out/result.csv"))]
        flag = f"--{argument}"
        was = Path(listed[listed.index(flag) + 1]) if flag in listed else good / "train.safetensors"
        value = tmp_path / f"bad{was.suffix}"
        damage(value, was)
    before = files(tmp_path)
    error = run(script, f"--{argument}", value)
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert message in error and "Traceback" not in (tmp_path / "job.log").read_text(
        encoding="utf-8"
    )
    after = files(tmp_path)
    assert {p: b for p, b in after.items() if p.name != "job.log"} == before
    assert not (tmp_path / "this-must-never-exist").exists()


@pytest.mark.parametrize("script", ["dataset", "external", "evaluate", "gather", "leaderboard"])
def test_a_place_that_cannot_be_written_is_one_line(script, run, tmp_path):
    (tmp_path / "file").write_text(OLD, encoding="utf-8")
    flag = "--csv" if script == "leaderboard" else "--out"
    (tmp_path / "out").mkdir()
    error = run(script, flag, tmp_path / "file" / "result.csv")
    assert error.startswith("error: ") and error.count("\n") == 1 and "file: " in error
    assert (tmp_path / "file").read_text(encoding="utf-8") == OLD


def without_room(script, good, out, log, room=None):
    """Run a script in a process of its own that may write files of `room` bytes at most."""
    command = [sys.executable, ROOT / "scripts" / f"{script}.py", *arguments(script, good, out)]

    def restrict():
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return subprocess.run(
        [*map(str, command), "--log", str(log)],
        cwd=out.parent,
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("room", [100, 1000])
@pytest.mark.parametrize("script", ["dataset", "prune", "external", "evaluate", "gather"])
def test_a_full_disk_is_one_line(script, room, good, tmp_path):
    out = tmp_path / "result.csv"
    out.write_text(OLD, encoding="utf-8")
    done = without_room(script, good, out, tmp_path / "job.log", room)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr and out.read_text(encoding="utf-8") == OLD
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size > room]


@pytest.mark.slow
def test_a_really_full_disk_is_one_line(good, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        done = without_room("dataset", good, disk / "train.safetensors", disk / "job.log")
        left = [p for p in disk.iterdir() if p.name != "job.log"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 2 and "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1 and not left
