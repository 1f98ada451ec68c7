"""A net of ours from a file whose layout was recognised: its formulas, and what must be checked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from advprune.base.errors import UserError
from advprune.base.text import few
from advprune.models.foreign.match import Match
from advprune.models.foreign.numbers import Numbers
from advprune.models.foreign.operations import make

State = dict[str, Tensor]
EXPORT = "HARP's faulty export: each layer has lost the same share {share:.4f}, and not its own"
UNFINISHED = "masks of an unfinished search multiplied in: {names}"


@dataclass
class Made:
    """Tensors of our net by name, without its normalisation, and what must be known of them.

    `changes` were made on the way, `marks` are lines for the row's reader, and `faults` reasons to
    flag it.
    """

    state: State
    changes: list[str]
    marks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def made(numbers: Numbers, match: Match, sparsity: float) -> Made:
    """Make the net's tensors by their formulas.

    What the layout says of the numbers and does not hold is a `UserError`: tensors that lie twice
    and differ, masks that are not in the weights, scores without a share to cut at.
    """
    if match.sparsity and not 0 < sparsity < 1:
        raise UserError(f"its layout {match.layout} cuts scores at the entry's sparsity: give it")
    _check_twins(numbers, match)

    def tensor(name: str) -> Tensor:
        found = numbers.tensor(match.ways[name])
        # counters stay whole; the arithmetic of half precision would round a second time
        return found.float() if found.is_floating_point() and found.itemsize < 4 else found

    state = {name: make(f, tensor, sparsity) for name, f in match.tensors.items()}
    _check_masks(numbers, match)
    found = Made(state, _told(match, sparsity), list(match.notes))
    if match.learned_shares and (share := equal_share(state)):
        found.faults.append(EXPORT.format(share=share))
    if odd := _other_than_one(numbers, match):
        found.marks.append(UNFINISHED.format(names=few(odd)))
    return found


def equal_share(state: State) -> float | None:
    """The removed share of all layers together if each has it, to a channel; None otherwise.

    A share of 0 is no share: such a net was not pruned.
    """
    weights = [tensor for tensor in state.values() if tensor.ndim > 1]
    zeros = [int((weight == 0).sum()) for weight in weights]
    share = sum(zeros) / sum(weight.numel() for weight in weights)
    close = (
        abs(zero / weight.numel() - share) <= max(1 / weight.shape[1], 1 / weight.numel())
        for zero, weight in zip(zeros, weights, strict=True)
    )
    return share if share and all(close) else None


def _told(match: Match, sparsity: float) -> list[str]:
    """What was done beside copying, an operation a line."""
    by: dict[str, list[str]] = {}
    for name, formula in match.tensors.items():
        for operation in formula.operations():
            if operation != "copy":
                by.setdefault(operation, []).append(name)
    at = f" at {sparsity:g}" if match.sparsity else ""
    return [f"{op}{at * op.startswith('rank')}: {few(names)}" for op, names in by.items()]


def _check_twins(numbers: Numbers, match: Match) -> None:
    for second, first in match.same.items():
        if not torch.equal(numbers.tensor(second), numbers.tensor(first)):
            both = " and ".join(way[-1] for way in (first, second))
            raise UserError(f"its {both} should be one tensor, but differ")


def _check_masks(numbers: Numbers, match: Match) -> None:
    """Refuse masks beside the net that are not in its weights already."""
    for name, mask in _masks(numbers, match):
        plain = re.sub(r"_\d+$", "", name)  # the place among all parameters
        if plain not in match.ways:
            raise UserError(f"its mask {name} belongs to no tensor of the net")
        weight = numbers.tensor(match.ways[plain])
        if mask.shape != weight.shape or bool((weight[mask == 0] != 0).any()):
            raise UserError(f"its mask {name} is not in the weight: save weights times masks")


def _masks(numbers: Numbers, match: Match) -> Iterator[tuple[str, Tensor]]:
    """Masks of the table that the layout names, if the file has it."""
    if match.masks and numbers.holds(match.masks):
        for name in numbers.value(match.masks):
            yield name, numbers.tensor((*match.masks, name))


def _other_than_one(numbers: Numbers, match: Match) -> list[str]:
    """Tensors whose factor by softplus is not 1, as it is in a finished file of MAD."""
    found = []
    for name, formula in match.tensors.items():
        if formula.operation == "softplus":
            mask = numbers.tensor(match.ways[list(formula.names())[1]])
            factor = torch.nn.functional.softplus(mask.double())
            if bool(((factor - 1).abs() > 1e-3).any()):
                found.append(name)
    return found
