"""One bad row never costs the table: a grid of twelve of which three fail in three steps."""

import concurrent.futures
import json

import pandas as pd
import pytest
import yaml

from advprune.watch.partial import refresh
from advprune.watch.place import open_run
from advprune.watch.state import RUNNING, State
from advprune.watch.tasks import chains
from helpers import rows, warm
from helpers.checkout import tiny_config

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rows")]


@pytest.fixture(scope="module")
def watched(finished, tmp_path_factory):
    """The grid after a run with two attempts for each job, and what status said meanwhile.

    Six of its rows were there before.
    """
    made = rows.checkout(tmp_path_factory.mktemp("rows") / "repo", begun=finished)
    arguments = ("--cores", "2", "--retries", "1")
    options = {"check": False, "environment": warm.environment() | rows.killing(made)}
    said = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(made.snakemake, *arguments, **options)
        while not concurrent.futures.wait([run], timeout=1).done:
            if (made.folder / "results/tiny/configuration.yaml").exists():
                said.append(look(made))
    return made, run.result(), said


def look(made):
    """The state of a run, between two counts of the evaluations that are on disk."""
    before = len(list(made.folder.glob("results/tiny/*/*/*/*/seed0/evaluation.card.json")))
    state = State(open_run(made.folder / "results/tiny"))
    folder = refresh(state) if 7 <= before <= 8 else None
    table = pd.read_csv(folder / "leaderboard.csv") if folder else None
    after = len(list(made.folder.glob("results/tiny/*/*/*/*/seed0/evaluation.card.json")))
    return before, state, after, table


@pytest.fixture(scope="module")
def failed(watched):
    made, done, _ = watched
    return made, done


def test_status_agrees_with_what_is_on_disk_while_the_run_holds_its_lock(watched):
    _, _, said = watched
    alive = [look for look in said if look[1].alive]
    assert len(alive) > 2
    for before, state, after, table in alive:
        assert len(state.rows) == 12
        assert before <= sum(row.evaluated for row in state.rows) <= after
        assert sum(found == RUNNING for found in state.tasks.values()) <= 2
        if table is not None:
            assert len(table[table["status"] != "failed"]) in range(before, after + 1)
    assert max(before for before, *_ in alive) > min(after for *_, after, _ in alive)
    assert any(table is not None for *_, table in alive)


def test_nine_rows_three_failures_figures_and_page_and_a_status_that_is_not_zero(failed):
    made, done = failed
    assert done.returncode != 0
    rows.check_failed(made)
    assert "9 of 12 models done, 3 failed" in done.stderr
    assert done.stderr.count("failed: ") == 3 and "go on with: snakemake" in done.stderr


def test_a_job_that_is_killed_is_tried_again(failed):
    made, _ = failed
    tried = [log for log in rows.started(made) if rows.KILLED in log and "/hofmn/" in log]
    assert sorted(log[-5:] for log in tried) == ["0.log", "0.log", "1.log"]  # by shard


def test_rows_are_finished_one_after_the_other(failed):
    """Breadth first, all six that are left would be under way at once.

    Two cores have two or three, and the nets from elsewhere while others wait for pretraining.
    """
    made, _ = failed
    chain = {log for log in rows.started(made) if log.count("/") == 7 and "/pretrain/" not in log}
    model = {log: "/".join(log.split("/")[5:7]) for log in chain}
    assert len(set(model.values())) == 6
    lines = (made.folder / "logs/tiny/run.jsonl").read_text(encoding="utf-8").splitlines()
    open_, most = set(), 0
    for line in map(json.loads, lines):
        if (log := line.get("log")) in model:
            if line["what"] == "start":
                open_.add(model[log])
            elif line["what"] == "failed" or "/evaluate/" in log:
                open_.discard(model[log])
            most = max(most, len(open_))
    assert 2 <= most <= 4


def test_after_mending_exactly_the_failed_chains_run(failed, tmp_path):
    made, _ = failed
    made = made.copy(tmp_path / "repo")
    results = made.folder / "results/tiny"
    partial = pd.read_csv(results / "partial/leaderboard.csv")
    rows.mend(made)
    made.snakemake("--cores", "2")
    rows.check_mended(made)
    whole = pd.read_csv(results / "leaderboard.csv")
    fine = partial[partial["status"] != "failed"]
    kept = fine[["method", "structure"]].merge(whole)[fine.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, fine.reset_index(drop=True), check_dtype=False)


REPORT = {"gather", "table", "compare", "curves", "thin_ice", "origins", "leaderboard", "all"}
REPORT |= {"best_known", "agreement", "survey", "tidy", "overlap", "figures"}


def known(made, config):
    """Every job that status knows."""
    (made.folder / "results/tiny").mkdir(parents=True, exist_ok=True)
    run = open_run(made.folder / "results/tiny", yaml.safe_load(yaml.safe_dump(config)))
    return [task for chain in chains(run).values() for task in chain]


def test_the_jobs_that_status_knows_are_the_workflows(tmp_path):
    """Same rules and files, but for cards that are written together with a file that it knows."""
    config = tiny_config()
    config["evaluation"] |= {
        "other_attacks": {"images": 4, "steps": 2},
        "corruptions": {"images": 4},
    }
    config["external"] = rows.twelve()["external"]
    made = rows.checkout(tmp_path / "repo", config)
    theirs = {job for job in made.planned() if job[0] not in REPORT}
    tasks = known(made, config)
    ours = {(task.script, output) for task in tasks for output in task.files}
    assert ours <= theirs
    assert {name.removesuffix(".card.json") for _, name in theirs - ours} <= {
        output.rpartition(".")[0] for _, output in ours
    }


def test_their_logs_are_where_status_looks(failed):
    made, _ = failed
    logs = {task.log for task in known(made, rows.twelve())}
    others = {log.split("/")[2] for log in set(rows.started(made)) - logs}
    assert others <= REPORT and set(rows.started(made)) & logs
