"""RST, robust scratch tickets (Fu et al. 2021, arXiv 2110.14068): find a net, do not train one.

init       W ← ± sqrt(2 / fan_in) per layer, signs at random;  s ~ U(± 1 / sqrt(fan_in))
           hidden layers without BatchNorm, which the authors' nets do not have: W / sqrt(k)
prune      s minimises the robust loss of the net with weights W · top-k(|s|);  W is never trained,
           BatchNorm only normalises (scale 1, shift 0), biases are 0
no training afterwards: W · top-k(|s|) is the result
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.models.graph import own_norms
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.reparam import kaiming_uniform, signed_constants
from advprune.pruning.scores import learn_masks


def shares_to_restore(net: nn.Module, sparsity: float) -> dict[str, float]:
    """Kept shares, in (0, 1], of the layers whose outputs would shrink with the sparsity.

    They have no BatchNorm of their own to make up for it. The last layer is none of them: it has
    no BatchNorm in the authors' nets either, and there it is not rescaled.
    """
    layers, norms = list(mk.weights(net, "unstructured").items()), own_norms(net)
    sizes = {name: weight.numel() for name, weight in layers[:-1] if name not in norms}
    return {name: mk.kept_count(size, sparsity) / size for name, size in sizes.items()}


class RobustScratchTicket(Method):
    """Scores trained on frozen signed constants, every layer at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train nothing but one score per weight, from a fresh net."""
        signed_constants(net, shares_to_restore(net, task.sparsity))
        net.requires_grad_(False)
        rng = task.trainer.rng("scores")
        weights = mk.weights(net, task.structure)
        start = {name: kaiming_uniform(w.shape, rng) for name, w in weights.items()}
        train = partial(task.fit, net, "prune")
        return learn_masks(net, task.structure, task.sparsity, train, start)


METHOD = RobustScratchTicket()
