"""The code behind a job: which files of this repository a script imports, and what they do.

Snakemake does not see imported modules. The rules therefore give every job a digest of its script
and of all that it imports, directly or not, as a parameter: a change there re-runs exactly the jobs
whose code it is. A digest is of what the code does: comments, docstrings and layout are not in it.
Modules that are loaded by name (a method, a net, an objective) are named by the caller.
"""

import ast
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "scripts"
PACKAGE = "advprune"
# What a specification holds is in a job's own parameter, without what is at its default; the
# declaration of its fields is therefore no code.
DECLARATIONS = frozenset({SCRIPTS / PACKAGE / "plan" / "specs.py"})


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def imports(path: Path) -> frozenset[Path]:
    """Files of the library that one file imports, packages' `__init__` included."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import name` may name a module or something inside the package
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(f for name in names for f in _files(name))


@functools.cache
def _files(name: str) -> tuple[Path, ...]:
    """Files behind a dotted module name of the library: the packages on the way, then itself."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return ()
    found = []
    for depth in range(1, len(parts) + 1):
        base = SCRIPTS.joinpath(*parts[:depth])
        candidates = (base / "__init__.py", base.with_suffix(".py"))
        found += [path for path in candidates if path.is_file()]
    return tuple(found)


@functools.cache
def _reached(path: Path) -> frozenset[Path]:
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(imports(current))
    return frozenset(seen - {path})


def code_files(script: str | None, *modules: str) -> list[Path]:
    """All library files behind a script (its name) and `modules` (dotted, below the package).

    The script itself is not in the list, the modules are. Sorted, absolute paths.
    """
    files = set(_reached(SCRIPTS / f"{script}.py")) if script else set()
    for module in modules:
        own = _files(f"{PACKAGE}.{module}")
        files |= {*own, *(f for path in own for f in _reached(path))}
    return sorted(files)


def modules_in(package: str) -> list[str]:
    """Names of the modules of a package (dotted, below the library's), sorted."""
    folder = SCRIPTS.joinpath(PACKAGE, *package.split("."))
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


@functools.cache
def defaulted(module: str, function: str) -> frozenset[str]:
    """Names of the arguments by name alone of a module's function that have a default.

    `module` is dotted, below the library. Nothing is imported; without the function there are none.
    """
    (path,) = (p for p in _files(f"{PACKAGE}.{module}") if p.stem == module.rpartition(".")[2])
    found = [n for n in _tree(path).body if isinstance(n, ast.FunctionDef) and n.name == function]
    pairs = [p for n in found for p in zip(n.args.kwonlyargs, n.args.kw_defaults, strict=True)]
    return frozenset(argument.arg for argument, default in pairs if default is not None)


@functools.cache
def fields(module: str) -> frozenset[str]:
    """Names of the fields that the classes of a module (dotted, below the library) declare.

    Class variables are none. Nothing is imported.
    """
    (path,) = (p for p in _files(f"{PACKAGE}.{module}") if p.stem == module.rpartition(".")[2])
    bodies = [node.body for node in _tree(path).body if isinstance(node, ast.ClassDef)]
    declared = [node for body in bodies for node in body if isinstance(node, ast.AnnAssign)]
    names = [node.target for node in declared if "ClassVar" not in ast.unparse(node.annotation)]
    return frozenset(name.id for name in names if isinstance(name, ast.Name))


@functools.cache
def digest(path: Path) -> str:
    """SHA-256 of what a file does; of a file that is not Python, of its bytes."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    tree = _WithoutText().visit(_tree(path))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


class _WithoutText(ast.NodeTransformer):
    """Leave out docstrings: statements that are nothing but a text."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node


@functools.cache
def code(script: str | None, *modules: str) -> Mapping[str, str]:
    """Digest of every file behind a job, by its path below the scripts: its script's own included.

    A module's templates are the files beside it that have its name, such as page.css of page.py.
    Without a script, the modules' own.
    """
    files = {SCRIPTS / f"{script}.py"} if script else set()
    files |= {*code_files(script, *modules)}
    files |= {t for f in files for t in _templates(f)}
    return {p.relative_to(SCRIPTS).as_posix(): digest(p) for p in sorted(files - DECLARATIONS)}


@functools.cache
def _templates(path: Path) -> tuple[Path, ...]:
    return tuple(p for p in path.parent.glob(f"{path.stem}.*") if p.suffix != ".py")


@functools.cache
def total(script: str | None, *modules: str) -> str:
    """One digest of all that a job does."""
    text = "\n".join(f"{path} {value}" for path, value in code(script, *modules).items())
    return hashlib.sha256(text.encode()).hexdigest()
