"""Process models against closed forms, steady states and filterpy."""

from math import exp, expm1, inf, log, sqrt

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from scipy.linalg import solve_discrete_are

from cbrn_core.errors import DivergedFilter, FusionError, ShapeError
from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.models import (
    lag2,
    lag3,
    lag_noise,
    lag_step,
    ou_baseline,
    ou_transition,
    require_definite,
    van_loan,
)
from cbrn_fusion.samples import Samples

TAU_30_S = 30 / log(10)
START_US = 1_700_000_000_000_000


def steady_state(F, Q, H, R):
    """Return (P⁻, K, P⁺) of the filter, by the discrete Riccati equation."""
    P = solve_discrete_are(F.T, H[:, None], Q, np.array([[R]]))
    S = float(H @ P @ H + R)
    K = P @ H / S
    return P, K, P - np.outer(K, K) * S


@pytest.mark.parametrize(
    ("q", "R", "prior", "gain", "posterior"),
    [
        (1, 1, 1.61803398874989, 0.618033988749895, 0.618033988749895),
        (0.01, 1, 0.105124921972504, 0.0951249219725039, 0.0951249219725039),
        (1e-4, 0.04, 0.00205062490237426, 0.0487656225593564, 0.00195062490237426),
        (0.25, 4, 1.13278221853732, 0.220695554634330, 0.882782218537319),
        (1e-6, 0.09, 0.000300500416666377, 0.00332778240740419, 0.000299500416666377),
    ],
)
def test_a_walk_settles_at_the_closed_form(q, R, prior, gain, posterior):
    state = (0.0, 0.0, R, R, R)
    transition = (1.0, 0.0, q, q, q)
    for _ in range(20_000):
        before = state[2]
        *state, _, _ = lag_step(tuple(state), transition, 0.0, R)
    assert before + q == pytest.approx(prior, rel=1e-10)
    assert state[2] == pytest.approx(posterior, rel=1e-10)
    assert (before + q) / (before + q + R) == pytest.approx(gain, rel=1e-10)


def test_the_two_state_lag_has_the_reference_transition_and_steady_state():
    F, Q = lag2(1.0, TAU_30_S, 0.04)
    assert (
        pytest.approx(np.array([[1, 0], [0.0738812718712065, 0.926118728128794]]), abs=1e-13) == F
    )
    assert Q[0, 0] == 0.04
    assert Q[0, 1] == Q[1, 0] == pytest.approx(0.00149652557240929, rel=1e-12)
    assert Q[1, 1] == pytest.approx(7.41827413238547e-5, rel=1e-10)
    P, K, _ = steady_state(F, Q, np.array([0.0, 1.0]), 0.04)
    assert P[0, 0] == pytest.approx(0.229144945129, rel=1e-10)
    assert P[0, 1] == pytest.approx(0.046998947069, rel=1e-10)
    assert P[1, 1] == pytest.approx(0.01522252564, rel=1e-9)
    assert pytest.approx([0.851082896417, 0.275657903427], rel=1e-10) == K


def test_the_bank_settles_at_the_same_steady_state():
    model = ChannelModel(
        key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S, sigma=0.2, process_density=0.04, gate=inf
    )
    bank = Bank([model])
    for k in range(400):
        out = bank.submit(Samples(np.array([0]), np.array([START_US + k * 1_000_000]), np.zeros(1)))
    posterior = 0.229144945129 - 0.851082896417 * 0.046998947069
    assert out.sigma[0] ** 2 == pytest.approx(posterior, rel=1e-9)


def test_the_lag_with_rate_has_the_reference_figures():
    F, Q = lag3(1.0, TAU_30_S, 0.01)
    assert F[2] == pytest.approx([0.073881271871, 0.03741313931, 0.926118728129], rel=1e-9)
    assert F[0] == pytest.approx([1, 1, 0], abs=1e-14)
    assert Q[0] == pytest.approx([3.333333333333e-3, 5e-3, 9.400837037408e-5], rel=1e-9)
    assert Q[1, 2] == pytest.approx(1.255040140665e-4, rel=1e-9)
    assert Q[2, 2] == pytest.approx(2.823271679627e-6, rel=1e-8)
    P, K, posterior = steady_state(F, Q, np.array([0.0, 0.0, 1.0]), 0.04)
    assert np.diag(P) == pytest.approx([1.003493887012, 0.065050908696, 0.033150507279], rel=1e-9)
    assert pytest.approx([2.22029618383, 0.369735651309, 0.453182192605], rel=1e-9) == K
    assert np.diag(posterior) == pytest.approx(
        [0.642882723494, 0.055050908696, 0.018127287704], rel=1e-9
    )


def test_the_mean_reverting_model_with_baseline_has_the_reference_figures():
    F, Q = ou_baseline(1.0, TAU_30_S, 300.0, 5.0, 1e-6)
    assert pytest.approx(ou_transition(1.0, TAU_30_S, 300.0), abs=1e-12) == F
    assert F[0, 0] == pytest.approx(0.996672216054523, rel=1e-12)
    assert F[1, 0] == pytest.approx(0.0737567007391709, rel=1e-11)
    assert Q[0, 0] == pytest.approx(0.16611234362414, rel=1e-11)
    assert Q[0, 1] == pytest.approx(0.00621477855743, rel=1e-10)
    assert Q[1, 1] == pytest.approx(3.08318335312e-4, rel=1e-9)
    assert Q[2, 2] == pytest.approx(1e-6, rel=1e-12)
    P, K, _ = steady_state(F, Q, np.array([0.0, 1.0, 1.0]), 0.04)
    H = np.array([0.0, 1.0, 1.0])
    assert pytest.approx(0.064964217646, rel=1e-10) == H @ P @ H + 0.04
    assert pytest.approx([1.578497470968, 0.380353027410, 0.003923402764], rel=1e-9) == K


