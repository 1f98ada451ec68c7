"""The ranking: by the worst case, with intervals, seeds, doubts and both attacks."""

from itertools import pairwise

import pytest

from advprune.report import records
from advprune.report.figures import canvas, ranking
from helpers.report_samples import METHODS, SEVERAL, dense, evaluation, failed


def test_an_entry_has_means_of_seeds_and_the_ends_of_their_intervals():
    rows = records.records([evaluation(worst=0.3), evaluation(seed=1, worst=0.4)])
    (entry,) = ranking.entries(rows)
    assert (entry.worst, entry.low, entry.high) == pytest.approx((35, 25, 47))
    assert entry.seeds == pytest.approx([30, 40])
    assert entry.attacks == pytest.approx({"autoattack": 37, "hofmn": 36, "clean": 90})


def test_flagged_seeds_and_failed_models_do_not_count():
    flagged = evaluation(seed=1, worst=0.9, status="flagged")
    rows = records.records([evaluation(worst=0.3), flagged, failed()])
    assert [(e.method, e.worst) for e in ranking.entries(rows)] == [("hydra", 30)]


def test_every_method_stands_in_the_figure_with_its_marks():
    rows = [evaluation(f"m{i:02}", worst=0.2 + i / 100) for i in range(28)]
    rows[3]["reliability"] = {"marks": ["disagreement"]}
    rows += [evaluation("m05", worst=0.5, seed=1), dense()]
    ((group, members),) = records.groups(records.records(rows)).items()
    figure = ranking.figure(group, members, {})
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(names) == 29 and names[0] == "dense"
    assert "m03 ?" in names and "m05 ↕" in names
    assert figure.get_figwidth() == canvas.WIDTHS["column"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["worst case, 95 %", "one seed", "AutoAttack", "HO-FMN", "clean"]
    points = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    drawn = {(line.get_marker(), round(float(line.get_xdata()[0]), 6)) for line in points}
    assert {("x", 21.0), ("|", 22.0), ("o", 90.0)} <= drawn


def test_lines_of_type_do_not_overlap():
    """At column width and the smallest useful type, with 28 methods."""
    rows = records.records([evaluation(f"m{i:02}", worst=i / 40) for i in range(28)])
    ((group, members),) = records.groups(rows).items()
    figure = ranking.figure(group, members, {}, canvas.Options(font=8))
    canvas.settle(figure)
    renderer = figure.canvas.get_renderer()
    boxes = [tick.get_window_extent(renderer) for tick in figure.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    size = figure.axes[0].get_yticklabels()[0].get_fontsize()
    assert size == 8


def test_only_what_was_asked_for_is_drawn_with_dense_nets_and_references():
    rows = records.records([*SEVERAL, evaluation("lwm")])
    group, members = next(iter(records.groups(rows).items()))
    figure = ranking.figure(group, members, METHODS, canvas.Options(methods=("awt",)))
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == ["DENSE", "AWT", "lwm"]
