"""Attacks of other libraries, with their own defaults.

From foolbox (Rauber et al. 2020): DeepFool for Linf (Moosavi-Dezfooli et al. 2016), Carlini &
Wagner 2017 for L2, Brendel & Bethge 2019 for Linf, PGD with restarts (Madry et al. 2018). From
torchattacks (Kim 2020): SPSA (Uesato et al. 2018), which estimates gradients from scores as ZOO
does. Whatever a library says of its result, it is judged here: an adversarial must lie in [0, 1]
and be misclassified, and its distance is the Linf norm.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import foolbox
import numpy as np
import torch
import torchattacks
from torch import Tensor, nn

from advprune.attacks.boundary import misclassified
from advprune.models.frozen import frozen
from advprune.models.precision import EXACT, arithmetic

RESTARTS = 5
SAMPLES = 64  # pairs of scores for one estimated gradient of SPSA


def deepfool(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """DeepFool; `eps` is not used."""
    return foolbox.attacks.LinfDeepFoolAttack(steps=steps)(_wrap(net, x), x, y, epsilons=None)[1]


def carlini_wagner(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """Carlini & Wagner's attack, which minimises the L2 norm; `eps` is not used."""
    attack = foolbox.attacks.L2CarliniWagnerAttack(steps=steps)
    return attack(_wrap(net, x), x, y, epsilons=None)[1]


def brendel_bethge(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """Brendel & Bethge's attack, along the boundary from the nearest image of another class.

    `eps` is not used. Images keep their place where the net puts all images into their class.
    """
    starts, reachable = _nearest_of_other_classes(net, x, y)
    points = x.clone()
    if reachable.any():
        attack = foolbox.attacks.LinfinityBrendelBethgeAttack(steps=steps)
        wrapped, some = _wrap(net, x), x[reachable]
        begin = starts[reachable]
        labels = y[reachable]
        points[reachable] = attack(wrapped, some, labels, starting_points=begin, epsilons=None)[1]
    return points


def pgd_restarts(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """PGD within eps from several random starts."""
    attack = foolbox.attacks.LinfPGD(steps=steps).repeat(RESTARTS)
    return attack(_wrap(net, x), x, y, epsilons=eps)[1]


def spsa(net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    """SPSA within eps: it sees the net's scores only."""
    with redirect_stdout(None):  # it prints that a net without parameters has no device
        attack = torchattacks.SPSA(
            net, eps=eps, nb_iter=steps, nb_sample=SAMPLES, delta=eps / 10, lr=eps / 5
        )
    attack.set_device(x.device)
    return attack(x, y)


ATTACKS: dict[str, Callable[[nn.Module, Tensor, Tensor, float, int], Tensor]] = {
    "deepfool": deepfool,
    "carlini_wagner": carlini_wagner,
    "brendel_bethge": brendel_bethge,
    "pgd_restarts": pgd_restarts,
    "spsa": spsa,
}


def distance_by(
    name: str, net: nn.Module, x: Tensor, y: Tensor, *, eps: float, steps: int, seed: int
) -> Tensor:
    """Linf distances [N] that an attack of `ATTACKS` finds for images x [N, C, H, W] in [0, 1].

    0 where the net does not answer y by itself, inf where the attack gives no adversarial point.
    The libraries draw from the global random states; these are as before afterwards.
    """
    with frozen(net), arithmetic(EXACT), torch.no_grad():
        right = ~misclassified(net(x), y)
        distance = torch.zeros(len(x), device=x.device, dtype=x.dtype)
        if not right.any():
            return distance
        some, labels = x[right], y[right]
        with torch.enable_grad(), _seeded(seed, x.device):
            points = ATTACKS[name](net, some, labels, eps, steps).detach()
        valid = misclassified(net(points), labels)
        valid &= ((points >= 0) & (points <= 1)).flatten(1).all(1)
        norms = (points - some).abs().flatten(1).amax(1)
        distance[right] = torch.where(valid, norms, torch.inf)
    return distance


def _wrap(net: nn.Module, x: Tensor) -> foolbox.PyTorchModel:
    return foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)


@torch.no_grad()
def _nearest_of_other_classes(net: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(for each image the nearest of them that the net puts elsewhere, whether there is one)."""
    apart = torch.cdist(x.flatten(1), x.flatten(1), p=torch.inf)
    apart[net(x).argmax(1)[None] == y[:, None]] = torch.inf
    nearest = apart.min(1)
    return x[nearest.indices], nearest.values.isfinite()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    state = np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)
