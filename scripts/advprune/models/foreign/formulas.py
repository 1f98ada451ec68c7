"""How a tensor of ours is made of a file's: an operation by name and what it takes. Without torch.

What the operations do is in `operations`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from advprune.base.errors import UserError

# operations and how many tensors each takes, in this order:
OPERATIONS = {
    "copy": 1,
    "product": None,  # of all
    "softplus": 2,  # weight, mask: weight times softplus of mask
    "rank": 2,  # weight, scores: the best scores of the layer are kept
    "rank_rate": 3,  # weight, scores, rate: the same with a share that was learned
    "rank_channel": 3,  # weight, scores, rate: the same of input channels
    "mix": 3,  # factors [out, out], weight, mask: weights summed over filters, then masked
    "minus": 2,  # first less second
    "fold_weight": 3,  # weight, scale, variance: a linear layer with the BatchNorm behind it
    "fold_bias": 5,  # bias, scale, shift, mean, variance
    "ones": 1,  # one for every row of the tensor: for what a layer does not have
    "zeros": 1,
    "squeeze": 1,  # without the two axes of a 1×1 convolution
}
RANKED = ("rank", "rank_rate", "rank_channel")


@dataclass(frozen=True)
class Formula:
    """An operation of `OPERATIONS` and what it takes: names of tensors, or formulas in turn."""

    operation: str
    of: tuple["str | Formula", ...] = ()

    def names(self) -> Iterator[str]:
        """Names of the tensors that it takes."""
        for part in self.of:
            yield from part.names() if isinstance(part, Formula) else (part,)

    def operations(self) -> Iterator[str]:
        """Names of the operations, the outer one first."""
        yield self.operation
        for part in self.of:
            if isinstance(part, Formula):
                yield from part.operations()

    def placed(self, ways: Mapping[str, Any]) -> tuple[Any, ...]:
        """The same with what stands for a name in place of it, for comparisons."""
        parts = (p.placed(ways) if isinstance(p, Formula) else ways.get(p) for p in self.of)
        return (self.operation, *parts)

    def below(self, layer: str, conv: str | None) -> "Formula":
        """The same with whole names: of a layer, and for `conv.…` of the convolution before it."""
        found: list[str | Formula] = []
        for part in self.of:
            if isinstance(part, Formula):
                found.append(part.below(layer, conv))
            elif part.startswith("conv."):
                found.append(f"{conv}.{part.removeprefix('conv.')}")
            else:
                found.append(f"{layer}.{part}")
        return Formula(self.operation, tuple(found))


def parsed(content: Any) -> Formula:
    """A formula of a layout file: a tensor's name, or `{operation: [what it takes]}`."""
    if isinstance(content, str):
        return Formula("copy", (content,))
    if not isinstance(content, Mapping) or len(content) != 1:
        raise UserError(f"'{content}' is no formula")
    operation, parts = next(iter(content.items()))
    if operation not in OPERATIONS:
        raise UserError(f"'{operation}' is no operation (known: {', '.join(OPERATIONS)})")
    parts = parts if isinstance(parts, list) else [parts]
    if OPERATIONS[operation] not in (None, len(parts)):
        raise UserError(f"{operation} takes {OPERATIONS[operation]} tensor(s)")
    return Formula(operation, tuple(p if isinstance(p, str) else parsed(p) for p in parts))
