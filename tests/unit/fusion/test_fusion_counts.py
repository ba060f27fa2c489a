"""The Gamma-Poisson rows: vectors, rises followed in three samples, spikes held."""

from itertools import pairwise
from math import exp, log

import numpy as np
import pytest
from scipy import stats

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.counts_group import A, B, surprise
from cbrn_fusion.samples import Samples, Verdict

START_US = 1_700_000_000_000_000


def counter(memory_s=60.0, period_s=1.0):
    return Bank([ChannelModel(key="g", kind=Kind.COUNTS, memory_s=memory_s, period_s=period_s)])


def count(bank, second, rate, livetime_s=None):
    return bank.submit(
        Samples(
            np.array([0]),
            np.array([START_US + round(second * 1e6)]),
            np.array([float(rate)]),
            None,
            None if livetime_s is None else np.array([float(livetime_s)]),
        )
    )


def test_the_update_has_the_reference_figures():
    memory_s = -10 / log(0.98)
    bank = counter(memory_s, period_s=10.0)
    count(bank, 0, 0.2)
    cells = bank.groups[1].store.cells
    cells[A], cells[B] = 2.0, 10.0
    out = count(bank, 10, 0.3, livetime_s=10)
    assert cells[A] == pytest.approx(4.96, rel=1e-12)
    assert cells[B] == pytest.approx(19.8, rel=1e-12)
    assert out.value[0] == pytest.approx(0.2505050505, rel=1e-9)
    assert out.sigma[0] == pytest.approx(0.1124800881, rel=1e-9)


def test_the_predictive_tail_has_the_reference_figure():
    nis, p = surprise(10.0, 4.96, 19.8, 10.0)
    assert p == pytest.approx(0.00413295191, rel=1e-8)
    assert nis == pytest.approx(stats.norm.isf(0.00413295191) ** 2, rel=1e-6)


@pytest.mark.parametrize("rate", [0.3, 5.0, 100.0, 5000.0])
def test_a_quiet_rate_is_estimated_without_bias_and_without_alarm(rate):
    rng = np.random.default_rng(3)
    bank = counter()
    outs = [count(bank, k, n) for k, n in enumerate(rng.poisson(rate, 8000))]
    values = np.array([o.value[0] for o in outs[200:]])
    sigmas = np.array([o.sigma[0] for o in outs[200:]])
    assert values.mean() == pytest.approx(rate, rel=0.05)
    assert values.std() == pytest.approx(sigmas.mean() / 2**0.5, rel=0.3)
    assert not {o.verdict[0] for o in outs[10:]} & {Verdict.MANOEUVRE, Verdict.GAS}


@pytest.mark.parametrize("rate", [3.0, 20.0])
def test_the_nis_of_counts_exceeds_the_gate_as_rarely_as_it_says(rate):
    rng = np.random.default_rng(4)
    bank = counter()
    nis = np.array([count(bank, k, n).nis[0] for k, n in enumerate(rng.poisson(rate, 6000))][100:])
    assert (nis > 10.827566).mean() < 2.5e-3
    assert nis.mean() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("background", "raised"), [(0.3, 20.0), (5.0, 40.0), (100.0, 400.0)])
def test_a_true_rise_is_followed_within_three_samples(background, raised):
    rng = np.random.default_rng(5)
    for _ in range(20):
        bank = counter(memory_s=300.0)
        for k in range(300):
            count(bank, k, rng.poisson(background))
        outs = [count(bank, 300 + k, rng.poisson(raised)) for k in range(6)]
        assert outs[0].value[0] < background + 0.3 * (raised - background)
        assert outs[2].value[0] > 0.7 * raised
        assert Verdict.GAS in {o.verdict[0] for o in outs}


def test_a_burst_of_one_sample_moves_the_rate_little_and_is_a_spike():
    bank = counter()
    for k in range(200):
        before = count(bank, k, 5).value[0]
    burst = count(bank, 200, 100_000)
    after = count(bank, 201, 5)
    assert burst.verdict[0] == Verdict.GATED
    assert after.verdict[0] == Verdict.SPIKE
    assert burst.value[0] < 1.1 * before
    assert after.value[0] < 1.1 * before


@pytest.mark.parametrize("first", [1000.0, 5.0])
def test_a_burst_among_the_first_two_samples_does_not_stay(first):
    bank = counter()
    other = 1005.0 - first
    values = [count(bank, k, rate).value[0] for k, rate in enumerate([first, other, 5, 5, 5])]
    assert not any(a > 100 and b > 100 for a, b in pairwise(values))


def test_a_fall_is_followed_within_three_samples():
    rng = np.random.default_rng(6)
    bank = counter(memory_s=300.0)
    for k in range(300):
        count(bank, k, rng.poisson(200))
    outs = [count(bank, 300 + k, rng.poisson(5)) for k in range(4)]
    assert outs[2].value[0] < 15


def test_while_a_rise_is_unconfirmed_the_value_is_capped_at_the_reading():
    bank = counter()
    for k in range(100):
        count(bank, k, 5)
    count(bank, 100, 100)
    out = count(bank, 101, 40)
    assert out.verdict[0] == Verdict.MANOEUVRE
    assert out.value[0] <= 40


def test_zero_counts_never_mean_a_zero_rate():
    bank = counter()
    for k in range(5000):
        out = count(bank, k, 0)
    assert 0 < out.value[0] < 0.02
    assert out.sigma[0] > 0


def test_without_a_live_time_the_interval_is_used():
    timed, untimed = counter(period_s=10.0), counter(period_s=10.0)
    for k in range(30):
        a = count(timed, 10 * k, 2.0, livetime_s=10.0)
        b = count(untimed, 10 * k, 2.0)
    assert a.value[0] == b.value[0]
    assert a.sigma[0] == b.sigma[0]


def test_a_shorter_live_time_counts_for_less():
    bank, twin = counter(), counter()
    for k in range(100):
        count(bank, k, 10, livetime_s=1.0)
        count(twin, k, 10, livetime_s=0.5)
    assert count(twin, 100, 10, 0.5).sigma[0] > 1.2 * count(bank, 100, 10, 1.0).sigma[0]


def test_old_counts_fade_with_the_memory():
    bank = counter(memory_s=60.0)
    for k in range(600):
        count(bank, k, 10)
    weight_s = bank.groups[1].store.cells[B]
    assert weight_s == pytest.approx(1 / (1 - exp(-1 / 60)), rel=1e-3)
