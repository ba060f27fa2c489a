"""Stuck, noisy, negative, saturated: found where they are, silent where all is well."""

import numpy as np
import pytest

from cbrn_core.errors import ShapeError
from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.health import Health, HealthBank
from cbrn_fusion.samples import Samples

START_US = 1_700_000_000_000_000


def watch(model, values, period_s=1.0):
    """Return the flags of one channel, sample after sample."""
    values = np.asarray(values, dtype=float)
    count = len(values)
    samples = Samples(
        np.zeros(count, dtype=np.int64),
        START_US + (np.arange(count) * period_s * 1e6).astype(np.int64),
        values,
    )
    return HealthBank([model]).submit(samples, Bank([model]).submit(samples))


def noise(count, sigma=0.2, seed=1):
    return sigma * np.random.default_rng(seed).standard_normal(count)


CELL = ChannelModel(
    key="a", kind=Kind.LAG, tau_rise_s=13.0, sigma=0.2, resolution=0.1, range=(0.0, 50.0)
)


def has(flags, flag):
    return (flags & int(flag)).astype(bool)


def test_a_well_channel_has_no_flags():
    values = np.round(np.maximum(1.5 + noise(3000), 0), 1)
    assert not (watch(CELL, values) & ~np.uint8(Health.SPIKE)).any()


def test_a_channel_that_dies_at_a_value_is_stuck_after_thirty_samples():
    values = np.concatenate([1.5 + noise(100), np.full(60, 1.7)])
    stuck = has(watch(CELL, values), Health.STUCK)
    assert not stuck[:128].any()
    assert stuck[129:].all()


def test_a_stuck_channel_recovers_with_the_first_other_value():
    values = np.concatenate([np.full(60, 1.7), [1.6]])
    stuck = has(watch(CELL, values), Health.STUCK)
    assert stuck[59]
    assert not stuck[60]


@pytest.mark.parametrize("rest", [0.0, 50.0])
def test_a_reading_at_zero_or_at_the_end_of_the_range_is_not_stuck(rest):
    assert not has(watch(CELL, np.full(500, rest)), Health.STUCK).any()


def test_a_quiet_channel_of_coarse_resolution_is_not_stuck():
    coarse = ChannelModel(key="o2", sigma=0.02, resolution=0.1)
    values = np.round(20.94 + noise(2000, 0.02), 1)
    assert not has(watch(coarse, values), Health.STUCK).any()


def test_a_channel_with_learnt_noise_is_stuck_by_its_own_past():
    unknown = ChannelModel(key="a")
    values = np.concatenate([5 + noise(100), np.full(40, 5.123)])
    stuck = has(watch(unknown, values), Health.STUCK)
    assert not stuck[:128].any()
    assert stuck[130:].all()


def test_a_counter_that_falls_silent_is_stuck_and_a_slow_one_is_not():
    rng = np.random.default_rng(2)
    counter = ChannelModel(key="g", kind=Kind.COUNTS)
    slow = rng.poisson(0.3, 20_000)
    assert not has(watch(counter, slow), Health.STUCK).any()
    dead = np.concatenate([rng.poisson(0.5, 500), np.zeros(120)])
    assert has(watch(counter, dead), Health.STUCK)[-1]
    assert not has(watch(counter, dead), Health.STUCK)[:520].any()


def test_a_spike_is_flagged_on_the_sample_after_it():
    values = noise(120)
    values[100] = 30.0
    spike = has(watch(CELL, values), Health.SPIKE)
    assert spike[101]
    assert not spike[90:101].any()


def test_four_times_the_noise_variance_is_found_within_three_minutes_and_clears():
    walk = ChannelModel(key="a", sigma=0.2, process_density=1e-4)
    values = np.concatenate([noise(600), noise(240, 0.5, seed=3), noise(600, seed=4)])
    noisy = has(watch(walk, values), Health.NOISE)
    assert not noisy[:600].any()
    assert noisy[600:780].any()
    assert not noisy[-100:].any()


def test_a_plume_is_not_noise():
    t = np.arange(1, 200)
    gas = np.concatenate([np.zeros(100), 30 * -np.expm1(-t / 13.0)]) + noise(299)
    assert not has(watch(CELL, gas), Health.NOISE).any()


def test_a_minute_below_zero_is_a_negative_excursion():
    values = np.concatenate(
        [noise(100, 0.05), np.full(80, -2.0) + noise(80, 0.05), noise(20, 0.05)]
    )
    negative = has(watch(CELL, values), Health.NEGATIVE)
    assert not negative[:159].any()
    assert negative[161:179].all()
    assert not negative[180:].any()


def test_temperatures_may_be_below_zero():
    outdoors = ChannelModel(key="t", sigma=0.1, range=(-40.0, 60.0))
    assert not watch(outdoors, -10 + noise(300, 0.1)).any()


def test_over_range_latches_until_three_samples_are_well_below():
    values = [10.0, 49.6, 50.0, 48.5, 47.0, 46.0, 48.0, 47.0, 46.0, 45.0, 44.0]
    over = has(watch(CELL, values), Health.OVER_RANGE)
    assert over.tolist() == [False, *[True] * 8, False, False]


def test_a_standing_step_is_flagged():
    values = np.concatenate([noise(100), 12 + noise(30, seed=9)])
    assert has(watch(CELL, values), Health.STEP)[-1]


def test_dropped_samples_change_nothing():
    values = np.concatenate([1 + noise(50), [np.nan], [49.9], [np.nan]])
    flags = watch(CELL, values)
    assert flags[50] == flags[49]
    assert flags[52] == flags[51]


@pytest.mark.parametrize("cut", [1, 7, 64])
def test_any_cut_into_batches_gives_the_same_flags(cut):
    rng = np.random.default_rng(6)
    count = 900
    models = [CELL, ChannelModel(key="b"), ChannelModel(key="c", kind=Kind.COUNTS)]
    value = np.where(np.arange(count) > 500, 4.2, rng.standard_normal(count))
    samples = Samples(np.arange(count) % 3, START_US + np.arange(count) * 300_000, value)
    estimates = Bank(models).submit(samples)
    whole = HealthBank(models).submit(samples, estimates)
    bank, parts = HealthBank(models), []
    for k in range(0, count, cut):
        part = Samples(*(None if a is None else a[k : k + cut] for a in samples))
        parts.append(bank.submit(part, type(estimates)(*(a[k : k + cut] for a in estimates))))
        if k == 5 * cut:
            copy = HealthBank(models)
            assert copy.restore(bank.snapshot()) == 3
            bank = copy
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_snapshots_fit_by_key_and_model_and_rubbish_is_refused():
    bank = HealthBank([CELL])
    assert HealthBank([ChannelModel(key="a", sigma=0.3)]).restore(bank.snapshot()) == 0
    assert HealthBank([ChannelModel(key="x")]).restore(bank.snapshot()) == 0
    for bad in (b"", b"abc", bank.snapshot().replace(b"/1", b"/7")):
        with pytest.raises(ShapeError):
            bank.restore(bad)


def test_estimates_of_other_samples_are_refused():
    samples = Samples(np.array([0, 0]), np.array([1, 2]), np.array([1.0, 2.0]))
    estimates = Bank([CELL]).submit(samples)
    with pytest.raises(ShapeError):
        HealthBank([CELL]).submit(Samples(*(a[:1] for a in samples[:3])), estimates)
    with pytest.raises(ShapeError):
        HealthBank([]).submit(samples, estimates)
