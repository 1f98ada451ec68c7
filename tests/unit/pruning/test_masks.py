import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advprune.base.errors import UserError
from advprune.pruning import masks as mk

sparsities = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 0.95, 0.99])


@given(n=st.integers(1, 3000), sparsity=sparsities)
def test_kept_and_removed_add_up_to_the_units(n, sparsity):
    assert mk.kept_count(n, sparsity) + mk.removed_count(n, sparsity) == n
    assert mk.removed_count(n, sparsity) == pytest.approx(sparsity * n, abs=1)
    assert mk.removed_count(n, sparsity) <= sparsity * n + 1e-6


@pytest.mark.parametrize(
    ("units", "sparsity", "kept"),
    [
        # counts of docs/methods/hydra.md
        (1728, 0.9, 173),
        (1728, 0.95, 87),
        (1728, 0.99, 18),
        (36864, 0.95, 1844),
        (2359296, 0.9, 235930),
        (2359296, 0.99, 23593),
        # counts of docs/methods/radmm.md: filters
        (64, 0.9, 7),
        (128, 0.9, 13),
        (256, 0.9, 26),
        (512, 0.9, 52),
        # floor(0.7 · 10) must not lose a unit to the last bit of 0.7 · 10
        (10, 0.7, 3),
        (100, 0.29, 71),
    ],
)
def test_kept_counts_of_the_pages(units, sparsity, kept):
    assert mk.kept_count(units, sparsity) == kept


@given(
    scores=st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    share=st.floats(0, 1),
)
def test_top_k_keeps_exactly_k_of_the_largest(scores, share):
    keep = int(share * len(scores))
    scores = torch.tensor(scores, dtype=torch.float32)
    mask = mk.top_k(scores, keep)
    assert int(mask.sum()) == keep
    if 0 < keep < len(scores):
        assert scores[mask].min() >= scores[~mask].max()


def test_ties_go_to_the_earlier_position():
    assert mk.top_k(torch.ones(2, 3), 4).tolist() == [[True, True, True], [True, False, False]]


def test_a_failed_score_never_keeps_a_weight():
    scores = torch.tensor([float("nan"), 0.0, float("inf"), -float("inf")])
    assert mk.top_k(scores, 2).tolist() == [False, True, True, False]


@settings(max_examples=30, deadline=None)
@given(sparsity=sparsities, seed=st.integers(0, 99))
def test_global_rank_is_exact_and_ordered(sparsity, seed):
    rng = torch.Generator().manual_seed(seed)
    scores = {"a": torch.rand(7, 5, generator=rng), "b": torch.rand(40, generator=rng) * 3}
    masks = mk.rank(scores, sparsity, scope="global")
    assert mk.count(masks.values()) == (mk.kept_count(75, sparsity), 75)
    kept = torch.cat([scores[n][m] for n, m in masks.items()])
    gone = torch.cat([scores[n][~m] for n, m in masks.items()])
    assert len(gone) == 0 or len(kept) == 0 or kept.min() >= gone.max()


def test_the_floor_saves_a_layer_without_changing_the_total():
    scores = {"weak": torch.tensor([0.1, 0.3, 0.2]), "strong": torch.arange(1.0, 98.0)}
    without = mk.rank(scores, 0.9, scope="global")
    masks = mk.rank(scores, 0.9, scope="global", floor=1)
    assert not without["weak"].any()
    assert masks["weak"].tolist() == [False, True, False]
    assert mk.count(masks.values())[0] == mk.count(without.values())[0] == 10


@pytest.mark.parametrize("keep", [-1, 4])
def test_a_count_that_cannot_be_is_refused(keep):
    with pytest.raises(ValueError, match=f"cannot keep {keep} of 3"):
        mk.top_k(torch.arange(3.0), keep)


def test_a_floor_that_does_not_fit_is_refused():
    scores = {name: torch.rand(10) for name in "abc"}
    assert mk.count(mk.rank(scores, 0.9, scope="global", floor=1).values())[0] == 3
    with pytest.raises(UserError, match="cannot keep 2 of 30 with 1 in each of 3"):
        mk.rank(scores, 28 / 30, scope="global", floor=1)


@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
def test_a_sparsity_that_leaves_less_than_a_unit_per_layer_is_refused(net, structure):
    sizes = [m.numel() for m in mk.rank(mk.magnitudes(net, structure), 0.0).values()]
    total, layers = sum(sizes), len(sizes)
    mk.check_sparsity(net, structure, 1 - layers / total)
    with pytest.raises(UserError, match=f"less than one for each of {layers} layers"):
        mk.check_sparsity(net, structure, 1 - (layers - 1) / total)
    mk.check_sparsity(net, "none", 0.0)  # the dense net has no units to count


def test_layers_may_have_their_own_rates():
    scores = {"a": torch.rand(10), "b": torch.rand(10)}
    masks = mk.rank(scores, {"a": 0.2, "b": 0.7})
    assert [int(m.sum()) for m in masks.values()] == [8, 3]


def test_a_removed_filter_is_silent_after_its_activation(net, rng):
    for module in net.modules():  # shifts as a trained net has them
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.5, 1.0)
    units = mk.rank(mk.magnitudes(net, "filters"), 0.5)
    mk.apply(net, mk.weight_masks(net, units, "filters"))
    seen = {}
    net.bn1.register_forward_hook(lambda module, args, out: seen.update(out=out.relu()))
    net.eval()(torch.rand(5, 1, 8, 8, generator=rng))
    silent = seen["out"].abs().amax((0, 2, 3)) == 0
    assert silent.tolist() == (~units["conv1"]).tolist()


def test_apply_leaves_plain_zeros_and_nothing_else_changes(net):
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    masks = mk.weight_masks(net, mk.rank(mk.magnitudes(net, "unstructured"), 0.9), "unstructured")
    assert mk.violations(net, masks) == list(masks)
    mk.apply(net, masks)
    assert mk.violations(net, masks) == []
    for name, value in net.named_parameters():
        mask = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[mask], before[name][mask])
        assert not value[~mask].any() and not torch.signbit(value[~mask]).any()


def test_units_are_not_taken_for_masks_nor_masks_for_units(net):
    units = mk.rank(mk.magnitudes(net, "filters"), 0.5)
    masks = mk.weight_masks(net, units, "filters")
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    with pytest.raises(ValueError, match="the net has no parameter named conv1, "):
        mk.apply(net, units)
    with pytest.raises(ValueError, match=r"no layer with filters named bn1\.bias, "):
        mk.weight_masks(net, masks, "filters")
    with pytest.raises(ValueError, match=r"mask of fc.weight has the shape \(3,\)"):
        mk.apply(net, masks | {"fc.weight": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="no layer with channels named conv1"):
        mk.weight_masks(net, units, "channels")
    assert all(torch.equal(p, before[n]) for n, p in net.named_parameters())


@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
def test_random_scores_have_one_entry_per_unit_and_follow_the_generator(net, structure):
    first, again, other = (
        mk.random_scores(net, structure, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    for name, score in mk.magnitudes(net, structure).items():
        assert first[name].shape == score.shape and (first[name] >= 0).all()
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
