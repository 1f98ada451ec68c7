"""Why a job failed, from logs as jobs and their surroundings leave them."""

import os

import pytest

from advprune.watch.failures import LONGEST, error, reason

AT = "2026-11-26 08:22:18,730"
START = f"{AT} INFO    finetune on cpu with 1 thread(s)\n"
BAR = "train:  80%|###1        | 351/440 [00:40<00:10,  8.79it/s]\n"
FAILED = f"{AT} ERROR   failed\n"
TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    f()\n'
ENDS = {
    "one line": (f"{AT} ERROR   bad.pt: is no checkpoint\n", "bad.pt: is no checkpoint"),
    "traceback": (f"{FAILED}{TRACE}ValueError: no luck\n", "ValueError: no luck"),
    "caret": (f"{FAILED}{TRACE}    ^^^^\nRuntimeError: a\n  b\n", "RuntimeError: a"),
    "two lines": (f"{FAILED}{TRACE}KeyError: 'a'\nand more\n", "KeyError: 'a'"),
    "chained": (
        f"{FAILED}{TRACE}KeyError: 1\n\nDuring …\n\n{TRACE}torch.OutOfMemoryError: 2 GiB\n",
        "torch.OutOfMemoryError: 2 GiB",
    ),
    "no message": (f"{FAILED}{TRACE}AssertionError\n", "AssertionError"),
    "cut in the traceback": (f"{FAILED}{TRACE}", "failed"),
    "no traceback": (FAILED, "failed"),
    "terminated": (
        f"{AT} WARNING terminated from outside; finished …\n",
        "terminated from outside",
    ),
    "pipe and markup": (f"{AT} ERROR   a | b <i> $x$ [red]\n", "a | b <i> $x$ [red]"),
    "control letters": (f"{AT} ERROR   a\x1b[31mb\x00\tc\n", "a [31mb c"),
    "not UTF-8": (f"{AT} ERROR   caf\udce9.pt\n", "caf�.pt"),
    "an earlier error": (f"{AT} ERROR   first\n{START}{AT} ERROR   second\n", "second"),
}


def written(folder, text):
    log = folder / "seed0.log"
    log.write_bytes((START + text).encode("utf-8", errors="surrogateescape"))
    return log


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_error_is_the_last_that_the_log_names(end, tmp_path):
    text, expected = end
    log = written(tmp_path, BAR + text)
    assert error(log).startswith(expected) and reason(log) == error(log)
    assert "\n" not in error(log)


@pytest.mark.parametrize("text", [BAR, BAR + "\n\n", f"{AT} INFO    {BAR}"])
def test_a_killed_job_says_nothing_and_its_last_line_must_do(text, tmp_path):
    log = written(tmp_path, text)
    assert error(log) == ""
    found = reason(log)
    assert found.startswith("killed or out of memory, last line: train: 80%|###1")
    assert found.endswith("8.79it/s]")


def test_a_warning_is_no_error(tmp_path):
    assert error(written(tmp_path, f"{AT} WARNING the loss is not finite in epoch 3\n")) == ""


def test_a_log_that_is_empty_or_missing_is_said(tmp_path):
    log = tmp_path / "seed0.log"
    assert error(log) == "" and reason(log) == "ended before it wrote to its log"
    log.touch()
    assert reason(log) == "killed or out of memory, last line: none"


def test_the_log_of_another_attempt_is_not_quoted(tmp_path):
    log = written(tmp_path, f"{AT} ERROR   of yesterday\n")
    os.utime(log, (1000.0, 1000.0))
    assert reason(log, since=2000.0) == "ended before it wrote to its log"
    assert reason(log, since=1000.0) == "of yesterday"


def test_a_reason_is_short_and_only_the_end_of_a_log_is_read(tmp_path):
    log = written(tmp_path, f"{AT} ERROR   early\n" + BAR * 3000 + f"{AT} ERROR   {'x' * 5000}\n")
    assert len(reason(log)) == LONGEST and reason(log).endswith("…")
