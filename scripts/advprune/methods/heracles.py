"""Heracles (Zhao et al. 2022, AutoML): search each layer's kept rate, then prune by HYDRA.

pretrain   θ minimises the robust loss                                    (shared stage)
search     episode: layer by layer an agent answers a state with a rate aₜ in [lb, ub],
           aₜ ← min(aₜ, what leaves lb for all later layers)
           reward: clean + β · robust accuracy of the magnitude-pruned net, nothing trained
           DDPG: one rate for all, some random episodes, then the actor with noise;
               the best strategy wins
prune      s minimises the robust loss of θ · top-k(|s|), each layer at its own rate; θ frozen
finetune   θ minimises the robust loss with the mask fixed                (the default)
"""

import copy
import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from advprune.base.errors import UserError
from advprune.base.seeds import generator
from advprune.data.batches import to_float
from advprune.data.dataset import Split
from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.allocation import removed_rates
from advprune.pruning.masks import Masks, Units
from advprune.pruning.rate_search import Episode
from advprune.pruning.scores import freeze_layers, learn_masks
from advprune.training.ddpg import Agent
from advprune.training.inner import pgd

log = logging.getLogger("advprune")


class Reward:
    """Clean plus β · robust accuracy of a net pruned by magnitude, on fixed training images."""

    def __init__(self, net: nn.Module, task: Task) -> None:
        self.net, self.task = copy.deepcopy(net), task
        self.start = copy.deepcopy(net.state_dict())
        self.scores = mk.magnitudes(net, task.structure, 1)
        train = task.trainer.train
        count = min(task.params["images"], len(train))
        count -= count % task.params["reward_batch"] == 1  # BatchNorm needs two
        order = torch.randperm(len(train), generator=generator(task.trainer.seed, "reward"))
        picked = order[:count].to(task.trainer.device)
        self.images = Split(train.images[picked], train.labels[picked])

    def __call__(self, counts: dict[str, int]) -> float:
        """Reward of a strategy; the same strategy gets the same reward."""
        self.net.load_state_dict(self.start)
        units = Units({n: mk.top_k(s, counts[n]) for n, s in self.scores.items()})
        mk.apply(self.net, mk.weight_masks(self.net, units, self.task.structure))
        params, trainer = self.task.params, self.task.trainer
        rng, hits = trainer.rng("reward"), torch.zeros(2, device=trainer.device)
        for pick in torch.arange(len(self.images)).split(params["reward_batch"]):
            x, y = to_float(self.images.images[pick]), self.images.labels[pick]
            self.adapt(x)
            for i, seen in enumerate((x, pgd(self.net, x, y, trainer.threat, rng))):
                with torch.no_grad():
                    hits[i] += (self.net(seen).argmax(1) == y).sum()
        clean, robust = (hits / len(self.images)).tolist()
        return clean + params["beta"] * robust

    @torch.no_grad()
    def adapt(self, x: Tensor) -> None:
        """Set the BatchNorm statistics to this batch's: with the dense net's all are at chance."""
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        self.net.train()(x)
        self.net.eval()


def search(episode: Episode, reward: Callable[[dict[str, int]], float], task: Task) -> dict:
    """Units to keep per layer of the best strategy; one rate for all layers comes first."""
    params, rng = task.params, generator(task.trainer.seed, "search")
    memory = 200 * len(episode.costs)
    agent = Agent(episode.width, memory, params, rng, start=episode.uniform())
    best, found = -1.0, {}
    for number in range(-params["warmup"] - 1, params["episodes"]):
        if number < -params["warmup"]:
            act = episode.uniform
        elif number < 0:
            act = partial(agent.random, level=agent.random())
        else:
            act = partial(agent.explore, episode=number)
        if number == 0:
            agent.copy()
        states, actions, rates = episode.run(act)
        counts = episode.counts(rates)
        value = reward(counts)
        agent.remember(states, actions, value)
        if number >= 0:
            agent.learn()
        if value > best:
            best, found = value, counts
            log.info("search  episode %d  reward %.4f", number, value)
    return found


class Heracles(Method):
    """HYDRA's scores at rates found by reinforcement learning, or given by layer name."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search the rates, then train one score per unit at these rates."""
        bounds = task.params["bounds"][task.structure]
        image = to_float(task.trainer.train.images[:1])
        episode = Episode(net, task.structure, 1 - task.sparsity, bounds, image)
        given = task.params["rates"]
        if given and set(given) != set(episode.sizes):
            wrong = ", ".join(sorted(set(given) ^ set(episode.sizes)))
            raise UserError(f"heracles: params.rates lack or should not have {wrong}")
        counts = episode.exact(given) if given else search(episode, Reward(net, task), task)
        rates = removed_rates(counts, episode.sizes)
        freeze_layers(net)
        return learn_masks(net, task.structure, rates, partial(task.fit, net, "prune"))


METHOD = Heracles()
