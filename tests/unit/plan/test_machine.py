"""What the workflow asks before it plans."""

import pytest

from advprune.base.errors import UserError
from advprune.plan import machine


def test_a_target_after_configfile_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("results/demo/a.json", tmp_path / "results" / "demo" / "a.json"):
        with pytest.raises(UserError, match=r"^results/demo/a.json was read as a configuration"):
            machine.check_order(["config/demo.yaml", name])


def test_a_checkout_below_a_folder_of_that_name_is_none(tmp_path, monkeypatch):
    folder = tmp_path / "results" / "checkout"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    machine.check_order([folder / "config" / "demo.yaml", "config/demo.yaml", "../x.yaml"])
