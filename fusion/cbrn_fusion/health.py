"""Is the instrument itself well? Tests of single channels, sample after sample.

Cheap scalars per channel and no look at other channels, so that any cut into batches gives
the same flags. A flag only ever lowers the quality of a reading; none of them mutes it.
"""

from collections.abc import Sequence
from enum import IntFlag
from math import inf, isnan, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from cbrn_core.errors import ShapeError
from cbrn_core.times import seconds_to_us
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.samples import EstimateBatch, OneSample, Outcome, Samples, Verdict

SNAPSHOT_SCHEMA = "cbrn-health/1"


class Health(IntFlag):
    """What is wrong with an instrument; 0 = nothing found."""

    STUCK = 1
    SPIKE = 2
    NOISE = 4
    NEGATIVE = 8
    OVER_RANGE = 16
    STEP = 32


_STUCK, _SPIKE, _NOISE, _NEGATIVE, _OVER_RANGE, _STEP = (int(flag) for flag in Health)

STUCK_SAMPLES = 30
"""With noise of half a resolution step two readings agree with p ≈ 0.53, thirty with 1e-8."""

LIVELY_SHARE = 0.4
_LIVELY_SAMPLES = 60
_COUNT_MEMORY = 2048
"""A channel is lively when 4 of 10 readings differed from the one before: noise of about
half a resolution step or more. Only such a one can be called stuck: a well-behaved quiet
channel of coarse resolution repeats itself all night."""

NOISE_SAMPLES = 60
NOISE_RATIO = 3.0
_NOISE_CLEAR = 2.0
_GREATEST_NIS = 36.0
"""Mean NIS of 60 samples: 1 ± 0.18 when healthy; noise of four times the variance gives
about 3 with the share of the prediction in S. One spike moves the mean by at most 0.6."""

NEGATIVE_US = seconds_to_us(60)
OVER_RANGE_SHARE = 0.99
_BACK_IN_RANGE_SHARE = 0.95
_BACK_IN_RANGE_SAMPLES = 3

_NEVER = 20.7
"""−ln 1e-9: a run of zero counts less likely than that is a dead counter."""

_CALM = frozenset({Verdict.QUIET, Verdict.GATED, Verdict.SPIKE})
_NOT_APPLIED = frozenset({Verdict.OUT_OF_ORDER, Verdict.NOT_FINITE})


class _Pulse(msgspec.Struct):
    """Running figures of one channel; `since_us` is when a negative excursion began."""

    last: float | None = None
    run: int = 0
    changes: float = 0.0
    readings: float = 0.0
    zeros: float = 0.0
    mean_nis: float = 1.0
    since_us: int | None = None
    back: int = 0
    flags: int = 0


class _Snapshot(msgspec.Struct):
    schema: str
    pulses: dict[str, tuple[str, _Pulse]]


class HealthBank:
    """Health of all channels; slots as in the `Bank` of the same models."""

    def __init__(self, models: Sequence[ChannelModel]) -> None:
        self._models = [(model.key, model.hash()) for model in models]
        self._limits = [_Limits.of(model) for model in models]
        self._pulses = [_Pulse() for _ in models]

    def submit(self, samples: Samples, estimates: EstimateBatch) -> NDArray[np.uint8]:
        """Return `Health` flags per sample, in order; `estimates` are of the same samples.

        Raises:
            ShapeError: lengths differ, or a slot that the bank does not have.
        """
        slots = np.asarray(samples.slot).tolist()
        if len(estimates.value) != len(slots):
            raise ShapeError("health needs one estimate per sample")
        looks = map(
            _Look,
            np.asarray(samples.time_us).tolist(),
            np.asarray(samples.value).tolist(),
            estimates.nis.tolist(),
            estimates.verdict.tolist(),
            estimates.noise_sigma.tolist(),
        )
        limits, pulses = self._limits, self._pulses
        if slots and not 0 <= min(slots) <= max(slots) < len(pulses):
            raise ShapeError(f"a slot lies outside of 0 … {len(pulses) - 1}")
        flags = [_judge(limits[s], pulses[s], look) for s, look in zip(slots, looks, strict=True)]
        return np.array(flags, dtype=np.uint8)

    def judge(self, samples: Sequence[OneSample], outcomes: Sequence[Outcome]) -> list[int]:
        """Return `Health` flags per sample, in order: `submit` for plain numbers.

        Raises:
            ShapeError: lengths differ, or a slot that the bank does not have.
        """
        if len(samples) != len(outcomes):
            raise ShapeError("health needs one estimate per sample")
        limits, pulses = self._limits, self._pulses
        flags: list[int] = []
        for s, o in zip(samples, outcomes, strict=True):
            if not 0 <= s.slot < len(pulses):
                raise ShapeError(f"a slot lies outside of 0 … {len(pulses) - 1}")
            look = _Look(s.time_us, s.value, o.nis, o.verdict, o.noise_sigma)
            flags.append(_judge(limits[s.slot], pulses[s.slot], look))
        return flags

    def snapshot(self) -> bytes:
        """Return the whole state."""
        pulses = {
            key: (fingerprint, pulse)
            for (key, fingerprint), pulse in zip(self._models, self._pulses, strict=True)
        }
        return msgspec.msgpack.encode(_Snapshot(SNAPSHOT_SCHEMA, pulses))

    def restore(self, state: bytes) -> int:
        """Take over the channels whose key and model are equal; return how many.

        Raises:
            ShapeError: not a snapshot of channel health.
        """
        try:
            snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
        except msgspec.DecodeError as error:
            raise ShapeError(f"not a snapshot of channel health: {error}") from error
        if snapshot.schema != SNAPSHOT_SCHEMA:
            raise ShapeError(f"a snapshot of schema {snapshot.schema!r} cannot be restored")
        taken = 0
        for slot, (key, fingerprint) in enumerate(self._models):
            theirs, pulse = snapshot.pulses.get(key, (None, None))
            if pulse is not None and theirs == fingerprint:
                self._pulses[slot] = pulse
                taken += 1
        return taken


