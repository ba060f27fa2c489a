"""Gate, spike, manoeuvre and step: what a published value may do on one, two, three samples."""

from math import inf

import msgspec
import numpy as np
import pytest

from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.samples import Verdict

QUIET_TICKS = 90
LEVEL_PPM = 2.8
TAU_30_S = 13.0288344571


def verdicts(batch, row=0):
    return [Verdict(v) for v in batch.verdict[:, row]]


def two_in_a_row_over(values, level):
    over = values > level
    return bool((over[1:] & over[:-1]).any())


def two_steps_each_over(values, level):
    """Per row: were two consecutive samples over the level?"""
    over = values > level
    return (over[1:] & over[:-1]).any(axis=0)


def test_a_gas_step_is_followed_faster_than_by_the_plain_filter(line, chlorine, response, noise):
    """Monte Carlo 0 → 10 ppm, T90 30 s, σ 0.2, 1 Hz, threshold 5 ppm, q = 0.04 ppm²/s.

    The gate makes it faster: the first gated sample is held back, but the manoeuvre that
    the second or third confirms is refitted with an agile concentration (3.5 s against
    5.1 s without a gate). Raw would be 9.5 s.
    """
    rows, pre, post = 1000, 60, 40
    truth = np.concatenate([np.zeros(pre), response(10.0, TAU_30_S, post)])
    table = truth[:, None] + noise(pre + post, rows)
    model = msgspec.structs.replace(chlorine, process_density=0.04)
    delays = {}
    for gate in (inf, model.gate):
        out = line(msgspec.structs.replace(model, gate=gate), rows).feed(table)
        assert out.value[20:pre].std() <= 0.24
        assert not (out.value[5:pre] > 5.0).any()
        crossed = out.value[pre:] > 5.0
        assert crossed.any(axis=0).all()
        delays[gate] = (crossed.argmax(axis=0) + 1.0).mean()
        assert not (out.verdict == Verdict.STEP).any()
    assert delays[inf] <= 5.5
    assert delays[model.gate] <= 4.0


def test_the_mean_nis_of_fifty_quiet_samples_is_consistent(line, noise):
    """Truth simulated from the model itself, else the filter is right to be overconfident."""
    rows, ticks, sigma, q = 400, 110, 0.2, 0.04
    rng = np.random.default_rng(3)
    c = np.cumsum(np.sqrt(q) * rng.standard_normal((ticks, rows)), axis=0)
    y = np.zeros(rows)
    decay = np.exp(-0.01 / TAU_30_S)
    table = np.empty((ticks, rows))
    for k in range(ticks):
        before = c[k - 1] if k else np.zeros(rows)
        for part in range(100):
            y = decay * y + (1 - decay) * (before + (c[k] - before) * (part + 0.5) / 100)
        table[k] = y + sigma * rng.standard_normal(rows)
    model = ChannelModel(
        key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S, sigma=sigma, process_density=q, gate=inf
    )
    out = line(model, rows).feed(table)
    means = out.nis[60:].mean(axis=0)
    inside = (means > 0.647147) & (means < 1.428404)
    assert 0.91 < inside.mean() < 0.985
    assert means.mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("height", [1.0, 2.0, 5.0, 30.0, 1e3, 1e9])
@pytest.mark.parametrize("kind", [Kind.LAG, Kind.WALK])
def test_a_spike_of_one_sample_never_takes_two_estimates_over_a_level(line, noise, kind, height):
    model = ChannelModel(
        key="a", kind=kind, tau_rise_s=TAU_30_S if kind is Kind.LAG else None, sigma=0.2
    )
    table = noise(QUIET_TICKS + 10, rows=300)
    calm = line(model, 300).feed(table).value
    table[QUIET_TICKS] += height
    out = line(model, 300).feed(table)
    moved = out.value - calm
    level = max(1.8, calm.max() + 0.4)
    assert not two_steps_each_over(out.value, level).any()
    if height >= 30:
        assert (out.value[QUIET_TICKS] <= np.maximum(calm[QUIET_TICKS - 1] + 0.5, 0.8)).all()
        assert (out.verdict[QUIET_TICKS] == Verdict.GATED).all()
        assert np.abs(moved[QUIET_TICKS + 1 :]).max() < 0.6
        assert (out.verdict[QUIET_TICKS + 1] == Verdict.SPIKE).mean() > 0.97


