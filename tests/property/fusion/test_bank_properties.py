"""The bank's contracts over generated sequences: cuts, order, finiteness, semigroup."""

from itertools import pairwise
from math import expm1

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.health import HealthBank
from cbrn_fusion.models import lag2, lag3, ou_baseline, require_definite
from cbrn_fusion.samples import EstimateBatch, OneSample, Outcome, Samples, Verdict

START_US = 1_700_000_000_000_000
ROWS = 25
MODELS = [
    (
        ChannelModel(key=f"a{i}", kind=Kind.LAG, tau_rise_s=13.0, tau_fall_s=40.0, sigma=0.2,
                     nonnegative=True, range=(0.0, 100.0)),
        ChannelModel(key=f"b{i}", kind=Kind.WALK, sigma=0.2),
        ChannelModel(key=f"c{i}", kind=Kind.LAG, tau_rise_s=5.0, resolution=0.1),
        ChannelModel(key=f"d{i}", kind=Kind.COUNTS),
        ChannelModel(key=f"e{i}", kind=Kind.LAG, tau_rise_s=26.0, sigma=0.1),
    )[i % 5]
    for i in range(ROWS)
]  # fmt: skip


@st.composite
def sequences(draw):
    """Arrival sequences with jitter, late and damaged samples, spikes, steps, rises."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 1500))
    rows = draw(st.sampled_from([1, 3, ROWS]))
    in_order = draw(st.booleans())
    slot = np.arange(count) % rows if in_order else rng.integers(0, rows, count)
    if draw(st.booleans()):
        time_us = START_US + (np.arange(count) // rows) * 1_000_000
    else:
        time_us = START_US + np.cumsum(rng.integers(1, 2_000_000 // rows, count))
    value = 0.2 * rng.standard_normal(count)
    onset = draw(st.integers(0, count))
    value[onset:] += draw(st.sampled_from([0.0, 0.5, 3.0, 12.0, -5.0, 1e6]))
    value[rng.random(count) < draw(st.sampled_from([0.0, 0.02]))] *= 1e4
    value = np.where(slot % 5 == 2, np.round(value, 1), value)
    damaged = rng.random(count) < draw(st.sampled_from([0.0, 0.02]))
    value[damaged] = rng.choice([np.nan, np.inf, -np.inf, 1e200], damaged.sum())
    late = rng.random(count) < draw(st.sampled_from([0.0, 0.05]))
    time_us = np.where(late, time_us - rng.integers(0, 9_000_000, count), time_us)
    sigma = None
    if draw(st.booleans()):
        stated = rng.choice([0.3, 1e-12, 0.0, -1.0, np.inf], count)
        sigma = np.where(rng.random(count) < 0.1, stated, np.nan)
    livetime_s = rng.choice([np.nan, 1.0, 0.0], count) if draw(st.booleans()) else None
    return Samples(slot, time_us, value, sigma, livetime_s)


def pieces(samples, cuts):
    edges = [0, *sorted(cuts), len(samples.slot)]
    for start, stop in pairwise(edges):
        yield Samples(*(None if a is None else a[start:stop] for a in samples))


def run(samples, cuts):
    bank = Bank(MODELS)
    batches = [bank.submit(piece) for piece in pieces(samples, cuts)]
    return EstimateBatch(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))


@examples(120)
@given(samples=sequences(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.01, 0.1, 1.0]))
def test_any_cut_into_batches_gives_bit_identical_estimates(samples, seed, share):
    count = len(samples.slot)
    rng = np.random.default_rng(seed)
    cuts = np.flatnonzero(rng.random(count) < share)
    whole, cut = run(samples, []), run(samples, cuts.tolist())
    for name, ours, theirs in zip(EstimateBatch._fields, whole, cut, strict=True):
        assert ours.tobytes() == theirs.tobytes(), name


@examples(80)
@given(samples=sequences(), size=st.integers(1, 100))
def test_plain_numbers_give_the_same_bits_as_arrays(samples, size):
    arrays = run(samples, [])
    health = HealthBank(MODELS).submit(samples, arrays)
    bank, well = Bank(MODELS), HealthBank(MODELS)
    numbers = [
        np.full(samples.slot.size, np.nan) if column is None else column for column in samples
    ]
    looks = list(map(OneSample, *(column.tolist() for column in numbers)))
    outcomes, flags = [], []
    for start in range(0, len(looks), size):
        piece = looks[start : start + size]
        outcomes += bank.take(piece)
        flags += well.judge(piece, outcomes[start:])
    for name in Outcome.__struct_fields__:
        ours = np.array([getattr(o, name) for o in outcomes], dtype=getattr(arrays, name).dtype)
        assert ours.tobytes() == getattr(arrays, name).tobytes(), name
    assert flags == health.tolist()


@examples(40)
@given(samples=sequences(), share=st.floats(0.0, 1.0))
def test_a_restart_anywhere_changes_nothing(samples, share):
    middle = round(share * len(samples.slot))
    head, tail = (Samples(*(None if a is None else a[part] for a in samples))
                  for part in (slice(0, middle), slice(middle, None)))  # fmt: skip
    bank, heir = Bank(MODELS), Bank(MODELS)
    bank.submit(head)
    assert heir.restore(bank.snapshot()) == ROWS
    for ours, theirs in zip(bank.submit(tail), heir.submit(tail), strict=True):
        assert ours.tobytes() == theirs.tobytes()


@examples(80)
@given(samples=sequences())
def test_estimates_are_finite_and_covariances_definite_whatever_comes(samples):
    bank = Bank(MODELS)
    out = bank.submit(samples)
    applied = ~np.isin(out.verdict, [Verdict.OUT_OF_ORDER, Verdict.NOT_FINITE])
    assert np.isfinite(out.value[applied]).all()
    assert (out.sigma[applied] > 0).all()
    assert (out.nis[applied] >= 0).all()
    assert (out.step_offset >= 0).all()
    assert bank.diverged == 0
    store = bank.groups[0].store
    seen = store.integers[4] != 2
    for pcc, pcy, pyy in store.floats[2:5, seen].T.tolist():
        require_definite(pcc, pcy, pyy)


@given(
    T1=st.floats(1e-3, 40.0),
    T2=st.floats(1e-3, 40.0),
    tau_s=st.floats(2.0, 120.0),
    q=st.floats(1e-6, 10.0),
)
def test_two_intervals_make_the_transition_of_their_sum(T1, T2, tau_s, q):
    for model in (lag2, lag3, lambda T, tau, q: ou_baseline(T, tau, 300.0, q, 1e-6)):
        (F1, Q1), (F2, Q2) = model(T1, tau_s, q), model(T2, tau_s, q)
        F, Q = model(T1 + T2, tau_s, q)
        np.testing.assert_allclose(F2 @ F1, F, rtol=1e-9, atol=1e-11)
        together = F2 @ Q1 @ F2.T + Q2
        np.testing.assert_allclose(together, Q, rtol=1e-7, atol=1e-10 * np.abs(Q).max())


@given(T=st.floats(1e-3, 300.0), tau_s=st.floats(2.0, 120.0))
def test_the_lag_transition_keeps_a_constant_concentration(T, tau_s):
    F, _ = lag2(T, tau_s, 0.04)
    np.testing.assert_allclose(F @ np.array([3.0, 3.0]), 3.0, rtol=1e-15)
    assert F[1, 0] == -expm1(-T / tau_s)
