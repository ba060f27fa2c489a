"""The bank as a whole: order, bad input, learning, trend, snapshots."""

from math import inf, log, nan

import msgspec
import numpy as np
import pytest

from cbrn_core.errors import ShapeError
from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.samples import Samples, Verdict

START_US = 1_700_000_000_000_000
TAU_30_S = 30 / log(10)


def one(bank, second, value, slot=0, **more):
    sample = Samples(
        np.array([slot]),
        np.array([START_US + round(second * 1e6)]),
        np.array([float(value)]),
        **{name: np.array([float(figure)]) for name, figure in more.items()},
    )
    return bank.submit(sample)


def settled_bank(model, rows=1, ticks=80, seed=1):
    bank = Bank([msgspec.structs.replace(model, key=f"row{i}") for i in range(rows)])
    rng = np.random.default_rng(seed)
    for k in range(ticks):
        time_us = np.full(rows, START_US + k * 1_000_000)
        bank.submit(Samples(np.arange(rows), time_us, 0.2 * rng.standard_normal(rows)))
    return bank


LAG = ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S, sigma=0.2)
WALK = ChannelModel(key="b", kind=Kind.WALK, sigma=0.2)
COUNTS = ChannelModel(key="c", kind=Kind.COUNTS)


def test_an_empty_batch_gives_an_empty_batch():
    empty = np.empty(0)
    out = Bank([LAG]).submit(Samples(empty.astype(int), empty.astype(int), empty))
    assert all(len(column) == 0 for column in out)
    assert len(Bank([])) == 0


@pytest.mark.parametrize(
    "samples",
    [
        Samples(np.array([0]), np.array([1, 2]), np.array([1.0, 2.0])),
        Samples(np.array([0]), np.array([1]), np.array([1.0, 2.0])),
        Samples(np.array([0]), np.array([1]), np.array([1.0]), np.array([1.0, 1.0])),
        Samples(np.array([0]), np.array([1]), np.array([1.0]), None, np.array([])),
        Samples(np.array([[0]]), np.array([[1]]), np.array([[1.0]])),
        Samples(np.array([1]), np.array([1]), np.array([1.0])),
        Samples(np.array([-1]), np.array([1]), np.array([1.0])),
    ],
)
def test_arrays_that_do_not_fit_are_refused(samples):
    with pytest.raises(ShapeError):
        Bank([LAG]).submit(samples)


def test_two_models_with_one_key_are_refused():
    with pytest.raises(ShapeError):
        Bank([LAG, LAG])


