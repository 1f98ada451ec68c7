"""How far the masks of methods agree: overlap of the weights that saved nets have left.

Masks are not trusted: a weight is kept if it is not zero in the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from advprune.pruning.masks import weights

Bits = NDArray[np.uint8]
PAIR = ["method", "seed", "other", "other_seed"]
COLUMNS = ["dataset", "arch", "structure", "sparsity", *PAIR]
COLUMNS += ["kept", "other_kept", "both", "jaccard", "expected"]


def kept(net: nn.Module) -> dict[str, Bits]:
    """Weights that are not zero, by layer, eight to a byte."""
    return {
        name: np.packbits((weight != 0).flatten().cpu().numpy())
        for name, weight in weights(net).items()
    }


def sizes(net: nn.Module) -> dict[str, int]:
    """Number of weights by layer."""
    return {name: weight.numel() for name, weight in weights(net).items()}


def overlap(one: Mapping[str, Bits], other: Mapping[str, Bits], size: Mapping[str, int]) -> dict:
    """Counts of kept weights of both, and their Jaccard index.

    `jaccard` is kept in both / kept in either, in [0, 1]; 0 where nothing is kept. `expected` is
    that of masks which keep as many weights in each layer as these, and otherwise any.
    """
    both, ours, theirs, chance = 0, 0, 0, 0.0
    for name, total in size.items():
        a, b = _count(one[name]), _count(other[name])
        both += _count(one[name] & other[name])
        chance += a * b / total
        ours, theirs = ours + a, theirs + b
    counts = {"kept": ours, "other_kept": theirs, "both": both}
    either, either_by_chance = ours + theirs - both, ours + theirs - chance
    shares = {"jaccard": both / either if either else 0.0}
    return counts | shares | {"expected": chance / either_by_chance if either else 0.0}


def pairs(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    """Which of a group's models are compared, by their places.

    Two methods by nets of the same seed, which may have begun as the same net; one method by nets
    of two seeds. Each needs `method` and `seed`.
    """
    for i, j in combinations(range(len(models)), 2):
        one, other = models[i], models[j]
        if (one["method"] == other["method"]) != (one["seed"] == other["seed"]):
            yield i, j


def _count(bits: Bits) -> int:
    return int(np.bitwise_count(bits).sum())
