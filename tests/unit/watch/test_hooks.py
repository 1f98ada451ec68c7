"""What a run does beside its jobs."""

import threading
from pathlib import Path

import pytest

from advprune.plan.config import read_yaml
from advprune.plan.paths import Layout
from advprune.watch.hooks import Hooks
from advprune.watch.recorder import quieten
from helpers.checkout import tiny_config


@pytest.fixture
def hooks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["/x/snakemake/__main__.py", "--configfile", "a b.yaml"])
    return Hooks(Layout("tiny"), tiny_config())


def test_the_plan_lies_beside_the_results(hooks):
    hooks.begin(queue=False)
    assert read_yaml(Path("results/tiny/configuration.yaml")) == tiny_config()


def test_the_line_counts_the_jobs_of_this_start(hooks, tmp_path):
    log = tmp_path / "logs/tiny/prune/a.tsv"
    log.parent.mkdir(parents=True)
    log.write_text("s\n12\n", encoding="utf-8")
    hooks.begin(queue=False)
    recorder = hooks.recorder
    recorder.total.update(prune=10, finetune=10, leaderboard=1)
    recorder.done.update(prune=5)
    recorder.failed.add(7)
    line = hooks.line()
    assert "tiny: 5 jobs done, 0 running, 1 failed, 15 left; more than 60 s left" in line
    assert line.endswith("not measured yet: finetune") and "\n" not in line


def test_the_end_of_a_failed_run_says_what_there_is_and_how_to_go_on(hooks, capsys):
    hooks.begin(queue=False)
    hooks.error()
    said = capsys.readouterr().err
    assert "tiny: 0 of 6 models done, 6 waiting" in said
    assert said.endswith("go on with: snakemake --configfile 'a b.yaml'\n")


def test_timers_end_and_other_threads_do_not():
    wait = threading.Event()
    timer, other = threading.Timer(600, wait.set), threading.Thread(target=wait.wait)
    for thread in (timer, other):
        thread.start()
    quieten()
    timer.join(10)
    assert not timer.is_alive() and other.is_alive() and not wait.is_set()
    wait.set()
    other.join(10)
