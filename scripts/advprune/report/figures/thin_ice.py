"""Thin ice: which images lose their robustness to pruning (Piras et al. 2023).

*Samples on Thin Ice: Re-Evaluating Adversarial Pruning of Neural Networks* looks at every image's
distance to its nearest adversarial before and after pruning. Here the dense net of the same seed
stands for before, and the distances are those of HO-FMN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from advprune.attacks.verdicts import SAMPLE, robust_at
from advprune.base.errors import UserError
from advprune.base.files import read_json
from advprune.evaluation.comparable import described, differing
from advprune.evaluation.intervals import wilson
from advprune.report.figures.style import COLOURS, SETTINGS, labels

LOST, GAINED, SAME = COLOURS[1], COLOURS[0], "#a8a8a8"
COLUMNS = 5
LONGEST = 20  # letters of a panel's title
BINS = 8
TOLD_ELSEWHERE = ("name", "variant_of", "objective")  # of a model, in other tables
EPSILONS = ("0", "ε", "2ε")


@dataclass(frozen=True, eq=False)
class Pair:
    """Distances [N] of the same images before and after pruning; `model` is the identity."""

    model: Mapping[str, Any]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    eps: float

    def __post_init__(self) -> None:
        if len(self.before) != len(self.after):
            raise UserError(f"{self.model['method']}: other test images than the dense net")

    @property
    def robust_before(self) -> NDArray[np.bool_]:
        """The dense net is robust at eps."""
        return robust_at(self.before, self.eps)

    @property
    def lost(self) -> NDArray[np.bool_]:
        """The dense net is robust at eps, the pruned one is not."""
        return self.robust_before & ~robust_at(self.after, self.eps)

    @property
    def gained(self) -> NDArray[np.bool_]:
        """The pruned net is robust at eps, the dense one is not."""
        return ~self.robust_before & robust_at(self.after, self.eps)


def check_attacks(folders: Sequence[str]) -> None:
    """Refuse models that were attacked in different ways, as the cards in their folders say."""
    cards = [Path(folder) / "hofmn-0.card.json" for folder in folders]
    if differ := differing(read_json(card)["spec"] for card in cards if card.is_file()):
        raise UserError(f"{folders[0]} and others: cannot be joined: {described(differ)}")


def check_images(tables: Mapping[str, pd.DataFrame]) -> None:
    """Refuse HO-FMN's tables, by their folders, of which an image has another place in another."""
    (first, images), *others = tables.items()
    for folder, table in others:
        if not table["official_index"].equals(images["official_index"]):
            raise UserError(f"{first} and {folder}: cannot be joined: other test images")