def test_alpha_beta_gains_follow_from_van_loan_in_the_limit_of_the_tracking_index():
    A = np.array([[0.0, 1.0], [0.0, 0.0]])
    F, Q = van_loan(A, np.diag([0.0, 3.0]), 2.0)
    assert pytest.approx(np.array([[1, 2], [0, 1]]), abs=1e-13) == F
    assert pytest.approx(3.0 * np.array([[8 / 3, 2], [2, 2]]), rel=1e-12) == Q


def test_van_loan_refuses_shapes_that_disagree():
    with pytest.raises(ShapeError):
        van_loan(np.zeros((2, 2)), np.zeros((3, 3)), 1.0)
    with pytest.raises(ShapeError):
        van_loan(np.zeros((2, 3)), np.zeros((2, 3)), 1.0)


@pytest.mark.parametrize("x", [1e-9, 1e-6, 1e-3, 0.1, 1.0, 50.0, 1e6])
def test_the_process_noise_stays_a_covariance_for_any_interval(x):
    tau_s = 120.0
    T = x * tau_s
    qcc, qcy, qyy = lag_noise(T, tau_s, -expm1(-x), 0.3)
    assert qcc > 0
    assert qyy > 0
    assert qcc * qyy - qcy * qcy >= -1e-12 * qcc * qyy


@pytest.mark.parametrize("kind", [Kind.LAG, Kind.WALK])
def test_the_bank_agrees_with_filterpy_over_ten_thousand_irregular_steps(kind):
    rng = np.random.default_rng(11)
    sigma, q, steps = 0.2, 0.04, 10_000
    lag = kind is Kind.LAG
    model = ChannelModel(
        key="a",
        kind=kind,
        tau_rise_s=TAU_30_S if lag else None,
        sigma=sigma,
        process_density=q,
        gate=inf,
    )
    time_us = START_US + np.cumsum(rng.integers(20_000, 4_000_000, steps))
    z = 5 + np.cumsum(rng.standard_normal(steps)) * 0.1 + sigma * rng.standard_normal(steps)
    out = Bank([model]).submit(Samples(np.zeros(steps, dtype=np.int64), time_us, z))
    oracle = _filterpy_filter(lag, z[0], sigma)
    worst = 0.0
    for k in range(1, steps):
        T = (time_us[k] - time_us[k - 1]) / 1e6
        if lag:
            oracle.F, oracle.Q = lag2(T, TAU_30_S, q)
        else:
            oracle.Q = np.array([[q * T]])
        oracle.predict()
        oracle.update(z[k])
        innovation = float(oracle.y[0, 0])
        expected = (
            float(oracle.x[0, 0]),
            sqrt(oracle.P[0, 0]),
            innovation**2 / float(oracle.S[0, 0]),
        )
        got = (out.value[k], out.sigma[k], out.nis[k])
        for ours, theirs, least in zip(got, expected, (1e-3, 1e-12, 1e-3), strict=True):
            worst = max(worst, abs(ours - theirs) / max(abs(theirs), least))
    assert worst < 1e-9


def _filterpy_filter(lag, z, sigma):
    R = sigma**2
    oracle = KalmanFilter(dim_x=2 if lag else 1, dim_z=1)
    oracle.x = np.full((oracle.dim_x, 1), z)
    oracle.P = R * np.array([[4.0, 1.0], [1.0, 1.0]]) if lag else np.array([[R]])
    oracle.H = np.array([[0.0, 1.0]]) if lag else np.array([[1.0]])
    oracle.F = np.eye(oracle.dim_x)
    oracle.R = np.array([[R]])
    return oracle


@pytest.mark.parametrize(
    ("pcc", "pcy", "pyy"),
    [(0.0, 0.0, 1.0), (1.0, 0.0, -1e-9), (1.0, 2.0, 1.0), (inf, 0.0, 1.0), (float("nan"), 0, 1)],
)
def test_a_covariance_that_is_not_positive_definite_is_refused(pcc, pcy, pyy):
    with pytest.raises(DivergedFilter):
        require_definite(pcc, pcy, pyy)


def test_the_default_density_is_the_reference_one_at_t90_30_s_and_1_hz():
    model = ChannelModel(key="a", kind=Kind.LAG, tau_rise_s=TAU_30_S, sigma=0.2)
    assert model.density(0.04) == pytest.approx(0.04, rel=1e-9)
    walk = ChannelModel(key="b", kind=Kind.WALK, sigma=0.2, period_s=5.0)
    assert walk.density(0.04) * 5.0 / 0.04 == pytest.approx(1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": Kind.LAG},
        {"kind": Kind.LAG, "tau_rise_s": 0.0},
        {"sigma": -1.0},
        {"range": (5.0, 5.0)},
        {"gate": 0.0},
        {"period_s": float("nan")},
        {"memory_s": -3.0},
    ],
)
def test_an_impossible_model_is_refused_with_its_key(wrong):
    with pytest.raises(FusionError, match="st1"):
        ChannelModel(key="st1", **wrong)


def test_the_fingerprint_ignores_the_key_and_nothing_else():
    a = ChannelModel(key="a", sigma=0.2)
    assert a.hash() == ChannelModel(key="b", sigma=0.2).hash()
    assert a.hash() != ChannelModel(key="a", sigma=0.3).hash()
    assert exp(-1 / TAU_30_S) == pytest.approx(0.926118728128794)
