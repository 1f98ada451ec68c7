"""The layers of the design: each module imports only from its own layer or from those before."""

import ast

import pytest

from checkout import ROOT, tracked

LIBRARY = ROOT / "scripts" / "advprune"
FILES = [path for path in tracked("scripts/advprune") if path.suffix == ".py"]
# modules of one group may import each other as long as there is no cycle
LAYERS = [
    {"errors", "seeds", "paths", "results", "progress", "cli", "closure", "intervals", "origin"},
    {"data.specs", "models.names", "config", "plausible", "external", "protocol", "machine"},
    {"data", "models", "cards", "masks"},
    {"resume", "objectives", "recipes", "training", "sparse", "audit", "jobs", "foreign"},
    {
        "dropgrow",
        "tickets",
        "reparam",
        "distill",
        "rates",
        "ratesearch",
        "ddpg",
        "kfac",
        "saliency",
        "noise",
        "rounds",
        "robust_dataset",
    },
    {"slimming", "fused", "precision", "compact", "costs", "corruptions", "imagenet_c"},
    {"methods", "attacks", "evaluation", "doubts"},
    {"stopwatch", "report", "bench", "fullsize", "profiling"},
]


def modules():
    return {
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts): path
        for path in FILES
        if path.name != "__init__.py"
    }


def layer_of(module):
    parts = module.split(".")
    for name in (module, parts[0]):  # a module named in full outranks its package
        for level, layer in enumerate(LAYERS):
            if name in layer:
                return level
    raise AssertionError(f"{module} is in no layer: add it to LAYERS, and think where it belongs")


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


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module):
    for target in imported(modules()[module]):
        assert layer_of(target) <= layer_of(module), f"{module} imports {target}"


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
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, (ast.Import, ast.ImportFrom))
    ]


@pytest.mark.parametrize("path", FILES)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 400
