"""The survey's table: layout, best, and what the paired tests cannot tell from it."""

import numpy as np

from advprune.attacks.verdicts import pack
from advprune.report.figures import survey
from advprune.report.records import IDENTITY
from helpers.report_samples import METHODS, dense, evaluation, method_entry

IMAGES = 200


def made(tmp_path, robust, sparsity=0.9):
    """The table of methods of which so many of 200 images are robust."""
    rows, verdicts = [dense()], {}
    for method, count in robust.items():
        row = evaluation(method, sparsity=sparsity, autoattack_accuracy=count / IMAGES)
        rows.append(row)
        bits = {"autoattack": np.arange(IMAGES) < count, "clean": np.arange(IMAGES) < 180}
        identity = tuple(row["model"][key] for key in IDENTITY)
        verdicts[identity] = {kind: pack(found) for kind, found in bits.items()}
    known = METHODS | {"lwm": method_entry("lwm", stage="baseline")}
    survey.write(tmp_path / "s.tex", rows, known, verdicts)
    lines = (tmp_path / "s.tex").read_text(encoding="utf-8").splitlines()
    return {line.split(" & ")[0]: line for line in lines if " & " in line}, lines


def test_best_is_bold_level_is_underlined_and_worse_is_plain(tmp_path):
    lines, _ = made(tmp_path, {"hydra": 150, "awt": 148, "lwm": 60})
    assert lines["HYDRA"].endswith(r"/ \textbf{75.0} \\")
    assert lines["AWT"].endswith(r"/ \underline{74.0} \\")
    assert lines["LWM"].endswith(r"/ 30.0 \\")
    # on clean images all are equal, and so all are the best
    assert all(r"\textbf{90.0} /" in lines[name] for name in ("HYDRA", "AWT", "LWM"))


def test_methods_are_grouped_by_stage_and_dense_spans_the_sparsities(tmp_path):
    _, text = made(tmp_path, {"hydra": 150, "lwm": 60})
    words = ("DENSE", "Pruning after training", "HYDRA", "Baselines", "LWM")
    places = [next(i for i, line in enumerate(text) if word in line) for word in words]
    assert places == sorted(places)
    assert any(r"\multicolumn{1}{c}{90.0 / 52.0}" in line for line in text)
    assert any(r"90\,\%" in line for line in text)


def test_without_verdicts_only_the_best_is_marked(tmp_path):
    rows = [evaluation("hydra", worst=0.4), evaluation("awt", worst=0.39)]
    survey.write(tmp_path / "s.tex", rows, METHODS, {})
    text = (tmp_path / "s.tex").read_text(encoding="utf-8")
    assert r"\textbf{42.0}" in text and r"\underline" not in text and "underlined" not in text
