"""The page on how it is built, made from a small library."""

import re
from pathlib import Path

import pytest

from advprune.base.errors import UserError
from advprune.report import architecture

FILES = {
    "workflow/Snakefile": 'include: "../rules/common.smk"\ninclude: "../rules/train.smk"\n',
    "rules/common.smk": "ROOT = 1\n",
    "rules/train.smk": 'rule prune:\n    """Find masks.\n\n    Slowly."""\n    input:\n',
    "scripts/advprune/base/__init__.py": '"""What all use."""\n',
    "scripts/advprune/base/files.py": '"""Files.\n\nMore."""\n',
    "scripts/advprune/nets/__init__.py": '"""Nets."""\n',
    "scripts/advprune/nets/graph.py": '"""Graphs."""\nfrom advprune.base import files\n',
    "scripts/advprune/show/__init__.py": '"""Pages."""\n',
    "scripts/advprune/show/page.py": (
        '"""A page."""\nimport advprune.base.files\nfrom advprune.nets.graph import x\n'
    ),
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(architecture, "LAYERS", [{"base"}, {"nets"}, {"show"}])
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_folder_has_its_docstring_its_imports_and_its_modules(root):
    page = architecture.render(root)
    assert "| 3 | [`show`](#show) | Pages. | base, nets |" in page
    assert "| 1 | [`base`](#base) | What all use. |  |" in page
    assert "- [`files`](../scripts/advprune/base/files.py): Files.\n" in page


def test_arrows_that_others_lead_to_are_not_drawn(root):
    page = architecture.render(root)
    assert re.findall(r"(\w+) --> (\w+)", page) == [("nets", "base"), ("show", "nets")]


def test_the_walk_names_the_rules_in_the_order_of_the_snakefile(root):
    page = architecture.render(root)
    assert "| `rules/train.smk` | `prune` | Find masks. |" in page
    assert "common.smk" not in page


def test_a_folder_without_a_layer_is_refused(root):
    folder = root / "scripts" / "advprune" / "new"
    folder.mkdir()
    (folder / "__init__.py").touch()
    with pytest.raises(UserError, match="new: in no layer"):
        architecture.render(root)


def test_every_rule_of_this_repository_is_on_the_walk():
    here = Path(__file__).resolve().parents[3]
    text = "".join(path.read_text(encoding="utf-8") for path in (here / "rules").glob("*.smk"))
    page = architecture.render(here)
    assert all(f"| `{rule}` |" in page for rule in re.findall(r"^rule (\w+):", text, flags=re.M))
