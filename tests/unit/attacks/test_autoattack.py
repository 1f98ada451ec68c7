import logging
import sys

import pyautoattack
import pytest
import torch
from torch import nn

from advprune.attacks import autoattack as module
from advprune.attacks.autoattack import autoattack
from advprune.attacks.boundary import misclassified
from advprune.base.errors import UserError
from advprune.base.resume import Resume
from helpers.attacked_nets import digits_case, linear_case
from helpers.training import KilledError

EPS = 0.12


@pytest.fixture(scope="module")
def case():
    net, x, y = digits_case()
    return net, x[:20], y[:20]


@pytest.fixture(scope="module")
def verdicts(case):
    return autoattack(*case, eps=EPS, seed=3, batch_size=7)


@pytest.mark.slow
def test_verdicts_are_those_of_the_original(case, verdicts):
    net, x, y = case
    with torch.random.fork_rng():
        engine = pyautoattack.AutoAttack(net, norm="Linf", eps=EPS, seed=3, version="standard")
        adversarial, labels = engine.run_standard_evaluation(x, y, batch_size=7)
    assert torch.equal(labels == y, verdicts.robust)
    assert torch.equal(adversarial, verdicts.adversarial)
    assert 0 < verdicts.robust.sum() < verdicts.clean_correct.sum() <= 20


def kill_at(monkeypatch, attack):
    """From now on AutoAttack dies where `attack` is run; returns the names of those that were."""
    ran, run = [], module._run

    def fatal(net, engines, name, *rest):
        ran.append(name)
        if name == attack:
            raise KilledError
        return run(net, engines, name, *rest)

    monkeypatch.setattr(module, "_run", fatal)
    return ran


@pytest.mark.parametrize("attack", ["apgd-t", "fab-t", "square"])
def test_a_killed_run_goes_on_after_its_last_attack(case, verdicts, attack, monkeypatch, tmp_path):
    options = {"eps": EPS, "seed": 3, "batch_size": 7, "resume": Resume(tmp_path, "job")}
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        before = kill_at(patch, attack)
        autoattack(*case, **options)
    after = kill_at(monkeypatch, None)
    again = autoattack(*case, **options)
    assert before[:-1] + after == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert torch.equal(again.robust, verdicts.robust)
    assert torch.equal(again.adversarial, verdicts.adversarial)
    assert (again.broken_by, again.warnings) == (verdicts.broken_by, verdicts.warnings)


@pytest.mark.parametrize("damage", ["another job", "half a file"])
def test_resume_files_that_do_not_fit_are_not_taken_up(case, damage, monkeypatch, tmp_path):
    net, x, y = case
    options = {"eps": EPS, "seed": 3, "batch_size": 7, "attacks": ["apgd-ce", "apgd-t"]}
    autoattack(net, x[:5], y[:5], **options, resume=Resume(tmp_path, "job"))
    if damage == "half a file":
        (tmp_path / "attacks.pt").write_bytes((tmp_path / "attacks.pt").read_bytes()[:100])
    ran = kill_at(monkeypatch, None)
    fingerprint = "job" if damage == "half a file" else damage
    autoattack(net, x[:5], y[:5], **options, resume=Resume(tmp_path, fingerprint))
    assert ran == ["apgd-ce", "apgd-t"]


def test_warnings_of_an_interrupted_run_are_kept_once(case, monkeypatch, tmp_path):
    soft = nn.Sequential(case[0], nn.Softmax(1))
    options = {"eps": 0.01, "seed": 0, "batch_size": 4, "resume": Resume(tmp_path, "job")}
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill_at(patch, "apgd-t")
        autoattack(soft, case[1][:4], case[2][:4], **options)
    for attacks in (["apgd-ce"], ["apgd-ce", "apgd-t"]):  # nothing left to do; one that warns too
        again = autoattack(soft, case[1][:4], case[2][:4], **options, attacks=attacks)
        assert sum("probability distribution" in text for text in again.warnings) == 1


def test_verdicts_are_consistent(case, verdicts):
    net, x, y = case
    names = {"clean", "", "apgd-ce", "apgd-t", "fab-t", "square"}
    assert set(verdicts.broken_by) <= names
    assert [name == "" for name in verdicts.broken_by] == verdicts.robust.tolist()
    assert [name != "clean" for name in verdicts.broken_by] == verdicts.clean_correct.tolist()
    assert torch.equal(misclassified(net(verdicts.adversarial), y), ~verdicts.robust)
    kept = verdicts.robust | ~verdicts.clean_correct
    assert torch.equal(verdicts.adversarial[kept], x[kept])
    assert (verdicts.adversarial - x).abs().max() <= EPS + 1e-6


def test_linear_net_closed_form():
    net, x, y, distance = linear_case((1, 4, 4))
    eps = distance.median().item() * 1.02
    found = autoattack(net, x, y, eps=eps, seed=0, batch_size=8, attacks=["apgd-ce", "fab-t"])
    assert not found.robust[distance < 0.95 * eps].any()
    assert found.robust[distance > 1.05 * eps].all()
    assert (distance < 0.95 * eps).any()
    assert (distance > 1.05 * eps).any()


