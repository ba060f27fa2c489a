"""From accepted readings to estimates: each channel has its filter, health test, background."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.estimate import Estimate
from cbrn_core.quantities import canonical_unit, hazard_of
from cbrn_core.reading import Flag, Purpose, Quality, worst
from cbrn_core.site_model import SiteModel
from cbrn_core.units import Unit
from cbrn_fusion.bank import Bank
from cbrn_fusion.channel_model import ChannelModel, Kind
from cbrn_fusion.health import Health, HealthBank
from cbrn_fusion.samples import OneSample, Outcome, Verdict
from cbrn_gateway.pipeline.backgrounds import RADIATION, Backgrounds, Normal
from cbrn_gateway.pipeline.drops import Drop, DropCounter
from cbrn_gateway.pipeline.intake import FUSED_HAZARDS, Accepted, Intake

_FLAGS_BY_HEALTH = (
    (Health.STUCK, Flag.STUCK),
    (Health.SPIKE, Flag.SPIKE),
    (Health.NOISE, Flag.NOISE),
    (Health.STEP, Flag.STEP),
    (Health.NEGATIVE, Flag.UNDER_RANGE),
)
_SPIKE = int(Health.SPIKE)
_REFUSED = frozenset({Verdict.OUT_OF_ORDER, Verdict.NOT_FINITE})
_COUNTS_MEMORY_S = 60.0
_SPIKE_SIGMAS = 8.0
_SPIKE_LODS = 3.0


class Fused(msgspec.Struct, frozen=True, gc=False):
    """One estimate with what the rules need beside it.

    `background` is for radiation only, and None until relative rules may speak.
    """

    estimate: Estimate
    radiation: bool
    background: Normal | None


class FusionStage:
    """The filter bank of one site, its health tests and its radiation backgrounds."""

    def __init__(self, model: SiteModel, intake: Intake, drops: DropCounter) -> None:
        self._drops = drops
        fused = [s for s, c in enumerate(intake.channels) if hazard_of(c.quantity) in FUSED_HAZARDS]
        self._row_of = {slot: row for row, slot in enumerate(fused)}
        models = list(filter_models(intake).values())
        self.models = models
        self.bank = Bank(models)
        self.health = HealthBank(models)
        self.backgrounds = Backgrounds(model, intake)
        self._lods = [model.lod for model in models]
        self.shown: list[float | None] = [None] * len(models)

    def last_shown(self) -> dict[str, float]:
        """Return what each instrument showed last, by "station/channel"."""
        pairs = zip(self.models, self.shown, strict=True)
        return {model.key: shown for model, shown in pairs if shown is not None}

    def recall_shown(self, shown: Mapping[str, float]) -> None:
        """Take over what `last_shown` gave."""
        self.shown = [shown.get(model.key) for model in self.models]

    def take_over(self, before: "FusionStage") -> None:
        """Take over the filters whose channel and model are equal, likewise the backgrounds."""
        self.bank.restore(before.bank.snapshot())
        self.health.restore(before.health.snapshot())
        self.backgrounds.restore(before.backgrounds.snapshot())
        shown = {
            (model.key, model.hash()): value
            for model, value in zip(before.models, before.shown, strict=True)
        }
        self.shown = [shown.get((model.key, model.hash())) for model in self.models]

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
        samples = [self._sample(accepted[index]) for index in fusible]
        outcomes = self.bank.take(samples)
        health = self.health.judge(samples, outcomes)
        for index, outcome, found in zip(fusible, outcomes, health, strict=True):
            estimate = self._estimate(accepted[index], outcome, found)
            if estimate is not None:
                fused[index] = self._fused(accepted[index], estimate)
        return fused

    def _sample(self, item: Accepted) -> OneSample:
        reading = item.reading
        return OneSample(
            self._row_of[item.slot],
            item.filter_us,
            _or_nan(reading.value),
            _or_nan(reading.sigma),
            _or_nan(item.livetime_s),
        )

    def _estimate(self, item: Accepted, outcome: Outcome, health: int) -> Estimate | None:
        if outcome.verdict in _REFUSED or not isfinite(outcome.value):
            self._drops.add(Drop.FILTER_REFUSED)
            return None
        if health & _SPIKE and not self._stood_out(item, outcome.noise_sigma):
            health &= ~_SPIKE
        self.shown[self._row_of[item.slot]] = item.reading.value
        return _estimate(item, outcome, health)

    def _stood_out(self, item: Accepted, noise: float) -> bool:
        """Return whether the sample before this one was more than noise may be.

        A cell that rests at nothing shows half of its noise, which looks like spikes.
        """
        index = self._row_of[item.slot]
        spike, shown = self.shown[index], item.reading.value
        if spike is None or shown is None:
            return False
        least = max(_SPIKE_SIGMAS * noise, _SPIKE_LODS * (self._lods[index] or 0.0))
        return abs(spike - shown) >= least

    def _fused(self, item: Accepted, estimate: Estimate) -> Fused:
        if item.channel.quantity not in RADIATION:
            return Fused(estimate, radiation=False, background=None)
        normal = self.backgrounds.learn(item, estimate)
        return Fused(estimate, radiation=True, background=normal)


def filter_models(intake: Intake) -> dict[ChannelKey, ChannelModel]:
    """Return the filter model of each channel that has one; where it is equal, a filter goes on."""
    return {
        channel.key: _channel_model(intake, slot)
        for slot, channel in enumerate(intake.channels)
        if hazard_of(channel.quantity) in FUSED_HAZARDS
    }


def _estimate(item: Accepted, outcome: Outcome, health: int) -> Estimate:
    reading = item.reading
    flags, quality = reading.flags, reading.quality
    if health:
        flags, quality = _worsened(flags, quality, health)
    trend = outcome.trend_per_min
    return Estimate(
        station=reading.station,
        channel=reading.channel,
        time_us=reading.time_us,
        received_us=reading.received_us,
        value=outcome.value - outcome.step_offset,
        sigma=outcome.sigma,
        unit=reading.unit,
        nis=outcome.nis,
        quality=quality,
        flags=flags,
        instrument_value=reading.value,
        trend_per_min=trend if isfinite(trend) else None,
        fix=reading.fix,
        purpose=reading.purpose or Purpose.ACTUAL,
    )


def _worsened(
    flags: tuple[Flag, ...], quality: Quality, health: int
) -> tuple[tuple[Flag, ...], Quality]:
    for bit, flag in _FLAGS_BY_HEALTH:
        if health & bit and flag not in flags:
            flags = (*flags, flag)
    return flags, worst(quality, Quality.BAD if health & Health.STUCK else Quality.UNCERTAIN)


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


def _or_nan(value: float | None) -> float:
    return nan if value is None else float(value)
