"""Backgrounds: commissioned, learnt once, running for a mobile station, frozen in events."""

import numpy as np
import pytest

from cbrn_core.errors import FusionError, ShapeError
from cbrn_fusion.background import (
    MOST_SAMPLES,
    BackgroundBank,
    BackgroundModel,
    Basis,
    RunningMedian,
)

START_US = 1_700_000_000_000_000


def feed(bank, values, event=None, start_s=0.0, slot=0, period_s=1.0):
    count = len(values)
    return bank.submit(
        np.full(count, slot),
        START_US + ((start_s + np.arange(count) * period_s) * 1e6).astype(np.int64),
        np.asarray(values, dtype=float),
        np.zeros(count, dtype=bool) if event is None else np.asarray(event, dtype=bool),
    )


def rates(count, mean=0.12, seed=1):
    return mean + 0.02 * np.random.default_rng(seed).standard_normal(count)


def test_a_commissioned_background_stands_from_the_first_sample():
    bank = BackgroundBank([BackgroundModel(key="g7", commissioned=0.31, sigma=0.03)])
    out = feed(bank, rates(50, mean=5.0))
    assert (out.value == 0.31).all()
    assert (out.sigma == 0.03).all()
    assert out.settled.all()
    assert bank.background(0).basis is Basis.COMMISSIONED


def test_without_one_it_is_the_median_of_the_first_600_s_and_then_stands():
    bank = BackgroundBank([BackgroundModel(key="g1")])
    values = rates(700)
    out = feed(bank, values)
    assert np.isnan(out.value[:9]).all()
    assert out.value[300] == np.median(values[:301])
    assert out.value[-1] == np.median(values[:601])
    assert not out.settled[599]
    assert out.settled[600]
    later = feed(bank, np.full(2000, 9.0), start_s=700)
    assert (later.value == out.value[-1]).all()
    assert bank.background(0).basis is Basis.LEARNT
    assert bank.background(0).sigma == pytest.approx(0.02, rel=0.2)


def test_an_event_neither_enters_the_background_nor_counts_as_its_time():
    bank = BackgroundBank([BackgroundModel(key="g1")])
    quiet = rates(300)
    feed(bank, quiet)
    out = feed(bank, np.full(1000, 50.0), event=np.ones(1000), start_s=300)
    assert (out.value == np.median(quiet)).all()
    assert not out.settled.any()
    out = feed(bank, rates(302, seed=2), start_s=1300)
    assert out.settled[-1]
    assert out.value[-1] == pytest.approx(0.12, abs=0.01)


def test_a_silent_hour_is_not_an_hour_of_learning():
    bank = BackgroundBank([BackgroundModel(key="g1")])
    feed(bank, rates(20))
    assert not feed(bank, rates(20), start_s=3600).settled.any()


def test_a_mobile_station_has_its_own_running_median_of_15_min():
    bank = BackgroundBank([BackgroundModel(key="m", mobile=True)])
    values = np.concatenate([rates(1000), rates(1000, mean=0.3)])
    out = feed(bank, values)
    assert out.value[999] == pytest.approx(np.median(values[100:1000]))
    assert out.value[-1] == pytest.approx(np.median(values[1100:]))
    assert not out.settled.any()
    assert bank.background(0).basis is Basis.RUNNING


def test_after_a_long_event_a_mobile_station_still_knows_its_background():
    bank = BackgroundBank([BackgroundModel(key="m", mobile=True)])
    feed(bank, rates(900))
    feed(bank, np.full(3600, 80.0), event=np.ones(3600), start_s=900)
    out = feed(bank, rates(3, seed=3), start_s=4500)
    assert out.value == pytest.approx(0.12, abs=0.01)


def test_bad_and_late_samples_are_ignored_but_a_clock_set_back_is_followed():
    bank = BackgroundBank([BackgroundModel(key="g1")])
    feed(bank, rates(100))
    before = bank.background(0).value
    feed(bank, [np.nan, np.inf], start_s=100)
    feed(bank, [9.0, 9.0, 9.0], start_s=50)
    assert bank.background(0).value == before
    feed(bank, rates(700, seed=4), start_s=-5000)
    assert bank.background(0).value == pytest.approx(0.12, abs=0.01)
    assert feed(bank, rates(1), start_s=-4000).settled[0]


@pytest.mark.parametrize("cut", [1, 13, 500])
def test_any_cut_and_a_restart_give_the_same_background(cut):
    rng = np.random.default_rng(8)
    count = 4000
    models = [
        BackgroundModel(key="a"),
        BackgroundModel(key="b", mobile=True),
        BackgroundModel(key="c", commissioned=0.2),
    ]
    slot = rng.integers(0, 3, count)
    time_us = START_US + np.cumsum(rng.integers(0, 600_000, count))
    value = rates(count)
    event = (np.arange(count) % 1000) > 800
    whole = BackgroundBank(models).submit(slot, time_us, value, event)
    bank, parts = BackgroundBank(models), []
    for k in range(0, count, cut):
        part = slice(k, k + cut)
        parts.append(bank.submit(slot[part], time_us[part], value[part], event[part]))
        if k == 2 * cut:
            copy = BackgroundBank(models)
            assert copy.restore(bank.snapshot()) == 3
            bank = copy
    for column, theirs in enumerate(whole):
        assert np.concatenate([p[column] for p in parts]).tobytes() == theirs.tobytes()


def test_another_model_under_the_key_is_not_restored_and_rubbish_is_refused():
    bank = BackgroundBank([BackgroundModel(key="a")])
    feed(bank, rates(100))
    assert BackgroundBank([BackgroundModel(key="a", mobile=True)]).restore(bank.snapshot()) == 0
    for bad in (b"", b"\xc1", bank.snapshot().replace(b"/1", b"/9")):
        with pytest.raises(ShapeError):
            bank.restore(bad)


def test_memory_is_bounded():
    median = RunningMedian(None)
    for k in range(MOST_SAMPLES + 100):
        median.add(k, float(k))
    assert len(median) == MOST_SAMPLES
    assert median.quantile(0.0) == 100.0


def test_wrong_shapes_slots_and_models_are_refused():
    bank = BackgroundBank([BackgroundModel(key="a")])
    with pytest.raises(ShapeError):
        bank.submit(np.array([0]), np.array([1, 2]), np.array([1.0]), np.array([False]))
    with pytest.raises(ShapeError):
        feed(bank, [1.0], slot=1)
    with pytest.raises(FusionError):
        BackgroundModel(key="a", commissioned=float("nan"))
    assert len(feed(bank, []).value) == 0
