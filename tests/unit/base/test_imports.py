"""The static import closure that makes staleness exact must be what Python really imports."""

import functools
import json
import subprocess
import sys

import pytest

from advprune.base import imports
from advprune.data.specs import known
from advprune.models.names import known_nets
from helpers.checkout import shipped_methods

SCRIPTS = sorted(p.stem for p in imports.SCRIPTS.glob("*.py"))
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
    cases = [*SCRIPTS]
    command = [sys.executable, "-c", LISTING, imports.SCRIPTS, *cases, HYDRA]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {case: set(files) for case, files in map(json.loads, done.stdout.splitlines())}


def really_imported(script, *methods):
    """Library files in sys.modules after importing a script (and methods), in a fresh process."""
    modules = [script, *(f"advprune.methods.{key}" for key in methods)]
    return listing()[" ".join(modules)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_closure_is_what_a_script_imports(script):
    static = {str(path) for path in imports.code_files(script)}
    assert static == really_imported(script)


def test_a_method_adds_its_own_module_and_no_other_method():
    for key in shipped_methods():
        files = imports.code_files("prune", f"methods.{key}")
        methods = {path.stem for path in files if path.parent.name == "methods"}
        others = set(shipped_methods()) - {key}
        assert key in methods and not methods & others, f"{key} pulls in {methods & others}"


def test_a_methods_closure_is_what_it_imports():
    key = "hydra"
    static = imports.code_files("prune", f"methods.{key}")
    assert {str(path) for path in static} == really_imported("prune", key)


@pytest.mark.parametrize("script", ["leaderboard", "curves", "evaluate", "gather"])
def test_the_report_step_runs_without_torch(script):
    code = (
        f"import sys; sys.path.insert(0, {str(imports.SCRIPTS)!r}); import {script};"
        " sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


TEXT = '''"""What it is."""

import os


def add(a, b):
    """Sum of both."""
    return a + b  # at once
'''


def digest(folder, text, name="module.py"):
    path = folder / str(abs(hash(text))) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return imports.digest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is", "What it was"),
        ("Sum of both", "Sum"),
        ("  # at once", ""),
        ("import os\n\n\n", "import os\n\n"),
        ("(a, b)", "(a,\n        b)"),
    ],
)
def test_a_digest_does_not_see_text_and_layout(tmp_path, old, new):
    assert old in TEXT
    assert digest(tmp_path, TEXT) == digest(tmp_path, TEXT.replace(old, new, 1))


@pytest.mark.parametrize(("old", "new"), [("a + b", "a - b"), ("os", "re"), ("a, b", "b, a")])
def test_a_digest_sees_what_is_done(tmp_path, old, new):
    assert digest(tmp_path, TEXT) != digest(tmp_path, TEXT.replace(old, new, 1))


def test_a_template_counts_by_its_bytes(tmp_path):
    assert digest(tmp_path, "a {}", "page.css") != digest(tmp_path, "a  {}", "page.css")
    page = "advprune/report/page/document"
    assert {f"{page}.css", f"{page}.html.j2", f"{page}.table.js"} <= set(
        imports.code("leaderboard")
    )


def test_attacks_do_not_rest_on_training():
    for script in ("autoattack", "hofmn", "hofmn_tune", "reliability", "costs", "corruptions"):
        behind = {path.split("/")[1] for path in imports.code(script) if "/" in path}
        assert not behind & {"training", "methods", "pruning"}, script


def test_no_script_or_method_reaches_a_dataset_or_a_net_but_by_name():
    """Only the bench, which is no job, is about one dataset."""
    methods = (f"methods.{key}" for key in shipped_methods())
    scripts = [(name,) for name in SCRIPTS if name != "bench"]
    for names in (*scripts, *((None, method) for method in methods)):
        reached = {p for p in imports.code_files(*names) if p.parent.name in ("sets", "nets")}
        assert not reached, f"{names} reach {reached}"


@pytest.mark.parametrize("name", known_nets())
def test_a_net_adds_its_own_module_and_no_other_net(name):
    files = imports.code_files("pretrain", f"models.nets.{name}")
    assert {p.stem for p in files if p.parent.name == "nets"} == {"__init__", name}


@pytest.mark.parametrize("name", known())
def test_a_dataset_adds_its_own_module_and_no_other_dataset(name):
    files = imports.code_files("dataset", f"data.sets.{name}")
    assert {p.stem for p in files if p.parent.name == "sets"} == {"__init__", name}
