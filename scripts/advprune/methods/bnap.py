"""BNAP (Wei et al. 2021): what BatchNorm says about channels and weights.

pretrain   θ minimises the robust loss                                       (shared stage)
prune      filters       |γ| of the BatchNorm behind each convolution, over all layers together
           unstructured  |γ W / σ|, the weights that are left when BatchNorm is folded into the
                         convolution, over all convolutions together;
                         linear layers have no γ: |W| within each at the same rate
           the smallest go;  with direction: large the largest |γ|, and the smallest |W σ / γ|
finetune   θ minimises the robust loss with the mask fixed                   (the default)
"""

from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.methods.base import Method, Task
from advprune.models.graph import own_norms, running
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores, Units

# which scales are removed, and the sign that makes theirs the lowest scores
DIRECTIONS = {"small": 1, "large": -1}


def scales(net: nn.Module) -> Scores:
    """γ of the BatchNorm behind each convolution, by the convolution's name.

    A net with a convolution that no BatchNorm of its own follows is a UserError.
    """
    norms = own_norms(net)
    bare = [name for name in mk.prunable(net, "filters") if name not in norms]
    if bare:
        raise UserError(
            f"bnap: filters are ranked by BatchNorm scales, and {len(bare)} convolutions of this "
            f"net have none of their own, first {bare[0]}; leave `filters` out for bnap"
        )
    return {name: norm.weight.detach() for name, norm in norms.items()}


def effective_weights(net: nn.Module, direction: str = "small") -> dict[str, Tensor]:
    """Kernel of each convolution with its BatchNorm folded in, γ W / √(running variance + ε).

    Where there is no BatchNorm, W itself. With the direction "large" W is divided by the factor
    instead, so that of equal weights those of the largest scale have the smallest entries.
    """
    folded = mk.weights(net, "filters")
    for name, norm in own_norms(net).items():
        _, variance = running(norm)
        factor = norm.weight.detach() / (variance + norm.eps).sqrt()
        factor = factor if direction == "small" else 1 / factor
        folded[name] = factor.view(-1, 1, 1, 1) * folded[name]
    return folded


class BatchNormAssisted(Method):
    """BatchNorm scales and effective weights, one shot, ranked over the whole net."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank by the scores of the task's structure."""
        direction = task.params["direction"]
        if direction not in DIRECTIONS:
            raise UserError(f"bnap: params.direction: '{direction}' (known: small, large)")
        if task.structure == "filters":
            sign = DIRECTIONS[direction]
            scores = {n: sign * gamma.abs() for n, gamma in scales(net).items()}
            units = mk.rank(scores, task.sparsity, scope="global", floor=1)
            return mk.weight_masks(net, units, "filters")
        units = self.smallest_weights(net, task.sparsity, direction)
        masks = mk.weight_masks(net, units, "unstructured")
        # a filter that lost all its weights would otherwise emit its shift
        return mk.close_batchnorm(net, masks)

    @staticmethod
    def smallest_weights(net: nn.Module, sparsity: float, direction: str) -> Units:
        """Unit masks of single weights: the convolutions take what the linear layers leave."""
        scores = {n: w.abs() for n, w in effective_weights(net, direction).items()}
        magnitudes = mk.magnitudes(net, "unstructured")
        linear = mk.rank({n: s for n, s in magnitudes.items() if n not in scores}, sparsity)
        total = sum(s.numel() for s in magnitudes.values())
        removed = mk.removed_count(total, sparsity) - sum(int((~m).sum()) for m in linear.values())
        share = removed / sum(s.numel() for s in scores.values())
        convolutions = mk.rank(scores, share, scope="global", floor=1)
        return Units({n: (convolutions | linear)[n] for n in magnitudes})


METHOD = BatchNormAssisted()
