"""The plan of the house: docs/architecture.md, made from docstrings, imports and rules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from advprune.base.errors import UserError
from advprune.report.catalogue import template

# Each folder imports only from folders of the layers before it; those of one layer not each other.
LAYERS: list[set[str]] = [
    {"base"},
    {"data"},
    {"models"},
    {"plan"},
    {"training", "compact", "attacks", "identity"},
    {"pruning"},
    {"jobs", "evaluation", "methods"},
    {"report", "bench"},
    {"watch", "runs"},
    {"cli"},
]


def render(root: Path) -> str:
    """Return the page for a checkout; a folder that is in no layer is a UserError."""
    library = root / "scripts" / "advprune"
    for package in sorted(library.glob("*/__init__.py")):
        if not any(package.parent.name in layer for layer in LAYERS):
            raise UserError(f"{package.parent}: in no layer of report/architecture.py")
    imports = {folder: imported(library / folder) for layer in LAYERS for folder in layer}
    layers = [
        [
            {
                "name": folder,
                "holds": summary(library / folder / "__init__.py"),
                "imports": [f for layer in LAYERS for f in sorted(layer) if f in imports[folder]],
                "modules": list(_modules(library / folder)),
            }
            for folder in sorted(layer)
        ]
        for layer in reversed(LAYERS)
    ]
    arrows = [(a, b) for a in sorted(imports) for b in sorted(_direct(a, imports))]
    parts = [{"name": p.stem, "rules": list(_rules(p))} for p in _rule_files(root)]
    return template("architecture.md.j2").render(layers=layers, arrows=arrows, parts=parts)


def summary(path: Path) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def imported(folder: Path) -> set[str]:
    """Other folders of the library that the modules of a folder import from."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found |= {name.split(".")[1] for name in names if name.startswith("advprune.")}
    return found - {folder.name}


def _direct(folder: str, imports: dict[str, set[str]]) -> set[str]:
    """Imported folders that no other imported folder leads to: the arrows worth drawing."""

    def below(name: str) -> set[str]:
        return imports[name].union(*map(below, imports[name]))

    return imports[folder] - set().union(*map(below, imports[folder]))


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, first line) of a folder's modules; the methods have an index of their own."""
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("__") and (folder.name != "methods" or path.stem == "base"):
            yield path.stem, summary(path)


def _rule_files(root: Path) -> list[Path]:
    """Files of rules in the order in which the Snakefile includes them."""
    text = (root / "workflow" / "Snakefile").read_text(encoding="utf-8")
    found = [root / "workflow" / name for name in re.findall(r'^include: "(.+)"', text, flags=re.M)]
    return [path for path in found if any(_rules(path))]


def _rules(path: Path) -> Iterator[tuple[str, str]]:
    """(name, first line of its docstring) of the rules of a file."""
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r'^(?:rule|checkpoint) (\w+):\n\s+"""(.+?)(?:"""|\n)', text, flags=re.M)
