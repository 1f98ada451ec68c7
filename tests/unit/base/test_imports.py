"""The static import closure that makes staleness exact must be what Python really imports."""

import functools
import json
import subprocess
import sys

import pytest

from advprune.base import imports
from advprune.plan.config import known_methods

SCRIPTS = sorted(p.name for p in imports.SCRIPTS.glob("*.py"))
HYDRA = "prune advprune.methods.hydra"
# what every script imports is found by one process, in one worker
pytestmark = pytest.mark.xdist_group("imports")
# Other libraries are imported once, ours by a fresh copy of the process for every case.
LISTING = """
import importlib, json, os, sys
import matplotlib.figure, optuna, pandas, rich.table, scipy.stats, sklearn.datasets, torchvision
sys.path.insert(0, sys.argv[1])
for case in sys.argv[2:]:
    if os.fork():
        os.wait()
        continue
    try:
        for name in case.split():
            importlib.import_module(name)
        ours = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "advprune"]
        print(json.dumps([case, ours]), flush=True)
    finally:
        os._exit(0)
"""


@functools.cache
def listing():
    """Case, the modules imported → library files that are loaded then."""
    cases = [script.removesuffix(".py") for script in SCRIPTS]
    command = [sys.executable, "-c", LISTING, imports.SCRIPTS, *cases, HYDRA]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {case: set(files) for case, files in map(json.loads, done.stdout.splitlines())}


def really_imported(script, *methods):
    """Library files in sys.modules after importing a script (and methods), in a fresh process."""
    modules = [script.removesuffix(".py"), *(f"advprune.methods.{key}" for key in methods)]
    return listing()[" ".join(modules)]


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
