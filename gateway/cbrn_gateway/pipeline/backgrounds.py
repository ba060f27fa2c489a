"""What is normal at each radiation station: from which rates a background is learnt, and when.

Single counts of a second say nothing of a background (their median is 0 below 0.69 counts
a second), so readings are put together until 30 s of live time make one rate. A background
speaks once it is commissioned, has settled (fixed: the median of its first quiet 600 s) or
holds 300 quiet seconds (mobile: its own running median). Until then only absolute levels
are judged.
"""

from math import inf, isfinite, pi, sqrt
from typing import NamedTuple

import msgspec

from cbrn_core.channel import Channel
from cbrn_core.errors import ShapeError
from cbrn_core.estimate import Estimate
from cbrn_core.quantities import Quantity, canonical_unit
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_core.units import Unit
from cbrn_fusion.background import (
    LEARNING_US,
    Background,
    BackgroundBank,
    BackgroundModel,
    Basis,
)
from cbrn_gateway.pipeline.intake import Accepted, Intake

RADIATION = frozenset(
    {Quantity.GAMMA_COUNT_RATE, Quantity.GAMMA_DOSE_RATE, Quantity.NEUTRON_COUNT_RATE}
)
BIN_S = 30.0
ABNORMAL_USV_H = 0.5
"""Never learnt as normal: elevated wherever no background is known (safety 10)."""

ABNORMAL_FACTOR = 3.0
_ABNORMAL_SIGMAS = 3.0
_LONGEST_GAP_US = seconds_to_us(120)
_MEDIAN_VARIANCE = pi / 2
"""Of a median, in units of the variance of the mean of the same samples."""

_LEAST_RATES = 10
_MOBILE_LEAST_S = _LEAST_RATES * BIN_S


class Normal(NamedTuple):
    """A background in the channel's canonical unit, one sigma of it, and where it is from."""

    value: float
    sigma: float
    source: str


class _Bin(msgspec.Struct):
    """What was measured since the last rate that was learnt from; `area` is rate × seconds."""

    area: float = 0.0
    livetime_s: float = 0.0
    last_us: int | None = None

    def clear(self) -> None:
        self.area = self.livetime_s = 0.0


class _Memory(msgspec.Struct, frozen=True):
    bank: bytes
    bins: dict[str, _Bin]


