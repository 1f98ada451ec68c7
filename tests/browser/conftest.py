"""A browser, and pages of a synthetic grid to look at.

The browser is the system's Chromium. Screenshots are kept in the folder that ADVPRUNE_SCREENSHOTS
names, and else in pytest's temporary one.
"""

import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from advprune.report import records
from advprune.report.page import details, document
from advprune.report.page.content import Content
from helpers import grid_samples

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="session")
def browser():
    """Chromium; the tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def content(grid):
    """Everything that a page can show of a grid."""
    evaluations = grid_samples.evaluations(grid)
    found = details.Details(logs="logs/grid")
    for row in (e for e in evaluations if e["curve"]):
        identity = tuple(row["model"][key] for key in records.IDENTITY)
        history = grid_samples.history(row) if row["training"] else {}
        best = {"finetune": {"epoch": row["training"].get("best_epoch")}}
        model = {"folder": "/".join(map(str, identity)), "logs": ["finetune"], "cards": []}
        model |= {"best": best, "epochs": {}, "pretrained": None, "thin_ice": None}
        model["history"] = {k: details.columns(v) for k, v in history.items() if v}
        layers = details.layers_of({"layers": grid_samples.layers(row)}, found)
        found.models[identity] = model | layers
    methods = records.known(grid_samples.methods(), evaluations)
    files = ["leaderboard.csv", "comparison.csv", "curves.pdf", "configuration.yaml"]
    return Content(evaluations, methods, "grid", details=found, files=files)


@pytest.fixture(scope="session")
def small(browser, tmp_path_factory):
    """File of the page of a small grid."""
    path = tmp_path_factory.mktemp("small") / "leaderboard.html"
    document.write(path, content(grid_samples.SMALL))
    return path


class Visit:
    """An opened page, what went wrong on it, and what it asked the network for."""

    def __init__(self, browser, address=None, **look):
        look.setdefault("viewport", {"width": 1280, "height": 900})
        self.errors, self.requests = [], []
        self.page = browser.new_context(accept_downloads=True, **look).new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(60_000)
        if address:
            self.open(address)

    def open(self, address):
        """Go there, and wait until the curves are drawn."""
        self.page.goto(address)
        self.page.wait_for_selector("#chart svg", state="attached")

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def names(self):
        """Methods of the table's rows, in their order."""
        return self.page.locator("#leaderboard tr[data-row] button.name bdi").all_inner_texts()

    def numbers(self, group=0):
        """Worst cases of a group's rows, without the leading dense nets and missing numbers."""
        script = """group => {
          const rows = [...document.querySelectorAll('#leaderboard tbody tr')];
          const heads = rows.filter(row => row.matches('.group'));
          const own = rows.slice(rows.indexOf(heads[group]) + 1, rows.indexOf(heads[group + 1]));
          return own.filter(row => !row.matches('.dense'))
            .map(row => parseFloat(row.querySelector('.worst b').textContent))
            .filter(value => !Number.isNaN(value));
        }"""
        return self.page.evaluate(script, group)


@pytest.fixture
def visit(browser, small):
    """Open the page; at the end no script must have failed and nothing been asked for."""
    opened = []

    def opener(hash="", **look):
        opened.append(Visit(browser, f"{small.as_uri()}{hash}", **look))
        return opened[-1]

    yield opener
    for each in opened:
        assert each.errors == []
        asked = [url for url in each.requests if not url.startswith(("data:", "blob:"))]
        assert all(url.startswith("file:") and "leaderboard.html" in url for url in asked), asked
        each.page.context.close()


@pytest.fixture
def picture(tmp_path):
    """Save a screenshot: of what is seen, or of the whole page."""
    folder = Path(os.environ.get("ADVPRUNE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def save(visit, name, **options):
        visit.page.screenshot(path=folder / f"{name}.png", **options)
        return folder / f"{name}.png"

    return save


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def served():
    """Serve a folder as any web server does; returns its address."""
    servers = []

    def serve(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