@pytest.mark.parametrize("model", [LAG, WALK, COUNTS], ids=lambda m: m.kind)
@pytest.mark.parametrize("bad", [nan, inf, -inf, 1e15, -1e300])
@pytest.mark.parametrize("rows", [1, 30])
def test_a_value_that_is_no_number_is_dropped_and_changes_nothing(model, bad, rows):
    bank, twin = settled_bank(model, rows), settled_bank(model, rows)
    slots = np.arange(rows)
    time_us = np.full(rows, START_US + 100_000_000)
    out = bank.submit(Samples(slots, time_us, np.full(rows, bad)))
    assert (out.verdict == Verdict.NOT_FINITE).all()
    assert np.isfinite(out.value).all()
    assert np.isnan(out.nis).all()
    after = Samples(slots, time_us + 1_000_000, np.full(rows, 0.1))
    for ours, theirs in zip(bank.submit(after), twin.submit(after), strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("time_us", [-1, -(1 << 63), 1 << 62, (1 << 63) - 1])
@pytest.mark.parametrize("rows", [1, 30])
def test_an_impossible_time_is_dropped(time_us, rows):
    bank = settled_bank(LAG, rows)
    out = bank.submit(Samples(np.arange(rows), np.full(rows, time_us), np.zeros(rows)))
    assert (out.verdict == Verdict.NOT_FINITE).all()


def test_a_row_that_never_had_a_sample_publishes_nan():
    out = one(Bank([LAG]), 0, nan)
    assert out.verdict[0] == Verdict.NOT_FINITE
    assert np.isnan(out.value[0])


@pytest.mark.parametrize("model", [LAG, WALK, COUNTS], ids=lambda m: m.kind)
def test_a_sample_out_of_order_is_dropped_and_not_applied(model):
    bank, twin = settled_bank(model), settled_bank(model)
    for late in (79.0, 78.5):
        out = one(bank, late, 5.0)
        assert out.verdict[0] == Verdict.OUT_OF_ORDER
    ours, theirs = one(bank, 80, 0.1), one(twin, 80, 0.1)
    assert ours.value[0] == theirs.value[0]
    assert ours.sigma[0] == theirs.sigma[0]


@pytest.mark.parametrize("model", [LAG, WALK, COUNTS], ids=lambda m: m.kind)
def test_a_clock_that_was_set_back_does_not_mute_a_channel(model):
    bank = settled_bank(model)
    outcome = [one(bank, -3600 + k, 0.1).verdict[0] for k in range(8)]
    assert outcome[:4] == [Verdict.OUT_OF_ORDER] * 4
    assert Verdict.OUT_OF_ORDER not in outcome[4:]


def test_repeats_of_one_instant_are_dropped_for_ever():
    bank = settled_bank(LAG)
    assert all(one(bank, 79, 5.0).verdict[0] == Verdict.OUT_OF_ORDER for _ in range(20))


def test_a_gap_of_hours_widens_the_estimate_and_is_followed_at_once():
    bank = settled_bank(LAG)
    one(bank, 80, 0.0)
    out = one(bank, 80 + 7200, 9.0)
    assert out.verdict[0] == Verdict.QUIET
    assert out.value[0] == pytest.approx(9.0, abs=0.5)


def test_a_sigma_stated_with_the_sample_replaces_the_model_s():
    sure, unsure = settled_bank(LAG), settled_bank(LAG)
    a = one(sure, 80, 0.5, sigma=0.05)
    b = one(unsure, 80, 0.5, sigma=1.0)
    plain = one(settled_bank(LAG), 80, 0.5)
    assert a.value[0] > plain.value[0] > b.value[0]
    assert b.nis[0] < plain.nis[0]


@pytest.mark.parametrize("nonsense", [inf, -1.0, nan])
def test_a_sigma_that_is_no_sigma_is_the_model_s(nonsense):
    assert (
        one(settled_bank(LAG), 80, 0.5, sigma=nonsense).value[0]
        == one(settled_bank(LAG), 80, 0.5).value[0]
    )


def test_the_trend_is_the_slope_per_minute_and_unknown_at_first():
    bank = Bank([WALK])
    early = [one(bank, k, 10 + 0.02 * k).trend_per_min[0] for k in range(30)]
    assert np.isnan(early).all()
    for k in range(30, 240):
        out = one(bank, k, 10 + 0.02 * k)
    assert out.trend_per_min[0] == pytest.approx(1.2, rel=0.02)


@pytest.mark.parametrize("sigma", [0.02, 0.2, 2.0])
def test_noise_is_learnt_from_differences(sigma):
    rng = np.random.default_rng(5)
    bank = Bank([ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S)])
    learnt = [one(bank, k, 1 + sigma * rng.standard_normal()) for k in range(120)]
    assert learnt[-1].noise_sigma[0] == pytest.approx(sigma, rel=0.35)
    assert learnt[-1].verdict[0] in {Verdict.QUIET, Verdict.SPIKE, Verdict.GATED}
    assert learnt[10].verdict[0] == Verdict.SETTLING


def test_learnt_noise_is_not_below_the_quantisation():
    rng = np.random.default_rng(5)
    bank = Bank([ChannelModel(key="a", resolution=0.1)])
    for k in range(120):
        out = one(bank, k, round(0.002 * rng.standard_normal(), 1))
    assert out.noise_sigma[0] >= 0.1 / 12**0.5 - 1e-12


def test_gas_onset_while_the_noise_is_unknown_is_followed(response):
    bank = Bank([ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S)])
    for k in range(40):
        one(bank, k, 0.0)
    values = [one(bank, 40 + k, y).value[0] for k, y in enumerate(response(20.0, TAU_30_S, 15))]
    assert max(values[:6]) > 2.8


