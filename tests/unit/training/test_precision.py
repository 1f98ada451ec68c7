"""Training in bfloat16: which numbers are rounded, which are not, and what says so."""

import copy
import dataclasses

import pytest
import torch

from advprune.base.errors import UserError
from advprune.base.imports import modules_in
from advprune.base.record import to_json
from advprune.methods import base
from advprune.models.precision import passes
from advprune.plan.config import load_config
from advprune.plan.methods import known_methods, load_method
from advprune.plan.protocol import Protocol
from advprune.pruning import masks as mk
from advprune.training.objective import begin, make
from helpers.checkout import tiny_config
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import RECIPE, THREAT, KillAt, trainer
from helpers.watching import check_fit_resumes

OBJECTIVES = [name for name in modules_in("training.objectives") if name != "mixed"]


def in_bfloat16(folder):
    return dataclasses.replace(trainer(folder), precision="bf16")


def pixels(split):
    return split.images.float() / 255, split.labels


def test_passes_are_rounded_inside_and_as_before_outside(net):
    x, _ = pixels(blobs(12))
    net.eval()
    before = net(x)
    with passes(net, "bf16"):
        rounded = net(x)
        copied = copy.deepcopy(net)
        assert torch.equal(copied(x), rounded)
        with torch.no_grad():
            copied.fc.bias += 1  # a copy made inside is a net of its own
        assert torch.equal(net(x), rounded) and not torch.equal(copied(x), rounded)
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, before)
    assert (rounded - before).abs().max() < 0.05 * before.abs().max()
    assert torch.equal(net(x), before)
    with pytest.raises(KeyError), passes(net, "bf16"):
        raise KeyError
    assert torch.equal(net(x), before)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_other_precisions_change_nothing_on_a_cpu(net, precision):
    x, _ = pixels(blobs(12))
    before = net(x)
    with passes(net, precision):
        assert torch.equal(net(x), before)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_close_to_itself_in_float32(net, name):
    """Without its attack's luck: a radius of zero leaves the images as they are."""
    still = dataclasses.replace(THREAT, eps=0.0, step=0.0)
    (x, y), losses = pixels(blobs(24)), {}
    state = copy.deepcopy(net.state_dict())
    for precision in ("fp32", "bf16"):
        net.load_state_dict(state)
        objective = make({"name": name}, still)
        guide = begin(objective, net, torch.Generator().manual_seed(1))
        with passes(net, precision), passes(guide, precision):
            losses[precision] = objective.loss(net.train(), x, y, torch.Generator().manual_seed(2))
        losses[precision].backward()
    assert losses["bf16"].dtype == torch.float32
    assert losses["bf16"].item() == pytest.approx(losses["fp32"].item(), rel=0.05)
    assert losses["bf16"] != losses["fp32"]
    tensors = [*net.state_dict().values(), *(p.grad for p in net.parameters())]
    assert {t.dtype for t in tensors} == {torch.float32, torch.int64}  # BatchNorm counts batches


@pytest.mark.parametrize("step", [1, 7])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, step):
    fresh = {k: v.clone() for k, v in net.state_dict().items()}

    def run(folder, kill):
        net.load_state_dict(fresh)
        objective = make({"name": "trades"}, THREAT)
        history = in_bfloat16(folder).fit(net, objective, RECIPE, "p", [KillAt(kill)])
        return [t.clone() for t in net.state_dict().values()], history

    check_fit_resumes(run, tmp_path, step)


def test_a_training_is_marked_and_one_in_float32_is_not(net, tmp_path):
    natural = make({"name": "natural"}, THREAT)
    for precision, marks in (("fp32", []), ("tf32", []), ("bf16", ["trained in bf16"])):
        loop = dataclasses.replace(trainer(tmp_path / precision), precision=precision)
        loop.marks.clear()
        for phase in ("first", "second"):
            loop.fit(net, natural, dataclasses.replace(RECIPE, epochs=1), phase)
        assert loop.marks == marks


@pytest.mark.slow
@pytest.mark.parametrize("key", known_methods())
def test_every_method_keeps_its_promise(net, tmp_path, key):
    structure = load_method(key)["structures"][0]
    sparsity = {"none": 0.0, "unstructured": 0.8}.get(structure, 0.5)
    task = task_for(key, tmp_path, structure, sparsity)
    task = dataclasses.replace(task, trainer=in_bfloat16(tmp_path))
    method = base.load(key)
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    assert mk.violations(net, masks) == []
    assert all(t.isfinite().all() for t in net.state_dict().values())
    assert {t.dtype for t in net.state_dict().values()} == {torch.float32, torch.int64}
    assert "forward" not in vars(net)
    assert "trained in bf16" in task.trainer.marks


def test_the_switch_is_in_the_settings_only_where_it_is_used():
    def settings(**switch):
        protocol = Protocol(load_config(tiny_config() | switch))
        model = next(m for m in protocol.models if m.method == "hydra")
        pretraining = protocol.pretrain(model.dataset, model.arch, model.method, model.seed)
        return pretraining, protocol.prune(model), protocol.finetune(model)

    plain, low = settings(), settings(training_precision="bf16")
    assert plain == settings(training_precision="fp32")
    assert not any("precision" in to_json(spec) for spec in plain)
    assert [spec.precision for spec in low] == ["bf16"] * 3
    with pytest.raises(UserError, match="training_precision"):
        settings(training_precision="fp16")
