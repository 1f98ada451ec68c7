"""Names from outside are data: one hostile name, and equal ones, through every writer."""

import csv
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from advprune.attacks.verdicts import pack
from advprune.base import text
from advprune.report import paired, records, tables
from advprune.report.figures import canvas, curves, ranking, survey, thin_ice, tradeoffs
from advprune.report.page import document
from advprune.report.page.content import Content
from helpers.checkout import ROOT
from helpers.report_samples import dense, evaluation

HOSTILE = (
    "=1+1|<script>alert(1)</script> $\\frac{1}{0}$ & x^2~y_{z} 90% #1\r\n"
    "\x1b[31m\u202e[*]*`\\input{x} \"q\" 'ÄÖß' 名前 ℵ Ж"
)
TEX = '[a]* $x_1^2$ \\end{table} & 90% #1 {} ~ Å ł ß é α ≤ "q" `\'|<>'
LONG = "N" * 80
SAME = "The same name"
NAMES = {"external-a": HOSTILE, "external-b": LONG, "external-c": SAME, "external-d": SAME}
NAMES |= {"external-e": TEX, "external-f": "Жаба عربي", "external-g": "\u200b", "lwm": "LWM"}
IMAGES = 200


def record(method, kept):
    bits = np.arange(IMAGES) < kept
    found = evaluation(method, worst=kept / IMAGES, robust_images=pack(bits))
    found["model"]["objective"] = "pgd"
    if method != "lwm":
        found["model"] |= {"name": NAMES[method], "stage": "external"}
    return found


EVALUATIONS = [record(method, 40 + 5 * i) for i, method in enumerate(NAMES)] + [dense()]
EVALUATIONS[0] |= {"status": "flagged", "reason": HOSTILE, "warnings": [HOSTILE]}
METHODS = records.known({"lwm": {"key": "lwm", "name": "LWM"}}, EVALUATIONS)
SHOWN = records.names(METHODS)


@pytest.fixture(autouse=True)
def _no_warning():
    """No glyph is missing, no layout gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_names_are_in_one_line_and_no_two_the_same():
    assert len(set(SHOWN.values())) == len(SHOWN)
    assert all(name and name.isprintable() for name in SHOWN.values())
    assert SHOWN["external-c"] == f"{SAME} (external-c)" and SHOWN["external-g"] == "external-g"


# figures


def texts(figure):
    return [t for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def test_figures_show_names_as_they_are(tmp_path):
    ((group, members),) = records.groups(records.records(EVALUATIONS)).items()
    rows = records.records(EVALUATIONS)
    drawn = [curves.overview(rows, METHODS), curves.group_figure(group, members, METHODS)]
    drawn += [ranking.figure(group, members, METHODS), tradeoffs.clean_figure(rows, METHODS)]
    before, after = np.linspace(0, 0.4, IMAGES), np.linspace(0.4, 0, IMAGES)
    pairs = [thin_ice.Pair({"method": m, "seed": 0}, before, after, 0.2) for m in NAMES]
    drawn.append(thin_ice.figure(pairs, SHOWN, "a group"))
    for i, figure in enumerate(drawn):
        for ending in ("png", "pdf"):
            canvas.save(figure, tmp_path / f"{i}.{ending}")
        found = {t.get_text().rstrip("†") for t in texts(figure)}
        assert {"external-a", "Жаба عربي"} <= found and any(t.startswith("NNN") for t in found)
        told = {t for t in found if t.startswith(SAME) or t in ("external-c", "external-d")}
        assert len(told) == 2
        assert not any(t.get_parse_math() for t in texts(figure))


# Markdown


def test_markdown_has_a_cell_for_every_name():
    made = paired.markdown(paired.compare(EVALUATIONS), SHOWN)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(made)
    rows = re.findall(r"<tr>(.*?)</tr>", rendered, re.S)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.S) for row in rows]
    assert len({len(row) for row in cells}) == 1
    found = {html.unescape(row[0]).removesuffix(" †") for row in cells[1:]}
    assert found == {SHOWN[m] for m in NAMES if m != "lwm"}


# LaTeX


def latex(tmp_path):
    tables.write_latex(tables.leaderboard(EVALUATIONS), tmp_path / "l.tex", SHOWN)
    return (tmp_path / "l.tex").read_text(encoding="utf-8")


def test_the_surveys_table_is_ascii_and_well_formed(tmp_path):
    survey.write(tmp_path / "s.tex", EVALUATIONS, METHODS, {})
    made = (tmp_path / "s.tex").read_text(encoding="utf-8")
    plain = made.replace(r"\{", "").replace(r"\}", "")
    assert made.isascii() and plain.count("{") == plain.count("}")
    rows = [line for line in made.splitlines() if line.endswith(r"\\") and "emph" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1}
    assert r"\input" not in made and r"\end{table*}" in made


def test_latex_is_ascii_and_well_formed(tmp_path):
    made = latex(tmp_path)
    # what is set by the tables themselves
    assert made.replace("±", "").isascii(), [c for c in made if not c.isascii()]
    plain = made.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    rows = [line for line in made.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
    assert not any(row.startswith(("[", "*")) for row in rows)
    assert r"\input" not in made and r"\end{table}" in made
    assert "external{-}a" in made or "external-a" in made


@pytest.mark.skipif(
    not (shutil.which("pdflatex") or shutil.which("tectonic")), reason="no TeX is installed"
)
def test_latex_is_compiled(tmp_path):
    latex(tmp_path)
    head = r"\documentclass{article}\usepackage{booktabs}"
    document = head + r"\begin{document}\input{l}\end{document}"
    (tmp_path / "d.tex").write_text(document, encoding="utf-8")
    compiler = "pdflatex" if shutil.which("pdflatex") else "tectonic"
    # a draft: every command is carried out, and no fonts are asked for
    options = ["-draftmode", "-interaction=nonstopmode", "-halt-on-error"]
    options *= compiler == "pdflatex"
    done = subprocess.run([compiler, *options, "d.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, (done.stdout[-2000:] + done.stderr[-2000:]).decode("latin-1")


# page


class Scripts(html.parser.HTMLParser):
    """Contents of the page's scripts, and its tags; what is none of these is text."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts = [""], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags[-1] == "script":
            self.scripts[-1] += data


