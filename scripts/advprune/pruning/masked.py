"""Masked training: what is removed stays removed while the rest trains."""

from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.training.loop import Hook, Loop


class KeepMasked(Hook):
    """Masked training: removed entries are exactly zero after every step, and so is their momentum.

    Acting on the data rather than in the forward pass leaves gradients dense, which growth
    criteria need, and costs nothing inside an attack. A hook that finds its masks later starts
    without any.
    """

    def __init__(self, masks: Masks | None = None) -> None:
        self.masks = Masks({}) if masks is None else masks

    def after_step(self, loop: Loop) -> None:
        """Zero what the step moved, weight decay and momentum included."""
        mk.apply(loop.net, self.masks)
        parameters = dict(loop.net.named_parameters())
        for name, mask in self.masks.items():
            momentum = loop.optimizer.state[parameters[name]].get("momentum_buffer")
            if momentum is not None:
                momentum.masked_fill_(~mask, 0.0)
