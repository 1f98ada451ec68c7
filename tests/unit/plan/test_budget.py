"""One total for all methods, divided by shares; what contradicts it is refused in one line."""

import pytest

from advprune.base.errors import UserError
from advprune.plan.budget import divide
from advprune.plan.config import load_config
from advprune.plan.methods import load_method
from advprune.plan.protocol import Protocol
from helpers.configs import changed, jobs, planned

SHARES = {"pretrain": 0.5, "prune": 0.1}


@pytest.mark.parametrize(
    ("phases", "total", "expected"),
    [
        (["pretrain", "prune", "finetune"], 200, [100, 20, 80]),
        (["pretrain", "finetune"], 200, [100, 100]),
        (["pretrain", "prune"], 200, [100, 100]),  # a search that is all the training that is left
        (["prune", "train"], 200, [20, 180]),
        (["prune"], 200, [200]),
        (["train"], 200, [200]),
        (["pretrain", "prune", "finetune"], 21, [10, 2, 9]),  # shares are rounded, the rest is not
    ],
)
def test_the_last_phase_takes_what_the_shares_leave(phases, total, expected):
    found = divide(total, phases, SHARES, "here")
    assert found == dict(zip(phases, expected, strict=True)) and sum(found.values()) == total


def test_the_shares_of_the_run_a_method_and_an_override_follow_each_other():
    """Lottery asks for half of the epochs for its rounds."""
    assert load_method("lottery")["shares"] == {"prune": 0.5}
    config = changed("grid.0.methods", ["lottery"])
    config["overrides"]["lottery"] = {"recipes": {"prune": {"warmup": 0}, "train": {"warmup": 0}}}

    def epochs(config):
        run = Protocol(load_config(config))
        return {p: r.epochs for p, r in run.plan(run.models[0]).recipes.items()}

    assert epochs(config) == {"prune": 16, "train": 16}
    config["overrides"]["lottery"]["shares"] = {"prune": 0.25}
    assert epochs(config) == {"prune": 8, "train": 24}


def test_a_changed_share_concerns_those_who_have_the_phase_before_their_last():
    before, after = jobs(changed("seeds", [0])), jobs(changed("budget.shares.prune", 0.4))
    assert before.keys() == after.keys()
    different = {key[1].method for key in before if before[key] != after[key]}
    assert different == {"hydra", "radmm", "li20"}


BAD = [
    ("budget.recipes.prune.epochs", 3, "prune.epochs: epochs follow from budget.epochs and shares"),
    (
        "overrides.radmm.recipes.prune.epochs",
        3,
        "overrides.radmm.recipes.prune.epochs: epochs follow from budget.epochs and shares",
    ),
    ("budget.shares.prune", 0, "0 is less than or equal to the minimum of 0"),
    ("budget.shares.prune", 1, "1 is greater than or equal to the maximum of 1"),
    ("budget.shares", {"pretrain": 0.5, "prune": 0.5}, "shares leave nothing for the last phase"),
    ("budget.shares", {"prune": 0.2}, "no share of the epochs for pretrain"),
    ("budget.shares.train", 0.2, "'train' was unexpected"),
    ("budget.shares.prune", 0.001, "hydra: prune gets 0 of 32 epochs"),
    ("budget.epochs", 1, "gets 0 of 1 epochs"),
    ("budget.epochs", 0, "0 is less than the minimum of 1"),
    ("budget.epochs", 2.5, "2.5 is not of type 'integer'"),
    ("budget.epochs", None, "'epochs' is a required property"),
    ("budget.pretrain", {"epochs": 2}, "budget.pretrain is now budget.recipes.pretrain"),
    ("overrides.radmm.shares", {"prun": 0.2}, "overrides.radmm.shares: no phase prun"),
    ("overrides.radmm.shares", {"finetune": 0.2}, "finetune is the last phase and takes what is"),
    ("overrides.radmm.shares", {"prune": 0.5}, "radmm: finetune gets 0 of 32 epochs"),
    ("overrides.radmm.shares", {"prune": 1.5}, "1.5 is greater than or equal to the maximum of 1"),
    ("overrides.li20", {}, "li20: train: warmup and onecycle both raise the rate"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_what_contradicts_the_budget_is_one_clear_line(path, value, message):
    with pytest.raises(UserError) as caught:
        planned(path, value)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_published_budget_has_no_epochs_to_share():
    config = changed("budget", "published") | {"overrides": {"radmm": {"shares": {"prune": 0.2}}}}
    with pytest.raises(UserError, match=r"radmm.shares: budget is published and has no epochs"):
        Protocol(load_config(config))
    config["overrides"] = {"radmm": {"recipes": {"prune": {"epochs": 7}}}}
    run = Protocol(load_config(config))
    radmm = next(m for m in run.models if m.method == "radmm")
    assert run.prune(radmm).recipes["prune"].epochs == 7
