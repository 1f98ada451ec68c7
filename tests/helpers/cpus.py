"""All unit tests that compute, as other processors would: make test-cpus.

The instruction sets that PyTorch and oneDNN may use are limited to older ones, and sums are split
over two threads. Numbers of trained nets then differ from the first rounding on, and no test may
depend on them. This machine as it is, with one thread, is what make test runs.

    .venv/bin/python tests/helpers/cpus.py            # every setting
    .venv/bin/python tests/helpers/cpus.py --first    # the oldest processor only
"""

import argparse
import ast
import os
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PLACES = [ROOT / "scripts", TESTS, *(path for path in TESTS.rglob("*") if path.is_dir())]
# plans and pages hold no number that a processor has rounded, though their tests build nets
PLAIN = {TESTS / "unit" / name for name in ("plan", "report", "watch")}
SETTINGS = [(OLDEST, 1), (OLDEST, 2), (OLDER, 1), (OLDER, 2), ({}, 2)]


def imports(path: Path) -> tuple[bool, list[Path]]:
    """Whether a file imports torch itself, and the files of tests and library that it imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import name` may name a module or something inside the package
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {(p / name.replace(".", "/")).with_suffix(".py") for p in PLACES for name in names}
    return any(n.split(".")[0] == "torch" for n in names), [f for f in files if f.is_file()]


def computes(path: Path) -> bool:
    """Whether a file imports torch, directly or through what it imports."""
    waiting, seen = [path], {path}
    while waiting:
        torch, files = imports(waiting.pop())
        if torch:
            return True
        waiting += [file for file in files if file not in seen]
        seen.update(files)
    return False


def run(tests: list[Path], limits: dict[str, str], threads: int) -> bool:
    """Run the tests in one setting, say how it went, and return whether they passed."""
    command = [sys.executable, "-m", "pytest", "-n", str(max(1, 2 // threads)), "--tb", "short"]
    command += ["--dist", "loadgroup"]  # what is costly to begin with is begun once
    # threads that wait in a loop take a busy machine's time from those that work
    own = {"ADVPRUNE_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    environment = os.environ | limits | own
    start = time.monotonic()
    done = subprocess.run(
        [*command, *map(str, tests)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    name = f"{'/'.join(limits.values()) or 'as it is'}, {threads} thread{'s' * (threads > 1)}"
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    closing = (done.stdout.splitlines() or ["pytest said nothing"])[-1]
    print(f"{name}: {closing} ({time.monotonic() - start:.0f} s)", flush=True)
    return done.returncode == 0


def main() -> None:
    """Run every setting, also after one that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", action="store_true", help="the oldest processor only")
    settings = SETTINGS[:1] if parser.parse_args().first else SETTINGS
    found = sorted((TESTS / "unit").rglob("test_*.py"))
    tests = [path for path in found if not PLAIN & {*path.parents} and computes(path)]
    print(f"{len(tests)} files of tests compute", flush=True)
    sys.exit(not all([run(tests, *setting) for setting in settings]))


if __name__ == "__main__":
    main()
