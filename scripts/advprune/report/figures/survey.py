"""The survey's own table in LaTeX: methods in lines, nets and sparsities in columns.

A cell is accuracy on clean images / after AutoAttack. The best of a column is bold, and what the
paired tests cannot tell from it is underlined (`report.paired.level_with_best`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd

from advprune.base import text
from advprune.base.files import write_text
from advprune.report.paired import level_with_best
from advprune.report.records import (
    IDENTITY,
    Group,
    Identity,
    Record,
    across_seeds,
    group_of,
    names,
    percent,
    records,
)

STAGES = ("before", "during", "after", "baseline", "external", "")
HEADINGS = {stage: f"Pruning {stage} training" for stage in STAGES[:3]}
HEADINGS |= {"baseline": "Baselines", "external": "Trained elsewhere", "": "Others"}
KINDS = ("clean", "autoattack")
# verdicts [images] by kind, packed as `attacks.verdicts.pack` does
Verdicts = Mapping[Identity, Mapping[str, str]]
Marks = dict[str, dict[tuple[Group, str], str]]


def write(
    path: str | Path,
    evaluations: Sequence[Record],
    methods: Mapping[str, Record],
    verdicts: Verdicts,
) -> None:
    """Write one table per dataset and structure."""
    rows = [row for row in records(evaluations) if row["structure"] != "none"]
    dense = [row for row in records(evaluations) if row["structure"] == "none"]
    marks = {kind: _marks(kind, evaluations, verdicts) for kind in KINDS}
    tables = [
        _table(
            [r for r in rows if (r["dataset"], r["structure"]) == place],
            [r for r in dense if r["dataset"] == place[0]],
            methods,
            marks,
        )
        for place in sorted({(r["dataset"], r["structure"]) for r in rows})
    ]
    head = "% needs \\usepackage{booktabs}\n"
    write_text(path, head + "\n".join(tables))


def _marks(
    kind: str, evaluations: Sequence[Record], verdicts: Verdicts
) -> dict[tuple[Group, str], str]:
    """`best`, and `level` with it by the paired tests of this kind's verdicts."""
    tested = []
    for evaluation in evaluations:
        found = verdicts.get(tuple(evaluation["model"][key] for key in IDENTITY))
        accuracy = {"worst_accuracy": evaluation[f"{kind}_accuracy"]}
        own = {k: v for k, v in evaluation.items() if k != "robust_images"} | accuracy
        tested.append(own | ({"robust_images": found[kind]} if found else {}))
    marks = dict.fromkeys(level_with_best(tested), "level")
    best: dict[Group, float] = {}
    means = _means(kind, records(evaluations))
    for (group, _), mean in means.items():
        best[group] = max(mean, best.get(group, 0.0))
    return marks | {place: "best" for place, mean in means.items() if mean == best[place[0]]}


def _means(kind: str, rows: Sequence[Record]) -> dict[tuple[Group, str], float]:
    """Mean over the seeds of every method that has one without a flag."""
    values: dict[tuple[Group, str], list[float]] = {}
    for row in rows:
        if row["status"] == "ok" and row["structure"] != "none":
            values.setdefault((group_of(row), row["method"]), []).append(row[f"{kind}_accuracy"])
    return {place: fmean(found) for place, found in values.items()}


