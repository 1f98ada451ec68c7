"""What arrived: a checkpoint of the layout and net that were announced, or why it is none."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advprune.base.errors import UserError
from advprune.models.foreign.match import Match, disagreement
from advprune.models.foreign.outline import Outline, children, outline
from advprune.models.foreign.pickles import TensorInfo
from advprune.models.foreign.recognise import recognise
from advprune.models.released.kinds import NotAvailableError, without

DTYPES = {"float64": 8, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "float32": 4}


def match(path: Path, method: str, net: Mapping[str, Any]) -> Match:
    """The layout of a file that must be a method's and hold a net like `net`, else an error.

    `net` has the fields of ours that must agree: "arch", "width", "classes" and so on.
    """
    try:
        found = outline(path)
        _check_size(found)
        recognised = recognise(found, method)
    except UserError as error:
        raise NotAvailableError(without(path, error)) from None
    if differs := disagreement(recognised, net):
        raise NotAvailableError(f"another net than announced: {differs}")
    return recognised


def _check_size(found: Outline) -> None:
    """Refuse a file that is smaller than its tensors: a download that was cut off.

    Of a zip archive the end has the directory, so one that was cut off is none.
    """
    tensors = {t.place: t for t in _tensors(found.content)}.values()
    needed = sum(t.numel * DTYPES.get(t.dtype, 1) for t in tensors)
    if found.kind == "torch-legacy" and (size := found.path.stat().st_size) < needed:
        raise NotAvailableError(
            f"cut off: it has {size} bytes, and its tensors alone take {needed}"
        )


def _tensors(node: Any) -> Iterator[TensorInfo]:
    for _, value in children(node):
        if isinstance(value, TensorInfo):
            yield value
        elif isinstance(value, Mapping | list | tuple):
            yield from _tensors(value)
