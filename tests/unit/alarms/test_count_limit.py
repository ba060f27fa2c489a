"""From how many counts on a look is unusual: exact, and honest about a learnt background."""

import numpy as np
import pytest

from cbrn_fusion.counting import negative_binomial_tail, poisson_limit, poisson_tail
from cbrn_gateway.alarms.rules.count_limit import count_limit

P = 1 / (30 * 86_400)


@pytest.mark.parametrize("mean", [0.05, 0.31, 5.0, 400.0])
def test_of_a_known_background_it_is_the_exact_poisson_limit(mean):
    limit = count_limit(mean, 0.0, P)
    assert limit == poisson_limit(mean, P)
    assert poisson_tail(int(limit), mean) <= P < poisson_tail(int(limit) - 1, mean)


@pytest.mark.parametrize(("mean", "sigma"), [(0.31, 0.03), (5.0, 1.0), (18.0, 1.7), (0.0, 0.002)])
def test_of_a_learnt_one_it_is_the_first_count_that_is_improbable_enough(mean, sigma):
    limit = int(count_limit(mean, sigma, P))
    believed = max(mean, sigma)
    shape, looks = (believed / sigma) ** 2, believed / sigma**2
    assert negative_binomial_tail(limit, shape, looks, 1.0) <= P
    assert negative_binomial_tail(limit - 1, shape, looks, 1.0) > P
    assert limit >= poisson_limit(mean, P) if mean else limit >= 1


def test_the_less_is_known_the_more_it_takes():
    limits = [count_limit(18.0, sigma, P) for sigma in (0.0, 1.0, 2.0, 4.0)]
    assert limits == sorted(limits)
    assert limits[-1] > limits[0]


def test_a_learnt_background_keeps_the_budget_where_a_trusted_one_would_not():
    rng = np.random.Generator(np.random.Philox(3))
    true, p, learnt_s = 18.0, 1e-3, 10
    learnt = rng.poisson(true * learnt_s, 4000) / learnt_s
    looks = rng.poisson(true, 4000)
    honest = [
        n >= count_limit(b, (b / learnt_s) ** 0.5, p) for n, b in zip(looks, learnt, strict=True)
    ]
    assert sum(honest) <= 4000 * p * 3
    trusted = np.mean([poisson_tail(poisson_limit(b, p), true) for b in learnt])
    believed = np.mean(
        [poisson_tail(int(count_limit(b, (b / learnt_s) ** 0.5, p)), true) for b in learnt]
    )
    assert believed <= 1.1 * p < trusted


def test_beyond_a_million_counts_the_normal_limit_serves():
    assert count_limit(1e6, 0.0, P) == pytest.approx(1e6 + 4.95 * 1e3, rel=1e-4)
    assert count_limit(1e12, 1e9, P) == pytest.approx(1e12 + 4.95e9, rel=1e-3)
