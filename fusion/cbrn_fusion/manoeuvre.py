"""Outliers, manoeuvres and steps of one row: what a Kalman filter alone would get wrong.

One sample beyond the gate is applied with R inflated and moves nothing. A second one to
the same side makes a manoeuvre: without a known lag the row is set to the reading; with
one the shape decides. A rise that a held exposure explains is refitted from the anchor
with an agile concentration, a step is set aside as an offset, anything unclear is gas.
Until then the published value is at most the larger of the reading and the value before.
Falls are followed from the second sample.
"""

from math import sqrt
from typing import NamedTuple

from cbrn_core.times import US_PER_S
from cbrn_fusion.learning import FIRST_GUESS
from cbrn_fusion.models import require_definite
from cbrn_fusion.samples import Verdict
from cbrn_fusion.shape import CLEAR_SIGMA, LEAST_JUMP_SIGMA, Judgement, Jump, Shape, judge
from cbrn_fusion.story import (
    LONG_AGO,
    Evidence,
    Row,
    Sample,
    State,
    Step,
    Story,
    decay,
)

EVENT_AGILITY = 6.25
"""q of the reference lag goes from 0.04 to 0.25 ppm²/s: 3.2 s to half of a step, noise 0.45."""

EVENT_SAMPLES = 20

BURST_AGILITY = 25.0
"""q during the manoeuvre itself and just after it (1 ppm²/s for the reference lag)."""

BURST_SAMPLES = 5

_STEP_SLACK_SIGMA = 4.0
SURE_EXCESS = 1.7
"""Times the gate's limit, so 5.6 σ: noise does not get there."""

FALL_MEMORY_US = 3600 * US_PER_S
"""So long a flat rise back to where a reading fell from is no step."""


class Advance(NamedTuple):
    """Result of one sample: new posterior, innovation, NIS, what to say and to publish."""

    state: State
    nu: float
    nis: float
    verdict: Verdict
    published: float


def advance(row: Row, story: Story, sample: Sample) -> Advance:
    """Apply one sample to a row with a story; `story` is updated in place.

    Raises:
        DivergedFilter: the posterior covariance is not positive definite.
    """
    if story.learning is not None and not row.sigma_known and row.count < FIRST_GUESS:
        result = _pass_through(row, sample)
    elif story.evidence is not None:
        result = _weigh(row, story, story.evidence, sample)
    else:
        result = _judge_first(row, story, sample)
    require_definite(result.state.pcc, result.state.pcy, result.state.pyy)
    result = _under_step(row, story, result)
    if story.barred_above is not None and result.published < story.barred_above:
        story.barred_above = None
    story.published = result.published
    return result


def _pass_through(row: Row, sample: Sample) -> Advance:
    state = row.settled(sample.z, sample.R)
    return Advance(state, 0.0, 0.0, Verdict.SETTLING, state.c)


def _judge_first(row: Row, story: Story, sample: Sample) -> Advance:
    """Take a sample while nothing is suspected."""
    state, nu, nis = row.advanced(row.state, row.time_us, sample, _agility(story))
    if nis <= row.gate:
        verdict = _calm_verdict(story)
        story.hot = max(0, story.hot - 1)
        return Advance(state, nu, nis, verdict, state.c)
    if row.count < 2:
        row.count = 0
        state = row.settled(sample.z, sample.R)
        return Advance(state, nu, nis, Verdict.SETTLING, state.c)
    return _suspect(row, story, sample, nu=nu, nis=nis)


def _suspect(row: Row, story: Story, sample: Sample, *, nu: float, nis: float) -> Advance:
    """Take the first sample beyond the gate: inflate R, unless it is the third of five."""
    up = nu > 0
    if row.repeated(up=up):
        state, _, _ = row.advanced(row.state, row.time_us, sample, BURST_AGILITY)
        if story.hot and story.rising and up:
            return Advance(state, nu, nis, Verdict.GAS, state.c)
        story.hot, story.rising = EVENT_SAMPLES, up
        published = _capped(state.c, sample.z, story.published)
        return Advance(state, nu, nis, Verdict.MANOEUVRE, published)
    S = nu * nu / nis
    story.evidence = Evidence(
        anchor=row.state,
        anchor_us=row.time_us,
        z_before=row.z_last,
        published=story.published,
        limit=sqrt(row.gate * S),
        up=up,
        samples=[sample],
    )
    state = _inflated(row, story, sample, nis)
    return Advance(state, nu, nis, Verdict.GATED, _capped(state.c, sample.z, story.published))


