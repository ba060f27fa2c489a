"""A true held exposure through the lag is never called a step, whatever its onset and noise."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.samples import Samples, Verdict

START_US = 1_700_000_000_000_000
ROWS, QUIET, AFTER = 12, 70, 25


@examples(150)
@given(
    tau_s=st.floats(0.3, 150.0),
    period_s=st.sampled_from([0.2, 0.5, 1.0, 2.0, 5.0, 10.0]),
    exposure_sigma=st.floats(1.0, 1e5),
    before_sigma=st.sampled_from([0.0, 0.0, 20.0]),
    sigma=st.sampled_from([1e-3, 0.2, 5.0]),
    resolution_sigma=st.sampled_from([0.0, 0.5, 2.0]),
    jitter=st.sampled_from([0.0, 0.2]),
    onset=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_held_exposure_is_never_a_step(
    tau_s, period_s, exposure_sigma, before_sigma, sigma, resolution_sigma, jitter, onset, seed
):
    rng = np.random.default_rng(seed)
    resolution = resolution_sigma * sigma
    bank = Bank(
        [
            ChannelModel(
                key=f"r{i}",
                kind=Kind.LAG,
                tau_rise_s=tau_s,
                sigma=sigma,
                resolution=resolution,
                period_s=period_s,
            )
            for i in range(ROWS)
        ]
    )
    ticks = QUIET + AFTER
    at_s = np.arange(ticks)[:, None] * period_s
    at_s = at_s + jitter * period_s * rng.uniform(-1, 1, (ticks, ROWS))
    onset_s = (QUIET - 1 + onset) * period_s
    before, exposure = before_sigma * sigma, exposure_sigma * sigma
    truth = before + exposure * -np.expm1(-np.maximum(at_s - onset_s, 0.0) / tau_s)
    z = truth + sigma * rng.standard_normal((ticks, ROWS))
    if resolution > 0:
        z = np.round(z / resolution) * resolution
    for k in range(ticks):
        time_us = START_US + np.round(at_s[k] * 1e6).astype(np.int64)
        out = bank.submit(Samples(np.arange(ROWS), time_us, z[k]))
        assert not (out.verdict == Verdict.STEP).any()
        assert (out.step_offset == 0).all()


@examples(60)
@given(
    height_sigma=st.floats(2.0, 1e6),
    level_sigma=st.floats(9.0, 60.0),
    kind=st.sampled_from([Kind.LAG, Kind.WALK]),
    tau_s=st.floats(2.0, 60.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_one_sample_never_puts_two_estimates_over_a_level(
    height_sigma, level_sigma, kind, tau_s, seed
):
    rng = np.random.default_rng(seed)
    sigma = 0.2
    bank = Bank(
        [ChannelModel(key=f"r{i}", kind=kind, tau_rise_s=tau_s, sigma=sigma) for i in range(ROWS)]
    )
    z = sigma * rng.standard_normal((QUIET + 10, ROWS))
    z[QUIET] += height_sigma * sigma
    over = []
    for k, values in enumerate(z):
        time_us = np.full(ROWS, START_US + k * 1_000_000)
        over.append(bank.submit(Samples(np.arange(ROWS), time_us, values)).value)
    crossed = np.array(over) > level_sigma * sigma
    assert not (crossed[1:] & crossed[:-1]).any()