def by_model(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row per pruned model; counts of images, and distances of the dense net.

    `thin_ice_auc` is the chance that a lost image was nearer to an adversarial before pruning than
    a kept one (0.5: distance says nothing), `rank_correlation` Spearman's of before and after.
    """
    rows = []
    for pair in pairs:
        lost, kept = pair.before[pair.lost], pair.before[pair.robust_before & ~pair.lost]
        counts = {"images": len(pair.before), "robust_before": int(pair.robust_before.sum())}
        counts |= {"lost": int(pair.lost.sum()), "gained": int(pair.gained.sum())}
        medians = {"distance_lost": _median(lost), "distance_kept": _median(kept)}
        ranks = {"thin_ice_auc": superiority(lost, kept), "rank_correlation": _correlation(pair)}
        model = {key: value for key, value in pair.model.items() if key not in TOLD_ELSEWHERE}
        rows.append(model | counts | medians | ranks)
    return pd.DataFrame(rows)


def by_image(pairs: Sequence[Pair], images: pd.DataFrame) -> pd.DataFrame:
    """One row per image: median distances, and in how many models it is robust, lost, gained.

    `images` has their indexes and labels, in the order of the distances.
    """
    return images[list(SAMPLE)].assign(
        **{
            "distance_before": np.median([p.before for p in pairs], axis=0),
            "distance_after": np.median([p.after for p in pairs], axis=0),
            "models": len(pairs),
            "robust_before": np.sum([p.robust_before for p in pairs], axis=0),
            "lost": np.sum([p.lost for p in pairs], axis=0),
            "gained": np.sum([p.gained for p in pairs], axis=0),
        }
    )


def superiority(lost: NDArray[np.float64], kept: NDArray[np.float64]) -> float:
    """Chance that a lost image's distance is below a kept one's, ties half; NaN without both."""
    if not len(lost) or not len(kept):
        return np.nan
    statistic = mannwhitneyu(lost, kept).statistic  # pairs in which the lost one is farther
    return float(1 - statistic / (len(lost) * len(kept)))


def figure(pairs: Sequence[Pair], names: Mapping[str, str], title: str) -> Figure:
    """Draw distance after against before: a panel per method, the one that loses least first.

    The last panel shows, over all models, the share of robust images that were lost by the distance
    they had. Points beyond twice eps lie on the border.
    """
    methods: dict[str, list[Pair]] = {}
    for pair in pairs:
        methods.setdefault(pair.model["method"], []).append(pair)
    order = sorted(methods, key=lambda m: (np.mean([p.lost.mean() for p in methods[m]]), m))
    columns, shown = min(COLUMNS, len(order) + 1), labels(names, LONGEST)
    rows = -(-(len(order) + 1) // columns)
    with matplotlib.rc_context(SETTINGS):
        size = (max(3.5, 1.45 * columns), 1.45 * rows + 0.6)
        drawn = Figure(figsize=size, layout="constrained")
        panels = drawn.subplots(rows, columns, squeeze=False)
        for axes, method in zip(panels.flat, order, strict=False):
            _scatter(axes, methods[method])
            axes.set_title(shown.get(method, method), pad=11)
        _by_distance(panels.flat[len(order)], pairs)
        for axes in panels.flat[len(order) + 1 :]:
            axes.set_axis_off()
        drawn.suptitle(title, fontsize=8)
        drawn.supxlabel("Distance before pruning (dense net)", fontsize=7.5)
        drawn.supylabel("Distance after pruning", fontsize=7.5)
    return drawn


def _scatter(axes: Axes, pairs: Sequence[Pair]) -> None:
    eps, limit = pairs[0].eps, 2 * pairs[0].eps
    before, after, lost, gained = (
        np.concatenate([getattr(p, name) for p in pairs])
        for name in ("before", "after", "lost", "gained")
    )
    size = 5 if len(before) <= 500 else 1
    for chosen, colour in ((~lost & ~gained, SAME), (gained, GAINED), (lost, LOST)):
        x, y = (np.minimum(d[chosen], limit) for d in (before, after))
        axes.scatter(x, y, s=size, color=colour, lw=0, rasterized=True, zorder=3, clip_on=False)
    axes.plot([0, limit], [0, limit], color="#8c8c8c", lw=0.5, zorder=1)
    axes.axvline(eps, color="#8c8c8c", lw=0.7, zorder=1)
    axes.axhline(eps, color="#8c8c8c", lw=0.7, zorder=1)
    corner: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6}
    axes.text(1, 1.03, f"lost {_share(lost)}", color=LOST, ha="right", **corner)
    axes.text(0, 1.03, f"gained {_share(gained)}", color=GAINED, **corner)
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.set_xticks([0, eps, limit], EPSILONS)
    axes.set_yticks([0, eps, limit], EPSILONS)
    axes.grid(visible=False)


def _by_distance(axes: Axes, pairs: Sequence[Pair]) -> None:
    """Share lost of the images robust before, in bins of equal counts of their distance before."""
    before = np.concatenate([p.before[p.robust_before] for p in pairs])
    lost = np.concatenate([p.lost[p.robust_before] for p in pairs])
    order = np.argsort(before, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    x = [min(np.median(before[part]), 2 * pairs[0].eps) for part in parts]
    bounds = [wilson(int(lost[part].sum()), len(part)) for part in parts]
    middle = [100 * lost[part].mean() for part in parts]
    band = 100 * np.array(bounds).reshape(-1, 2)
    axes.fill_between(x, band[:, 0], band[:, 1], color=LOST, alpha=0.18, lw=0)
    axes.plot(x, middle, color=LOST, marker="o", ms=2.5, lw=1)
    eps = pairs[0].eps
    axes.set(xlim=(0, 2 * eps), ylim=(0, 100))
    axes.set_xticks([0, eps, 2 * eps], EPSILONS)
    axes.set_box_aspect(1)
    axes.set_title("All: lost (%)", pad=11)


def _share(chosen: NDArray[np.bool_]) -> str:
    return f"{100 * chosen.mean():.0f} %"


def _median(distances: NDArray[np.float64]) -> float:
    return float(np.median(distances)) if len(distances) else np.nan


def _correlation(pair: Pair) -> float:
    """Spearman's rank correlation; NaN where one side is constant."""
    if min(len(np.unique(pair.before)), len(np.unique(pair.after))) < 2:
        return np.nan
    return float(spearmanr(pair.before, pair.after).statistic)
