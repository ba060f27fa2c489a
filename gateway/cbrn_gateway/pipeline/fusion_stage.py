"""From accepted readings to estimates: each channel has its filter, health test, background."""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from cbrn_core.estimate import Estimate
from cbrn_core.quantities import Hazard, Quantity, canonical_unit, hazard_of
from cbrn_core.reading import Flag, Purpose, Quality, worst
from cbrn_core.site_model import SiteModel
from cbrn_core.units import Unit
from cbrn_fusion.background import BackgroundBank, BackgroundModel
from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.health import Health, HealthBank
from cbrn_fusion.samples import EstimateBatch, Samples, Verdict
from cbrn_gateway.pipeline.drops import Drop, DropCounter
from cbrn_gateway.pipeline.intake import Accepted, Intake

_FUSED_HAZARDS = frozenset({Hazard.CHEMICAL, Hazard.RADIOLOGICAL, Hazard.BIOLOGICAL})
_RADIATION = frozenset(
    {Quantity.GAMMA_COUNT_RATE, Quantity.GAMMA_DOSE_RATE, Quantity.NEUTRON_COUNT_RATE}
)
_FLAGS_BY_HEALTH = (
    (Health.STUCK, Flag.STUCK),
    (Health.SPIKE, Flag.SPIKE),
    (Health.NOISE, Flag.NOISE),
    (Health.STEP, Flag.STEP),
    (Health.NEGATIVE, Flag.UNDER_RANGE),
)
_REFUSED = frozenset({Verdict.OUT_OF_ORDER, Verdict.NOT_FINITE})
_COUNTS_MEMORY_S = 60.0


class Fused(NamedTuple):
    """One estimate with what the rules need beside it; `background` for radiation only."""

    estimate: Estimate
    radiation: bool
    background: tuple[float, float, str] | None


class FusionStage:
    """The filter bank of one site, its health tests and its radiation backgrounds."""

    def __init__(self, model: SiteModel, intake: Intake, drops: DropCounter) -> None:
        self._intake = intake
        self._drops = drops
        fused = [
            s for s, c in enumerate(intake.channels) if hazard_of(c.quantity) in _FUSED_HAZARDS
        ]
        self._row_of = {slot: row for row, slot in enumerate(fused)}
        models = [_channel_model(intake, slot) for slot in fused]
        self.bank = Bank(models)
        self.health = HealthBank(models)
        radiation = [s for s in fused if intake.channels[s].quantity in _RADIATION]
        self._background_of = {slot: index for index, slot in enumerate(radiation)}
        self.backgrounds = BackgroundBank([_background_model(model, intake, s) for s in radiation])

    def submit(self, accepted: Sequence[Accepted]) -> list[Fused | None]:
        """Return one entry per accepted reading, None where it moves no estimate."""
        fusible = [
            index
            for index, item in enumerate(accepted)
            if item.fusible and item.slot in self._row_of
        ]
        fused: list[Fused | None] = [None] * len(accepted)
        if not fusible:
            return fused
        samples = self._samples([accepted[index] for index in fusible])
        batch = self.bank.submit(samples)
        health = self.health.submit(samples, batch)
        for row, index in enumerate(fusible):
            fused[index] = self._fused(accepted[index], batch, row, int(health[row]))
        return fused

    def _samples(self, items: Sequence[Accepted]) -> Samples:
        readings = [item.reading for item in items]
        return Samples(
            slot=np.array([self._row_of[item.slot] for item in items], dtype=np.int64),
            time_us=np.array([r.time_us for r in readings], dtype=np.int64),
            value=np.array([r.value for r in readings], dtype=np.float64),
            sigma=np.array([_or_nan(r.sigma) for r in readings], dtype=np.float64),
            livetime_s=np.array([self._livetime_s(i) for i in items], dtype=np.float64),
        )

    def _livetime_s(self, item: Accepted) -> float:
        if item.reading.livetime_s is not None:
            return item.reading.livetime_s
        return _or_nan(self._intake.period_s(item.slot)) if item.channel.counting else np.nan

    def _fused(self, item: Accepted, batch: EstimateBatch, row: int, health: int) -> Fused | None:
        verdict = int(batch.verdict[row])
        if verdict in _REFUSED or not isfinite(batch.value[row]):
            self._drops.add(Drop.FILTER_REFUSED)
            return None
        estimate = _estimate(item, batch, row, health)
        if item.channel.quantity not in _RADIATION:
            return Fused(estimate, radiation=False, background=None)
        return Fused(estimate, radiation=True, background=self._background(item, estimate))

    def _background(self, item: Accepted, estimate: Estimate) -> tuple[float, float, str] | None:
        index = self._background_of[item.slot]
        before = self.backgrounds.background(index)
        event = isfinite(before.value) and _is_event(estimate, before.value, before.sigma)
        self.backgrounds.submit(
            np.array([index], dtype=np.int64),
            np.array([item.reading.time_us], dtype=np.int64),
            np.array([item.reading.value], dtype=np.float64),
            np.array([event]),
        )
        now = self.backgrounds.background(index)
        return (now.value, now.sigma, now.basis.value) if isfinite(now.value) else None


