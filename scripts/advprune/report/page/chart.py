"""The interactive figures: security evaluation curves, and the history of a training.

Altair writes what is drawn, and Vega-Lite's compiler, which vl-convert brings along, turns it into
Vega's language, in which titles can be parameters too. The page holds Vega itself; its script hands
over rows and sets the parameters.
"""

import functools
from typing import Any

import altair as alt
import vl_convert

# White like every figure of the run, also on a dark page: a method's colour is the same everywhere.
INK, FAINT, GREY = "#1b1f24", "#e4e7ea", "#b3bac2"
PARAMETERS = {
    "hover": "",  # method under the pointer
    "title": "",
    "x_title": "",
    "y_title": "",
}
SNIPPET = "window.vegaEmbed = vegaEmbed;"  # what else the bundle has needs no name


def curves() -> dict[str, Any]:
    """Security evaluation curves; empty datasets `curves`, `points`, `legend` and `radius`.

    `curves` has a row per method, part and perturbation: m, part ("within" or "beyond" the radius),
    x, y, lo, hi (per cent), kind ("chosen", "reference", "dense", "grey"), colour, dash, and
    `banded`: whether its band is always drawn, and not only under the pointer. `points` has m, x,
    y, attack ("HO-FMN" or "worst"), colour, shape; `legend` has rank, text, colour, shape, dash;
    `radius` one row with eps.
    """
    compiled: dict[str, Any] = vl_convert.vegalite_to_vega(_looking(_chart()).to_dict())
    for axis in compiled["axes"]:  # titles cannot be parameters in Vega-Lite
        if title := {"x_title": "x_title", "y_title": "y_title"}.get(axis.get("title", "")):
            axis["title"] = {"signal": title}
    for mark in compiled["marks"]:  # nor have rules places of their own
        if mark["type"] == "rule" and mark["from"]["data"] == "legend":
            mark["encode"]["update"] = {
                "x": {"signal": "width + 8"},
                "x2": {"signal": "width + 34"},
                "y": {"signal": "14 + 16 * datum.rank"},
                "stroke": {"field": "colour"},
                "strokeDash": {"field": "dash"},
                "strokeWidth": {"value": 1.8},
            }
    return compiled


@functools.cache
def library() -> str:
    """Vega and its embedder as one script, which can stand inside a script element.

    In a function of its own, since the bundle gives short names to what is global.
    """
    bundle = str(vl_convert.javascript_bundle(SNIPPET)).replace("</script", "<\\/script")
    return f"(() => {{{bundle}}})();"


@functools.cache
def specifications() -> dict[str, Any]:
    """Specifications for Vega by name: `curves` and `history`."""
    return {"curves": curves(), "history": history()}


def _chart() -> Any:
    parameters = [alt.param(name=name, value=value) for name, value in PARAMETERS.items()]
    x = alt.X(
        "x:Q",
        title="x_title",
        scale=alt.Scale(nice=False, zero=True),
        axis=alt.Axis(tickCount=8, labelFlush=False),
    )
    y = alt.Y("y:Q", title="y_title", scale=alt.Scale(domain=[0, 100]))
    curves = alt.Chart(alt.NamedData(name="curves"))
    colour, dash = alt.Color("colour:N", scale=None), alt.StrokeDash("dash:N", scale=None)
    method = [alt.Detail("m:N"), alt.Detail("part:N")]
    hovered = "datum.m === hover"
    width = alt.condition(hovered, alt.value(3.2), alt.value(1.8))
    bands = (
        curves.transform_filter("datum.banded || (datum.m === hover && datum.kind !== 'grey')")
        .mark_area(opacity=0.13, clip=True)
        .encode(x=x, y=alt.Y("lo:Q", title="y_title"), y2="hi:Q", color=colour, detail=method)
    )
    grey = (
        curves.transform_filter("datum.kind === 'grey'")
        .mark_line(clip=True, color=GREY)
        .encode(
            x=x,
            y=y,
            detail=method,
            strokeDash=dash,
            strokeWidth=alt.condition(hovered, alt.value(2.6), alt.value(0.9)),
        )
    )
    lines = (
        curves.transform_filter("datum.kind !== 'grey'")
        .mark_line(clip=True)
        .encode(x=x, y=y, color=colour, detail=method, strokeDash=dash, strokeWidth=width)
    )
    at = (
        alt.Chart(alt.NamedData(name="radius"))
        .mark_rule(color=INK, opacity=0.55)
        .encode(x=alt.X("eps:Q", title="x_title"))
    )
    label = (
        alt.Chart(alt.NamedData(name="radius"))
        .mark_text(align="left", baseline="top", dx=4, y=2, color=INK, fontSize=11)
        .encode(x=alt.X("eps:Q", title="x_title"), text="text:N")
    )
    layers = [bands, at, grey, lines, *_points(x, y), label, *_legend()]
    return (
        alt.layer(*layers, title=alt.Title(alt.expr("title")))
        .add_params(*parameters)
        .properties(width=600, height=340)
    )


