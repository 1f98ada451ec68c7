"""What a training step asks of the device: no answer in between, no gradient that nobody reads."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from advprune.base import imports
from advprune.data.batches import Augment
from advprune.plan.specs import Recipe, Threat
from advprune.training.loop import Trainer
from advprune.training.objective import make
from helpers.small import blobs

# Operators for whose result the host would have to wait for a GPU.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal"}
STEPS = 3  # of the inner attack


class Watch(TorchDispatchMode):
    """Counts operators, and backward passes of convolutions by the gradients they compute."""

    def __init__(self):
        super().__init__()
        self.seen, self.backward = Counter(), Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        self.seen[name] += 1
        if name == "convolution_backward":
            _, weight, _ = args[-1]
            self.backward["weights" if weight else "input only"] += 1
        if name == "index":  # a mask as index means looking for its true entries first
            self.seen["nonzero"] += any(i is not None and i.dtype == torch.bool for i in args[1])
        return operator(*args, **(kwargs or {}))


def watched(net, folder, name, images):
    """Operators of one epoch, the figures of the validation images included."""
    trainer = Trainer(
        blobs(images), blobs(6), Augment(1, True), Threat(0.1, 0.05, STEPS), 0, folder
    )
    recipe = Recipe(epochs=1, batch=8, lr=0.01)
    with Watch() as watch:
        trainer.fit(net, make({"name": name}, trainer.threat), recipe, "phase")
    return watch


# MART reads the label's probability by a mask, which waits once a step.
@pytest.mark.parametrize("name", sorted({*imports.modules_in("training.objectives")} - {"mart"}))
def test_more_steps_are_no_more_waiting(net, tmp_path, name):
    few, many = (watched(net, tmp_path / str(n), name, n) for n in (16, 48))
    waiting = [sum(watch.seen[op] for op in WAITING) for watch in (few, many)]
    assert waiting[0] == waiting[1] > 0  # the epoch's loss and its figures are read
    assert many.seen["convolution"] > few.seen["convolution"]


def test_inner_attacks_compute_no_gradient_of_the_weights(net, tmp_path):
    one, two = (watched(net, tmp_path / str(n), "pgd", n).backward for n in (8, 16))
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in net.modules())
    assert two["weights"] - one["weights"] == convolutions
    assert two["input only"] - one["input only"] == STEPS * convolutions