def _is_event(estimate: Estimate, background: float, sigma: float) -> bool:
    """Return whether the rate stands out so far that it must not become its own background."""
    return estimate.value - background > 5.0 * max(estimate.sigma, sigma / 3.0)


def _estimate(item: Accepted, batch: EstimateBatch, row: int, health: int) -> Estimate:
    reading = item.reading
    flags = reading.flags
    for bit, flag in _FLAGS_BY_HEALTH:
        if health & bit and flag not in flags:
            flags = (*flags, flag)
    quality = worst(reading.quality, Quality.UNCERTAIN) if health else reading.quality
    if health & Health.STUCK:
        quality = worst(quality, Quality.BAD)
    trend = float(batch.trend_per_min[row])
    return Estimate(
        station=reading.station,
        channel=reading.channel,
        time_us=reading.time_us,
        received_us=reading.received_us,
        value=float(batch.value[row]) - float(batch.step_offset[row]),
        sigma=float(batch.sigma[row]),
        unit=reading.unit,
        nis=float(batch.nis[row]),
        quality=quality,
        flags=flags,
        instrument_value=reading.value,
        trend_per_min=trend if isfinite(trend) else None,
        fix=reading.fix,
        purpose=reading.purpose or Purpose.ACTUAL,
    )


def _channel_model(intake: Intake, slot: int) -> ChannelModel:
    channel = intake.channels[slot]
    kind = Kind.COUNTS if channel.counting else Kind.WALK
    if channel.tau_rise_s is not None and not channel.counting:
        kind = Kind.LAG
    return ChannelModel(
        key="/".join(channel.key),
        kind=kind,
        tau_rise_s=channel.tau_rise_s if kind is Kind.LAG else None,
        tau_fall_s=channel.tau_fall_s if kind is Kind.LAG else None,
        sigma=None if channel.sigma is None else intake.canonical(slot, channel.sigma),
        resolution=intake.canonical(slot, channel.resolution),
        lod=None if channel.lod is None else intake.canonical(slot, channel.lod),
        range=intake.range_of(slot),
        period_s=channel.period_s or 1.0,
        memory_s=_COUNTS_MEMORY_S,
        nonnegative=canonical_unit(channel.quantity) is not Unit.DEG_C,
    )


def _background_model(model: SiteModel, intake: Intake, slot: int) -> BackgroundModel:
    channel = intake.channels[slot]
    commissioned = channel.background
    return BackgroundModel(
        key="/".join(channel.key),
        commissioned=None if commissioned is None else intake.canonical(slot, commissioned.value),
        sigma=None if commissioned is None else intake.canonical(slot, commissioned.sigma),
        mobile=model.stations[channel.station].mobile,
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