class Backgrounds:
    """The backgrounds of a site's radiation channels, by slot of the intake."""

    def __init__(self, model: SiteModel, intake: Intake) -> None:
        slots = [s for s, c in enumerate(intake.channels) if c.quantity in RADIATION]
        models = [_background_model(model, intake, slot) for slot in slots]
        self._index_of = {slot: index for index, slot in enumerate(slots)}
        self._models = models
        self._bank = BackgroundBank(models)
        self._bins = [_Bin() for _ in slots]
        self._abnormal = [_abnormal_from(intake.channels[slot]) for slot in slots]
        self._normals: list[tuple[Background, Normal] | None] = [None for _ in slots]

    def learn(self, item: Accepted, estimate: Estimate) -> Normal | None:
        """Take one reading with its estimate; return what is normal, None while unknown."""
        index = self._index_of[item.slot]
        reading, channel = item.reading, item.channel
        if reading.value is None or self._models[index].commissioned is not None:
            return self._normal(index, channel)
        gap_us = self._gap_us(index, item.filter_us)
        if self._is_abnormal(index, estimate):
            self._bins[index].clear()
            self._bank.add(index, item.filter_us, estimate.value, event=True)
        else:
            known_s = item.livetime_s if channel.counting else None
            seconds = gap_us / US_PER_S if known_s is None or known_s <= 0 else known_s
            self._put(index, item.filter_us, reading.value, seconds)
        return self._normal(index, channel)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        bins = {model.key: bin_ for model, bin_ in zip(self._models, self._bins, strict=True)}
        return msgspec.msgpack.encode(_Memory(self._bank.snapshot(), bins))

    def restore(self, state: bytes) -> int:
        """Take over the stations whose key and model are equal; return how many.

        Raises:
            ShapeError: not a snapshot of backgrounds.
        """
        try:
            memory = msgspec.msgpack.decode(state, type=_Memory)
        except msgspec.DecodeError as error:
            raise ShapeError(f"not a snapshot of backgrounds: {error}") from error
        taken = self._bank.restore(memory.bank)
        self._bins = [memory.bins.get(model.key, _Bin()) for model in self._models]
        return taken

    def _gap_us(self, index: int, time_us: int) -> int:
        """Return the time since the last reading, 0 after a break (which empties the bin)."""
        current = self._bins[index]
        gap_us = 0 if current.last_us is None else max(0, time_us - current.last_us)
        current.last_us = time_us
        if gap_us <= _LONGEST_GAP_US:
            return gap_us
        current.clear()
        return 0

    def _put(self, index: int, time_us: int, rate: float, seconds: float) -> None:
        current = self._bins[index]
        current.area += rate * seconds
        current.livetime_s += seconds
        if current.livetime_s >= BIN_S:
            self._bank.add(index, time_us, current.area / current.livetime_s, event=False)
            current.clear()

    def _is_abnormal(self, index: int, estimate: Estimate) -> bool:
        """Return whether the rate would be elevated, so that it must not become normal.

        A mobile station without a dose factor follows whatever it meets: nothing absolute
        is known of it, and a limit of its own would lock it out of a new place for ever.
        """
        known = self._bank.background(index)
        limit = self._abnormal[index]
        if not self._models[index].mobile and isfinite(known.value):
            relative = ABNORMAL_FACTOR * known.value + _ABNORMAL_SIGMAS * estimate.sigma
            limit = min(limit, relative)
        return estimate.value >= limit

    def _normal(self, index: int, channel: Channel) -> Normal | None:
        known = self._bank.background(index)
        if known.basis is Basis.COMMISSIONED:
            return Normal(known.value, 0.0, known.basis.value)
        if known.basis is Basis.UNKNOWN:
            return None
        if known.basis is Basis.LEARNT and not self._bank.is_settled(index):
            return None
        before = self._normals[index]
        if before is not None and before[0] is known:
            return before[1]
        normal = Normal(known.value, self._uncertainty(index, channel, known), known.basis.value)
        self._normals[index] = (known, normal)
        return normal

    def _uncertainty(self, index: int, channel: Channel, known: Background) -> float:
        """Return one sigma of the median: from the counts in it, else from its spread."""
        if _is_dose_rate(channel) or not channel.counting:
            return sqrt(_MEDIAN_VARIANCE / _LEAST_RATES) * known.sigma
        learnt_s = _MOBILE_LEAST_S if self._models[index].mobile else LEARNING_US / US_PER_S
        one_count_cps = 1.0 / learnt_s
        return sqrt(_MEDIAN_VARIANCE * max(known.value, one_count_cps) / learnt_s)


def _is_dose_rate(channel: Channel) -> bool:
    return canonical_unit(channel.quantity) is Unit.USV_H


def _abnormal_from(channel: Channel) -> float:
    """Return the rate that is elevated whatever the background is; inf without a dose factor."""
    dose = 1.0 if _is_dose_rate(channel) else channel.usv_h_per_cps
    has_dose = bool(dose) and channel.quantity is not Quantity.NEUTRON_COUNT_RATE
    return ABNORMAL_USV_H / dose if has_dose and dose else inf


def _background_model(model: SiteModel, intake: Intake, slot: int) -> BackgroundModel:
    channel = intake.channels[slot]
    commissioned = channel.background
    return BackgroundModel(
        key="/".join(channel.key),
        commissioned=None if commissioned is None else intake.canonical(slot, commissioned.value),
        sigma=None if commissioned is None else intake.canonical(slot, commissioned.sigma),
        mobile=model.stations[channel.station].mobile,
    )
