"""Which checkout of the repository a command works on."""

from pathlib import Path

from advprune.base.errors import UserError

MARKS = ("workflow/Snakefile", "config/methods", "scripts/advprune")


def find(start: Path | None = None) -> Path:
    """Root of the checkout in which the current folder lies, whatever code is installed where."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if all((folder / mark).exists() for mark in MARKS):
            return folder
    raise UserError(f"{here}: not inside a checkout of advprune")


def method_files(root: Path) -> list[Path]:
    """YAMLs of all methods of a checkout."""
    return sorted((root / "config" / "methods").glob("*.yaml"))
