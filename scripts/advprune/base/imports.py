"""Which files of this repository a script imports, directly or not.

Snakemake does not see imported modules. The rules therefore list them as inputs: a static,
transitive closure over the import statements, so that editing a module re-runs exactly the jobs
whose code uses it. Methods, datasets and nets are loaded by name and must be added by the caller.
"""

import ast
import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "scripts"
PACKAGE = "advprune"


@functools.cache
def imports(path: Path) -> frozenset[Path]:
    """Files of the library that one file imports, packages' `__init__` included."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import name` may name a module or something inside the package
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(f for name in names for f in _files(name))


def _files(name: str) -> list[Path]:
    """Files behind a dotted module name of the library: the packages on the way, then itself."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return []
    found = []
    for depth in range(1, len(parts) + 1):
        base = SCRIPTS.joinpath(*parts[:depth])
        candidates = (base / "__init__.py", base.with_suffix(".py"))
        found += [path for path in candidates if path.is_file()]
    return found


@functools.cache
def _closure(path: Path) -> frozenset[Path]:
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(imports(current))
    return frozenset(seen - {path})


def code_files(script: str, *modules: str) -> list[Path]:
    """All library files behind `script` and extra `modules`, all relative to the repository root.

    The script itself is not in the list, the modules are. Sorted, absolute paths.
    """
    files = set(_closure(ROOT / script))
    for module in modules:
        name = ".".join(Path(module).relative_to("scripts").with_suffix("").parts)
        files |= {*_files(name), *_closure(ROOT / module)}
    return sorted(files)


def method_module(key: str) -> str:
    """Module of a method, relative to the repository root."""
    return f"scripts/{PACKAGE}/methods/{key}.py"


def net_module(name: str) -> str:
    """Module of a net, relative to the repository root."""
    return f"scripts/{PACKAGE}/models/nets/{name}.py"


def set_module(name: str) -> str:
    """Module of a dataset, relative to the repository root."""
    return f"scripts/{PACKAGE}/data/sets/{name}.py"


def digest(files: list[Path]) -> str:
    """SHA-256 over the contents of the files."""
    total = hashlib.sha256()
    for path in files:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
