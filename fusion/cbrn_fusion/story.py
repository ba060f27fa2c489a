"""What a row of the bank remembers while something is going on, and at no other time."""

from math import expm1, sqrt
from typing import NamedTuple

import msgspec

from cbrn_core.times import US_PER_S
from cbrn_fusion.learning import Learning
from cbrn_fusion.models import lag_noise, lag_step

RECENT_SAMPLES = 4
"""An exceedance counts for 3 of 5 while it is at most so many samples old."""

LONG_AGO = -100

UNCERTAIN_EXPOSURE = 4.0
"""Pcc at the start in units of R: near the steady state of the reference lag."""


class State(NamedTuple):
    """Concentration c, lagged reading y and their covariance, in the channel's unit."""

    c: float
    y: float
    pcc: float
    pcy: float
    pyy: float


class Sample(NamedTuple):
    """One valid reading with its variance R [unit²]."""

    time_us: int
    z: float
    R: float


class Evidence(msgspec.Struct):
    """Samples beyond the gate, all to one side, since the anchor.

    Attributes:
        anchor: posterior at the last sample before them.
        z_before: reading at the anchor.
        published: value that was published then.
        limit: what the first of them had to exceed [unit].
        up: whether they lie above.
    """

    anchor: State
    anchor_us: int
    z_before: float
    published: float
    limit: float
    up: bool
    samples: list[Sample]


class Step(msgspec.Struct):
    """A step that stands: its remaining height, and the value before it."""

    offset: float
    before: float


class Story(msgspec.Struct):
    """Everything unusual about one row; the row leaves the fast path while it has one.

    Attributes:
        hot: samples for which the concentration is still expected to move fast, after a
            rise or (`rising` false) a fall.
        barred_above: after a step was overridden none is called while above this value.
        late: samples out of order in a row, with the time of the last of them.
        published: last published value.
    """

    published: float
    learning: Learning | None = None
    evidence: Evidence | None = None
    step: Step | None = None
    hot: int = 0
    rising: bool = False
    barred_above: float | None = None
    late: int = 0
    late_us: int = 0

    @property
    def over(self) -> bool:
        """Return whether nothing is left to remember."""
        return (
            self.learning is None
            and self.evidence is None
            and self.step is None
            and not self.hot
            and not self.late
            and self.barred_above is None
        )


class Row(msgspec.Struct):
    """One lag or walk row taken out of the arrays for a sample that needs thought.

    Attributes:
        state: posterior after the sample before.
        time_us: of that sample.
        z_last: its reading.
        count: samples applied so far.
        R: variance of a reading as known or learnt [unit²].
        q: density of the process noise [unit²/s].
        saturation: readings from here up say only "at least"; inf = unknown.
        clamped: reading of an instrument that sees nothing, with its `dead_band` above.
        fallen_from: value before the last fall that was no step's end, with its time.
        steppable: whether a step can be told at all.
        ups: counts at the last two exceedances upwards, newest first; downs likewise.
    """

    state: State
    time_us: int
    z_last: float
    count: int
    R: float
    q: float
    gate: float
    tau_rise_s: float
    tau_fall_s: float
    saturation: float
    clamped: float
    dead_band: float
    fallen_from: float
    fallen_us: int
    steppable: bool
    sigma_known: bool
    resolution: float
    ups: tuple[int, int] = (LONG_AGO, LONG_AGO)
    downs: tuple[int, int] = (LONG_AGO, LONG_AGO)

    def repeated(self, *, up: bool) -> bool:
        """Note an exceedance of the gate; return whether it is the third of five."""
        last, before = self.ups if up else self.downs
        if up:
            self.ups = (self.count, last)
        else:
            self.downs = (self.count, last)
        return self.count - before <= RECENT_SAMPLES

    def tau_s(self, state: State) -> float:
        """Return the lag that applies: of the fall where the tendency is downwards.

        The tendency is the filtered one, c − y = τ·dy/dt, and must exceed the noise of a
        reading, so that noise never chooses.
        """
        if state.y - state.c > sqrt(self.R):
            return self.tau_fall_s
        return self.tau_rise_s

    def advanced(
        self, state: State, since_us: int, sample: Sample, agility: float
    ) -> tuple[State, float, float]:
        """Return posterior, innovation and NIS of `sample`, q raised by `agility`."""
        T = (sample.time_us - since_us) / US_PER_S
        tau_s = self.tau_s(state)
        u = decay(T, tau_s)
        qcc, qcy, qyy = lag_noise(T, tau_s, u, self.q * agility)
        transition = (u, 1.0 - u, qcc, qcy, qyy)
        c, y, pcc, pcy, pyy, nu, nis = lag_step(state, transition, sample.z, sample.R)
        return State(c, y, pcc, pcy, pyy), nu, nis

    def settled(self, z: float, R: float) -> State:
        """Return the state of a row that has just been (re)set to a reading of variance R."""
        widening = UNCERTAIN_EXPOSURE if self.is_lag else 1.0
        return State(z, z, widening * R, R, R)

    @property
    def is_lag(self) -> bool:
        """Return whether a lag stands between the concentration and the reading."""
        return self.tau_rise_s > 1e-12


def decay(T: float, tau_s: float) -> float:
    """Return 1 − exp(−T/τ)."""
    return -expm1(-T / tau_s)
