"""A trainer on a few easy images, and a kill in the middle of it."""

from advprune.data.batches import Augment
from advprune.plan.specs import Recipe, Threat
from advprune.training.loop import Hook, Trainer
from helpers.small import blobs

THREAT = Threat(eps=0.1, step=0.05, steps=2)
RECIPE = Recipe(epochs=4, batch=16, lr=0.05, weight_decay=1e-3)


def trainer(folder, fingerprint="a", seed=3, images=40):
    return Trainer(blobs(images), blobs(12, 1), Augment(1, True), THREAT, seed, folder, fingerprint)


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAt(Hook):
    """End the process after an optimiser step; step -1 never comes."""

    def __init__(self, step):
        self.step = step

    def after_step(self, loop):
        if loop.step == self.step:
            raise KilledError
