"""A new method works at once: it prunes, has a test and a page, and no other file is edited."""

import shutil
import subprocess
import sys

import pytest
import yaml

from advprune.base.errors import UserError
from advprune.cli.new_method import copies
from advprune.plan.config import check
from helpers.checkout import ROOT
from helpers.command import advprune

LEFT_OUT = (".git", ".venv", ".snakemake", "logs", "__pycache__", "*_cache", "build", "*.egg-info")
SETTINGS = ROOT / "config" / "methods" / "two_words.yaml"


@pytest.mark.parametrize("key", ["Foo", "1st", "two-words", "../foo", "", "class", "all"])
def test_a_key_that_is_no_name_is_refused(key):
    with pytest.raises(UserError, match="cannot be a key"):
        copies(ROOT, key, ["unstructured"])


@pytest.mark.parametrize("key", ["hydra", "base"])
def test_a_key_that_is_taken_is_refused(key):
    with pytest.raises(UserError, match=rf"'{key}' is taken: scripts/advprune/methods/{key}\.py"):
        copies(ROOT, key, ["unstructured"])


def test_a_refused_key_is_one_line():
    done = advprune("new-method", "hydra")
    said = "Error: 'hydra' is taken: scripts/advprune/methods/hydra.py exists\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_the_settings_are_those_of_a_method_with_the_structures_asked_for():
    content = yaml.safe_load(copies(ROOT, "two_words", ["filters", "unstructured"])[SETTINGS])
    check(content, "method", "the template")
    assert content["key"] == "two_words"
    assert content["structures"] == ["unstructured", "filters"]
    assert content["taxonomy"]["structure"] == "S, US"


def everything(folder):
    """A copy of the checkout with its documents and tests."""
    ignored = shutil.ignore_patterns(*LEFT_OUT, "results")
    shutil.copytree(ROOT, folder, ignore=ignored)
    shutil.copytree(ROOT / "results" / "reference", folder / "results" / "reference")
    return folder


@pytest.mark.slow
def test_a_new_method_passes_the_tests_and_the_lint_with_no_other_file_edited(tmp_path):
    """Those of every method, of the shipped grids, and of the documents."""
    root = everything(tmp_path / "copy")
    done = advprune("new-method", "two_words", "--structure", "kernels", root=root)
    assert done.returncode == 0, done.stderr
    module, _, test = done.stdout.splitlines()[:3]

    def passes(*command):
        run = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True)
        assert run.returncode == 0, run.stdout.decode()
        return run.stdout.decode()

    unit = "tests/unit"
    named = passes("pytest", f"{unit}/methods", f"{unit}/plan/test_config.py", "-k", "two_words")
    assert "3 passed" in named
    passes("pytest", f"{unit}/house/test_docs.py", f"{unit}/plan/test_grids.py")
    passes("ruff", "check", module, test)
    passes("ruff", "format", "--check", module, test)