def _weigh(row: Row, story: Story, evidence: Evidence, sample: Sample) -> Advance:
    """Take the next sample after a suspected one: returned, or a manoeuvre."""
    state, nu, nis = row.advanced(row.state, row.time_us, sample, _agility(story))
    direction = 1.0 if evidence.up else -1.0
    excess = direction * (sample.z - _expected(row, evidence, sample))
    first = evidence.samples[0]
    if excess > evidence.limit:
        evidence.samples.append(sample)
        return _moving(row, story, evidence, Advance(state, nu, nis, Verdict.MANOEUVRE, state.c))
    story.evidence = None
    if len(evidence.samples) == 1 and excess > 0.5 * direction * (
        first.z - _expected(row, evidence, first)
    ):
        evidence.samples.append(sample)
        state = _refitted(
            row, evidence.anchor, evidence.anchor_us, evidence.samples, _agility(story)
        )
        return Advance(state, nu, nis, _calm_verdict(story), state.c)
    if nis <= row.gate:
        return Advance(state, nu, nis, Verdict.SPIKE, state.c)
    return _suspect(row, story, sample, nu=nu, nis=nis)._replace(verdict=Verdict.SPIKE)


def _moving(row: Row, story: Story, evidence: Evidence, plain: Advance) -> Advance:
    """Two or more samples agree: follow a fall or an unlagged channel, else judge the shape."""
    sample = evidence.samples[-1]
    if evidence.up and len(evidence.samples) == 2 and _weak(row, evidence):
        held = _inflated(row, story, sample, plain.nis)
        published = _capped(held.c, sample.z, evidence.published)
        return plain._replace(state=held, published=published)
    if not evidence.up or not row.is_lag:
        return _followed(row, story, evidence, plain)
    if story.step is not None:
        _override(row, story)
    verdict = judge(_jump(row, evidence))
    shape = verdict.shape
    if shape in {Shape.STEP, Shape.SUSPECT} and _cannot_be_step(row, story, evidence):
        shape = Shape.UNCLEAR
    if shape is Shape.STEP:
        return _as_step(row, story, evidence, plain, verdict)
    if shape in {Shape.LAG, Shape.UNCLEAR}:
        lag = shape is Shape.LAG
        state = _risen(row, evidence, verdict) if lag else _near(row, evidence, verdict)
        story.evidence = None
        row.ups = (LONG_AGO, LONG_AGO)
        story.hot, story.rising = EVENT_SAMPLES, True
        return plain._replace(state=state, verdict=Verdict.GAS, published=state.c)
    held = _inflated(row, story, sample, plain.nis)
    published = _risen(row, evidence, verdict).c if shape is Shape.UNDECIDED else held.c
    return plain._replace(state=held, published=_capped(published, sample.z, evidence.published))


def _weak(row: Row, evidence: Evidence) -> bool:
    """Return whether the first sample may be noise, so that the second alone speaks.

    One in 1 500 quiet samples passes the gate; if a spike follows it they are not two.
    """
    first = evidence.samples[0]
    return first.z - _expected(row, evidence, first) < SURE_EXCESS * evidence.limit


def _followed(row: Row, story: Story, evidence: Evidence, plain: Advance) -> Advance:
    """Follow a fall (or any move without a lag), and remember from where a true level fell.

    A lag's fall is extrapolated, but neither below what the instrument shows of nothing
    nor above the reading.
    """
    sample = evidence.samples[-1]
    row.ups = row.downs = (LONG_AGO, LONG_AGO)
    fell = evidence.anchor.y - sample.z
    if fell > LEAST_JUMP_SIGMA * sqrt(row.R) and story.step is None:
        row.fallen_from, row.fallen_us = evidence.published, sample.time_us
    story.evidence = None
    story.hot, story.rising = EVENT_SAMPLES, evidence.up
    state = row.settled(sample.z, sample.R)
    if row.is_lag:
        agile = _refitted(row, evidence.anchor, evidence.anchor_us, evidence.samples, BURST_AGILITY)
        c = min(sample.z, max(agile.c, row.clamped))
        state = state._replace(c=c, pcc=max(state.pcc, agile.pcc))
    return plain._replace(state=state, published=state.c)


def _near(row: Row, evidence: Evidence, verdict: Judgement) -> State:
    """Return the state for a rise that no held exposure fits: the fitted exposure, bounded."""
    z = evidence.samples[-1].z
    most = z + (z - _expected(row, evidence, evidence.samples[-1]))
    c = max(z, min(evidence.anchor.c + verdict.exposure, most))
    settled = row.settled(z, evidence.samples[-1].R)
    return settled._replace(c=c, pcc=max(settled.pcc, verdict.exposure_sigma**2))


def _as_step(
    row: Row, story: Story, evidence: Evidence, plain: Advance, verdict: Judgement
) -> Advance:
    """Set the jump aside: the filter goes on from the new reading as if nothing had moved."""
    sample = evidence.samples[-1]
    anchor = evidence.anchor
    state = row.settled(0.0, sample.R)._replace(
        c=anchor.c + verdict.jump, y=_expected(row, evidence, sample) + verdict.jump
    )
    story.evidence = None
    story.step = Step(offset=verdict.jump, before=evidence.published)
    return plain._replace(state=state, verdict=Verdict.STEP, published=state.c)


