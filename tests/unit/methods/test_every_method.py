"""The invariants of docs/methods/, on a narrow net."""

import copy

import pytest
import torch

from advprune.methods import base
from advprune.methods.base import Task
from advprune.plan.methods import known_methods, load_method
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.structures import named
from advprune.training.objective import make
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import THREAT

CASES = [
    (key, structure)
    for key in known_methods()
    for structure in load_method(key)["structures"]
    if structure != "none"
]


@pytest.mark.parametrize(("key", "structure"), CASES)
def test_every_method_hits_its_target_and_keeps_its_zeros(net, tmp_path, key, structure):
    """The protocol's promise for all methods: exact sparsity, plain net, masks that hold."""
    names = set(net.state_dict())
    task = task_for(key, tmp_path, structure, 0.8 if structure == "unstructured" else 0.5)
    method = base.load(key)
    masks = method.prune(net, task)
    assert set(net.state_dict()) == names and all(p.requires_grad for p in net.parameters())
    layers = mk.prunable(net, structure)
    units = [named(structure).occupied(masks[f"{n}.weight"]) for n in layers]
    kept, total = mk.count(units)
    assert abs(kept - mk.kept_count(total, task.sparsity)) < len(layers)
    mk.apply(net, masks)
    before = {n: m.clone() for n, m in masks.items()}
    method.finetune(net, masks, task)
    assert mk.violations(net, masks) == []
    assert all(torch.equal(m, before[n]) for n, m in masks.items())


def test_random_masks_depend_on_the_seed_and_not_on_the_weights(net, tmp_path):
    task = task_for("random", tmp_path)
    first = base.load("random").prune(net, task)
    with torch.no_grad():
        net.conv1.weight.mul_(5)
    assert torch.equal(first["fc.weight"], base.load("random").prune(net, task)["fc.weight"])


def test_lwm_keeps_the_largest_of_every_layer(net, tmp_path):
    masks = base.load("lwm").prune(net, task_for("lwm", tmp_path))
    for name, layer in mk.prunable(net, "unstructured").items():
        mask, size = masks[f"{name}.weight"], layer.weight.detach().abs()
        assert size[mask].min() >= size[~mask].max()


# HYDRA (docs/methods/hydra.md, "What must hold")


