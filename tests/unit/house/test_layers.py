"""The layers of the design: each folder imports only from folders of the layers before it."""

import ast

import pytest

from advprune.report.architecture import LAYERS
from helpers.checkout import ROOT, tracked

LIBRARY = ROOT / "scripts" / "advprune"
FILES = [path for path in tracked("scripts/advprune") if path.suffix == ".py"]
LEVEL = {folder: level for level, layer in enumerate(LAYERS) for folder in layer}


def modules():
    return {
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts): path
        for path in FILES
        if path.name != "__init__.py"
    }


def imported(path):
    """Library modules that a file imports, as dotted names below advprune."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("advprune"):
            base = node.module.removeprefix("advprune").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                yield full if full in modules() else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("advprune."):
                    yield alias.name.removeprefix("advprune.")


def test_every_module_is_in_a_folder_and_every_folder_in_a_layer():
    assert {module.split(".")[0] for module in modules()} == set(LEVEL)
    assert all("." in module for module in modules())


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module):
    """To a folder of a lower layer, or to the module's own."""
    own = module.split(".")[0]
    for target in imported(modules()[module]):
        folder = target.split(".")[0]
        assert folder == own or LEVEL[folder] < LEVEL[own], f"{module} imports {target}"


def test_there_is_no_import_cycle():
    graph = {name: set(imported(path)) for name, path in modules().items()}
    done = set()

    def visit(name, trail):
        assert name not in trail, " → ".join([*trail, name])
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"])
def test_packages_import_nothing(path):
    """An import in a package would make every module below depend on it."""
    assert not [
        n
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(n, (ast.Import, ast.ImportFrom))
    ]


@pytest.mark.parametrize("path", FILES)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