def _under_step(row: Row, story: Story, result: Advance) -> Advance:
    """Let a standing step follow a fall, end when the value is back, yield to a further rise."""
    step = story.step
    if step is None or result.verdict is Verdict.GATED:
        return result
    sigma = sqrt(row.R)
    change = result.published - step.before
    if change - step.offset > LEAST_JUMP_SIGMA * sigma:
        _override(row, story)
        return result._replace(verdict=Verdict.GAS)
    step.offset = min(step.offset, max(change + _STEP_SLACK_SIGMA * sigma, 0.0))
    if step.offset < LEAST_JUMP_SIGMA * sigma:
        story.step = None
        return result
    if result.verdict is Verdict.QUIET:
        return result._replace(verdict=Verdict.STEP)
    return result


def _override(row: Row, story: Story) -> None:
    """Give up a step for gas; none is called again before the value has come back."""
    if story.step is not None:
        story.barred_above = story.step.before + LEAST_JUMP_SIGMA * sqrt(row.R)
        story.step = None


def _cannot_be_step(row: Row, story: Story, evidence: Evidence) -> bool:
    """Return whether the instrument itself makes flat jumps out of gas.

    Saturated readings are flat, a dead band hides the first part of a rise, one that
    repeats makes a staircase of it, a reading that had dropped out returns to where it
    was; nothing is known while the noise is learnt, nothing set aside after an override.
    """
    if not row.steppable or story.barred_above is not None:
        return True
    if (story.hot and story.rising) or (story.learning is not None and not row.sigma_known):
        return True
    first, last = evidence.samples[0], evidence.samples[-1]
    if evidence.anchor.y <= row.clamped + sqrt(row.R) and first.z <= 2 * row.dead_band:
        return True
    if last.time_us - row.fallen_us < FALL_MEMORY_US and last.z <= (
        row.fallen_from + LEAST_JUMP_SIGMA * sqrt(row.R)
    ):
        return True
    return max(sample.z for sample in evidence.samples) >= row.saturation


def _jump(row: Row, evidence: Evidence) -> Jump:
    samples = evidence.samples
    first_us = samples[0].time_us
    mean_R = sum(s.R for s in samples) / len(samples)
    return Jump(
        deltas=[s.z - _expected(row, evidence, s) for s in samples],
        at_once=samples[0].z - evidence.z_before,
        ages_s=[(s.time_us - first_us) / US_PER_S for s in samples],
        interval_s=(first_us - evidence.anchor_us) / US_PER_S,
        tau_s=row.tau_rise_s,
        sigma=max(sqrt(mean_R), row.resolution / 2),
        base_variance=evidence.anchor.pyy,
        slope_variance=evidence.anchor.pcc,
    )


def _expected(row: Row, evidence: Evidence, sample: Sample) -> float:
    """Return what the reading would be had the concentration stayed as at the anchor."""
    anchor = evidence.anchor
    T = (sample.time_us - evidence.anchor_us) / US_PER_S
    return anchor.y + decay(T, row.tau_s(anchor)) * (anchor.c - anchor.y)


def _risen(row: Row, evidence: Evidence, verdict: Judgement) -> State:
    """Return the fit of a rise that has the lag's shape.

    The evidence is filtered anew from the anchor with an agile concentration. Where the
    readings rise on significantly faster than that explains (an exposure that is large,
    or began late in the first interval) the filter starts at the first of them, open.
    """
    anchor, samples = evidence.anchor, evidence.samples
    state = _refitted(row, anchor, evidence.anchor_us, samples, BURST_AGILITY)
    if anchor.c + verdict.exposure - state.c <= CLEAR_SIGMA * verdict.exposure_sigma:
        return state
    first = samples[0]
    opened = State(first.z, first.z, verdict.exposure * verdict.exposure, 0.0, first.R)
    return _refitted(row, opened, first.time_us, samples[1:], EVENT_AGILITY)


def _refitted(
    row: Row, state: State, since_us: int, samples: list[Sample], agility: float
) -> State:
    for sample in samples:
        state, _, _ = row.advanced(state, since_us, sample, agility)
        since_us = sample.time_us
    return state


def _inflated(row: Row, story: Story, sample: Sample, nis: float) -> State:
    """Return the posterior with R inflated by NIS/gate."""
    R = sample.R * max(1.0, nis / row.gate)
    return row.advanced(row.state, row.time_us, sample._replace(R=R), _agility(story))[0]


def _agility(story: Story) -> float:
    if not story.hot:
        return 1.0
    burst = story.rising and story.hot > EVENT_SAMPLES - BURST_SAMPLES
    return BURST_AGILITY if burst else EVENT_AGILITY


def _calm_verdict(story: Story) -> Verdict:
    if story.hot and story.rising:
        return Verdict.GAS
    return Verdict.SETTLING if story.learning is not None else Verdict.QUIET


def _capped(value: float, z: float, before: float) -> float:
    ceiling = max(z, before)
    return min(value, ceiling)
