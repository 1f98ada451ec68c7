"""As many models as the paper has: how long the page takes, and a site of them."""

import json
import time

import pytest

from advprune.report.page import document
from browser.conftest import Visit, content
from helpers import grid_samples

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
# Seconds that the page's thread computes, which is what a reader waits for on an idle machine:
# measured beside a dozen other processes on two cores 0.36 to 0.41 and 0.01 to 0.07. By the clock,
# 1.3 to 1.9 s to open there say as much of those.
COMPUTES = {"opens": 1.0, "filters": 0.1}
SLOWEST = 4.0


class Clock:
    """How much the page's thread computes."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now(self):
        found = self.session.send("Performance.getMetrics")["metrics"]
        (computed,) = (entry["value"] for entry in found if entry["name"] == "TaskDuration")
        return computed

    def measure(self, work, *arguments):
        before = self.now()
        work(*arguments)
        return self.now() - before


SEARCH = """words => {
  const search = document.querySelector('input[type=search]');
  search.value = words;
  search.dispatchEvent(new Event('input'));
  document.body.offsetHeight;
}"""


def test_1800_models_open_and_filter_at_once(browser, tmp_path, picture, record_property):
    path = tmp_path / "leaderboard.html"
    document.write(path, content(grid_samples.PAPER))
    visit = Visit(browser)
    clock = Clock(visit.page)
    begun = time.perf_counter()
    took = {"opens": clock.measure(visit.open, path.as_uri())}
    waited = time.perf_counter() - begun
    assert visit.page.evaluate("count(models)") == 1800
    took["filters"] = max(
        clock.measure(visit.page.evaluate, SEARCH, words)
        for words in ("hydra", "svhn 99", "doubt", "zzz", "")
    )
    picture(visit, "large")
    told = took | {"waited": waited, "megabytes": path.stat().st_size / 1e6}
    record_property("took", json.dumps(told))
    assert visit.errors == []
    assert {step for step in took if took[step] > COMPUTES[step]} == set(), told
    assert waited < SLOWEST, told
