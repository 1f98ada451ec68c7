"""What chance alone could do: tests of two methods, and of many against the best of them.

Two sources of chance are kept apart. Which test images were drawn: the nets are given, and the
image is the unit. How training went: a training is the unit, and a seed is a pair of trainings.
Whoever wants to say something of methods, and not of these nets, has to allow for both.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, studentized_range, ttest_1samp

LEVEL = 0.05
FEWEST_SEEDS = 5  # with four, no order of signs is rarer than 1 in 8, and t has three degrees


def sign_flip(differences: ArrayLike) -> float:
    """Two-sided p-value of the sum, when every difference is as likely to have the other sign.

    `differences` [images] are whole numbers. Exact: the distribution of the sum is the convolution
    of one scaled binomial distribution per size of difference. With differences in {-1, 0, 1} this
    is McNemar's exact test.
    """
    differences = np.asarray(differences, dtype=np.int64)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    law = np.ones(1)  # of what the positive ones add up to: the sum is twice that minus `total`
    for size, n in zip(sizes, counts, strict=True):
        terms = np.zeros(size * n + 1)
        terms[::size] = binom.pmf(np.arange(n + 1), n, 0.5)
        law = np.convolve(law, terms)
    total = len(law) - 1
    tail = (total - abs(int(differences.sum()))) // 2
    # at a sum of zero the two tails share the middle
    return min(1.0, float(law[: tail + 1].sum() + law[total - tail :].sum()))


def paired_t(differences: ArrayLike) -> NDArray[np.float64]:
    """Two-sided p-values of paired t-tests over seeds.

    `differences` [..., seeds] are counts of images, whole numbers, so that equal ones are seen to
    be equal. Where all seeds differ by the same there is no spread to measure chance by: the
    p-value is 1 for no difference at all, and else that of the signs, 2^(1 - seeds). One seed gives
    nan.
    """
    differences = np.asarray(differences, dtype=np.int64)
    seeds = differences.shape[-1]
    if seeds < 2:
        return np.full(differences.shape[:-1], np.nan)
    constant = np.ptp(differences, axis=-1) == 0
    signs = np.where(differences[..., 0] == 0, 1.0, 2.0 ** (1 - seeds))
    # what is constant is replaced by anything that varies: its p-value is not used
    varied = np.where(constant[..., None], np.arange(seeds), differences)
    return np.where(constant, signs, ttest_1samp(varied, 0.0, axis=-1).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for looking at all of them (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = running
    return adjusted


def below_best_on_images(best: NDArray[np.bool_], other: NDArray[np.bool_], methods: int) -> bool:
    """Whether a method is below the best of `methods`, given the nets: verdicts [seeds, images].

    The best was found by looking at the same data, so that any of the pairs could have come up:
    Bonferroni's correction is over all of them. Every seed has to agree.
    """
    counts = other.sum(axis=0, dtype=int) - best.sum(axis=0, dtype=int)
    p_value = sign_flip(counts) * methods * (methods - 1) / 2
    return bool(p_value < LEVEL and (other.sum(axis=1) < best.sum(axis=1)).all())


def below_best_over_seeds(counts: NDArray[np.int64], best: int) -> NDArray[np.bool_]:
    """Which methods are below the best, as methods: `counts` [methods, seeds] of robust images.

    Both of two tests must say so. Tukey's range test takes all pairs of methods together, seeds as
    blocks, and all trainings for one estimate of chance: right if all methods are equally noisy.
    Some are not, so that the paired t-test of the two must agree, corrected for the comparisons
    that a method has (Bonferroni over the others). Either alone calls equal methods unequal too
    often: the first where one is noisier than the rest, the second because the best is picked by
    the data.
    """
    methods, seeds = counts.shape
    if methods < 2:
        return np.zeros(methods, dtype=bool)
    means = counts.mean(axis=1)
    rest = counts - means[:, None] - counts.mean(axis=0) + counts.mean()
    freedom = (methods - 1) * (seeds - 1)
    width = _range(methods, freedom) * np.sqrt((rest**2).sum() / freedom / seeds)
    own = paired_t(counts - counts[best]) * (methods - 1) < LEVEL
    return (means[best] - means > width) & own


@cache
def _range(methods: int, freedom: int) -> float:
    """Range of so many equal means, in standard errors, which chance exceeds at `LEVEL`."""
    return float(studentized_range.ppf(1 - LEVEL, methods, freedom))
