"""The journal: written from Snakemake's events, read without Snakemake."""

import logging
import os

import pytest

from advprune.watch import journal
from advprune.watch.recorder import STOPPED, Recorder


class Events:
    """A logger with a recorder, and Snakemake's events as it sends them."""

    def __init__(self, path):
        self.recorder = Recorder(path)
        self.logger = logging.Logger("snakemake")
        self.logger.addHandler(self.recorder)

    def send(self, event, **fields):
        self.logger.info("…", extra={"event": event, **fields})

    def plan(self, **counts):
        self.send("run_info", stats=counts | {"total": sum(counts.values())})

    def start(self, job, rule, log):
        self.send("job_info", jobid=job, rule_name=rule, log=[log])

    def fail(self, job, indent=False):
        self.send("job_error", jobid=job, indent=indent)


@pytest.fixture
def events(tmp_path):
    return Events(tmp_path / "logs" / "run.jsonl")


def last(events):
    return journal.read(events.recorder.path)[-1]


def test_nothing_is_written_before_jobs_begin(events):
    events.plan(prune=2, all=1)
    events.start(1, "prune", "a.log")
    assert not events.recorder.path.exists()
    events.recorder.begin(["snakemake"])
    assert last(events).head["jobs"] == 2 and last(events).head["pid"] == os.getpid()


def test_jobs_are_followed_from_start_to_end(events):
    events.plan(prune=3, leaderboard=1, all=1)
    events.recorder.begin(["snakemake"])
    for job, log in enumerate("abc"):
        events.start(job, "prune", f"{log}.log")
    events.send("job_finished", job_id=0)
    events.fail(1)
    session = last(events)
    assert {log: what for log, (what, _) in session.events.items()} == {
        "a.log": "done",
        "b.log": "failed",
        "c.log": "start",
    }
    assert events.recorder.running == 1 and events.recorder.left()["prune"] == 2
    events.start(1, "prune", "b.log")  # a second attempt
    assert last(events).events["b.log"][0] == "start" and events.recorder.running == 2
    assert not events.recorder.failed


def test_finished_jobs_say_how_long_they_took(events, tmp_path):
    for name in ("prune/old", "prune/new"):
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "logs/prune/old.tsv").write_text("s\n3\n", encoding="utf-8")
    events.recorder.begin(["snakemake"])
    events.start(1, "prune", str(tmp_path / "logs/prune/new.log"))
    (tmp_path / "logs/prune/new.tsv").write_text("s\n5\n", encoding="utf-8")
    events.send("job_finished", job_id=1)
    assert events.recorder.measured == {"prune": [3.0, 5.0]}


def test_a_job_in_a_queue_runs_when_it_has_written_a_line(events, tmp_path):
    events.recorder.begin(["snakemake"], queue=True)
    log = tmp_path / "a.log"
    events.start(1, "prune", str(log))
    assert events.recorder.running == 0
    log.write_text("here", encoding="utf-8")
    assert events.recorder.running == 1
    os.utime(log, (1000.0, 1000.0))  # of an earlier attempt
    assert events.recorder.running == 0


def test_a_failed_group_gives_its_members_up_without_saying_which_failed(events):
    events.recorder.begin(["snakemake"])
    events.start(1, "hofmn", "a.log")
    events.start(2, "evaluate", "b.log")
    errors = [{"log": ["a.log"]}, {"log": ["b.log"]}]
    events.send("group_error", groupid="evaluation", job_error_info=errors)
    events.fail(1, indent=True)
    events.fail(2, indent=True)
    assert last(events).groups == [["a.log", "b.log"]]
    assert {what for what, _ in last(events).events.values()} == {"gave up"}


def test_every_start_of_snakemake_is_a_session(events):
    events.recorder.begin(["snakemake"])
    events.recorder.end("failed")
    again = Events(events.recorder.path)
    again.recorder.begin(["snakemake"])
    assert [s.ended for s in journal.read(events.recorder.path)] == ["failed", None]


def test_what_ends_with_the_key_was_ended_by_it(events):
    events.recorder.begin(["snakemake"])
    events.start(1, "prune", "a.log")
    events.fail(1)
    events.logger.info(f"{STOPPED}, this might take some time.")
    events.recorder.end("interrupted")
    assert events.recorder.interrupted and last(events).by_key("a.log")


def test_events_of_another_kind_disturb_nothing(events):
    events.recorder.begin(["snakemake"])
    events.send("job_info")  # nothing of what is expected
    events.send("rulegraph", rulegraph={})
    events.logger.info("plain %s", "text")
    assert last(events).events == {}


def test_a_full_disk_disturbs_nothing(events, tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be", encoding="utf-8")
    events.recorder.begin(["snakemake"])
    events.start(1, "prune", "a.log")
    assert journal.read(events.recorder.path) == [] and events.recorder.running == 1


def test_damaged_lines_are_left_out(events):
    events.recorder.begin(["snakemake"])
    events.start(1, "prune", "a.log")
    with events.recorder.path.open("ab") as file:
        file.write(b'{"what": "start", "at": 1\n[1]\n\xff\n{"what": "done"}\n')
    assert last(events).events["a.log"][0] == "start"


def test_a_run_is_alive_while_it_shows_signs_of_life(events):
    def alive():
        return journal.alive(journal.read(events.recorder.path), events.recorder.path)

    assert not alive()
    events.recorder.begin(["snakemake"])
    assert alive()
    os.utime(events.recorder.path, (1000.0, 1000.0))
    assert not alive()
    os.utime(events.recorder.path)
    events.recorder.end("done")
    assert not alive()


def test_a_run_whose_process_is_gone_is_dead_at_once(events):
    events.recorder.begin(["snakemake"])
    path = events.recorder.path
    text = path.read_text(encoding="utf-8").replace(f'"pid": {os.getpid()}', '"pid": 999999999')
    path.write_text(text, encoding="utf-8")
    assert not journal.alive(journal.read(path), path)
    elsewhere = text.replace('"host": "', '"host": "not-')
    path.write_text(elsewhere, encoding="utf-8")
    assert journal.alive(
        journal.read(path), path
    )  # of another machine's processes nothing is known


class Shown(logging.Handler):
    """Whoever shows Snakemake's events to people."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


def test_jobs_that_the_key_has_ended_are_noted_and_not_shown(events):
    shown, recorder = Shown(), Recorder(events.recorder.path)
    events.logger = logging.Logger("snakemake")
    events.logger.addHandler(shown)
    recorder.attach(events.logger)
    recorder.begin(["snakemake"])
    events.start(1, "prune", "a.log")
    events.logger.info(STOPPED)
    events.send("error", exception="RuleException")
    events.send("job_error", jobid=1, indent=False, log=["a.log"])
    assert [getattr(r, "event", "") for r in shown.records] == ["job_info", ""]
    assert last(events).events["a.log"][0] == "failed" and recorder.running == 0


def test_logs_that_were_never_written_are_not_shown(events, tmp_path):
    shown, there = Shown(), tmp_path / "there.log"
    there.touch()
    events.logger.addHandler(shown)
    events.recorder.attach(events.logger)
    logs = [str(there), str(tmp_path / "never.log")]
    events.send("job_error", jobid=1, indent=False, log=logs)
    events.send("group_error", groupid="g", job_error_info=[{"log": logs}])
    events.send("job_info", jobid=1, rule_name="prune", log=logs)
    single, group, begun = shown.records
    assert single.log == group.job_error_info[0]["log"] == [str(there)] and begun.log == logs
