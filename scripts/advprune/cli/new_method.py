"""`advprune new-method`: a method to begin from, which trains, passes the tests and has a page."""

import json
import keyword
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from string import Template

import click

from advprune.base.errors import UserError
from advprune.base.files import write_text
from advprune.cli import checkout, docs
from advprune.cli.taught import Taught
from advprune.report import records

TEMPLATES = Path(__file__).parent / "template"
# template: where its copy goes
PLACES = {
    "module.py.txt": "scripts/advprune/methods/{key}.py",
    "settings.yaml.txt": "config/methods/{key}.yaml",
    "test.py.txt": "tests/unit/methods/test_{key}.py",
}
STRUCTURES = records.STRUCTURES[1:]  # without "none"


@click.command(
    cls=Taught,
    short_help="Begin a pruning method from a template.",
    examples=["new-method foo", "new-method foo --structure filters --structure channels"],
    status={0: "the method is there and every page knows it", 2: "the key cannot be used"},
    more='CONTRIBUTING.md, "Add a method"',
)
@click.argument("key")
@click.option(
    "--structure",
    "structures",
    type=click.Choice(STRUCTURES),
    multiple=True,
    default=STRUCTURES[:1],
    help="What the method removes; may be given several times.",
)
def command(key: str, structures: Sequence[str]) -> None:
    """Begin a pruning method from a template.

    KEY becomes the name of its module, its YAML and its results: small letters, digits and
    underscores. What is written is a simple criterion that already trains, prunes and passes
    every test; the line to edit is marked. Grids that say `methods: all` have it from now on.
    """
    root = checkout.find()
    files = copies(root, key, structures)
    for path, text in files.items():
        write_text(path, text)
    for path in [*files, *docs.remake(root)]:
        click.echo(path.relative_to(root))
    click.echo(
        "Next: edit the marked line of the module, the YAML, and the page above its marker. Then\n"
        f"  pytest tests/unit/methods -k {key}\n"
        "  advprune docs"
    )


def copies(root: Path, key: str, structures: Sequence[str]) -> dict[Path, str]:
    """Files of a new method with their content; a key that cannot be used is a UserError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or keyword.iskeyword(key) or key == "all":
        raise UserError(f"'{key}' cannot be a key: small letters, digits, underscores; no keyword")
    places = {name: root / place.format(key=key) for name, place in PLACES.items()}
    for path in places.values():
        if path.exists():
            raise UserError(f"'{key}' is taken: {path.relative_to(root)} exists")
    chosen = [structure for structure in STRUCTURES if structure in structures]
    kinds = dict.fromkeys("US" if s == "unstructured" else "S" for s in chosen)
    words = {
        "key": key,
        "name": key,
        "class_name": "".join(part.capitalize() for part in key.split("_")),
        "structures": ", ".join(chosen),
        "listed": json.dumps(chosen),
        "kinds": ", ".join(sorted(kinds)),
        "year": str(date.today().year),
    }
    return {
        path: Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(words)
        for name, path in places.items()
    }
