"""Process models of a sensor: first-order lag, lag with rate, mean-reverting with baseline.

The arithmetic of the two-state lag takes floats or arrays alike, in the same order of
operations, so that one sample and ten thousand give the same bits. The instrument follows
the concentration by ẏ = (c − y)/τ; a walk is its limit τ → 0 (u = 1).

Source: C. Van Loan, "Computing integrals involving the matrix exponential", IEEE Trans.
Automatic Control 23(3), 1978, 395-404; closed forms checked against it in the tests.
"""

from math import exp, expm1, isfinite
from typing import TypeVar

import numpy as np

from cbrn_core.errors import DivergedFilter, ShapeError
from cbrn_fusion.samples import Floats

Number = TypeVar("Number", float, Floats)
Five = tuple[Number, Number, Number, Number, Number]

WALK_TAU_S = 1e-300
"""Stands for τ = 0: u becomes exactly 1, and nothing is divided by zero."""

_GREATEST_NORM = 0.5
_TAYLOR_TERMS = 18


def lag_noise(T: Number, tau_s: Number, u: Number, q: Number) -> tuple[Number, Number, Number]:
    """Return (Qcc, Qcy, Qyy) over `T` seconds, u = 1 − exp(−T/τ), q in unit²/s.

    Qyy is kept above Qcy²/Qcc where T ≪ τ cancels its digits, so that Q stays a covariance.
    """
    d = T - tau_s * u
    qyy = d - 0.5 * tau_s * u * u
    least = d * d / T
    if isinstance(qyy, float):
        return q * T, q * d, q * (max(least, qyy))
    return q * T, q * d, q * np.where(qyy > least, qyy, least)


def lag_step(
    state: Five[Number], transition: Five[Number], z: Number, R: Number
) -> tuple[Number, Number, Number, Number, Number, Number, Number]:
    """Return (c, y, Pcc, Pcy, Pyy, ν, NIS) after predicting over one interval and z = y + v.

    Args:
        state: (c, y, Pcc, Pcy, Pyy), in the channel's unit and its square.
        transition: (u, e, Qcc, Qcy, Qyy), u = 1 − e, e = exp(−T/τ).
        z: reading.
        R: its variance.

    Elementwise. P⁺ is written as P⁻R/S plus det P⁻/S, sums of what cannot be negative.
    """
    c, y, pcc, pcy, pyy = state
    u, e, qcc, qcy, qyy = transition
    y = y + u * (c - y)
    a = e * pcy + u * pcc
    pyy = u * a + e * (u * pcy + e * pyy) + qyy
    pcy = a + qcy
    pcc = pcc + qcc
    nu = z - y
    S = pyy + R
    g = R / S
    k = pcy / S
    determinant = pcc * pyy - pcy * pcy
    if isinstance(determinant, float):
        determinant = max(0.0, determinant)
    else:
        determinant = np.maximum(determinant, 0.0)
    return (
        c + k * nu,
        y + pyy / S * nu,
        pcc * g + determinant / S,
        pcy * g,
        pyy * g,
        nu,
        nu * nu / S,
    )


def require_definite(pcc: float, pcy: float, pyy: float) -> None:
    """Check a 2×2 covariance.

    Raises:
        DivergedFilter: not finite or not positive semi-definite.
    """
    determinant = pcc * pyy - pcy * pcy
    if not (pcc > 0 and pyy > 0 and isfinite(pcc + pyy) and determinant > -1e-9 * pcc * pyy):
        raise DivergedFilter(f"covariance [[{pcc}, {pcy}], [{pcy}, {pyy}]]")


def lag2(T: float, tau_s: float, q: float) -> tuple[Floats, Floats]:
    """Return F, Q (2×2) of x = [c, y]: c a random walk of density q [unit²/s], y its lag."""
    u = -expm1(-T / tau_s)
    qcc, qcy, qyy = lag_noise(T, tau_s, u, q)
    return np.array([[1.0, 0.0], [u, 1 - u]]), np.array([[qcc, qcy], [qcy, qyy]])


def lag3(T: float, tau_s: float, q: float) -> tuple[Floats, Floats]:
    """Return F, Q (3×3) of x = [c, r, y]: rate r a random walk of density q, c its integral."""
    A = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1 / tau_s, 0.0, -1 / tau_s]])
    return van_loan(A, np.diag([0.0, q, 0.0]), T)


def ou_baseline(
    T: float, tau_s: float, tau_c_s: float, sigma_c: float, q_b: float
) -> tuple[Floats, Floats]:
    """Return F, Q (3×3) of x = [c, y, b]: c mean-reverting, y its lag, b a wandering zero.

    Args:
        T: interval [s].
        tau_s: lag of the instrument.
        tau_c_s: correlation time of the concentration; equal to `tau_s` is allowed.
        sigma_c: stationary standard deviation of c.
        q_b: density of the baseline's random walk, unit²/s.

    A random walk of c and of b together is not observable from one reading z = y + b;
    the mean reversion is what tells them apart.
    """
    A = np.array([[-1 / tau_c_s, 0.0, 0.0], [1 / tau_s, -1 / tau_s, 0.0], [0.0, 0.0, 0.0]])
    return van_loan(A, np.diag([2 * sigma_c**2 / tau_c_s, 0.0, q_b]), T)


def ou_transition(T: float, tau_s: float, tau_c_s: float) -> Floats:
    """Return the closed-form F (3×3) of `ou_baseline`; needs tau_c_s ≠ tau_s."""
    a, e = exp(-T / tau_c_s), exp(-T / tau_s)
    pull = (a - e) * tau_c_s / (tau_c_s - tau_s)
    return np.array([[a, 0.0, 0.0], [pull, e, 0.0], [0.0, 0.0, 1.0]])


def van_loan(A: Floats, Qc: Floats, T: float) -> tuple[Floats, Floats]:
    """Return the exact F, Q (n×n) of ẋ = A x + w over `T` seconds, w of spectral density Qc.

    Raises:
        ShapeError: A and Qc are not square and equal in shape.
    """
    n = A.shape[0]
    if A.shape != (n, n) or Qc.shape != (n, n):
        raise ShapeError(f"A {A.shape} and Qc {Qc.shape} must be square and equal")
    M = np.zeros((2 * n, 2 * n))
    M[:n, :n] = -A
    M[:n, n:] = Qc
    M[n:, n:] = A.T
    phi = _expm(M * T)
    F = phi[n:, n:].T.copy()
    Q = F @ phi[:n, n:]
    return F, (Q + Q.T) / 2


def _expm(M: Floats) -> Floats:
    """Return the matrix exponential by scaling, Taylor series and squaring."""
    norm = float(np.abs(M).sum(axis=1).max())
    halvings = 0
    while norm / 2**halvings > _GREATEST_NORM:
        halvings += 1
    X = M / 2**halvings
    term = np.eye(M.shape[0])
    total = term.copy()
    for k in range(1, _TAYLOR_TERMS):
        term = term @ X / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total
