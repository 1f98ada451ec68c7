"""Whether a file is a whole checkpoint, and what a page in its place says."""

import re
import zipfile
from pathlib import Path

from advprune.base import first_bytes
from advprune.base.errors import UserError
from advprune.models.foreign.outline import Outline, outline

CHECKPOINTS = ("torch", "torch-legacy", "safetensors")
READ = 2**16  # bytes of a page
PAGES = (
    (r"quota|too many users have viewed", "its quota of downloads is used up: try again in a day"),
    (r"accounts\.google|sign in|log ?in to continue", "it asks for a sign-in: it is not public"),
    (r"virus", "it asks whether to download a file that was not scanned for viruses"),
    (r"cannot retrieve the public link", "it is not public, or was asked for too often"),
    (r"not found|does not exist|404", "there is no such file"),
)


class NotAvailableError(Exception):
    """Why a file cannot be had, in one line that a row shows."""


def whole(path: Path) -> Outline:
    """Return the outline of a whole checkpoint file; what is none is `NotAvailableError`.

    Its first bytes, the check sums of a zip archive and the length of any other are looked at, and
    that to read it runs no code.
    """
    try:
        kind = first_bytes.recognise(path)
    except UserError as error:
        raise NotAvailableError(without(path, error)) from None
    if kind.name == "html":
        raise NotAvailableError(f"a web page instead of the file: {_page(path)}")
    if kind.name not in CHECKPOINTS:
        raise NotAvailableError(f"no checkpoint but {kind.words}")
    if kind.name == "torch":
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise NotAvailableError(f"damaged: the check sum of {broken} in it does not hold")
    try:
        return outline(path)
    except UserError as error:
        raise NotAvailableError(without(path, error)) from None


def _page(path: Path) -> str:
    """What a page says, as far as its kind is known."""
    with path.open("rb") as file:
        text = file.read(READ).decode("utf-8", errors="replace")
    title = re.search(r"<title>\s*(.*?)\s*</title>", text, re.IGNORECASE | re.DOTALL)
    title_of = " ".join(title[1].split())[:80] if title else ""
    return _known(text) or f"its title is {title_of!r}"


def told(message: str) -> str:
    """What a message means, as far as it is of a known kind, else its first sentence."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = " ".join(lines[1:] or lines)
    return _known(message) or said.split(". ")[0].rstrip(".")


def _known(text: str) -> str:
    return next((w for pattern, w in PAGES if re.search(pattern, text, re.IGNORECASE)), "")


def without(path: Path, error: UserError) -> str:
    """A message without the file's own name, which the row has."""
    return " ".join(str(error).removeprefix(f"{path}: ").split())