def test_a_gated_sample_is_used_with_inflated_variance_and_not_dropped(line, chlorine):
    quiet = line(chlorine)
    quiet.feed(np.zeros(QUIET_TICKS))
    out = quiet.feed([2.0])
    assert out.verdict[0, 0] == Verdict.GATED
    assert out.nis[0, 0] > chlorine.gate
    assert 0 < out.value[0, 0] < 0.7


@pytest.mark.parametrize("first", [50.0, 0.1])
def test_a_spike_among_the_first_two_samples_is_over_a_level_only_once(line, chlorine, first):
    other = 50.1 - first
    out = line(chlorine).feed([first, other, 0.1, 0.1, 0.1])
    assert not two_in_a_row_over(out.value[:, 0], LEVEL_PPM)


def test_a_true_step_without_a_lag_is_followed_within_three_samples(line, noise):
    model = ChannelModel(key="a", kind=Kind.WALK, sigma=0.2)
    table = noise(QUIET_TICKS + 10, rows=200)
    table[QUIET_TICKS:] += 12.0
    out = line(model, 200).feed(table)
    assert (out.value[QUIET_TICKS] < 1.0).all()
    assert (np.abs(out.value[QUIET_TICKS + 2] - 12.0) < 1.0).all()
    assert not (out.verdict == Verdict.STEP).any()


@pytest.mark.parametrize("exposure", [3.0, 10.0, 30.0, 100.0, 1000.0])
@pytest.mark.parametrize("tau_s", [2.0, 13.03, 26.0, 52.0])
def test_until_the_shape_is_confirmed_the_value_is_capped(line, response, noise, tau_s, exposure):
    model = ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=tau_s, sigma=0.2)
    table = noise(QUIET_TICKS + 20, rows=200)
    table[QUIET_TICKS:] += response(exposure, tau_s, 20, onset_s=0.4)[:, None]
    out = line(model, 200).feed(table)
    held = np.isin(out.verdict, [Verdict.GATED, Verdict.MANOEUVRE])
    before = np.full(200, -inf)
    length = np.zeros(200)
    for k in range(1, len(table)):
        fresh = held[k] & ~held[k - 1]
        before = np.where(fresh, out.value[k - 1], before)
        ceiling = np.maximum(table[k], before)
        assert (out.value[k] <= ceiling + 1e-9)[held[k]].all()
        length = np.where(held[k], length + 1, 0)
        assert length.max() <= 4


@pytest.mark.parametrize("exposure", [30.0, 100.0, 1000.0])
def test_a_strong_release_is_over_the_level_twice_within_three_samples(
    line, chlorine, response, noise, exposure
):
    table = noise(QUIET_TICKS + 10, rows=300)
    table[QUIET_TICKS:] += response(exposure, TAU_30_S, 10)[:, None]
    out = line(chlorine, 300).feed(table)
    after = out.value[QUIET_TICKS : QUIET_TICKS + 4]
    assert two_steps_each_over(after, LEVEL_PPM).mean() > 0.99
    assert two_steps_each_over(out.value[QUIET_TICKS:], LEVEL_PPM).all()


def test_an_instrument_step_of_12_ppm_is_called_one_and_does_not_alarm(line, chlorine, noise):
    rows = 1000
    table = noise(QUIET_TICKS + 60, rows)
    table[QUIET_TICKS:] += 12.0
    out = line(chlorine, rows).feed(table)
    called = out.verdict[QUIET_TICKS : QUIET_TICKS + 4] == Verdict.STEP
    judged = out.value - out.step_offset
    assert called.any(axis=0).mean() > 0.995
    clean = ~(out.verdict[QUIET_TICKS - 1] == Verdict.GATED)
    assert (called.any(axis=0) & clean).sum() >= clean.sum() - 1
    over = two_steps_each_over(judged[QUIET_TICKS:], LEVEL_PPM)
    assert not (over & called.any(axis=0)).any()
    standing = called.any(axis=0)
    assert out.step_offset[-1, standing] == pytest.approx(12.0, abs=1.5)
    assert out.value[-1, standing] == pytest.approx(12.0, abs=1.5)


