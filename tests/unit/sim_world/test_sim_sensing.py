"""Gas cells and counters: lag, noise, range, Poisson counts, dead time."""

import numpy as np
import pytest

from cbrn_sim.instruments.counting import PulseCounter
from cbrn_sim.instruments.response import GasCell, GasSensor
from cbrn_sim.streams import stream


def cell(**changes):
    defaults = {"sigma": 0.0, "resolution": 1e-6, "full_scale": 100.0}
    return GasCell(**(defaults | changes))


def step_at_zero(t_s):
    return 10.0 if t_s > 0 else 0.0


def test_a_cell_shows_ninety_percent_at_its_t90():
    sensor = GasSensor(cell(t90_rise_s=30.0), step_at_zero, stream(1, "x"))
    assert sensor.reading(0.0) == 0.0
    assert sensor.reading(29.0) < 9.0
    assert sensor.reading(30.0) == pytest.approx(9.0, abs=1e-5)
    assert sensor.reading(60.0) == pytest.approx(9.9, abs=1e-5)


def test_a_cell_falls_at_its_own_pace():
    def pulse(t_s):
        return 10.0 if 0 < t_s < 300 else 0.0

    sensor = GasSensor(cell(t90_rise_s=10.0, t90_fall_s=60.0), pulse, stream(1, "x"))
    assert sensor.reading(300.0) == pytest.approx(10.0, abs=1e-4)
    assert sensor.reading(360.0) == pytest.approx(1.0, abs=1e-4)


def test_values_do_not_depend_on_when_anybody_asks():
    noisy = cell(sigma=0.2, resolution=0.01)
    often = GasSensor(noisy, step_at_zero, stream(5, "cell"))
    seldom = GasSensor(noisy, step_at_zero, stream(5, "cell"))
    shown = [often.reading(t * 0.1) for t in range(601)]
    assert seldom.reading(20.0) == shown[200]
    assert seldom.reading(60.0) == shown[600]


def test_a_cell_shows_only_its_steps_between_zero_and_full_scale():
    sensor = GasSensor(
        cell(sigma=0.5, resolution=0.1, full_scale=5.0, t90_rise_s=1.0),
        lambda t_s: t_s / 10,
        stream(2, "x"),
    )
    shown = [sensor.reading(float(t)) for t in range(100)]
    assert min(shown) == 0.0
    assert max(shown) == 5.0
    assert all(abs(value * 10 - round(value * 10)) < 1e-9 for value in shown)


def test_the_noise_has_the_stated_spread():
    sensor = GasSensor(cell(sigma=0.2), lambda _t_s: 10.0, stream(3, "x"))
    shown = np.array([sensor.reading(float(t)) for t in range(4000)])
    assert shown.std() == pytest.approx(0.2, rel=0.05)
    assert shown.mean() == pytest.approx(10.0, abs=0.015)


def test_counts_are_poisson_with_the_mean_that_dead_time_leaves():
    rate_cps, dead_s = 400.0, 2e-4
    counter = PulseCounter(lambda _t_s: rate_cps, stream(1, "x"), dead_time_s=dead_s)
    counts = np.array([counter.counts(float(t)) for t in range(5000)])
    expected = rate_cps / (1 + rate_cps * dead_s)
    assert counts.mean() == pytest.approx(expected, rel=0.01)
    assert counts.var() == pytest.approx(expected, rel=0.1)


def test_the_window_is_the_sum_of_the_last_bins():
    counter = PulseCounter(lambda _t_s: 3.0, stream(1, "x"), on_since_s=0.0)
    counts = [counter.counts(float(t)) for t in range(101)]
    assert counter.window_counts(100.0) == sum(counts[41:])
    assert counter.total == sum(counts)
    assert counter.most == max(counts)


def test_a_counter_just_switched_on_has_counted_nothing():
    counter = PulseCounter(lambda _t_s: 50.0, stream(1, "x"), on_since_s=0.0)
    assert counter.counts(0.5) == 0
    assert counter.window_counts(0.99) == 0
    assert counter.bins_run == 0
    assert counter.counts(1.0) > 0
