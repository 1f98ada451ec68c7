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

from advprune import masks as mk
from advprune.masks import Masks
from advprune.methods.base import Method, Task
from advprune.reparam import CutOnce, FilterProduct, Product, Reparam, attach, kaiming_uniform


class TwinRep(Method):
    """Global magnitude of weights or filters that factorisation has made sparse."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train the factors from a fresh net, cutting once on the way."""
        rng = task.trainer.rng("factors")

        def factorise(weight: Tensor) -> Reparam:
            weight.copy_(kaiming_uniform(weight.shape, rng))
            if task.structure == "unstructured":
                return Product(kaiming_uniform(weight.shape, rng))
            return FilterProduct(kaiming_uniform(torch.Size([len(weight)] * 2), rng))

        reparams = attach(mk.prunable(net, "unstructured"), factorise)
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
