"""Security evaluation curves: bands, order, styles, and equal bytes for equal input."""

import numpy as np
import pytest

from advprune.base.errors import UserError
from advprune.report import records
from advprune.report.figures import canvas, curves, style
from helpers.report_samples import EPS, METHODS, SEVERAL, dense, evaluation, failed, method_entry


def test_line_of_one_seed_is_its_curve_in_percent():
    (line,) = curves.lines(records.records([evaluation(worst=0.3)]))
    np.testing.assert_allclose(line.mean, [90, 60, 30, 0])
    np.testing.assert_allclose(line.low, [85, 55, 25, 0])
    np.testing.assert_allclose(line.high, [93, 65, 37, 2])
    assert line.value(line.mean) == pytest.approx(30)


def test_band_of_several_seeds_covers_all_their_intervals():
    rows = records.records([evaluation(worst=0.3), evaluation(seed=1, worst=0.4)])
    (line,) = curves.lines(rows)
    assert line.mean[2] == pytest.approx(35)
    assert (line.low[2], line.high[2]) == (pytest.approx(25), pytest.approx(47))


def test_curves_are_ranked_by_the_worst_case_and_not_by_the_attack_that_draws_them():
    optimistic = evaluation("awt", worst=0.2)
    optimistic["curve"] |= {"accuracy": [0.9, 0.8, 0.7, 0.5]}
    found = curves.lines(records.records([optimistic, evaluation(worst=0.3)]))
    assert [(line.method, line.worst) for line in found] == [("hydra", 30), ("awt", 20)]


def test_eight_methods_and_the_references_are_highlighted_and_the_rest_is_grey():
    rows = [evaluation(f"m{i:02}", worst=i / 100) for i in range(12)]
    rows += [dense(), evaluation("lwm"), evaluation("lwm-trades")]
    rows[-1]["model"] |= {"variant_of": "lwm"}
    ((group, members),) = records.groups(records.records(rows)).items()
    best = {f"m{i:02}" for i in range(4, 12)}
    assert curves.highlighted(curves.lines(members)) == best | {"dense", "lwm"}
    chosen = canvas.Options(methods=("m00", "lwm-trades"))
    asked = curves.highlighted(curves.lines(members), chosen)
    assert asked == {"m00", "lwm-trades", "dense", "lwm"}
    axes = curves.group_figure(group, members, {}).axes[0]
    drawn = [x for x in axes.lines if len(x.get_xdata()) == len(EPS)]
    assert [x.get_color() for x in drawn].count(style.REST) == 5


def test_a_doubted_curve_is_dotted_beyond_the_radius():
    doubtful = evaluation(reliability={"marks": ["disagreement"]})
    ((group, members),) = records.groups(records.records([doubtful, evaluation("awt")])).items()
    figure = curves.group_figure(group, members, {})
    drawn = [x for x in figure.axes[0].lines if 1 < len(x.get_xdata()) < len(EPS)]
    parts = [x for x in drawn if x.get_xdata()[-1] != x.get_xdata()[0]]
    assert [(x.get_xdata()[0], x.get_xdata()[-1]) for x in parts] == [(0, 0.2), (0.2, 0.3)]
    ticks = [t.get_text() for t in figure.axes[1].get_yticklabels()]
    assert ticks == ["awt", "hydra ?"]


@pytest.mark.parametrize(("methods", "bands"), [(8, 8), (9, 0)])
def test_bands_are_drawn_while_they_can_be_told_apart(methods, bands):
    keys = [f"m{i}" for i in range(methods)]
    rows = records.records([evaluation(key) for key in keys])
    axes = curves.group_figure(*next(iter(records.groups(rows).items())), {}).axes[0]
    assert len(axes.collections) == bands


def test_lines_are_ordered_by_accuracy_at_eps_and_failures_have_none():
    group = next(iter(records.groups(records.records(SEVERAL)).values()))
    assert [line.method for line in curves.lines(group)] == ["dense", "awt", "hydra"]


