"""Is a jump one that a first-order lag can produce?

After the anchor (the last sample before the jump) let δ_j be what each sample lies above
the trajectory the filter expected. An exposure that begins anywhere in the first interval
T and is C_j above the old one gives, with e_j = exp(−(t_j − t_1)/τ),

    δ_j = J e_j + A (1 − e_j)

J is the jump in the first interval and A the exposure seen afterwards. An exposure that is
held from its beginning has A ≥ J / (1 − exp(−T/τ)): the reading must go on rising by at
least J exp(−T/τ). A = J is flat: the step that no held exposure gives. A = 0 is a puff that
has ended. J and A follow by least squares with their covariance, so that the lag's own
noise decides how many samples are needed: two where all is clear, at most four.
"""

from collections.abc import Sequence
from enum import Enum
from math import exp, expm1, sqrt

import msgspec

from cbrn_core.errors import ShapeError

LEAST_JUMP_SIGMA = 8.0
"""A step is only spoken of above 8 σ (safety 7)."""

HELD_SIGMA = 7.0
"""The least held exposure must be excluded by this many σ: noise, and the bias of an
anchor that had not yet followed the first samples of a rise."""

LEAST_MEMORY = 0.5
"""exp(−T/τ) below which no step is called: the samples come too seldom for this lag."""

TELL_SIGMA = 5.0
"""A further rise smaller than this cannot be told from none."""

CLEAR_SIGMA = 3.0
WEAK_SHARE = 0.25
"""A rise that significant but so small beside the least held exposure waits for a sample more."""

LAST_SAMPLE = 4
RELEASE_SAMPLE = 3
"""The cap on the published value ends here unless a step is still in question."""

_GREATEST_MISFIT = 16.0


class Shape(Enum):
    """What the samples since the anchor look like."""

    UNDECIDED = "undecided"
    """Too early; nothing speaks for a step."""
    SUSPECT = "suspect"
    """Too early; the jump was large and has not gone on rising."""
    LAG = "lag"
    """Rises on as a lag with a held exposure does, or cannot be told from it: gas."""
    UNCLEAR = "unclear"
    """Neither held exposure nor step: gas."""
    STEP = "step"


class Judgement(msgspec.Struct, frozen=True):
    """Shape with the fitted jump J and exposure A above the old one, and A's σ."""

    shape: Shape
    jump: float
    exposure: float
    exposure_sigma: float


class _Fit(msgspec.Struct, frozen=True):
    """Least squares of J and A, R = 1: covariance (jj, ja, aa) still to be scaled."""

    jump: float
    exposure: float
    jj: float
    ja: float
    aa: float
    misfit: float


class Jump(msgspec.Struct, frozen=True):
    """Samples since the anchor.

    Attributes:
        deltas: δ_j in the direction of the jump, at least two.
        at_once: first reading minus the one before it.
        ages_s: t_j − t_1; the first is 0, strictly increasing.
        interval_s: from the anchor to the first sample.
        tau_s: time constant of the rise.
        sigma: noise of one reading.
        base_variance: variance common to all δ (of y at the anchor).
        slope_variance: variance of c at the anchor.
    """

    deltas: Sequence[float]
    at_once: float
    ages_s: Sequence[float]
    interval_s: float
    tau_s: float
    sigma: float
    base_variance: float
    slope_variance: float


def judge(jump: Jump) -> Judgement:
    """Return the shape of the samples so far; never undecided from the fourth on.

    Raises:
        ShapeError: fewer than two samples, or ages that do not fit them.
    """
    count = len(jump.deltas)
    if count < 2 or len(jump.ages_s) != count:
        raise ShapeError("a shape needs at least two samples and an age for each")
    u1 = -expm1(-jump.interval_s / jump.tau_s)
    fit = _fit(jump)
    R, V = jump.sigma**2, jump.base_variance
    rise = fit.exposure - fit.jump
    rise_sigma = sqrt(R * (fit.aa + fit.jj - 2 * fit.ja) + jump.slope_variance)
    exposure_sigma = sqrt(R * fit.aa + V + jump.slope_variance)
    held = fit.jump / u1
    gap_variance = (
        R * (fit.jj / u1**2 + fit.aa - 2 * fit.ja / u1)
        + V * (1 / u1 - 1) ** 2
        + jump.slope_variance
    )
    held_excluded = held - fit.exposure > HELD_SIGMA * sqrt(gap_variance)
    least_jump = min(fit.jump, jump.deltas[0], jump.at_once)
    rising = rise > CLEAR_SIGMA * rise_sigma
    weakly = held_excluded and fit.exposure < WEAK_SHARE * held and count < LAST_SAMPLE
    if rising and not weakly:
        shape = Shape.UNCLEAR if held_excluded else Shape.LAG
    elif not (_can_be_told(jump, u1) and least_jump > LEAST_JUMP_SIGMA * jump.sigma):
        shape = Shape.LAG if count >= RELEASE_SAMPLE else Shape.UNDECIDED
    elif held_excluded and not rising and _is_flat(fit, exposure_sigma, held, R, count):
        shape = Shape.STEP
    elif count >= LAST_SAMPLE:
        shape = Shape.UNCLEAR if held_excluded else Shape.LAG
    else:
        shape = Shape.SUSPECT
    return Judgement(shape, fit.jump, fit.exposure, exposure_sigma)


def _can_be_told(jump: Jump, u1: float) -> bool:
    """Return whether the least further rise of a held exposure stands out.

    Out of the noise, and out of the doubt about τ: a lag that hardly outlasts the interval
    leaves too little to rise if it is really twice as fast.
    """
    if 1 - u1 < LEAST_MEMORY:
        return False
    u2 = -expm1(-(jump.ages_s[1] - jump.ages_s[0]) / jump.tau_s)
    return jump.deltas[0] * (1 - u1) * u2 / u1 > TELL_SIGMA * jump.sigma


def _is_flat(fit: _Fit, exposure_sigma: float, held: float, R: float, count: int) -> bool:
    if fit.misfit > _GREATEST_MISFIT * R or fit.exposure > held / 2:
        return False
    if count >= LAST_SAMPLE:
        return fit.exposure > fit.jump / 2
    return fit.exposure > CLEAR_SIGMA * exposure_sigma


def _fit(jump: Jump) -> _Fit:
    pp = pr = rr = pd = rd = 0.0
    for delta, age_s in zip(jump.deltas, jump.ages_s, strict=True):
        r = -expm1(-age_s / jump.tau_s)
        p = 1 - r
        pp += p * p
        pr += p * r
        rr += r * r
        pd += p * delta
        rd += r * delta
    det = pp * rr - pr * pr
    if not det > 0:
        raise ShapeError("the ages of the samples must increase")
    J = (rr * pd - pr * rd) / det
    A = (pp * rd - pr * pd) / det
    misfit = sum(
        (delta - A - (J - A) * exp(-age_s / jump.tau_s)) ** 2
        for delta, age_s in zip(jump.deltas, jump.ages_s, strict=True)
    )
    return _Fit(J, A, rr / det, -pr / det, pp / det, misfit)
