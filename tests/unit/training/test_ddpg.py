"""The actor-critic: its targets, its memory, its exploration, and that it learns."""

import copy

import pytest
import torch

from advprune.training.ddpg import Agent

SETTINGS = {
    "hidden": 32,
    "batch": 64,
    "updates": 20,
    "actor_lr": 1e-3,
    "critic_lr": 1e-2,
    "tau": 0.05,
    "sigma": 0.5,
    "sigma_decay": 0.99,
}


def agent_with(seed=0, memory=500, **settings):
    return Agent(2, memory, SETTINGS | settings, torch.Generator().manual_seed(seed))


def test_an_episodes_steps_share_its_reward_and_only_the_last_ends_it():
    agent = agent_with(memory=50)
    states = torch.arange(6.0).view(3, 2)
    agent.remember(states, [0.1, 0.2, 0.3], 1.5)
    assert [m[2] for m in agent.memory] == [1.5] * 3
    assert [m[4] for m in agent.memory] == [1, 1, 0]
    assert torch.equal(agent.memory[0][3], states[1]) and torch.equal(agent.memory[1][3], states[2])
    for _ in range(20):
        agent.remember(states, [0.1, 0.2, 0.3], 0.0)
    assert len(agent.memory) == 50


def test_noise_is_around_the_actor_within_bounds_and_shrinks():
    agent = agent_with()
    state = torch.ones(2)
    draws = {e: torch.tensor([agent.explore(state, e) for _ in range(300)]) for e in (0, 100, 400)}
    assert all(d.min() >= 0 and d.max() <= 1 for d in draws.values())
    mean = agent.actor(state[None]).item()
    assert draws[400].mean() == pytest.approx(mean, abs=0.01)
    assert draws[400].std() == pytest.approx(0.5 * 0.99**400, rel=0.2)
    assert draws[100].std() == pytest.approx(0.5 * 0.99**100, rel=0.2)
    assert draws[0].std() > draws[100].std()


def test_the_slow_copies_follow_by_tau():
    agent = agent_with(updates=1, tau=0.25)
    agent.remember(torch.rand(3, 2), [0.1, 0.5, 0.9], 1.0)
    before = copy.deepcopy(agent.critic.out.weight.detach())
    agent.learn()
    expected = before + 0.25 * (agent.critic.out.weight - before)
    assert not torch.equal(agent.critic.out.weight, before)
    assert torch.allclose(agent.slow_critic.out.weight, expected)
    agent.copy()
    assert torch.equal(agent.slow_critic.out.weight, agent.critic.out.weight)


def test_the_target_is_the_reward_less_its_mean_plus_the_slow_critics_future():
    """With the critic's inner layers silent its answer is the bias, whose gradient is known."""
    agent = agent_with(updates=1, batch=1, critic_lr=0.1)
    agent.remember(torch.rand(1, 2), [0.4], 7.0)
    assert agent.memory[0][4] == 0
    with torch.no_grad():
        agent.critic.out.bias.fill_(3.0)
        agent.slow_critic.out.bias.fill_(100.0)
    agent.learn()
    # one terminal transition: target 7 - 7 + 0, so the bias falls by Adam's first step
    assert agent.critic.out.bias.item() == pytest.approx(2.9, abs=1e-3)
    going = agent_with(updates=1, batch=1, critic_lr=0.1)
    going.remember(torch.rand(1, 2), [0.4], 7.0)
    going.memory[0] = (*going.memory[0][:4], 1.0)
    with torch.no_grad():
        going.critic.out.bias.fill_(3.0)
        going.slow_critic.out.bias.fill_(100.0)
    going.learn()
    assert going.critic.out.bias.item() == pytest.approx(3.1, abs=1e-3)


def test_it_finds_the_action_that_pays():
    agent = agent_with(actor_lr=3e-3, batch=32, updates=10)
    state = torch.tensor([[0.3, 0.7]])
    for episode in range(60):
        action = agent.random(state) if episode < 20 else agent.explore(state[0], episode)
        agent.remember(state, [action], -((action - 0.8) ** 2))
        agent.learn()
    assert agent.actor(state).item() == pytest.approx(0.8, abs=0.12)


@pytest.mark.parametrize("start", [0.1, 0.5, 0.9])
def test_the_actor_starts_where_it_is_told(start):
    agent = Agent(2, 10, SETTINGS, torch.Generator().manual_seed(0), start)
    assert agent.actor(torch.rand(5, 2)).mean().item() == pytest.approx(start, abs=0.01)


def test_random_actions_fill_their_level():
    agent = agent_with()
    draws = [agent.random(level=0.3) for _ in range(200)]
    assert 0 <= min(draws) < 0.02 and 0.28 < max(draws) <= 0.3


def test_the_same_seed_is_the_same_agent_and_the_global_one_is_not_asked():
    torch.manual_seed(1)
    first = agent_with(5)
    state = torch.get_rng_state()
    second = agent_with(5)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.actor.layers[0].weight, second.actor.layers[0].weight)
    assert first.explore(torch.ones(2), 3) == second.explore(torch.ones(2), 3)