def test_seeds_on_different_grids_are_refused():
    other = evaluation(seed=1)
    other["curve"] = other["curve"] | {"eps": [0.0, 0.1, 0.2, 0.4]}
    with pytest.raises(UserError, match="hydra"):
        curves.lines(records.records([evaluation(), other]))


def test_a_variant_has_its_own_name_and_the_rest_of_its_method():
    variant = evaluation("lwm-trades")
    variant["model"] |= {"variant_of": "lwm", "name": "LWM (TRADES)"}
    known = records.known(METHODS | {"lwm": method_entry("lwm")}, [evaluation(), variant])
    assert known["lwm-trades"] == method_entry("lwm") | {
        "key": "lwm-trades",
        "name": "LWM (TRADES)",
    }
    figure = curves.overview(records.records([evaluation(), variant]), known)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["HYDRA", "LWM (TRADES)"]


def test_a_mean_of_seeds_far_apart_is_marked():
    rows = [evaluation(seed=s, worst=w) for s, w in enumerate((0.2, 0.4))]
    figure = curves.overview(records.records([*rows, evaluation("awt")]), METHODS)
    assert "HYDRA ↕" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_colours_are_the_same_in_all_figures():
    grouped = records.groups(records.records(SEVERAL))
    colours = {}
    for group, members in grouped.items():
        axes = curves.group_figure(group, members, METHODS).axes[0]
        drawn = [x for x in axes.lines if len(x.get_xdata()) == len(EPS)][::-1]
        for line, artist in zip(curves.lines(members), drawn, strict=True):
            colours.setdefault(line.method, set()).add(artist.get_color())
            assert (artist.get_linestyle() == "--") == (line.method == "dense")
    expected = {k: {s.colour} for k, s in style.styles(METHODS, ["dense"]).items() if k != "radmm"}
    assert colours == expected


def test_figures_mark_the_eps_and_scale_pixel_steps():
    pixel = evaluation()
    pixel["threat"] |= {"eps": 8 / 255, "eps_text": "8/255"}
    pixel["curve"] |= {"eps": [0.0, 4 / 255, 8 / 255, 16 / 255]}
    for content, place in ((evaluation(), 0.2), (pixel, 8)):
        (item,) = records.groups(records.records([content])).items()
        axes = curves.group_figure(*item, METHODS).axes[0]
        verticals = [x for x in axes.lines if list(x.get_ydata()) == [0, 1]]
        assert [x.get_xdata()[0] for x in verticals] == [pytest.approx(place)]
        assert axes.get_xlim()[1] == pytest.approx(
            content["curve"]["eps"][-1] * place / item[1][0]["eps"]
        )


def test_figures_have_the_same_bytes_and_no_dates(tmp_path):
    for suffix in ("pdf", "png", "svg"):
        files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for file, rows in zip(files, (SEVERAL, SEVERAL[::-1]), strict=True):
            canvas.save(curves.overview(records.records(rows), METHODS), file)
        first, second = (file.read_bytes() for file in files)
        assert first == second
        assert b"CreationDate" not in first
        assert b"Software" not in first and b"dc:date" not in first


def test_every_group_has_its_figures(tmp_path):
    curves.write_groups(records.records(SEVERAL), METHODS, tmp_path)
    stems = ("digits-resnet18-filters-0.5", "digits-resnet18-unstructured-0.9")
    expected = [f"{stem}.{suffix}" for stem in stems for suffix in ("pdf", "png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected


@pytest.mark.parametrize("only", [evaluation, dense, failed])
def test_one_model_is_enough(tmp_path, only):
    canvas.save(curves.overview(records.records([only()]), {}), tmp_path / "overview.png")
    (item,) = records.groups(records.records([only()])).items()
    canvas.save(curves.group_figure(*item, {}), tmp_path / "group.png")