def test_the_page_has_names_as_text():
    """They are in its data, which is the first of its five scripts; tests/browser looks at them."""
    parsed = Scripts()
    parsed.feed(document.render(Content(EVALUATIONS, METHODS, "demo")))
    assert len(parsed.scripts) == 5
    named = {method["name"] for method in json.loads(parsed.scripts[0])["methods"]}
    assert named == {*SHOWN.values(), "dense"}


# CSV


def test_no_cell_of_a_table_is_a_formula_and_every_row_is_a_line(tmp_path):
    frame = tables.leaderboard(EVALUATIONS)
    others = pd.DataFrame({"name": [*NAMES.values(), "-1", "@x", "\t=1", "+2"], "n": -1})
    for path, made in ((tmp_path / "l.csv", frame), (tmp_path / "o.csv", others)):
        tables.write_csv(made, path)
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) == len(made) + 1
        cells = [cell for row in csv.reader(lines) for cell in row]
        assert not [c for c in cells if c[:1] in "=+-@\t" and c and not is_number(c)]
    again = pd.read_csv(tmp_path / "l.csv")
    reason = again.loc[again["method"] == "external-a", "reason"].item()
    assert reason == "'" + text.line(HOSTILE)
    assert (pd.read_csv(tmp_path / "o.csv")["n"] == -1).all()


def is_number(cell):
    try:
        return bool(float(cell)) or True
    except ValueError:
        return False


# terminal


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "utf-8"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX"},
    ],
)
def test_a_terminal_of_any_encoding_is_printed_on(tmp_path, variables):
    place = tmp_path / "digits/resnet18/evaluations.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(EVALUATIONS), encoding="utf-8")
    variables = {"PYTHONUTF8": "0", "PYTHONPATH": str(ROOT / "scripts")} | variables
    command = [sys.executable, "-m", "advprune.cli", "leaderboard", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"external-a" in done.stdout and b"\x1b" not in done.stdout
    assert done.stdout.count(b"\xe2\x80\xae") == 0  # the mark that writes from right to left
