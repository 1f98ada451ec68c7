"""Confidence intervals. Apart from the tables, because SciPy takes a second to import."""

from scipy.stats import binomtest


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion, both ends in [0, 1]; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
