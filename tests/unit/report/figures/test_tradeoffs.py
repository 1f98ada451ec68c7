"""Trade-offs: the Pareto front by its definition, means, and names that cover nothing."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from advprune.report import records
from advprune.report.figures import canvas, placing, scatter, tradeoffs
from helpers.report_samples import dense, evaluation, failed


def test_the_front_is_what_no_other_point_beats():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cost, gain = rng.integers(0, 6, (2, 12)).tolist()
        points = set(zip(cost, gain, strict=True))
        best = {
            (c, g)
            for c, g in points
            if not any((a <= c and b >= g and (a, b) != (c, g)) for a, b in points)
        }
        front = scatter.pareto(cost, gain)
        assert {(cost[i], gain[i]) for i in front} == best
        assert [cost[i] for i in front] == sorted(cost[i] for i in front)


def test_costs_that_say_nothing_make_no_front():
    cost, gain = [1.00, 1.04, 2.0, 1.96], [10, 30, 40, 20]
    assert scatter.pareto(cost, gain) == [0, 1, 2]
    assert scatter.pareto(cost, gain, equal=0.05) == [1, 2]


def test_collapsed_nets_are_named_under_the_axes_and_not_in_the_legend():
    rows = records.records([evaluation(m, worst=w) for m, w in (("a", 0.4), ("b", 0.3))])
    rows += records.records([evaluation(f"c{i}", worst=0.05) for i in range(5)])
    figure = tradeoffs.clean_figure(rows, {})
    assert figure.axes[0].get_xlabel().endswith("below: c0 5, c1 5, c2 5 and 2 more")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert figure.axes[0].get_ylim()[0] > 5


def test_means_are_over_seeds_without_a_flag():
    rows = [evaluation(worst=0.2), evaluation(seed=1, worst=0.4), failed(), dense()]
    rows.append(evaluation(seed=2, worst=0.9, status="flagged"))
    table = tradeoffs.means(records.records(rows)).set_index("method")
    own = table.loc["hydra"]
    assert (own["worst"], own["lowest"], own["highest"]) == pytest.approx((30, 20, 40))
    assert set(table.index) == {"hydra", "dense"} and table.loc["dense", "dense"]


def test_one_sparsity_makes_no_figure_and_two_make_a_line_per_method():
    rows = [evaluation(m, worst=0.3) for m in ("a", "b")]
    assert tradeoffs.sparsity_figure(records.records(rows), {}) is None
    rows += [evaluation(m, worst=0.2, sparsity=0.99) for m in ("a", "b")]
    figure = tradeoffs.sparsity_figure(records.records([*rows, dense()]), {})
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert sum(list(np.round(line.get_xdata(), 6)) == [0.1, 0.01] for line in lines) == 2
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["90", "99"]


def test_a_cost_with_too_few_values_is_no_panel():
    rows = records.records([evaluation(m, worst=0.3) for m in "abc"])
    assert tradeoffs.cost_figure(("digits", "resnet18"), rows, {}) is None
    for i, row in enumerate(rows):
        row["epochs"] = 10 * (i + 1)
    figure = tradeoffs.cost_figure(("digits", "resnet18"), rows, {})
    assert [axes.get_xlabel() for axes in figure.axes] == ["Epochs of training"]


@pytest.mark.parametrize("font", [7, 10])
def test_ticks_at_column_width_do_not_overlap(font):
    rows = records.records([evaluation(m, worst=0.3 + i / 50) for i, m in enumerate("abc")])
    for i, row in enumerate(rows):
        row |= {"epochs": 10 * (i + 1), "nonzero": 18_700 * 3**i, "compact_macs": 400_000 + i}
        row |= {"clean_accuracy": 0.975 + i / 130, "one_compact_ms": 0.231 + i / 40}
    options = canvas.Options(width=3.5, font=font)
    costs = tradeoffs.cost_figure(("digits", "resnet18"), rows, {}, options)
    for figure in (costs, tradeoffs.clean_figure(rows, {}, options)):
        renderer = figure.canvas.get_renderer()
        for axes in (a for a in figure.axes if a.axison):
            low, high = sorted(axes.get_xlim())
            ticks = [t for t in axes.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
            boxes = [tick.label1.get_window_extent(renderer) for tick in ticks]
            assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
            label = axes.xaxis.label.get_window_extent(renderer)
            assert label.x0 >= 0 and label.x1 <= figure.bbox.x1


def test_names_cover_neither_names_nor_marks():
    figure = Figure(figsize=(3, 3), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(1)
    points = [(x, y, f"name {i}") for i, (x, y) in enumerate(rng.random((30, 2)))]
    axes.plot([p[0] for p in points], [p[1] for p in points], "o")
    with pytest.raises(ValueError, match="not settled"):
        placing.place(axes, points, [], 6)
    canvas.settle(figure)
    placed = placing.place(axes, points[:20], points[20:], 6)
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert placed == len(boxes) > 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    centres = [axes.transData.transform(point[:2]) for point in points]
    assert not any(box.contains(*centre) for box in boxes for centre in centres)