def step_of_12(line, model, noise, after, rows=50):
    """Feed quiet, a step of 12 ppm, then `after` on top of it; return only the last part."""
    feeder = line(model, rows)
    table = noise(QUIET_TICKS + 20 + len(after), rows)
    table[QUIET_TICKS:] += 12.0
    table[QUIET_TICKS + 20 :] += np.asarray(after, dtype=float)[:, None]
    head = feeder.feed(table[: QUIET_TICKS + 20])
    standing = (head.step_offset[-1] > 8).nonzero()[0]
    assert len(standing) > 0.9 * rows
    return feeder.feed(table[QUIET_TICKS + 20 :]), standing


def test_a_further_rise_on_a_step_is_gas_at_full_height(line, chlorine, response, noise):
    out, rows = step_of_12(line, chlorine, noise, response(30.0, TAU_30_S, 15))
    assert (out.step_offset[5:, rows] == 0).all()
    assert (out.verdict[:, rows] == Verdict.GAS).any(axis=0).all()
    assert (out.value[6:, rows] > 12.0 + LEVEL_PPM).all()


def test_a_second_flat_jump_on_a_step_is_gas_and_not_a_second_step(line, chlorine, noise):
    out, rows = step_of_12(line, chlorine, noise, np.full(15, 6.0))
    assert (out.step_offset[4:, rows] == 0).all()
    assert (out.value[6:, rows] > 12.0).all()


def test_a_slow_further_rise_on_a_step_overrides_it_before_any_level_is_hidden(
    line, chlorine, noise
):
    out, rows = step_of_12(line, chlorine, noise, np.arange(120) * 0.05)
    judged = out.value - out.step_offset
    hidden = out.step_offset[:, rows] > 0
    assert (judged[:, rows][hidden] < LEVEL_PPM).all()
    assert (out.step_offset[-1, rows] == 0).all()


def test_a_step_ends_when_the_value_comes_back(line, chlorine, noise):
    out, rows = step_of_12(line, chlorine, noise, np.full(30, -12.0))
    assert (out.step_offset[3:, rows] == 0).all()
    assert (np.abs(out.value[5:, rows]) < LEVEL_PPM).all()


def test_a_standing_step_follows_a_slow_fall_so_that_no_new_rise_hides_in_it(
    line, chlorine, noise, response
):
    fall = -np.minimum(np.arange(100) * 0.08, 8.0)
    again = fall[-1] + response(20.0, TAU_30_S, 20)
    out, rows = step_of_12(line, chlorine, noise, np.concatenate([fall, again]))
    assert (out.step_offset[99, rows] < 6.0).all()
    judged = (out.value - out.step_offset)[:, rows]
    assert (judged[:99] < LEVEL_PPM).all()
    assert (judged[105:] > LEVEL_PPM).all()


def test_gas_that_drops_out_and_returns_is_not_a_step(line, chlorine, response, noise):
    ticks = 80
    table = noise(QUIET_TICKS + ticks, rows=100)
    table[QUIET_TICKS:] += response(12.0, TAU_30_S, ticks)[:, None]
    dropped = slice(QUIET_TICKS + 60, QUIET_TICKS + 65)
    table[dropped] = 0.0
    out = line(chlorine, 100).feed(table)
    assert not (out.verdict == Verdict.STEP).any()
    assert (out.value[QUIET_TICKS + 68 :] > LEVEL_PPM).all()


def test_a_saturated_reading_is_flat_but_not_a_step(line, chlorine, response, noise):
    model = msgspec.structs.replace(chlorine, range=(0.0, 10.0))
    table = noise(QUIET_TICKS + 20, rows=100)
    table[QUIET_TICKS:] += response(300.0, TAU_30_S, 20)[:, None]
    table = np.minimum(table, 10.0)
    out = line(model, 100).feed(table)
    assert not (out.verdict == Verdict.STEP).any()
    assert (out.value[QUIET_TICKS + 4 :] > 9.0).all()


def test_an_instrument_that_renews_its_reading_slowly_makes_no_steps_out_of_gas(
    line, chlorine, response, noise
):
    ticks, hold = 60, 5
    fine = noise(QUIET_TICKS + ticks, rows=100)
    fine[QUIET_TICKS:] += response(40.0, TAU_30_S, ticks)[:, None]
    stairs = np.repeat(fine[::hold], hold, axis=0)
    out = line(chlorine, 100).feed(stairs)
    assert not (out.verdict == Verdict.STEP).any()
    assert two_steps_each_over(out.value[QUIET_TICKS : QUIET_TICKS + 12], LEVEL_PPM).all()


