"""LAMP (Lee et al. 2021, arXiv 2010.07611): magnitude, made comparable between layers.

prune      in every layer, with its weights in ascending order of size,
               score(w_i) = w_i² / Σ_{j ≥ i} w_j²
           the smallest scores of all layers together go

The score is the share that a weight has in what its layer would still hold if all smaller ones
were gone. The largest weight of a layer has score 1, so that no layer can vanish.
"""

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks


def lamp(weight: Tensor) -> Tensor:
    """Score of every weight, in (0, 1]; 0 where the weight is 0.

    In double precision: the sums run over millions of weights. Among weights of the same size the
    earlier one counts as the larger, as it does for `masks.top_k`.
    """
    squares = weight.detach().flatten().double().square()
    order = squares.argsort(descending=True, stable=True)
    sorted_squares = squares[order]
    shares = sorted_squares / sorted_squares.cumsum(0).clamp(min=torch.finfo(torch.double).tiny)
    scores = torch.empty_like(squares)
    scores[order] = shares
    return scores.view(weight.shape)


class LayerAdaptiveMagnitude(Method):
    """One global ranking of layer-adaptive magnitudes."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank the scores of all layers together."""
        scores = {n: lamp(w) for n, w in mk.weights(net, task.structure).items()}
        units = mk.rank(scores, task.sparsity, scope="global", floor=1)
        return mk.weight_masks(net, units, task.structure)


METHOD = LayerAdaptiveMagnitude()