class _Limits(msgspec.Struct, frozen=True):
    """What follows from the model once and for all; `noisy`: its noise is declared and shows."""

    low: float
    full: float
    back: float
    resolution: float
    lod: float | None
    counting: bool
    noisy: bool

    @classmethod
    def of(cls, model: ChannelModel) -> "_Limits":
        low, high = model.range if model.range is not None else (0.0, inf)
        span = high - low
        bounded = model.range is not None
        declared = model.sigma if model.sigma is not None else 0.0
        return cls(
            low=low,
            full=low + OVER_RANGE_SHARE * span if bounded else high,
            back=low + _BACK_IN_RANGE_SHARE * span if bounded else high,
            resolution=model.resolution,
            lod=model.lod,
            counting=model.kind is Kind.COUNTS,
            noisy=declared > 0 and declared >= model.resolution / 2,
        )


class _Look(msgspec.Struct, frozen=True, gc=False):
    """One sample with what the bank made of it."""

    time_us: int
    z: float
    nis: float
    verdict: int
    noise: float


def _judge(limits: _Limits, pulse: _Pulse, look: _Look) -> int:
    if look.verdict in _NOT_APPLIED:
        return pulse.flags
    z = look.z
    flags = (pulse.flags & _OVER_RANGE) | _noise_flag(pulse, look.nis, look.verdict)
    if z == pulse.last:
        pulse.run += 1
        if pulse.run >= STUCK_SAMPLES and _is_stuck(limits, pulse, z):
            flags |= _STUCK
    else:
        _end_run(pulse)
        pulse.last = z
        pulse.run = 1
    if look.verdict == Verdict.SPIKE:
        flags |= _SPIKE
    elif look.verdict == Verdict.STEP:
        flags |= _STEP
    if z < 0.0 and _is_negative(limits, pulse, look):
        flags |= _NEGATIVE
    elif z >= 0.0:
        pulse.since_us = None
    pulse.flags = _over_range(limits, pulse, z, flags)
    return pulse.flags


def _is_stuck(limits: _Limits, pulse: _Pulse, z: float) -> bool:
    """Return whether so many equal readings cannot be.

    Zero and the ends of the range are where a well instrument rests, but not a counter:
    there a run of zeros is judged by how often it read zero before. Elsewhere the channel
    must be known to be noisy, from its model or from its own past.
    """
    if limits.counting and z == 0.0:
        usual = max(pulse.zeros, 0.5) / max(pulse.readings, 1.0)
        return pulse.readings >= _LIVELY_SAMPLES and -log(usual) * pulse.run > _NEVER
    if z == 0.0 or z <= limits.low or z >= limits.full:
        return False
    lively = pulse.readings >= _LIVELY_SAMPLES and pulse.changes >= LIVELY_SHARE * pulse.readings
    return lively or (limits.noisy and not limits.counting)


def _end_run(pulse: _Pulse) -> None:
    if pulse.last is None:
        return
    run = float(min(pulse.run, STUCK_SAMPLES))
    pulse.changes += 1.0
    pulse.readings += run
    if pulse.last == 0.0:
        pulse.zeros += run
    if pulse.readings > _COUNT_MEMORY:
        pulse.changes /= 2
        pulse.readings /= 2
        pulse.zeros /= 2


def _is_negative(limits: _Limits, pulse: _Pulse, look: _Look) -> bool:
    """Return whether the reading has been below −3σ − LOD for a minute."""
    lod = limits.lod if limits.lod is not None else max(3 * look.noise, limits.resolution)
    if limits.counting or limits.low < 0 or look.z >= -3 * look.noise - lod:
        pulse.since_us = None
        return False
    if pulse.since_us is None:
        pulse.since_us = look.time_us
    return look.time_us - pulse.since_us >= NEGATIVE_US


def _noise_flag(pulse: _Pulse, nis: float, verdict: int) -> int:
    noisy = pulse.flags & _NOISE
    if verdict in _CALM and not isnan(nis):
        pulse.mean_nis += (min(nis, _GREATEST_NIS) - pulse.mean_nis) / NOISE_SAMPLES
        return _NOISE if pulse.mean_nis > (_NOISE_CLEAR if noisy else NOISE_RATIO) else 0
    return noisy


def _over_range(limits: _Limits, pulse: _Pulse, z: float, flags: int) -> int:
    if z >= limits.full:
        pulse.back = 0
        return flags | _OVER_RANGE
    if flags & _OVER_RANGE:
        pulse.back = pulse.back + 1 if z < limits.back else 0
        if pulse.back >= _BACK_IN_RANGE_SAMPLES:
            return flags & ~_OVER_RANGE
    return flags