def _table(
    rows: Sequence[Record], dense: Sequence[Record], methods: Mapping[str, Record], marks: Marks
) -> str:
    groups = sorted({group_of(row) for row in rows})
    archs = list(dict.fromkeys(group[1] for group in groups))
    shown = names(dict.fromkeys((row["method"] for row in rows), Record()) | dict(methods))
    by_stage: dict[str, list[str]] = {}
    for key in sorted({row["method"] for row in rows}, key=lambda k: (shown[k].lower(), k)):
        by_stage.setdefault(str(methods.get(key, {}).get("stage", "")), []).append(key)
    lines = [_dense_line(key, dense, groups, archs, methods) for key in _plain(dense)]
    for stage in sorted(by_stage, key=lambda s: STAGES.index(s) if s in STAGES else len(STAGES)):
        title = HEADINGS.get(stage, stage)
        lines.append(rf"\midrule \multicolumn{{{len(groups) + 1}}}{{l}}{{\emph{{{title}}}}} \\")
        for key in by_stage[stage]:
            own = [row for row in rows if row["method"] == key]
            cells = [_cell(own, group, marks) for group in groups]
            lines.append(" & ".join([text.latex(shown[key], key), *cells]) + r" \\")
    spans = [sum(group[1] == arch for group in groups) for arch in archs]
    told = zip(archs, spans, strict=True)
    nets = [rf"\multicolumn{{{n}}}{{c}}{{{text.latex(arch)}}}" for arch, n in told]
    sparsities = [rf"{100 * group[3]:g}\,\%" for group in groups]
    dataset, structure = rows[0]["dataset"], rows[0]["structure"]
    return "\n".join(
        [
            r"\begin{table*}[t]",
            rf"\centering\small\caption{{{text.latex(_caption(rows, marks))}}}",
            rf"\label{{tab:survey-{dataset}-{structure}}}",
            rf"\begin{{tabular}}{{l{'c' * len(groups)}}}",
            r"\toprule",
            " & ".join(["", *nets]) + r" \\",
            " & ".join(["Method", *sparsities]) + r" \\",
            *(r"\midrule " * (i == 0) + line for i, line in enumerate(lines)),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    ).replace(r"\midrule \midrule", r"\midrule")


def _caption(rows: Sequence[Record], marks: Marks) -> str:
    first = next((row for row in rows if row["status"] == "ok"), rows[0])
    tested = any("level" in found.values() for found in marks.values())
    level = ", underlined what paired tests on the same images cannot tell from it" * tested
    return (
        f"{first['dataset']}, {first['structure']} pruning: accuracy in % on clean images / after "
        f"AutoAttack ({first['norm']}, eps = {first['eps_text']}), on {first['images']} test "
        f"images, means over seeds. Bold: best of a column{level}. † every seed is flagged."
    )


def _plain(dense: Sequence[Record]) -> list[str]:
    """Dense nets, the method's own before its variants."""
    return sorted({row["method"] for row in dense}, key=lambda key: (key != "dense", key))


def _dense_line(
    key: str,
    dense: Sequence[Record],
    groups: Sequence[Group],
    archs: Sequence[str],
    methods: Mapping[str, Record],
) -> str:
    cells = []
    for arch in archs:
        own = [row for row in dense if (row["method"], row["arch"]) == (key, arch)]
        span = sum(group[1] == arch for group in groups)
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{_numbers(own, {})}}}")
    name = names(methods).get(key, key)
    return " & ".join([text.latex(name, key), *cells]) + r" \\"


def _cell(own: Sequence[Record], group: Group, marks: Marks) -> str:
    seeds = [row for row in own if group_of(row) == group]
    if not seeds:
        return "--"
    place = (group, seeds[0]["method"])
    return _numbers(seeds, {kind: marks[kind].get(place, "") for kind in KINDS})


def _numbers(seeds: Sequence[Record], marks: Mapping[str, str]) -> str:
    """Clean / AutoAttack, means over the seeds that are not flagged."""
    chosen = [row for rows in across_seeds(seeds).values() for row in rows]
    cells = []
    for kind in KINDS:
        known = [row[f"{kind}_accuracy"] for row in chosen]
        known = [value for value in known if not pd.isna(value)]
        told = percent(fmean(known)) if known else "--"
        command = {"best": r"\textbf", "level": r"\underline"}.get(marks.get(kind, ""))
        cells.append(f"{command}{{{told}}}" if command and known else told)
    flagged = all(row["status"] != "ok" for row in chosen)
    return " / ".join(cells) + r"$^\dagger$" * (flagged and bool(chosen))
