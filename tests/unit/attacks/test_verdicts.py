import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advprune.attacks import verdicts
from advprune.attacks.verdicts import (
    accuracy,
    pack,
    read_tables,
    robust_at,
    unpack,
    worst,
    write_table,
)
from advprune.base.errors import UserError
from advprune.evaluation.intervals import wilson


def hofmn(index, distance):
    n = len(index)
    columns = {"index": index, "official_index": index, "label": [3] * n}
    columns["clean_correct"] = [d > 0 for d in distance]
    return pd.DataFrame({**columns, "distance": distance})


def autoattack(index):
    n = len(index)
    columns = {"index": index, "official_index": index, "label": [1] * n}
    columns["clean_correct"] = [True] * n
    return pd.DataFrame({**columns, "robust": [False] * n, "broken_by": ["", "NA", "clean"][:n]})


def test_round_trip_is_exact(tmp_path):
    distance = [np.float32(0.1), 0.1, 1 / 3, 5e-324, 0.0, np.inf, 8 / 255]
    frame = hofmn(range(7), distance)
    write_table(tmp_path / "a.csv", frame)
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert text.splitlines()[:2] == [
        "index,official_index,label,clean_correct,distance",
        "0,0,3,True,0.10000000149011612",
    ]
    assert "5,5,3,True,inf\n" in text
    pd.testing.assert_frame_equal(read_tables([tmp_path / "a.csv"]), frame.astype(verdicts.HOFMN))


def test_float32_columns_keep_their_value(tmp_path):
    frame = hofmn([0], np.array([0.1], dtype=np.float32))
    write_table(tmp_path / "a.csv", frame)
    assert read_tables([tmp_path / "a.csv"])["distance"][0] == np.float32(0.1)


def test_random_distances_survive_to_the_last_bit(tmp_path):
    frame = hofmn(range(2000), np.random.default_rng(0).random(2000) ** 3)
    write_table(tmp_path / "a.csv", frame)
    assert (read_tables([tmp_path / "a.csv"])["distance"] == frame["distance"]).all()


def test_equal_frames_give_equal_bytes_and_text_stays_text(tmp_path):
    for name in ("a.csv", "b.csv"):
        write_table(tmp_path / name, autoattack([0, 1, 2]))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert list(read_tables([tmp_path / "a.csv"])["broken_by"]) == ["", "NA", "clean"]


def test_shards_are_joined_in_order(tmp_path):
    write_table(tmp_path / "b.csv", hofmn([3, 1], [0.3, 0.1]))
    write_table(tmp_path / "a.csv", hofmn([0, 2], [0.0, 0.2]))
    joined = read_tables([tmp_path / "b.csv", tmp_path / "a.csv"])
    assert list(joined["index"]) == [0, 1, 2, 3]
    assert list(joined["distance"]) == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([[0, 1], [1, 2]], "sample 1 appears twice"),
        ([[0, 1], [3]], r"sample 2 is missing \(1 in all\)"),
        ([[1, 2]], "sample 0 is missing"),
    ],
)
def test_duplicates_and_gaps_are_refused(tmp_path, shards, message):
    paths = [tmp_path / f"{k}.csv" for k in range(len(shards))]
    for path, index in zip(paths, shards, strict=True):
        write_table(path, hofmn(index, [0.1] * len(index)))
    with pytest.raises(UserError, match=message):
        read_tables(paths)


def test_wrong_files_are_named_in_one_line(tmp_path):
    write_table(tmp_path / "a.csv", hofmn([0], [0.1]))
    write_table(tmp_path / "b.csv", autoattack([1]))
    (tmp_path / "c.csv").write_text(
        "index,official_index,label,clean_correct,distance\n0,1,True,far\n", encoding="utf-8"
    )
    (tmp_path / "d.csv").write_text("", encoding="utf-8")
    for paths, message in [
        (["a.csv", "b.csv"], "b.csv: another kind"),
        (["c.csv"], "c.csv: damaged"),
        (["d.csv"], "d.csv: damaged"),
        (["none.csv"], "none.csv: no such file"),
        ([], "no tables"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            read_tables([tmp_path / path for path in paths])
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="not a table of verdicts"):
        write_table(tmp_path / "e.csv", pd.DataFrame({"index": [0]}))
    assert not (tmp_path / "e.csv").exists()


def test_accuracy():
    assert accuracy([True, False, True, True]) == 0.75
    with pytest.raises(UserError):
        accuracy([])


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_closed_form(successes, n):
    successes = min(successes, n)
    low, high = wilson(successes, n)
    z, p = 1.959963984540054, successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert low == pytest.approx(max(0, centre - half), abs=1e-9)
    assert high == pytest.approx(min(1, centre + half), abs=1e-9)
    assert low <= p <= high


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_robust_beyond_eps_only():
    eps = 8 / 255
    distance = [0, eps / 2, eps, float(np.float32(eps)) + 6e-8, eps + 1e-5, np.inf]
    assert robust_at(distance, eps).tolist() == [False, False, False, False, True, True]
    assert robust_at([0, 1e-9, np.inf], 0).tolist() == [False, True, True]


def test_worst_case_needs_both():
    robust = [True, True, False, False]
    distance = [0.1, 0.01, 0.1, 0.01]
    assert worst(robust, distance, 0.05).tolist() == [True, False, False, False]


def test_report_step_needs_no_torch():
    code = "import sys, advprune.attacks.verdicts; sys.exit('torch' in sys.modules)"
    scripts = Path(verdicts.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=scripts).returncode == 0


@pytest.mark.parametrize("samples", [0, 1, 8, 13, 100])
def test_packed_verdicts_come_back(samples):
    bits = np.random.default_rng(0).random(samples) < 0.5
    assert (unpack(pack(bits), samples) == bits).all()


@pytest.mark.parametrize(("text", "samples"), [("zz", 8), ("ff", 9), ("ffff", 8)])
def test_text_that_is_no_packed_verdicts_is_refused(text, samples):
    with pytest.raises(UserError, match="packed verdicts"):
        unpack(text, samples)
