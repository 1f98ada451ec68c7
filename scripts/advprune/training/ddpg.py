"""A small actor-critic (DDPG, Lillicrap et al. 2016) for one action in [0, 1] per step.

Rewards are known at the end of an episode and stand for all its steps; nothing is discounted.
Everything runs on the CPU and draws from the given generator.
"""

import copy
import itertools
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def _linear(inputs: int, outputs: int, rng: torch.Generator) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    nn.init.normal_(layer.weight, 0, 0.01, generator=rng)
    nn.init.zeros_(layer.bias)
    return layer


class Actor(nn.Module):
    """State [B, n] to an action in (0, 1), [B, 1]; before it has learned about `start`."""

    def __init__(self, states: int, hidden: int, rng: torch.Generator, start: float) -> None:
        super().__init__()
        sizes = [states, hidden, hidden, 1]
        layers = [_linear(a, b, rng) for a, b in itertools.pairwise(sizes)]
        nn.init.constant_(layers[-1].bias, math.log(start / (1 - start)))
        self.layers = nn.ModuleList(layers)

    def forward(self, state: Tensor) -> Tensor:
        """Two hidden layers and a sigmoid."""
        for layer in self.layers[:-1]:
            state = layer(state).relu()
        return self.layers[-1](state).sigmoid()


class Critic(nn.Module):
    """State [B, n] and action [B, 1] to the reward that is expected, [B, 1]."""

    def __init__(self, states: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__()
        self.of_state, self.of_action = _linear(states, hidden, rng), _linear(1, hidden, rng)
        self.inner, self.out = _linear(hidden, hidden, rng), _linear(hidden, 1, rng)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """State and action meet in the first hidden layer."""
        first = (self.of_state(state) + self.of_action(action)).relu()
        return self.out(self.inner(first).relu())


class Agent:
    """Actor and critic with slow copies and a memory of transitions.

    `settings` are `hidden`, `batch`, `updates` per episode, `actor_lr`, `critic_lr`, `tau` (how
    fast the copies follow), `sigma` and `sigma_decay` of the exploration. `start` is about
    what the actor answers at first.
    """

    def __init__(
        self,
        states: int,
        memory: int,
        settings: Mapping[str, Any],
        rng: torch.Generator,
        start: float = 0.5,
    ) -> None:
        self.settings, self.rng = settings, rng
        self.memory: deque = deque(maxlen=memory)
        self.actor = Actor(states, settings["hidden"], rng, start)
        self.critic = Critic(states, settings["hidden"], rng)
        self.steps = (
            torch.optim.Adam(self.actor.parameters(), lr=settings["actor_lr"]),
            torch.optim.Adam(self.critic.parameters(), lr=settings["critic_lr"]),
        )
        self.copy()

    def copy(self) -> None:
        """Make the slow copies equal to actor and critic."""
        self.slow_actor, self.slow_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)

    def random(self, state: Tensor | None = None, level: float = 1.0) -> float:
        """Uniform action in [0, level] whatever the state, for the warm-up."""
        return level * float(torch.rand((), generator=self.rng))

    @torch.no_grad()
    def explore(self, state: Tensor, episode: int) -> float:
        """The actor's answer with noise, normal but cut to [0, 1], that shrinks by episode."""
        mean = float(self.actor(state[None]))
        sigma = self.settings["sigma"] * self.settings["sigma_decay"] ** episode
        return float(nn.init.trunc_normal_(torch.empty(1), mean, sigma, 0, 1, generator=self.rng))

    def remember(self, states: Tensor, actions: list[float], reward: float) -> None:
        """Store an episode: all its transitions carry its reward, the last one ends it."""
        last = len(actions) - 1
        for t, action in enumerate(actions):
            following = states[min(t + 1, last)]
            self.memory.append((states[t], action, reward, following, float(t < last)))

    def learn(self) -> None:
        """Updates after an episode."""
        for _ in range(self.settings["updates"]):
            self._update()

    def _update(self) -> None:
        size = (self.settings["batch"],)
        picks = torch.randint(len(self.memory), size, generator=self.rng).tolist()
        states, actions, rewards, following, going = zip(
            *(self.memory[i] for i in picks), strict=True
        )
        state, after = torch.stack(states), torch.stack(following)
        action, reward, goes_on = (torch.tensor(v)[:, None] for v in (actions, rewards, going))
        with torch.no_grad():
            future = self.slow_critic(after, self.slow_actor(after))
            target = reward - reward.mean() + goes_on * future
        for_actor, for_critic = self.steps
        for_critic.zero_grad()
        (target - self.critic(state, action)).square().mean().backward()
        for_critic.step()
        for_actor.zero_grad()
        (-self.critic(state, self.actor(state)).mean()).backward()
        for_actor.step()
        self._follow(self.slow_actor, self.actor)
        self._follow(self.slow_critic, self.critic)

    @torch.no_grad()
    def _follow(self, slow: nn.Module, fast: nn.Module) -> None:
        for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
            old.lerp_(new, self.settings["tau"])
