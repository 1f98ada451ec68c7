"""The command as a whole: its help, its refusals, its place."""

import importlib
import re

import pytest
from click.testing import CliRunner

from advprune.cli import checkout
from advprune.cli.main import SUBCOMMANDS, main
from helpers.checkout import ROOT
from helpers.command import advprune

MODULES = {path.stem for path in (ROOT / "scripts" / "advprune" / "cli").glob("*.py")}


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_every_module_with_a_command_is_a_subcommand():
    with_command = {
        name.replace("_", "-")
        for name in MODULES - {"__main__", "__init__"}
        if hasattr(importlib.import_module(f"advprune.cli.{name}"), "command")
    }
    assert with_command == set(SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_teaches(name):
    """What it is for in the list; examples that are this command's, and its exit statuses."""
    listed = re.search(rf"^  {name} +(\S.*)$", run("--help").output, flags=re.M)
    assert listed and listed[1].endswith(".")
    text = run(name, "--help").output
    assert re.search(rf"Examples:\n +advprune {name}\b", text)
    assert re.search(r"Exit status:\n +0 ", text)


def test_an_unknown_subcommand_is_refused():
    done = run("verfy")
    assert done.exit_code == 2 and "No such command 'verfy'" in done.output


def test_the_command_of_a_checkout_runs_as_a_module_from_anywhere(tmp_path):
    done = advprune("leaderboard", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"Error: {tmp_path}: no evaluations\n")


def test_a_checkout_is_found_from_any_folder_in_it(tmp_path, monkeypatch):
    assert checkout.find(ROOT / "docs" / "decisions") == ROOT
    monkeypatch.chdir(tmp_path)
    done = run("verify")
    assert (done.exit_code, done.output) == (
        2,
        f"Error: {tmp_path}: not inside a checkout of advprune\n",
    )
