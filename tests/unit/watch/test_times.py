"""Benchmark files and what follows from them."""

import pytest

from advprune.watch.times import duration, left, read, seconds

HEAD = "s\th:m:s\tmax_rss"


def benchmark(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return path


def test_seconds_are_the_mean_of_the_repeats(tmp_path):
    assert seconds(benchmark(tmp_path / "a.tsv", "2.5\t0:00:02\t1")) == 2.5
    assert seconds(benchmark(tmp_path / "b.tsv", "2\t0\t1", "4\t0\t1")) == 3


@pytest.mark.parametrize("rows", [(), ("x\t0\t1",), ("nan\t0\t1",), ("-1\t0\t1",), ("",)])
def test_a_file_that_says_nothing_is_left_out(rows, tmp_path):
    assert seconds(benchmark(tmp_path / "a.tsv", *rows)) is None
    assert seconds(tmp_path / "missing.tsv") is None


def test_they_are_found_by_step(tmp_path):
    benchmark(tmp_path / "prune/digits/resnet18/lwm/none-0/seed0.tsv", "2\t0\t1")
    benchmark(tmp_path / "prune/digits/resnet18/lwm/none-0/seed1.tsv", "4\t0\t1")
    benchmark(tmp_path / "dataset/digits-train.tsv", "1\t0\t1")
    assert read(tmp_path) == {"dataset": [1.0], "prune": [2.0, 4.0]}


def test_what_is_left_is_jobs_times_their_mean_over_those_at_a_time():
    measured = {"prune": [10.0, 20.0], "finetune": [60.0]}
    jobs = {"prune": 4, "finetune": 2, "gather": 3, "audit": 0}
    assert left(jobs, measured, 1) == "about 3 min left"
    assert left(jobs, measured, 2) == "about 90 s left at 2 jobs at a time"
    assert left(jobs | {"audit": 1}, measured, 0) == "more than 3 min left, not measured yet: audit"
    assert left({"audit": 1}, measured, 1) == "no estimate yet"
    assert left({"gather": 3}, measured, 1) == "nothing left but the tables"


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (0.2, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (11100, "3 h 05 min"),
        (172800, "2 d 0 h"),
        (200000, "2 d 8 h"),
    ],
)
def test_a_duration_reads_like_one(span, words):
    assert duration(span) == words
