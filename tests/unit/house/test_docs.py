"""The documents: generated pages are up to date, links lead somewhere, every page is linked."""

import ast
import re

import pytest

from advprune.cli import checkout, docs
from advprune.cli.main import SUBCOMMANDS
from advprune.report import catalogue
from helpers.checkout import ROOT

PAGES = docs.pages(ROOT)
LIBRARY = ROOT / "scripts" / "advprune"
METHODS = [path.stem for path in checkout.method_files(ROOT)]
TEXTS = sorted(
    path
    for folder in (ROOT, *(ROOT / name for name in ("config", "docs", ".github")))
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", flags=re.M | re.S)


def name(path):
    return str(path.relative_to(ROOT))


def links(path):
    """Targets of a document's links, without those of other hosts."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]


def anchors(path):
    """Anchors of a document's headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for title in re.findall(r"^#+ (.*)$", text, flags=re.M):
        yield re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def by_hand(key):
    """The part of a method's page that is written, not made."""
    text = (ROOT / "docs" / "methods" / f"{key}.md").read_text(encoding="utf-8")
    return catalogue.written(text, key)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_generated_page_is_up_to_date(path):
    assert path.exists() and path.read_text(encoding="utf-8") == PAGES[path], "run make docs"


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_lead_somewhere(path):
    for target in links(path):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("key", METHODS)
def test_a_methods_page_is_written_by_hand_above_the_marker(key):
    """The equations, or for a method of one's own at least what its module says."""
    assert by_hand(key).startswith("# ") and len(by_hand(key).split()) > 10


def test_no_page_belongs_to_a_method_that_is_gone():
    pages = {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")}
    assert pages == {"README", *METHODS}


def test_every_page_is_reachable_from_the_index_of_questions():
    waiting, reached = [ROOT / "docs" / "README.md"], set()
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [(page.parent / target.split("#")[0]).resolve() for target in links(page)]
    assert {path for path in TEXTS if path.is_relative_to(ROOT / "docs")} <= reached


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_commands_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text, flags=re.M)) <= targets
    named = re.findall(r"(?:`|^|bin/)advprune ([a-z][a-z-]+)", text, flags=re.M)
    assert set(named) <= set(SUBCOMMANDS)


def test_what_code_and_tests_cite_is_in_the_documents():
    """A page by its path, and after it in quotation marks one of the page's headings."""
    cited = re.compile(r'(docs/[\w/]+\.md)(?:, "([^"]+)")?')
    files = [p for kind in ("py", "smk", "yaml") for p in ROOT.glob(f"[!.]*/**/*.{kind}")]
    found = {match for path in files for match in cited.findall(path.read_text(encoding="utf-8"))}
    assert ("docs/methods/hydra.md", "What must hold") in found
    for page, heading in found:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not heading or re.search(rf"^#+ {re.escape(heading)}", text, flags=re.M), heading


def defined(path):
    """Names that a module defines, those inside its classes too."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    assigned = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return assigned | {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("key", METHODS)
def test_code_that_a_methods_page_names_exists(key):
    """`masks.rank`, or `rank` in `pruning/masks.py`."""
    text = by_hand(key)
    modules = {path.stem: path for path in LIBRARY.glob("*/*.py") if path.parent.name != "cli"}
    for module, attribute in re.findall(r"`(\w+)\.(\w+)`", text):
        if module in modules and attribute != "py":
            assert attribute in defined(modules[module]), f"{module}.{attribute}"
    for attribute, place in re.findall(r"`(\w+)` in\s`(\w+/\w+\.py)`", text):
        if (LIBRARY / place).parent.is_dir():
            assert attribute in defined(LIBRARY / place), f"{attribute} in {place}"
