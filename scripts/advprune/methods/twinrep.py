"""TwinRep (Li et al. 2023, doi 10.1609/aaai.v37i7.26027): train a product, decay its factors.

init       W, A ~ U(± 1 / sqrt(fan_in));  the net's weights are  w = W ⊙ A  (Twin-Rep), or for
           filters  w = A W  with A of C_out × C_out (Channel-Rep)
train      W, A minimise the robust loss; weight decay on both factors is an L1 penalty on w
           once, early:  mask ← the largest |w|, or filters of largest norm, over all layers
           together;  from then on  w = mask · W A
export     w replaces its factors
"""

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.parametrization import attach, original
from advprune.pruning.reparam import CutOnce, FilterProduct, Product, kaiming_uniform


@torch.no_grad()
def widen(layer: nn.Linear, factor: Tensor, spread: float) -> None:
    """Scale both factors of a layer alike, so that its weights' deviation becomes `spread`."""
    scale = (spread / float(layer.weight.std())) ** 0.5
    original(layer).mul_(scale)
    factor.mul_(scale)


class TwinRep(Method):
    """Global magnitude of weights or filters that factorisation has made sparse."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train the factors from a fresh net, cutting once on the way."""
        rng = task.trainer.rng("factors")

        def factorise(_name: str, weight: Tensor) -> Product | FilterProduct:
            weight.copy_(kaiming_uniform(weight.shape, rng))
            if task.structure == "unstructured":
                return Product(kaiming_uniform(weight.shape, rng))
            return FilterProduct(kaiming_uniform(torch.Size([len(weight)] * 2), rng))

        layers = mk.prunable(net, "unstructured")
        spread = {name: float(layer.weight.detach().std()) for name, layer in layers.items()}
        reparams = attach(net, "unstructured", factorise)
        linear = {name: layer for name, layer in layers.items() if isinstance(layer, nn.Linear)}
        # no BatchNorm makes up for tiny products, which one layer stands and three do not
        for name, layer in linear.items() if len(linear) > 1 else ():
            widen(layer, reparams[name].factor, spread[name])
        cut = CutOnce(
            net,
            reparams,
            lambda: mk.magnitudes(net, task.structure),
            task.structure,
            task.sparsity,
            at=task.params["cut_at"],
        )
        task.fit(net, "train", hooks=[cut])
        return cut.finish()


METHOD = TwinRep()