def test_hydra_freezes_weights_and_moves_the_mask_away_from_magnitude(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    magnitude = base.load("lwm").prune(net, task_for("lwm", tmp_path / "lwm"))
    masks = base.load("hydra").prune(net, task_for("hydra", tmp_path))
    for name in mk.prunable(net, "unstructured"):
        assert torch.equal(net.state_dict()[f"{name}.weight"], before[f"{name}.weight"])
    assert torch.equal(net.fc.bias, before["fc.bias"])
    assert not torch.equal(net.bn1.weight, before["bn1.weight"])
    assert any(not torch.equal(masks[n], magnitude[n]) for n in magnitude)


def test_hydra_starts_from_the_magnitude_mask(net, tmp_path):
    task = task_for("hydra", tmp_path)
    none = {**task.recipes, "prune": Recipe(epochs=0)}
    masks = base.load("hydra").prune(net, Task(**{**vars(task), "recipes": none}))
    magnitude = base.load("lwm").prune(net, task_for("lwm", tmp_path))
    assert all(torch.equal(masks[n], magnitude[n]) for n in magnitude)


def test_hydra_scores_lower_the_robust_loss_of_the_pruned_net(net, tmp_path):
    """On a fresh net, learned masks beat the magnitude masks they start from."""
    objective, x = make({"name": "trades"}, THREAT), blobs(40)
    task, start = task_for("hydra", tmp_path), copy.deepcopy(net)
    recipe = Recipe(epochs=15, batch=16, lr=0.5)
    task = Task(**{**vars(task), "recipes": {**task.recipes, "prune": recipe}})

    def pruned_loss(masks, start):
        candidate = copy.deepcopy(start)
        mk.apply(candidate, masks)
        rng = torch.Generator().manual_seed(0)
        candidate.train()  # batch statistics: neither mask has had its own recomputed
        return objective.loss(candidate, x.images / 255, x.labels, rng).item()

    lwm = base.load("lwm").prune(net, task_for("lwm", tmp_path))
    learned = base.load("hydra").prune(net, task)
    found = pruned_loss(learned, net)
    assert found < 0.8 * pruned_loss(lwm, start)
    assert found < pruned_loss(lwm, net)  # not by the BatchNorm that adapts along


# R-ADMM (docs/methods/radmm.md, "What must hold")


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_radmm_draws_the_weights_to_its_mask(net, tmp_path, structure):
    """Weights that end outside the mask have shrunk, compared to training without the pull."""
    key = "radmm"

    def outside(rho):
        candidate = copy.deepcopy(net)
        task = task_for(key, tmp_path / f"{rho}", structure, 0.5, rho=rho)
        recipe = Recipe(epochs=12, batch=16, lr=0.1, momentum=0, schedule="constant", cycles=3)
        task = Task(**{**vars(task), "recipes": {**task.recipes, "prune": recipe}})
        masks = base.load(key).prune(candidate, task)
        weights = mk.weights(candidate, structure)
        assert all(w.count_nonzero() == w.numel() for w in weights.values())  # still dense
        lost = sum(float(w[~masks[f"{n}.weight"]].square().sum()) for n, w in weights.items())
        return lost / sum(float(w.square().sum()) for w in weights.values())

    pulled, free = outside(1.0), outside(1e-9)
    assert pulled < 0.5 * free


def test_radmm_masks_are_the_projection_of_its_last_weights(net, tmp_path):
    masks = base.load("radmm").prune(net, task_for("radmm", tmp_path, "filters", 0.5))
    for name, weight in mk.weights(net, "filters").items():
        norms = weight.flatten(1).norm(dim=1)
        alive = masks[f"{name}.weight"].flatten(1).any(1)
        assert norms[alive].min() >= norms[~alive].max()


# Li20 (docs/methods/li20.md, "What must hold")


def test_li20_searches_at_a_smaller_rate_than_it_trains_with_on_every_net():
    entry = load_method("li20")
    for setting in [{}, *entry["settings"]]:
        rates = {p: r | setting.get("recipes", {}).get(p, {}) for p, r in entry["recipes"].items()}
        assert rates["prune"]["lr"] <= rates["train"]["lr"] / 2
        assert "warmup" not in rates["prune"] and rates["train"]["warmup"] == 0.1
    assert entry["settings"][0]["arch"] == "vgg16"


def test_li20_rewinds_everything_statistics_included(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    base.load("li20").prune(net, task_for("li20", tmp_path))
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_li20_takes_the_mask_from_the_trained_net(net, tmp_path):
    task = task_for("li20", tmp_path)
    trained = copy.deepcopy(net)
    task.fit(trained, "prune")
    masks = base.load("li20").prune(net, task_for("li20", tmp_path / "again"))
    scores = {n: w.abs() / w.abs().mean() for n, w in mk.weights(trained).items()}
    kept = torch.cat([scores[n][masks[f"{n}.weight"]] for n in scores])
    gone = torch.cat([scores[n][~masks[f"{n}.weight"]] for n in scores])
    assert len(kept) == mk.kept_count(len(kept) + len(gone), 0.8)
    assert kept.min() >= gone.max()


def test_li20_does_not_see_the_scale_of_a_layer(net, tmp_path):
    """BatchNorm hides a layer's scale from training; the layer's mean hides it from the ranking."""
    task = task_for("li20", tmp_path)
    still = Task(**{**vars(task), "recipes": {**task.recipes, "prune": Recipe(epochs=0)}})
    first = base.load("li20").prune(net, still)
    with torch.no_grad():
        net.layer2[0].conv1.weight.mul_(8)
    second = base.load("li20").prune(net, still)
    assert all(torch.equal(m, second[n]) for n, m in first.items())


def test_li20_silences_the_channels_of_empty_filters(net, tmp_path):
    masks = base.load("li20").prune(net, task_for("li20", tmp_path, sparsity=0.99))
    alive = masks["layer1.0.conv1.weight"].flatten(1).any(1)
    assert not alive.all()
    assert torch.equal(masks["layer1.0.bn1.weight"], alive)
    assert torch.equal(masks["layer1.0.bn1.bias"], alive)


# FlyingBird (docs/methods/flyingbird.md, "What must hold")


def test_flyingbird_is_sparse_from_the_first_step_to_the_last(net, tmp_path):
    task = task_for("flyingbird", tmp_path, updates=3)
    method = base.load("flyingbird")
    masks = method.prune(net, task)
    assert mk.violations(net, masks) == []
    total = sum(w.numel() for w in mk.weights(net).values())
    assert mk.count(masks.values()) == (mk.kept_count(total, 0.8), total)
    assert task.final is None
    before = copy.deepcopy(net.state_dict())
    method.finetune(net, masks, task)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_flyingbird_ends_elsewhere_than_it_began(net, tmp_path):
    untouched = copy.deepcopy(net)
    still = base.load("flyingbird").prune(net, task_for("flyingbird", tmp_path / "a", updates=0))
    moved = base.load("flyingbird").prune(
        untouched, task_for("flyingbird", tmp_path / "b", updates=3)
    )
    assert any(not torch.equal(still[n], moved[n]) for n in still)
    assert all(still[n].sum() == moved[n].sum() for n in still)