def test_a_short_puff_is_gas_or_passes_but_its_reading_alarms(line, chlorine, noise):
    """One second of 300 ppm: 22 ppm at once, then the lag's decay; no held exposure."""
    ticks = 30
    decay = 22.0 * np.exp(-np.arange(ticks) / TAU_30_S)
    table = noise(QUIET_TICKS + ticks, rows=500)
    table[QUIET_TICKS:] += decay[:, None]
    out = line(chlorine, 500).feed(table)
    assert (out.verdict == Verdict.STEP).any(axis=0).mean() < 0.02
    assert two_steps_each_over(out.value[QUIET_TICKS:], LEVEL_PPM).mean() > 0.98


def test_small_jumps_below_eight_sigma_are_never_steps(line, chlorine, noise):
    table = noise(QUIET_TICKS + 20, rows=500)
    table[QUIET_TICKS:] += 1.2
    out = line(chlorine, 500).feed(table)
    assert not (out.verdict == Verdict.STEP).any()


def test_a_channel_without_a_known_lag_never_shows_a_step(line, noise):
    table = noise(QUIET_TICKS + 20, rows=100)
    table[QUIET_TICKS:] += 50.0
    out = line(ChannelModel(key="w", kind=Kind.WALK, sigma=0.2), 100).feed(table)
    assert not (out.verdict == Verdict.STEP).any()
    assert (out.step_offset == 0).all()


def test_a_step_is_not_called_while_the_noise_is_still_being_learnt(line):
    model = ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S)
    flat = np.concatenate([np.full(200, 0.1), np.full(10, 3.2), np.full(10, 5.4)])
    out = line(model).feed(flat)
    assert Verdict.STEP not in verdicts(out)
    assert out.value[-1, 0] > LEVEL_PPM


def test_three_of_five_readings_beyond_the_gate_are_no_outliers(line, chlorine):
    feeder = line(chlorine)
    feeder.feed(np.zeros(QUIET_TICKS))
    out = feeder.feed([6.0, 0.0, 6.0, 0.0, 6.0, 6.0, 6.0, 6.0])
    assert out.verdict[4, 0] in {Verdict.MANOEUVRE, Verdict.GAS}
    assert (out.value[5:, 0] > LEVEL_PPM).all()


def test_a_fall_is_followed_from_the_second_sample_and_not_below_nothing(
    line, chlorine, response, noise
):
    table = noise(QUIET_TICKS + 90, rows=100)
    table[QUIET_TICKS : QUIET_TICKS + 60] += response(30.0, TAU_30_S, 60)[:, None]
    out = line(chlorine, 100).feed(table)
    fallen = QUIET_TICKS + 60
    assert (out.value[fallen + 1] < 1.5).all()
    assert (out.value[fallen + 1] >= -0.6).all()
    assert np.abs(out.value[fallen + 1 :].mean(axis=1)).max() < 0.5


def test_the_fall_has_its_own_time_constant(line, noise):
    rows, tau_fall_s = 200, 60.0
    decay = 20 * np.exp(-np.arange(1, 61) / tau_fall_s)
    table = noise(QUIET_TICKS + 60, rows)
    table[:QUIET_TICKS] += 20.0
    table[QUIET_TICKS:] += decay[:, None]
    slow = ChannelModel(
        key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S, tau_fall_s=tau_fall_s, sigma=0.2
    )
    known = line(slow, rows).feed(table).value[QUIET_TICKS + 30 :]
    unknown = (
        line(msgspec.structs.replace(slow, tau_fall_s=None), rows)
        .feed(table)
        .value[QUIET_TICKS + 30 :]
    )
    assert np.abs(known.mean()) < 0.5
    assert unknown.mean() > 2.0


def test_nonnegative_clamps_what_is_published_and_not_the_state(line, chlorine):
    clamped = msgspec.structs.replace(chlorine, nonnegative=True)
    values = np.concatenate([np.full(50, -0.3), np.full(30, 0.5)])
    plain, shown = line(chlorine).feed(values), line(clamped).feed(values)
    assert (shown.value == np.where(plain.value > 0, plain.value, 0.0)).all()
    assert (plain.value[:50] < 0).all()
