"""What the workflow asks of its command and its folder before it plans."""

import pytest

from advprune.base.errors import UserError
from advprune.plan import machine
from advprune.plan.machine import check_place


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


@pytest.mark.parametrize("folder", ["/a/b", "/my repo/it's $x", "/a/{x}/{run_2} b", "/é/[b]*"])
def test_spaces_quotes_and_simple_braces_are_fine(folder):
    check_place(folder)


@pytest.mark.parametrize("folder", ["/a/{1}", "/a/{}/b", "/{a,b}", "/a{", "/b}/c", "/{{x}}/d"])
def test_braces_that_snakemake_cannot_lock_are_one_line(folder):
    with pytest.raises(UserError, match="Snakemake cannot run here for the braces"):
        check_place(folder)
