"""As many models as the paper has: how long the page takes, and a site of them."""

import json
import time

import pytest

from advprune.report.page import document
from browser.conftest import Visit, content
from helpers import grid_samples

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
# What a reader waits for on an idle machine is what the page's thread computes: measured beside a
# dozen other processes on two cores 0.37 to 0.41 s and 11 to 68 ms. By the clock 1.3 to 1.9 s
# and 9 to 109 ms there, which says as much of them.
COMPUTES = {"opens": 1.0, "filters": 0.1}
SLOWEST = {"opens": 4.0, "filters": 0.3}


class Clock:
    """Seconds that the page's thread computes, and those of the clock."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def __call__(self):
        found = self.session.send("Performance.getMetrics")["metrics"]
        (computed,) = (entry["value"] for entry in found if entry["name"] == "TaskDuration")
        return computed, time.perf_counter()


SEARCH = """words => {
  const search = document.querySelector('input[type=search]');
  search.value = words;
  search.dispatchEvent(new Event('input'));
  document.body.offsetHeight;
}"""


def measured(clock, work):
    """How much the work computed, and how long it took."""
    before = clock()
    work()
    return tuple(after - start for after, start in zip(clock(), before, strict=True))


def test_1800_models_open_and_filter_at_once(browser, tmp_path, picture, record_property):
    path = tmp_path / "leaderboard.html"
    document.write(path, content(grid_samples.PAPER))
    visit = Visit(browser)
    clock = Clock(visit.page)
    took = {"opens": measured(clock, lambda: visit.open(path.as_uri()))}
    assert visit.page.evaluate("count(models)") == 1800
    took["filters"] = max(
        measured(clock, lambda words=words: visit.page.evaluate(SEARCH, words))
        for words in ("hydra", "svhn 99", "doubt", "zzz", "")
    )
    picture(visit, "large")
    record_property("took", json.dumps({"seconds": took, "megabytes": path.stat().st_size / 1e6}))
    assert visit.errors == []
    for step, (computed, waited) in took.items():
        assert computed < COMPUTES[step] and waited < SLOWEST[step], took