def test_innovations_are_kept_for_the_last_64_samples():
    bank = settled_bank(LAG, rows=20, ticks=100)
    kept = bank.innovations(3)
    assert len(kept) == 64
    assert kept.std() == pytest.approx(0.235, rel=0.4)
    fresh = one(bank, 100, 0.4, slot=3)
    assert bank.innovations(3)[:-1] == pytest.approx(kept[1:])
    assert bank.innovations(3)[-1] ** 2 / fresh.nis[0] > 0.04
    young = Bank([LAG])
    one(young, 0, 1.0)
    assert len(young.innovations(0)) == 1


def mixed_bank():
    return Bank([LAG, WALK, COUNTS, ChannelModel(key="d", kind=Kind.LAG, tau_rise_s=5.0)])


def mixed_samples(start, ticks, seed):
    rng = np.random.default_rng(seed)
    slot = np.tile(np.arange(4), ticks)
    time_us = START_US + (start + np.repeat(np.arange(ticks), 4)) * 1_000_000
    value = np.where(slot == 2, rng.poisson(5, slot.size), 0.2 * rng.standard_normal(slot.size))
    value = value + np.where((time_us > START_US + 100_000_000) & (slot == 0), 12.0, 0.0)
    return Samples(slot, time_us, value)


@pytest.mark.parametrize("cut", [1, 30, 101, 102, 103, 150])
def test_a_restored_bank_goes_on_bit_for_bit(cut):
    bank, twin = mixed_bank(), mixed_bank()
    bank.submit(mixed_samples(0, cut, 1))
    assert twin.restore(bank.snapshot()) == 4
    rest = mixed_samples(cut, 40, 2)
    for ours, theirs in zip(bank.submit(rest), twin.submit(rest), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert bank.snapshot() == twin.snapshot()


def test_rows_are_found_again_by_key_and_only_under_the_same_model():
    bank = mixed_bank()
    bank.submit(mixed_samples(0, 80, 1))
    changed = msgspec.structs.replace(WALK, sigma=0.3)
    other = Bank([ChannelModel(key="new"), LAG, changed, COUNTS])
    assert other.restore(bank.snapshot()) == 2
    assert one(other, 81, 0.05, slot=1).value[0] == one(bank, 81, 0.05).value[0]
    assert one(other, 81, 7.0, slot=3).value[0] == one(bank, 81, 7.0, slot=2).value[0]
    assert one(other, 81, 0.05, slot=2).verdict[0] == Verdict.SETTLING
    assert one(other, 81, 0.05, slot=0).verdict[0] == Verdict.SETTLING


def test_bytes_that_are_no_snapshot_are_refused():
    bank = mixed_bank()
    good = bank.snapshot()
    for bad in (b"", b"\x00", good[:-1], good + b"x", b"\x81\xa1a\x01", good.replace(b"/1", b"/9")):
        with pytest.raises(ShapeError):
            bank.restore(bad)
    document = msgspec.msgpack.decode(good)
    document["groups"][0]["floats"] = b"\x00" * 7
    with pytest.raises(ShapeError):
        bank.restore(msgspec.msgpack.encode(document))


def test_a_row_whose_covariance_broke_starts_anew_and_is_counted():
    bank = settled_bank(LAG, rows=20)
    bank.groups[0].store.floats[2:5, 7] = nan
    time_us = np.full(20, START_US + 80_000_000)
    out = bank.submit(Samples(np.arange(20), time_us, np.full(20, 0.1)))
    assert bank.diverged == 1
    assert out.verdict[7] == Verdict.SETTLING
    assert out.value[7] == 0.1
    assert np.isfinite(out.value).all()


def test_several_samples_of_one_slot_in_one_batch_are_taken_in_order():
    together, apart = settled_bank(LAG, 20), settled_bank(LAG, 20)
    slot = np.repeat(np.arange(20), 3)
    time_us = START_US + 80_000_000 + np.tile(np.arange(3), 20) * 500_000
    value = np.linspace(0, 3, 60)
    batch = together.submit(Samples(slot, time_us, value))
    for k in range(60):
        single = apart.submit(Samples(slot[k : k + 1], time_us[k : k + 1], value[k : k + 1]))
        assert single.value[0] == batch.value[k]
        assert single.verdict[0] == batch.verdict[k]
