"""FlyingBird (Chen et al. 2022, arXiv 2202.09844): adversarial training of a rewiring sparse net.

init       random masks, layer densities 1 / (F · n + 1);  sparse from the first step on
train      every so often each layer drops its ceil(r · active) smallest weights and grows as
           many where the gradient is largest;  r falls from 0.5 to 0.005 by a cosine
"""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.dropgrow import DropGrow, igq_masks
from advprune.pruning.masks import Masks


class FlyingBird(Method):
    """Magnitude drop and gradient growth in equal number, within each layer."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train sparsely from a fresh net; the last topology is the mask."""
        masks = igq_masks(net, task.sparsity, task.trainer.rng("initial topology"))
        mk.apply(net, masks)
        params = task.params
        rate = (params["drop_rate"], params["last_drop_rate"])
        rewiring = DropGrow(masks, params["updates"], rate, params["growth"])
        task.fit(net, "train", hooks=[rewiring])
        return rewiring.masks


METHOD = FlyingBird()
