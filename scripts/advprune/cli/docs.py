"""`advprune docs`: the pages of docs/ that are made from the code and the configuration."""

from pathlib import Path

import click

from advprune.base.files import write_text
from advprune.cli import checkout
from advprune.cli.taught import Taught
from advprune.report import architecture, catalogue, records


@click.command(
    cls=Taught,
    short_help="Make the generated pages of docs/ again.",
    examples=["docs"],
    status={0: "the pages are up to date; those that were not are named", 2: "a file is unfit"},
    more="CONTRIBUTING.md",
)
def command() -> None:
    """Make the generated pages of docs/ again.

    A page of docs/methods keeps what is written by hand above its marker and is made from the
    method's YAML below it; a method without a page gets one, begun from its module's docstring.
    """
    root = checkout.find()
    for path in remake(root):
        click.echo(path.relative_to(root))


def remake(root: Path) -> list[Path]:
    """Write the pages that are not up to date; return their paths."""
    changed = []
    for path, text in pages(root).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed.append(path)
    return changed


def pages(root: Path) -> dict[Path, str]:
    """Every generated page of a checkout, as it should be."""
    methods = records.load_methods(checkout.method_files(root))
    published = catalogue.load_published(root / "config" / "published" / "leaderboard.csv")
    folder = root / "docs" / "methods"
    texts = {folder / "README.md": catalogue.overview(methods)}
    for key, method in methods.items():
        path = folder / f"{key}.md"
        if path.exists():
            above = catalogue.written(path.read_text(encoding="utf-8"), key)
        else:
            module = root / "scripts" / "advprune" / "methods" / f"{key}.py"
            above = catalogue.begun(method, module.read_text(encoding="utf-8"))
        texts[path] = catalogue.page(method, published, above)
    return texts | {root / "docs" / "architecture.md": architecture.render(root)}
