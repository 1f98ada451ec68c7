"""The report's records and tables, and the scripts that write everything."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from advprune.base.errors import UserError
from advprune.base.record import to_json
from advprune.plan.specs import PageSpec
from advprune.report import costs, records, tables
from helpers.report_samples import (
    SEVERAL,
    cost,
    dense,
    evaluation,
    failed,
    method_entry,
    saved,
    trained,
)

SCRIPTS = Path(tables.__file__).parents[2]
FIRST_COLUMNS = """
    method dataset arch structure sparsity seed params nonzero sparsity_achieved macs
    clean_accuracy autoattack_accuracy autoattack_low autoattack_high hofmn_accuracy
    worst_accuracy status reason
""".split()  # noqa: SIM905


# reading


def test_load_returns_what_was_written(tmp_path):
    assert records.load(saved(tmp_path, SEVERAL)) == SEVERAL


def test_load_joins_lists_of_evaluations(tmp_path):
    paths = saved(tmp_path, [SEVERAL[:2], SEVERAL[2], SEVERAL[3:]])
    assert records.load(paths) == SEVERAL


def test_nothing_to_report_is_a_user_error():
    for call in (records.load, tables.leaderboard):
        with pytest.raises(UserError, match="no evaluations"):
            call([])


@pytest.mark.parametrize("damage", ["lacks", "unknown structure", "earlier", "already given"])
def test_unfit_evaluations_are_named(tmp_path, damage):
    good, bad = evaluation(), evaluation(seed=1)
    if damage == "lacks":
        del bad["model"]["seed"]
    elif damage == "unknown structure":
        bad["model"]["structure"] = "blocks"
    elif damage == "earlier":
        bad["doubts"] = {"marks": ["disagreement"]}
    else:
        bad = copy.deepcopy(good)
    with pytest.raises(UserError, match=rf"1\.json.*{damage}"):
        records.load(saved(tmp_path, [good, bad]))


def test_a_damaged_yaml_of_a_method_is_named(tmp_path):
    path = tmp_path / "hydra.yaml"
    path.write_text("name: no key\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"hydra\.yaml"):
        records.load_methods([path])


# leaderboard


def test_columns_and_their_order():
    assert list(tables.leaderboard(SEVERAL).columns)[: len(FIRST_COLUMNS)] == FIRST_COLUMNS


def test_rows_are_sorted_and_the_order_of_input_does_not_matter():
    frame = tables.leaderboard(SEVERAL)
    order = list(zip(frame.method, frame.structure, frame.seed, strict=True))
    assert order == [
        ("dense", "none", 0),
        ("hydra", "unstructured", 0),
        ("awt", "unstructured", 0),
        ("hydra", "unstructured", 1),
        ("radmm", "unstructured", 0),  # no number: last of its group
        ("hydra", "filters", 0),
    ]
    assert frame.equals(tables.leaderboard(SEVERAL[::-1]))


def test_sort_keys_in_turn():
    order = [
        evaluation(structure="none", sparsity=0.0, worst=0.1),
        evaluation(sparsity=0.9, worst=0.1),
        evaluation("awt", sparsity=0.99, worst=0.2),
        evaluation("hydra", sparsity=0.99, seed=0, worst=0.2),
        evaluation("hydra", sparsity=0.99, seed=1, worst=0.2),
        evaluation("hydra", sparsity=0.99, seed=2, worst=0.1),
        evaluation(structure="filters", sparsity=0.5),
        evaluation(structure="channels", sparsity=0.5),
    ]
    frame = tables.leaderboard(order[::-1])
    assert frame.equals(tables.leaderboard(order))
    for row, expected in zip(frame.to_dict("records"), order, strict=True):
        assert {k: row[k] for k in records.IDENTITY} == expected["model"]


def test_csv_has_the_same_bytes_and_exact_numbers(tmp_path):
    exact = [*SEVERAL, evaluation("exact", autoattack_accuracy=0.1 + 0.2)]
    for name, rows in (("a.csv", exact), ("b.csv", exact[::-1])):
        tables.write_csv(tables.leaderboard(rows), tmp_path / name)
    content = (tmp_path / "a.csv").read_bytes()
    assert content == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in content
    assert b",0.30000000000000004," in content
    assert b",176258,18233,0.9,1234567," in content  # counts stay whole numbers
    assert b"radmm,digits,resnet18,unstructured,0.9,0,176258,18233,0.9,1234567,,,," in content


def test_groups_hold_what_may_be_compared():
    grouped = records.groups(records.records(SEVERAL))
    assert list(grouped) == [
        ("digits", "resnet18", "unstructured", 0.9),
        ("digits", "resnet18", "filters", 0.5),
    ]
    members = [[(r["method"], r["seed"]) for r in rows] for rows in grouped.values()]
    assert members[0] == [("dense", 0), ("awt", 0), ("hydra", 0), ("hydra", 1), ("radmm", 0)]
    assert members[1] == [("dense", 0), ("hydra", 0)]


def test_flagged_seeds_drop_out_unless_there_is_no_other():
    rows = records.records([evaluation(), evaluation(seed=1, status="bad"), failed()])
    kept = records.across_seeds(rows)
    assert [r["seed"] for r in kept["hydra"]] == [0]
    assert [r["status"] for r in kept["radmm"]] == ["collapsed"]


# LaTeX


def latex(tmp_path, evaluations, names=None):
    tables.write_latex(tables.leaderboard(evaluations), tmp_path / "t.tex", names)
    return (tmp_path / "t.tex").read_text(encoding="utf-8")


def test_latex_gives_mean_and_deviation_over_seeds(tmp_path):
    text = latex(tmp_path, SEVERAL, {"hydra": "HYDRA_2"})
    # worst case 35 and 25: mean 30, sample standard deviation 10/sqrt(2)
    assert r"HYDRA\_2 & 2 & 90.0 {\scriptsize $\pm$ 0.0}" in text
    assert r"30.0 {\scriptsize $\pm$ 7.1} & -- / -- & -- \\" in text
    assert r"31.0 {\scriptsize [26.0, 38.0]} & -- / -- & -- \\" in text


def test_how_models_were_trained_is_shown_everywhere(tmp_path):
    """Two seeds of 60 and 61 epochs; nothing is known of the third model."""
    rows = [
        evaluation(seed=0, training=trained()),
        evaluation(seed=1, training=trained(epochs=61, pgd20_last=0.3, marks=["it fell", "again"])),
        evaluation("awt"),
    ]
    frame = tables.leaderboard(rows)
    hydra = frame[frame.method == "hydra"].set_index("seed")
    assert list(frame.columns[-len(tables.TRAINING) :]) == tables.TRAINING
    assert list(hydra.epochs) == [60, 61] and list(hydra.best_epoch) == [12, 12]
    assert list(hydra.pgd20_best) == [0.5, 0.5] and list(hydra.pgd20_last) == [0.4, 0.3]
    assert list(hydra.clean_last) == [0.8, 0.8] and list(hydra.marks) == ["", "it fell; again"]
    other = frame[frame.method == "awt"].iloc[0]
    assert other[tables.TRAINING[:-1]].isna().all() and other.marks == "" and other.status == "ok"
    tables.write_csv(frame, tmp_path / "t.csv")
    assert ",61,12,20,0.5,0.3,0.8,it fell; again\n" in (tmp_path / "t.csv").read_text(
        encoding="utf-8"
    )
    text = latex(tmp_path, rows)
    assert r"& 50.0 / 35.0 & 60.5 \\" in text and r"& -- / -- & -- \\" in text
    assert re.search(r"\? hydra, .*seed 1: it fell; again", printed(rows, width=200))


def test_latex_marks_seeds_that_differ_by_more_than_ten_points(tmp_path):
    close = [evaluation("awt", seed=s, worst=w) for s, w in enumerate((0.5, 0.4))]
    wide = [evaluation("mad", seed=s, worst=w) for s, w in enumerate((0.5, 0.39))]
    text = latex(tmp_path, [*close, *wide])
    assert r"mad $\updownarrow$ & 2 &" in text and "awt & 2 &" in text


def test_latex_is_well_formed_and_explains_flags(tmp_path):
    text = latex(tmp_path, SEVERAL)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
    assert r"radmm$^\dagger$ & 1 & -- & -- & -- & -- & -- / -- & -- \\" in text
    assert r"radmm, seed 0, collapsed: loss is $<$NaN$>$ \& gone" in text


# terminal


def printed(evaluations, width=110):
    console = Console(width=width, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    console.print(tables.console(tables.leaderboard(evaluations)))
    return console.export_text()


def test_console_shows_percentages_intervals_and_reasons():
    text = printed(SEVERAL)
    assert re.search(r"awt +90\.0 +0 +90\.0 \(85–97\) +33\.0 \(28–40\)", text)
    assert re.search(r"^ *! radmm .*–", text, re.MULTILINE)
    assert "collapsed: loss is <NaN> & gone" in text
    assert re.search(r"^ *\? awt, .*gradients vanish; Square <wins>", text, re.MULTILINE)
    assert "digits: Linf eps 1/5, 200 test images" in text
    assert text.count("? possibly unreliable") == 1
    assert "possibly unreliable" not in printed([evaluation()])


def test_console_takes_reasons_as_text_not_as_markup():
    assert "[bold]x[/]" in printed([evaluation(status="bad", reason="[bold]x[/]")])


@pytest.mark.parametrize("only", [evaluation, dense, failed])
def test_one_model_is_enough(tmp_path, only):
    method = only()["model"]["method"]
    assert method in printed([only()])
    assert method in latex(tmp_path, [only()])


# scripts


def run_script(name, *arguments):
    command = [sys.executable, SCRIPTS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_scripts_write_everything_without_torch(tmp_path):
    paths = saved(tmp_path, SEVERAL)
    method = tmp_path / "hydra.yaml"
    method.write_text(json.dumps(method_entry("hydra")), encoding="utf-8")
    out = tmp_path / "out"
    inputs = ("--evaluations", *paths, "--methods", method)
    drawn = run_script(
        "curves.py", *inputs, "--pdf", out / "curves.pdf", "--png", out / "curves.png",
        "--groups", out / "groups",
    )  # fmt: skip
    assert drawn.returncode == 0, drawn.stderr
    spec = ("--spec", to_json(PageSpec("demo")))
    shown = run_script(
        "leaderboard.py", *inputs, *spec, "--csv", out / "l.csv",
        "--html", out / "l.html", "--tex", out / "l.tex",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    names = {str(p.relative_to(out)) for p in out.rglob("*.*")}
    assert names >= {"curves.pdf", "curves.png", "l.csv", "l.html", "l.tex"}
    tables.write_csv(costs.table([cost()]), out / "costs.csv")
    again = run_script(
        "leaderboard.py", *inputs, *spec, "--costs", out / "costs.csv", "--csv", out / "m.csv",
        "--html", out / "m.html",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert (out / "m.csv").read_bytes() == (out / "l.csv").read_bytes()  # times are not in it
    html = (out / "m.html").read_text(encoding="utf-8")
    shown = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])["models"]
    assert any(12.5 in shown.get(name, ()) for name in costs.TIMES)
    check = "import sys; sys.path.insert(0, sys.argv[1]); import leaderboard, curves; "
    code = check + "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, SCRIPTS]).returncode == 0
