"""Thin ice: images are lost and gained at eps, and the distance before says which."""

import numpy as np
import pandas as pd
import pytest

from advprune.base.errors import UserError
from advprune.report.figures.canvas import save
from advprune.report.figures.thin_ice import (
    LOST,
    Pair,
    by_image,
    by_model,
    figure,
    superiority,
)

EPS = 0.2
BEFORE = np.array([0.0, 0.1, 0.21, 0.22, 0.3, 0.4, 0.2, np.inf])
AFTER = np.array([0.0, 0.3, 0.15, 0.0, 0.5, 0.19, 0.3, 0.3])


def pair(before=BEFORE, after=AFTER, method="lwm", **model):
    return Pair({"method": method, "seed": 0} | model, np.array(before), np.array(after), EPS)


def test_lost_and_gained_are_changes_of_the_verdict_at_eps():
    """A distance of exactly eps is broken, as everywhere."""
    one = pair()
    assert one.robust_before.nonzero()[0].tolist() == [2, 3, 4, 5, 7]
    assert one.lost.nonzero()[0].tolist() == [2, 3, 5]
    assert one.gained.nonzero()[0].tolist() == [1, 6]


def test_a_models_row():
    row = by_model([pair(structure="filters")]).iloc[0]
    assert (row["method"], row["structure"]) == ("lwm", "filters")
    assert (row["images"], row["robust_before"], row["lost"], row["gained"]) == (8, 5, 3, 2)
    assert row["distance_lost"] == 0.22
    assert row["distance_kept"] == np.inf  # of 0.3 and none found
    assert row["thin_ice_auc"] == pytest.approx(5 / 6)  # all pairs but (0.4, 0.3)


def test_superiority_counts_pairs():
    rng = np.random.default_rng(0)
    lost, kept = rng.integers(0, 6, 20) / 10, rng.integers(2, 9, 30) / 10
    below = np.mean([(a < b) + (a == b) / 2 for a in lost for b in kept])
    assert superiority(lost, kept) == pytest.approx(below)
    assert np.isnan(superiority(lost, kept[:0])) and np.isnan(superiority(lost[:0], kept))


def test_rank_correlation_does_not_ask_for_a_scale():
    rising = pair([0.1, 0.2, 0.3, np.inf], [0.01, 0.02, 0.9, np.inf])
    falling = pair([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])
    flat = pair([0.1, 0.2, 0.3], [0.0, 0.0, 0.0])
    correlation = by_model([rising, falling, flat])["rank_correlation"]
    assert correlation[:2].tolist() == pytest.approx([1, -1])
    assert np.isnan(correlation[2])


def test_tables_of_variants_have_the_columns_of_the_others():
    variant = pair(method="lwm-2", name="LWM 2", variant_of="lwm", objective="trades")
    assert list(by_model([variant])) == list(by_model([pair(objective="pgd")]))


def test_an_images_row_counts_models():
    other = pair(after=np.full(8, 0.1), method="hydra")
    own = {"index": range(8), "official_index": range(90, 98), "label": 1}
    frame = by_image([pair(), other], pd.DataFrame(own | {"distance": 0.0}))
    assert list(frame.columns[:4]) == ["index", "official_index", "label", "distance_before"]
    assert frame["official_index"].tolist() == list(range(90, 98))
    assert frame["lost"].tolist() == [0, 0, 2, 2, 1, 2, 0, 1]
    assert frame["gained"].tolist() == [0, 1, 0, 0, 0, 0, 1, 0]
    assert frame["robust_before"].tolist() == [0, 0, 2, 2, 2, 2, 0, 2]
    assert frame["models"].eq(2).all()
    assert frame["distance_before"].tolist() == BEFORE.tolist()
    assert frame["distance_after"][4] == pytest.approx(0.3)


def test_other_images_are_a_user_error():
    with pytest.raises(UserError, match="lwm: other test images"):
        pair(after=AFTER[:-1])


def test_a_panel_per_method_with_the_least_loss_first_and_one_for_all(tmp_path):
    bad = pair(after=np.zeros(8), method="random")
    drawn = figure([bad, pair(seed=0), pair(seed=1)], {"lwm": "LWM"}, "digits")
    titles = [axes.get_title() for axes in drawn.axes]
    assert titles == ["LWM", "random", "All: lost (%)"]
    texts = [[text.get_text() for text in axes.texts] for axes in drawn.axes[:2]]
    assert texts == [["lost 38 %", "gained 25 %"], ["lost 62 %", "gained 0 %"]]
    lost = drawn.axes[0].collections[2]
    assert len(lost.get_offsets()) == 6  # three images, two seeds
    assert np.allclose(
        lost.get_facecolor()[0][:3], [int(LOST[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    )
    assert np.max(drawn.axes[0].collections[0].get_offsets()) == 2 * EPS  # none found: the border
    for suffix in (".png", ".pdf"):
        paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
        for path in paths:
            save(figure([pair()], {}, "t"), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("before", "after"), [([0.0, 0.1], [0.0, 0.1]), ([0.3], [np.inf])])
def test_nothing_robust_and_nothing_lost_can_be_drawn(before, after):
    assert len(figure([pair(before, after)], {}, "t").axes) == 2
