import itertools

import pytest

from advprune.plan.specs import Recipe
from advprune.pruning.schedules import SHAPES, by_rate, by_rounds, sparsities, split_epochs


def test_rounds_remove_the_same_share_of_what_is_left():
    left = [1.0, *(1 - s for s in by_rounds(0.9, 5))]
    assert [b / a for a, b in itertools.pairwise(left)] == pytest.approx([0.1**0.2] * 5)
    assert by_rounds(0.9, 1) == [0.9]


def test_a_rate_takes_as_many_rounds_as_the_sparsity_needs():
    assert [len(by_rate(s, 0.2)) for s in (0.9, 0.95, 0.99)] == [11, 14, 21]
    assert by_rate(0.9, 0.2)[:3] == pytest.approx([0.2, 0.36, 0.488])
    assert by_rate(0.9, 0.2)[-1] == 0.9
    assert by_rate(0.75, 0.5) == pytest.approx([0.5, 0.75])  # reached exactly: no round more
    assert by_rate(0.9, 0.2, most=11) == by_rate(0.9, 0.2)
    assert by_rate(0.9, 0.2, most=10) == by_rounds(0.9, 10)  # all of them a little more


@pytest.mark.parametrize("shape", SHAPES)
def test_every_round_removes_something_and_the_last_reaches_the_target(shape):
    schedule = [0.0, *sparsities(0.9, 4, shape)]
    assert len(schedule) == 5 and schedule[-1] == 0.9
    assert all(b > a for a, b in itertools.pairwise(schedule))
    assert sparsities(0.9, 1, shape) == [0.9]


def test_what_the_shapes_remove():
    left = [1.0, *(1 - s for s in sparsities(0.9, 4))]
    assert [b / a for a, b in itertools.pairwise(left)] == pytest.approx([0.1**0.25] * 4)
    assert sparsities(0.8, 4, "linear") == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert sparsities(0.8, 2, "cubic") == pytest.approx([0.7, 0.8])
    with pytest.raises(ValueError, match="unknown shape"):
        sparsities(0.8, 2, "quadratic")


@pytest.mark.parametrize(("epochs", "parts"), [(10, 3), (4, 4), (7, 1), (0, 1), (12, 5)])
def test_parts_share_all_epochs_evenly(epochs, parts):
    whole = Recipe(epochs=epochs, lr=0.3)
    shares = split_epochs(whole, parts)
    counts = [r.epochs for r in shares]
    assert sum(counts) == epochs and max(counts) - min(counts) <= 1 and len(counts) == parts
    assert all(r.lr == 0.3 for r in shares)


def test_no_training_is_without_epochs():
    with pytest.raises(ValueError, match="4 trainings cannot share 3 epochs"):
        split_epochs(Recipe(epochs=3), 4)