def test_the_callers_world_is_left_alone(case):
    net, x, y = case
    net.train()
    state, before = torch.random.get_rng_state(), sys.gettrace()

    def trace(*_):
        return None

    sys.settrace(trace)
    try:
        autoattack(net, x[:2], y[:2], eps=EPS, seed=0, batch_size=2, attacks=["apgd-ce"])
        after = sys.gettrace()
    finally:
        sys.settrace(before)
    assert net.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert after is trace
    assert logging.getLogger("auto-attack").handlers == []
    net.eval()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_colour_images_in_any_layout(layout):
    net, x, y, distance = linear_case((3, 4, 4))
    x = x.to(memory_format=layout)
    found = autoattack(net, x, y, eps=0.02, seed=0, batch_size=3, attacks=["apgd-ce", "apgd-t"])
    assert not found.robust[distance < 0.019].any()
    assert found.robust[distance > 0.021].all()


def test_no_survivors_and_a_single_survivor(case, caplog):
    caplog.set_level(logging.INFO, "advprune")
    net, x, _ = case
    wrong = (net(x[:3]).argmax(1) + 1) % 10
    none = autoattack(net, x[:3], wrong, eps=EPS, seed=0, batch_size=2)
    assert none.broken_by == ["clean"] * 3
    assert not none.robust.any()
    assert torch.equal(none.adversarial, x[:3])
    one = torch.where(torch.tensor([False, True, False]), net(x[:3]).argmax(1), wrong)
    names = ["apgd-ce", "apgd-t", "fab-t"]
    options = {"seed": 0, "batch_size": 2, "attacks": names}
    single = autoattack(net, x[:3], one, eps=1e-4, **options)
    assert single.broken_by == ["clean", "", "clean"]
    assert caplog.messages[-1] == "fab-t: 1 of 3 samples still robust"
    assert autoattack(net, x[1:2], one[1:2], eps=0.9, **options).broken_by == ["apgd-ce"]


def test_collapsed_net_is_wrong_everywhere(case):
    _, x, y = case
    broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    broken[1].weight.data.fill_(torch.nan)
    assert autoattack(broken, x, y, eps=EPS, seed=0, batch_size=8).broken_by == ["clean"] * 20


def test_warnings_are_collected_not_printed(case, caplog, capsys):
    net, x, y = case
    soft = nn.Sequential(net, nn.Softmax(1))
    with caplog.at_level(logging.WARNING, "advprune"):
        options = {"seed": 0, "batch_size": 4, "attacks": ["apgd-ce", "apgd-t"]}
        found = autoattack(soft, x[:4], y[:4], eps=0.01, **options)
    assert sum("probability distribution" in text for text in found.warnings) == 1
    assert any(record.name == "advprune" for record in caplog.records)
    assert capsys.readouterr() == ("", "")


def test_random_net_is_flagged(case):
    class Noisy(nn.Module):
        def forward(self, x):
            return 10 * case[0](x) + torch.rand(len(x), 10)

    x, y = case[1][:3], case[2][:3]
    found = autoattack(Noisy(), x, y, eps=0.001, seed=0, batch_size=4, attacks=["apgd-ce"])
    assert any("randomized" in text for text in found.warnings)


def test_square_breaking_what_gradients_do_not_is_flagged(case):
    class Stairs(nn.Module):
        """Rounded inputs have no useful gradient."""

        def forward(self, x):
            return case[0]((x * 8).round() / 8 + 0 * x)

    x, y = case[1][:4], case[2][:4]
    options = {"seed": 0, "batch_size": 4, "attacks": ["apgd-ce", "apgd-t", "square"]}
    found = autoattack(Stairs(), x, y, eps=0.35, **options)
    assert "square" in found.broken_by
    assert any("Square Attack has decreased" in text for text in found.warnings)
    assert any("zero gradient" in text for text in found.warnings)


def test_fewer_classes_mean_fewer_targets():
    net, x, y, _ = linear_case((1, 4, 4))
    engine = module._engine(net, x, 0.1, 0, "standard", 4)
    assert (engine.apgd_targeted.n_target_classes, engine.fab.n_target_classes) == (3, 3)
    engine = module._engine(net, x, 0.1, 0, "standard", 100)
    assert (engine.apgd_targeted.n_target_classes, engine.fab.n_target_classes) == (9, 9)
    with pytest.raises(UserError, match="needs 4 classes"):
        module._engine(net, x, 0.1, 0, "standard", 3)
    with pytest.raises(UserError, match="version"):
        module._engine(net, x, 0.1, 0, "custom", 10)
    with pytest.raises(UserError, match="unknown attacks"):
        autoattack(net, x, y, eps=0.1, seed=0, batch_size=8, attacks=["pgd"])


def test_results_that_do_not_hold_are_refused():
    net, x, y, distance = linear_case((1, 4, 4))

    def check(adversarial, robust, eps=0.3):
        return module._verify(net, x, y, adversarial, torch.tensor(robust), eps, 4)

    assert check(x, [True] * 8) == []
    with pytest.raises(RuntimeError, match="classified correctly"):
        check(x, [False] + [True] * 7)
    with pytest.raises(RuntimeError, match="larger than eps"):
        check((x + 0.31).clamp(0, 2), [True] * 8)
    with pytest.raises(RuntimeError, match="larger than eps"):
        check(x * torch.nan, [True] * 8)
    with pytest.raises(RuntimeError, match="outside"):
        check(torch.where(x == x.min(), -0.001, x), [True] * 8, eps=0.5)
    # a step just short of the boundary: within rounding of it, so a warning
    rival = net.weight[1 - y] - net.weight[y]
    near = x + (distance * (1 - 1e-6))[:, None, None, None] * rival.sign().reshape(x.shape)
    assert "within rounding" in check(near, [False] * 8)[0]
