"""Heracles (Zhao et al. 2022, AutoML): search each layer's kept rate, then prune by HYDRA.

pretrain   θ minimises the robust loss                                    (shared stage)
search     episode: layer by layer an agent answers a state with a rate aₜ in [lb, ub],
           aₜ ← min(aₜ, what leaves lb for all later layers)
           reward: clean + β · robust accuracy of the magnitude-pruned net, nothing trained
           DDPG: random episodes, then the actor with noise, whose best strategy wins; or
               one rate for all, random episodes, the actor beginning near that one rate, and
               the best of all wins (start: uniform)
prune      s minimises the robust loss of θ · top-k(|s|), each layer at its own rate; θ frozen
finetune   θ minimises the robust loss with the mask fixed                (the default)
"""

import copy
import logging
from collections.abc import Callable, Iterator
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

STARTS = ("authors", "uniform")
Act = Callable[[Tensor], float]


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


def bounds(task: Task) -> list[float]:
    """Lowest and highest kept rate of a layer, in [0, 1], at the task's sparsity."""
    low, high = task.params["bounds"][task.structure]
    share, tight = task.params["tight"][task.structure]
    return [low, tight if round(1 - task.sparsity, 9) <= share else high]


def acts(episode: Episode, agent: Agent, task: Task) -> Iterator[tuple[int, Act]]:
    """What answers in each episode, and the episode's number, negative in the warm-up."""
    uniform, warmup = task.params["start"] == "uniform", task.params["warmup"]
    if uniform:
        yield -warmup - 1, episode.uniform
    for number in range(-warmup, 0):
        yield number, partial(agent.random, level=agent.random() if uniform else 1.0)
    for number in range(task.params["episodes"]):
        yield number, partial(agent.explore, episode=number)


def search(episode: Episode, reward: Callable[[dict[str, int]], float], task: Task) -> dict:
    """Units to keep per layer of the best strategy.

    With the authors' start that is the best after the warm-up, if anything comes after it.
    """
    params, rng = task.params, generator(task.trainer.seed, "search")
    uniform = params["start"] == "uniform"
    memory = 200 * len(episode.costs)
    start = episode.uniform() if uniform else 0.5
    agent = Agent(episode.width, memory, params, rng, start=start)
    best, found = -1.0, {}
    for number, act in acts(episode, agent, task):
        if number == 0:
            agent.copy()
            best = best if uniform else -1.0
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
        if task.params["start"] not in STARTS:
            known = ", ".join(STARTS)
            raise UserError(f"heracles: params.start: '{task.params['start']}' (known: {known})")
        image = to_float(task.trainer.train.images[:1])
        episode = Episode(net, task.structure, 1 - task.sparsity, bounds(task), image)
        given = task.params["rates"]
        if given and set(given) != set(episode.sizes):
            wrong = ", ".join(sorted(set(given) ^ set(episode.sizes)))
            raise UserError(f"heracles: params.rates lack or should not have {wrong}")
        counts = episode.exact(given) if given else search(episode, Reward(net, task), task)
        rates = removed_rates(counts, episode.sizes)
        freeze_layers(net)
        return learn_masks(net, task.structure, rates, partial(task.fit, net, "prune"))


METHOD = Heracles()
