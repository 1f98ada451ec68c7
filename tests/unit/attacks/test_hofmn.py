import json

import optuna
import pytest

from advprune.attacks.boundary import misclassified
from advprune.attacks.fmn import FmnConfig, fmn
from advprune.attacks.hofmn import Tuned, suggest, tune
from advprune.base.errors import UserError
from helpers.attacked_nets import Constant, digits_case

SETTINGS = {"trials": 14, "steps": 15, "eps": 8 / 255, "batch_size": 16}


@pytest.fixture(scope="module")
def case():
    net, x, y = digits_case()
    return net, x[:40], y[:40]


@pytest.fixture(scope="module")
def tuned(case):
    return tune(*case, seed=1, **SETTINGS)


def test_deterministic_for_a_seed(case, tuned):
    assert tune(*case, seed=1, **SETTINGS) == tuned
    assert tune(*case, seed=2, **SETTINGS) != tuned


def test_never_worse_than_the_default(case, tuned):
    net, x, y = case
    keep = ~misclassified(net(x), y)
    x, y = x[keep], y[keep]
    default = fmn(net, x, y, steps=15).distance.median().item()
    best = fmn(net, x, y, steps=15, config=tuned.config).distance.median().item()
    assert tuned.trials[0]["config"] == FmnConfig().to_dict()
    assert tuned.trials[0]["median"] == pytest.approx(default, abs=1e-4)
    assert best <= default
    assert best == pytest.approx(min(trial["median"] for trial in tuned.trials), abs=1e-4)


def test_every_trial_is_recorded(tuned):
    assert [trial["number"] for trial in tuned.trials] == list(range(14))
    assert all(set(t) == {"number", "config", "median", "found", "robust"} for t in tuned.trials)
    assert {trial["config"]["loss"] for trial in tuned.trials} == {"LL", "CE", "DLR"}


def test_json_round_trip(tuned):
    assert Tuned.from_dict(json.loads(json.dumps(tuned.to_dict(), allow_nan=False))) == tuned


def test_unbreakable_net_counts_as_the_whole_box(case):
    _, x, y = case
    seen = []
    settings = SETTINGS | {"trials": 2}
    tuned = tune(Constant(10), x, 0 * y, seed=0, progress=seen.append, **settings)
    assert [(t["median"], t["found"], t["robust"]) for t in tuned.trials] == [(1.0, 0.0, 1.0)] * 2
    assert tuned.config == FmnConfig()
    assert len(seen) == 2


def test_nothing_to_attack_gives_the_default(case):
    net, x, y = case
    assert tune(net, x, (net(x).argmax(1) + 1) % 10, seed=0, **SETTINGS) == Tuned(FmnConfig(), [])
    with pytest.raises(UserError, match="at least one trial"):
        tune(net, x, y, seed=0, **SETTINGS | {"trials": 0})


def test_search_space_covers_the_default_and_hofmn_step_sizes():
    low = {"loss": "LL", "optimizer": "Adam", "schedule": "plateau", "step_size": 8 / 255}
    rest = {"gamma": 0.05, "beta1": 0.5, "beta2": 0.5, "factor": 0.1, "patience": 2}
    assert suggest(optuna.trial.FixedTrial(low | rest), 8 / 255) == FmnConfig(**low, **rest)


def test_optuna_keeps_its_own_verbosity(case):
    before = optuna.logging.get_verbosity()
    tune(*case, seed=0, **SETTINGS | {"trials": 1, "steps": 1})
    assert optuna.logging.get_verbosity() == before
