"""From how many counts on a look at a radiation channel is unusual (safety 10)."""

from math import ceil, sqrt
from statistics import NormalDist

from cbrn_fusion.counting import negative_binomial_tail, poisson_limit

_NORMAL_FROM_COUNTS = 1e6
_LEAST_RELATIVE_VARIANCE = 1e-9


def count_limit(mean: float, sigma: float, p: float) -> float:
    """Return the smallest count that is as improbable as `p` in a quiet look.

    Exact: Poisson where `mean` is known (`sigma` 0), else the negative binomial of a mean
    learnt with a standard deviation of `sigma`; normal from a million counts on.
    """
    if mean >= _NORMAL_FROM_COUNTS:
        return mean + NormalDist().inv_cdf(1 - p) * sqrt(mean + sigma * sigma)
    variance = sigma * sigma
    if variance <= _LEAST_RELATIVE_VARIANCE * mean * mean:
        return float(poisson_limit(mean, p))
    # A Gamma belief of that mean and variance; a mean of nothing is as much as its sigma.
    believed = max(mean, sigma)
    shape, looks = believed * believed / variance, believed / variance
    low, high = 0, max(1, ceil(mean))
    while negative_binomial_tail(high, shape, looks, 1.0) > p:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if negative_binomial_tail(middle, shape, looks, 1.0) > p:
            low = middle
        else:
            high = middle
    return float(high)
