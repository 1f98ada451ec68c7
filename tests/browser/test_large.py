"""As many models as the paper has: how long the page takes, and a site of them."""

import json
import time

import pytest

from advprune.report.page import document
from browser.conftest import Visit, content
from helpers import grid_samples

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
# measured beside much other work: 0.8 to 1.1 s, and 10 to 102 ms; here as much as is certain
SLOWEST = {"opens": 6.0, "filters": 0.4}


def test_1800_models_open_and_filter_at_once(browser, tmp_path, picture, record_property):
    path = tmp_path / "leaderboard.html"
    document.write(path, content(grid_samples.PAPER))
    begun = time.perf_counter()
    visit = Visit(browser, path.as_uri())
    took = {"opens": time.perf_counter() - begun}
    assert visit.page.evaluate("count(models)") == 1800
    took["filters"] = visit.page.evaluate(
        """() => {
          const search = document.querySelector('input[type=search]');
          const times = ['hydra', 'svhn 99', 'doubt', 'zzz', ''].map(words => {
            const begun = performance.now();
            search.value = words;
            search.dispatchEvent(new Event('input'));
            document.body.offsetHeight;
            return performance.now() - begun;
          });
          return Math.max(...times) / 1000;
        }"""
    )
    picture(visit, "large")
    record_property("took", json.dumps(took | {"megabytes": path.stat().st_size / 1e6}))
    assert visit.errors == []
    assert {name: took[name] < limit for name, limit in SLOWEST.items()} == {
        "opens": True,
        "filters": True,
    }, took
