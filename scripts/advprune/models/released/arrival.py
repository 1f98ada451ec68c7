"""What arrived: a whole checkpoint of the layout and net that were announced, or why it is none."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advprune.base import first_bytes
from advprune.base.errors import UserError
from advprune.models.foreign.outline import Outline, children, outline
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.recognise import Match, recognise

CHECKPOINTS = ("torch", "torch-legacy", "safetensors")
READ = 2**16  # bytes of a page
PAGES = (
    (r"quota|too many users have viewed", "its quota of downloads is used up: try again in a day"),
    (r"accounts\.google|sign in|log ?in to continue", "it asks for a sign-in: it is not public"),
    (r"virus", "it asks whether to download a file that was not scanned for viruses"),
    (r"cannot retrieve the public link", "it is not public, or was asked for too often"),
    (r"not found|does not exist|404", "there is no such file"),
)
DTYPES = {"float64": 8, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "float32": 4}


class NotAvailable(Exception):
    """Why a file cannot be had, in one line that a row shows."""


def check_kind(path: Path) -> None:
    """Refuse what is no whole checkpoint file, by its first bytes and its size."""
    try:
        kind = first_bytes.recognise(path)
    except UserError as error:
        raise NotAvailable(_without(path, error)) from None
    if kind.name == "html":
        raise NotAvailable(f"a web page instead of the file: {_page(path)}")
    if kind.name not in CHECKPOINTS:
        raise NotAvailable(f"no checkpoint but {kind.words}")
    if kind.name == "torch":
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise NotAvailable(f"damaged: the check sum of {broken} in it does not hold")


def match(path: Path, method: str, net: Mapping[str, Any]) -> Match:
    """The layout of a file that must be a method's and hold a net like `net`, else NotAvailable.

    `net` has the fields of ours that must agree: "arch", "width", "classes" and so on.
    """
    try:
        found = outline(path)
        _check_size(found)
        recognised = recognise(found, method)
    except UserError as error:
        raise NotAvailable(_without(path, error)) from None
    differ = [
        f"{key} {_plain(recognised.net[key])} instead of {_plain(wanted)}"
        for key, wanted in net.items()
        if key in recognised.net and _plain(recognised.net[key]) != _plain(wanted)
    ]
    if differ:
        raise NotAvailable(f"another net than announced ({recognised.layout}): {', '.join(differ)}")
    return recognised


def _check_size(found: Outline) -> None:
    """Refuse a file that is smaller than its tensors: a download that was cut off.

    Of a zip archive the end has the directory, so one that was cut off is none.
    """
    tensors = {t.place: t for t in _tensors(found.content)}.values()
    needed = sum(t.numel * DTYPES.get(t.dtype, 1) for t in tensors)
    if found.kind == "torch-legacy" and (size := found.path.stat().st_size) < needed:
        raise NotAvailable(f"cut off: it has {size} bytes, and its tensors alone take {needed}")


def _tensors(node: Any) -> Iterator[TensorInfo]:
    for _, value in children(node):
        if isinstance(value, TensorInfo):
            yield value
        elif isinstance(value, Mapping | list | tuple):
            yield from _tensors(value)


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


def _without(path: Path, error: UserError) -> str:
    """A message without the file's own name, which the row has."""
    return " ".join(str(error).removeprefix(f"{path}: ").split())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
