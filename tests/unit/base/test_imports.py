"""The static import closure that makes staleness exact must be what Python really imports."""

import subprocess
import sys

import pytest

from advprune.base import imports
from advprune.data.specs import known
from advprune.models.names import known_nets
from advprune.plan.config import known_methods

SCRIPTS = sorted(p.name for p in imports.SCRIPTS.glob("*.py"))


def really_imported(script, *methods):
    """Library files in sys.modules after importing a script (and methods), in a fresh process."""
    lines = [
        "import importlib, sys",
        f"sys.path.insert(0, {str(imports.SCRIPTS)!r})",
        f"importlib.import_module({script.removesuffix('.py')!r})",
        *(f"importlib.import_module('advprune.methods.{key}')" for key in methods),
        "for name, module in sorted(sys.modules.items()):",
        "    if name.split('.')[0] == 'advprune': print(module.__file__)",
    ]
    out = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return set(out.stdout.split())


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_closure_is_what_a_script_imports(script):
    static = {str(path) for path in imports.code_files(f"scripts/{script}")}
    assert static == really_imported(script)


def test_a_method_adds_its_own_module_and_no_other_method():
    for key in known_methods():
        files = imports.code_files("scripts/prune.py", imports.method_module(key))
        methods = {path.stem for path in files if path.parent.name == "methods"}
        others = set(known_methods()) - {key}
        assert key in methods and not methods & others, f"{key} pulls in {methods & others}"


def test_a_methods_closure_is_what_it_imports():
    key = "hydra"
    static = imports.code_files("scripts/prune.py", imports.method_module(key))
    assert {str(path) for path in static} == really_imported("prune.py", key)


@pytest.mark.parametrize("script", ["leaderboard.py", "curves.py", "evaluate.py", "collect.py"])
def test_the_report_step_runs_without_torch(script):
    code = (
        f"import sys; sys.path.insert(0, {str(imports.SCRIPTS)!r}); import {script[:-3]};"
        " sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_digest_sees_content_and_not_time(tmp_path):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1\n")
    two.write_text("y = 1\n")
    before = imports.digest([one, two])
    two.touch()
    assert imports.digest([one, two]) == before
    two.write_text("y = 2\n")
    assert imports.digest([one, two]) != before


def test_no_script_or_method_reaches_a_dataset_or_a_net_but_by_name():
    """Only the bench, which is no job, is about one dataset."""
    methods = map(imports.method_module, known_methods())
    for path in (*(f"scripts/{name}" for name in SCRIPTS if name != "bench.py"), *methods):
        reached = {p for p in imports.code_files(path) if p.parent.name in ("sets", "nets")}
        assert not reached, f"{path} reaches {reached}"


@pytest.mark.parametrize("name", known_nets())
def test_a_net_adds_its_own_module_and_no_other_net(name):
    files = imports.code_files("scripts/pretrain.py", imports.net_module(name))
    assert {p.stem for p in files if p.parent.name == "nets"} == {"__init__", name}


@pytest.mark.parametrize("name", known())
def test_a_dataset_adds_its_own_module_and_no_other_dataset(name):
    files = imports.code_files("scripts/dataset.py", imports.set_module(name))
    assert {p.stem for p in files if p.parent.name == "sets"} == {"__init__", name}