def _looking(chart: Any) -> Any:
    """The chart in the page's type, black on white."""
    look = {f"{part}Color": INK for part in ("label", "title", "domain", "tick")}
    return (
        chart.properties(background="white")
        .configure(font="system-ui, sans-serif", padding=4)
        .configure_view(stroke=None)
        .configure_title(color=INK, fontSize=13, anchor="start")
        .configure_axis(
            gridColor=FAINT,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            **look,
        )
        .configure_header(labelColor=INK, labelFontSize=11)
        .configure_legend(labelColor=INK, labelFontSize=11)
    )


def _points(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """At the radius: the curve's own attack as a filled marker, the worst case as a hollow one."""
    points = alt.Chart(alt.NamedData(name="points"))
    colour = alt.Color("colour:N", scale=None)
    shape = alt.Shape("shape:N", scale=None)
    filled = (
        points.transform_filter("datum.attack === 'HO-FMN'")
        .mark_point(filled=True, size=46, opacity=1)
        .encode(x=x, y=y, color=colour, shape=shape)
    )
    hollow = (
        points.transform_filter("datum.attack === 'worst'")
        .mark_point(filled=False, size=46, opacity=1, strokeWidth=1.6)
        .encode(x=x, y=y, color=colour, shape=shape)
    )
    return [filled, hollow]


def _legend() -> list[alt.Chart]:
    """Names beside the curves, by rank: they are part of the figure that is exported."""
    entries = alt.Chart(alt.NamedData(name="legend"))
    colour = alt.Color("colour:N", scale=None)
    height = alt.expr("14 + 16 * datum.rank")
    sample = entries.mark_rule().encode(color=colour)  # `curves` says where, and how it is dashed
    symbol = entries.mark_point(
        filled=True, size=46, opacity=1, x=alt.expr("width + 21"), y=height
    ).encode(color=colour, shape=alt.Shape("shape:N", scale=None))
    text = entries.mark_text(
        align="left",
        baseline="middle",
        fontSize=11,
        x=alt.expr("width + 40"),
        y=height,
        color=INK,
        fontWeight=alt.expr("datum.m === hover ? 'bold' : 'normal'"),
    ).encode(text="text:N")
    return [sample, symbol, text]


def history() -> dict[str, Any]:
    """History of a training, with the empty dataset `history`.

    It has phase, order (of the phases), panel ("accuracy (%)" or "loss"), figure, epoch, value;
    `chosen` is whether the epoch's net was taken.
    """
    rows = alt.Chart(alt.NamedData(name="history"))
    hues = alt.Scale(
        domain=["clean, validation", "PGD, validation", "loss"],
        range=["#0072B2", "#D55E00", "#888888"],
    )
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    colour = alt.Color("figure:N", scale=hues, title=None, legend=alt.Legend(orient="top"))
    tip = [alt.Tooltip(f"{name}:N") for name in ("phase", "figure", "epoch", "value")]
    lines = rows.mark_line(point=alt.OverlayMarkDef(size=14)).encode(x, y, colour, tooltip=tip)
    rule = rows.transform_filter("datum.chosen").mark_rule(strokeDash=[3, 2]).encode(x)
    rule = rule.encode(color=alt.value(INK))
    faceted = (
        alt.layer(lines, rule)
        .properties(width=175, height=110)
        .facet(
            column=alt.Column("phase:N", title=None, sort=alt.EncodingSortField("order", op="min")),
            row=alt.Row("panel:N", title=None),
            spacing=12,
        )
        .resolve_scale(y="independent", x="independent")
    )
    return dict(vl_convert.vegalite_to_vega(_looking(faceted).to_dict()))
