"""`snakemake --report` holds the results with captions and categories, as a page and as a zip."""

import re
import zipfile

import pytest

# one worker: the finished run is made once and shared
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]
CATEGORIES = ("Leaderboard", "Comparison", "Curves", "Figures", "Thin ice", "Costs and more")
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "all_proxy")}


@pytest.fixture(scope="module")
def checkout(finished, tmp_path_factory):
    return finished.copy(tmp_path_factory.mktemp("report") / "repo")


def test_the_page_has_every_category_with_its_caption(checkout):
    checkout.snakemake("--report", "report.html", environment=NO_NETWORK)
    page = (checkout.folder / "report.html").read_text(encoding="utf-8")
    for category in CATEGORIES:
        assert f'"{category}"' in page, category
    for words in ("95 % Wilson intervals", "chance over images", "dense net of the same seed"):
        assert words in re.sub(r"\\n|\s+", " ", page), words
    assert "Preset" in page and "tiny" in page


def test_the_zip_has_the_results_as_files(checkout):
    checkout.snakemake("--report", "report.zip", environment=NO_NETWORK)
    with zipfile.ZipFile(checkout.folder / "report.zip") as archive:
        held = {(name.rsplit("/", 1)[1], archive.read(name)) for name in archive.namelist()}
    run = checkout.folder / "results" / "tiny"
    names = ("leaderboard.csv", "leaderboard.html", "comparison.csv", "curves.png", "costs.csv")
    figures = [*(run / "thin_ice").glob("*.png"), *(run / "curves").glob("*.png")]
    assert len(figures) > 3
    for path in [*(run / name for name in names), *figures]:
        assert (path.name, path.read_bytes()) in held, path
    assert "report.html" in {name for name, _ in held}
