"""`advprune status` and `advprune estimate`, as people call them."""

import pytest
from click.testing import CliRunner

from advprune.cli.main import main
from helpers.run_samples import AT, Site


def call(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.do_until(site.model("dense"))
    site.took(site.task(site.model("dense"), "prune"), 12.0)
    return site


def test_status_counts_what_is_on_disk(site):
    done = call("status", site.run.folder)
    assert done.exit_code == 0, done.output
    assert "tiny: 1 of 6 models done, 5 waiting" in done.output
    assert "no run has left its journal here" in done.output
    (line,) = (s for s in done.output.splitlines() if s.strip().startswith("prune"))
    assert line.split() == ["prune", "1", "·", "·", "5", "12", "s"]
    assert "partial/leaderboard.html" in done.output
    assert (site.run.folder / "partial/leaderboard.csv").exists()


def test_status_names_what_failed(site):
    model = site.model("li20")
    site.log(site.task(model, "prune"), f"{AT} ERROR   [red]no luck[/]\n")
    done = call("status", site.run.folder, "--no-tables")
    assert done.exit_code == 1 and not (site.run.folder / "partial").exists()
    assert "prune: [red]no luck[/]" in done.output.replace("\n", "")
    brief = call("status", site.run.folder, "--no-tables", "--brief").output.splitlines()
    assert len(brief) == 2 and brief[1].startswith("  failed: li20, digits, resnet18, ")


def test_status_of_nothing_is_one_line(tmp_path):
    done = call("status", tmp_path / "nowhere")
    assert done.exit_code == 2 and done.output.count("\n") == 1


def test_an_estimate_needs_a_pilot(site, tmp_path):
    config = tmp_path / "plan.yaml"
    config.write_text(
        (site.run.folder / "configuration.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    done = call("estimate", config, "--from", tmp_path / "nowhere")
    assert done.exit_code == 2 and "no such folder" in done.output
    done = call("estimate", config, "--from", site.run.folder, "--jobs", 2)
    assert done.exit_code == 1, done.output
    assert "at 2 at a time, without dataset, " in done.output.replace("\n", " ")
