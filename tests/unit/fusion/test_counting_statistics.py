"""Exact Poisson limits, intervals and dead time, against published figures and scipy."""

from math import exp, inf, nan

import pytest
from scipy import stats

from cbrn_core.errors import FusionError
from cbrn_fusion.counting import (
    correct_dead_time,
    correct_paralysable,
    corrected_variance,
    garwood,
    negative_binomial_head,
    negative_binomial_tail,
    per_look_probability,
    poisson_limit,
    poisson_tail,
    two_source_dead_time,
)


@pytest.mark.parametrize(
    ("mean", "count", "tail"),
    [
        (5, 12, 5.45e-3), (5, 14, 6.98e-4), (5, 17, 1.99e-5), (5, 19, 1.40e-6),
        (20, 34, 2.69e-3), (20, 38, 2.17e-4), (20, 43, 5.43e-6), (20, 47, 1.90e-7),
        (100, 130, 2.28e-3), (100, 140, 9.16e-5), (100, 150, 1.88e-6), (100, 160, 2.05e-8),
    ],
)  # fmt: skip
def test_poisson_tails_have_the_reference_figures(mean, count, tail):
    assert poisson_tail(count, mean) == pytest.approx(tail, rel=3e-3)


@pytest.mark.parametrize("mean", [0.001, 0.3, 5.0, 20.0, 100.0, 1e3, 1e5])
@pytest.mark.parametrize("p", [0.5, 1e-2, 1e-4, 3.858e-7, 1e-12])
def test_the_limit_is_the_smallest_count_whose_tail_is_allowed(mean, p):
    limit = poisson_limit(mean, p)
    assert stats.poisson.sf(limit - 1, mean) <= p < stats.poisson.sf(limit - 2, mean)
    assert poisson_tail(limit, mean) == pytest.approx(stats.poisson.sf(limit - 1, mean), rel=1e-9)


def test_the_ends_of_the_limit():
    assert poisson_limit(0.0, 1e-6) == 1
    assert poisson_limit(5.0, 1.0) == 0
    assert poisson_tail(0, 5.0) == 1.0
    assert poisson_tail(3, 0.0) == 0.0


def test_far_tails_of_large_means_keep_their_digits():
    """Reference by 40-digit summation; here scipy itself is off by 2 %."""
    assert poisson_tail(10_018_614, 1e7) == pytest.approx(1.9983e-9, rel=2e-3)


def test_one_false_alarm_in_thirty_days_at_one_look_a_second():
    p = per_look_probability(30, 86_400)
    assert p == pytest.approx(3.858e-7, rel=1e-4)
    assert poisson_limit(20.0, p) == 47
    assert per_look_probability(30, 86_400 * 12) == pytest.approx(p / 12)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.688879454),
        (1, 0.025317808, 5.571643391),
        (5, 1.623486390, 11.668332079),
        (20, 12.216519585, 30.888377903),
        (100, 81.363991251, 121.626794293),
    ],
)
def test_garwood_intervals(count, low, high):
    interval = garwood(count)
    assert interval.low == pytest.approx(low, abs=1e-8)
    assert interval.high == pytest.approx(high, rel=1e-8)
    assert interval.high == pytest.approx(stats.chi2.ppf(0.975, 2 * count + 2) / 2, rel=1e-11)


@pytest.mark.parametrize(
    ("measured", "tau_s", "true"),
    [
        (100, 1e-4, 101.0101010101),
        (1000, 1e-4, 1111.1111111),
        (5000, 1e-4, 10000.0),
        (2000, 190e-6, 3225.8064516),
        (0.0, 1e-4, 0.0),
        (50.0, 0.0, 50.0),
    ],
)
def test_dead_time_correction(measured, tau_s, true):
    corrected = correct_dead_time(measured, tau_s)
    assert corrected.cps == pytest.approx(true, rel=1e-9)
    assert corrected.over_range == (measured * tau_s >= 0.5)


@pytest.mark.parametrize("measured", [5000.0, 9999.0, 10_000.0, 1e9])
def test_over_range_is_flagged_and_never_divided_past_one(measured):
    corrected = correct_dead_time(measured, 1e-4)
    assert corrected.over_range
    assert corrected.cps == pytest.approx(1e4)


@pytest.mark.parametrize("true", [1.0, 500.0, 5000.0, 9990.0])
def test_the_paralysable_low_branch_is_inverted(true):
    measured = true * exp(-true * 1e-4)
    corrected = correct_paralysable(measured, 1e-4)
    assert corrected.cps == pytest.approx(true, rel=1e-4)
    assert not corrected.over_range


def test_the_paralysable_reference_and_its_peak():
    assert correct_paralysable(3032.6532986, 1e-4).cps == pytest.approx(5000, rel=1e-9)
    assert correct_paralysable(1e4 / 2.7, 1e-4).over_range
    assert correct_paralysable(0.0, 1e-4) == (0.0, False)


def test_the_variance_of_the_corrected_rate():
    assert corrected_variance(1000, 1e-4, 60) == pytest.approx(1000 / (60 * 0.9**4))


def test_the_two_source_method_returns_its_uncertainty():
    tau_s, _ = two_source_dead_time(
        2862.241256245539, 3337.7748167888076, 4739.610731194109, 9.990009990009991, 300
    )
    assert tau_s == pytest.approx(1e-4, rel=1e-9)
    tau_s, sigma_s = two_source_dead_time(692.2667, 480.5633, 1155.6067, 5.2672, 300)
    assert tau_s == pytest.approx(18.5e-6, abs=0.05e-6)
    assert sigma_s == pytest.approx(4.3e-6, abs=0.05e-6)
    with pytest.raises(FusionError):
        two_source_dead_time(0, 0, 0, 0, 300)


@pytest.mark.parametrize(
    ("count", "a", "b_s", "T"),
    [(3, 0.5, 60, 1), (10, 4.96, 19.8, 10), (300, 1e4, 60, 1), (7, 2, 3, 4)],
)
def test_negative_binomial_tails_agree_with_scipy(count, a, b_s, T):
    p = b_s / (b_s + T)
    tail, head = negative_binomial_tail(count, a, b_s, T), negative_binomial_head(count, a, b_s, T)
    assert tail == pytest.approx(stats.nbinom.sf(count - 1, a, p), rel=1e-7)
    assert head == pytest.approx(stats.nbinom.cdf(count, a, p), rel=1e-9)


@pytest.mark.parametrize("bad", [-1.0, nan, inf])
def test_impossible_rates_are_refused(bad):
    for refuse in (
        lambda: poisson_tail(3, bad),
        lambda: poisson_limit(bad, 0.01),
        lambda: correct_dead_time(bad, 1e-4),
        lambda: correct_paralysable(bad, 1e-4),
    ):
        with pytest.raises(FusionError):
            refuse()


def test_impossible_probabilities_are_refused():
    for refuse in (
        lambda: poisson_limit(5, 0.0),
        lambda: poisson_limit(5, nan),
        lambda: per_look_probability(0, 5),
        lambda: garwood(-1),
        lambda: garwood(3, 1.0),
    ):
        with pytest.raises(FusionError):
            refuse()
