"""RST, robust scratch tickets (Fu et al. 2021, arXiv 2110.14068): find a net, do not train one.

init       W ← ± sqrt(2 / fan_in) per layer, signs at random;  s ~ U(± 1 / sqrt(fan_in))
prune      s minimises the robust loss of the net with weights W · top-k(|s|);  W is never trained,
           BatchNorm only normalises (scale 1, shift 0), biases are 0
no training afterwards: W · top-k(|s|) is the result
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.reparam import kaiming_uniform, signed_constants
from advprune.pruning.scores import learn_masks


class RobustScratchTicket(Method):
    """Scores trained on frozen signed constants, every layer at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train nothing but one score per weight, from a fresh net."""
        signed_constants(net)
        net.requires_grad_(False)
        rng = task.trainer.rng("scores")
        weights = mk.weights(net, task.structure)
        start = {name: kaiming_uniform(w.shape, rng) for name, w in weights.items()}
        train = partial(task.fit, net, "prune")
        return learn_masks(net, task.structure, task.sparsity, train, start)


METHOD = RobustScratchTicket()
