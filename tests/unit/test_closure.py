"""The static import closure that makes staleness exact must be what Python really imports."""

import subprocess
import sys

import pytest

from advprune import closure
from checkout import shipped_methods, tracked

SCRIPTS = [p.name for p in tracked("scripts") if p.parent == closure.SCRIPTS]


def really_imported(script, *methods):
    """Library files in sys.modules after importing a script (and methods), in a fresh process."""
    lines = [
        "import importlib, sys",
        f"sys.path.insert(0, {str(closure.SCRIPTS)!r})",
        f"importlib.import_module({script.removesuffix('.py')!r})",
        *(f"importlib.import_module('advprune.methods.{key}')" for key in methods),
        "for name, module in sorted(sys.modules.items()):",
        "    if name.split('.')[0] == 'advprune': print(module.__file__)",
    ]
    out = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return set(out.stdout.splitlines())


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_closure_is_what_a_script_imports(script):
    static = {str(path) for path in closure.code_files(f"scripts/{script}")}
    assert static == really_imported(script)


def test_a_method_adds_its_own_module_and_no_other_method():
    for key in shipped_methods():
        files = closure.code_files("scripts/prune.py", closure.method_module(key))
        methods = {path.stem for path in files if path.parent.name == "methods"}
        others = set(shipped_methods()) - {key}
        assert key in methods and not methods & others, f"{key} pulls in {methods & others}"


def test_a_methods_closure_is_what_it_imports():
    key = "hydra"
    static = closure.code_files("scripts/prune.py", closure.method_module(key))
    assert {str(path) for path in static} == really_imported("prune.py", key)


@pytest.mark.parametrize("script", ["leaderboard.py", "curves.py", "evaluate.py", "collect.py"])
def test_the_report_step_runs_without_torch(script):
    code = (
        f"import sys; sys.path.insert(0, {str(closure.SCRIPTS)!r}); import {script[:-3]};"
        " sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_digest_sees_content_and_not_time(tmp_path):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1\n")
    two.write_text("y = 1\n")
    before = closure.digest([one, two])
    two.touch()
    assert closure.digest([one, two]) == before
    two.write_text("y = 2\n")
    assert closure.digest([one, two]) != before
