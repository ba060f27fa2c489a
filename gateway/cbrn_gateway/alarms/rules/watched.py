"""One channel as the rules see it: its place, its names, and the conditions it may speak."""

import msgspec

from cbrn_core.alarm import (
    AlarmKey,
    AlarmKind,
    Basis,
    Condition,
    Evidence,
    Priority,
    Reason,
)
from cbrn_core.channel import Channel, Grade
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.quantities import Hazard, canonical_unit, hazard_of
from cbrn_core.reading import Flag, Purpose, Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339
from cbrn_gateway.alarms.rules.blindness import blind_to

GAMMA = "gamma"
NEUTRON = "neutron"
_WEIGHT = {Quality.GOOD: 1.0, Quality.UNCERTAIN: 0.5, Quality.BAD: 0.0, Quality.STALE: 0.0}
_TAMPERED_WEIGHT = 0.2


class Watched:
    """The constant facts of one channel, and the provenance of what it says now."""

    def __init__(self, channel: Channel, model: SiteModel) -> None:
        self.channel = channel
        self.model = model
        self.station = model.stations.get(channel.station)
        self.mobile = self.station is not None and self.station.mobile
        self.zone = None if self.station is None else self.station.zone
        self.unit = canonical_unit(channel.quantity)
        self.hazard = hazard_of(channel.quantity)
        self.agent = _agent_name(channel, self.hazard)
        self.place_name = f"{channel.station}/{channel.id}"
        self.is_indicative = channel.grade is Grade.INDICATIVE
        self.purpose = Purpose.EXERCISE if channel.simulated else Purpose.ACTUAL
        self.last_seen_us: int | None = None
        self._templates: dict[AlarmKey, Condition] = {}

    def move(self, place: "Watched") -> None:
        """Stand where `place` does: the same channel in a site that may be another around it."""
        self.channel, self.model = place.channel, place.model
        self.station, self.mobile, self.zone = place.station, place.mobile, place.zone
        self._templates.clear()

    def key(self, kind: AlarmKind, name: str | None = None) -> AlarmKey:
        """Return the key of this channel's alarm of a kind about `name` (default: its agent)."""
        return AlarmKey(self.place_name, kind, name or self.agent)

    def template(self, key: AlarmKey, hazard: Hazard | None = None) -> Condition:
        """Return an inactive condition with everything that does not depend on a reading."""
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._new_template(key, hazard or self.hazard)
        return template

    def judge_purpose(self, reading: Reading) -> bool:
        """Take over the provenance of a reading; return False where its mark was ignored."""
        marked = reading.purpose is not None and reading.purpose is not Purpose.ACTUAL
        if not self.channel.simulated:
            return not marked
        self.note_purpose(reading.purpose)
        return True

    def note_purpose(self, mark: Purpose | None) -> None:
        """Take the mark of a declared simulated channel: exercise unless it says test."""
        self.purpose = Purpose.TEST if mark is Purpose.TEST else Purpose.EXERCISE

    def evidence(self, estimate: Estimate) -> Evidence:
        """Return an estimate as evidence, weighed by its quality."""
        return Evidence(
            station=estimate.station,
            channel=estimate.channel,
            value=estimate.value,
            unit=estimate.unit,
            sigma=estimate.sigma,
            weight=_weight(estimate.quality, estimate.flags),
            quality=estimate.quality,
            observed_at=format_rfc3339(estimate.time_us),
        )

    def reading_evidence(self, reading: Reading) -> Evidence:
        """Return a reading as evidence, weighed by its quality."""
        return Evidence(
            station=reading.station,
            channel=reading.channel,
            value=reading.value,
            unit=reading.unit,
            sigma=reading.sigma,
            weight=_weight(reading.quality, reading.flags) or 1.0,
            quality=reading.quality,
            observed_at=format_rfc3339(reading.time_us),
        )

    def measured_at(self, fix: Fix | None) -> tuple[float, float, float] | None:
        """Return where a mobile station measured; None for a fixed one or without a fix."""
        if not self.mobile or fix is None:
            return None
        return (fix.lat, fix.lon, fix.alt_m or 0.0)

    def _new_template(self, key: AlarmKey, hazard: Hazard) -> Condition:
        technical = key.kind in {AlarmKind.TECHNICAL, AlarmKind.SECURITY}
        chemical = hazard is Hazard.CHEMICAL and not technical
        channels = self.model.channels.values()
        return Condition(
            key=key,
            active=False,
            at_us=0,
            observed_us=0,
            reason=Reason.LEVEL,
            priority=Priority.D,
            hazard=Hazard.TECHNICAL if technical else hazard,
            level="",
            basis=Basis.MOMENTARY,
            agent=None if technical else key.agent,
            station=self.channel.station,
            channel=self.channel.id,
            zone=self.zone,
            unit=self.unit,
            candidates=self._candidates() if chemical and key.agent == self.agent else (),
            cannot_see=blind_to(key.agent, channels) if chemical else (),
            facts=self._service_facts(),
        )

    def _candidates(self) -> tuple[tuple[str, float], ...]:
        others = self.channel.also_answers_to
        if not others:
            return ()
        strongest = sorted(others.items(), key=lambda item: (-abs(item[1]), item[0]))
        return ((self.agent, 1.0), *strongest)

    def _service_facts(self) -> dict[str, str | int | float | bool]:
        site = self.model.site
        if site.in_service:
            return {}
        return {"not_in_service": site.not_in_service_reason or True}


Facts = dict[str, str | int | float | bool]


def spoken(template: Condition, facts: Facts, /, **fields: object) -> Condition:
    """Return an active condition made of a template, more facts and fields of `Condition`."""
    return msgspec.structs.replace(
        template, active=True, facts={**template.facts, **facts}, **fields
    )


def _agent_name(channel: Channel, hazard: Hazard) -> str:
    if hazard is not Hazard.RADIOLOGICAL:
        return channel.quantity.value
    return NEUTRON if channel.quantity.value.startswith(NEUTRON) else GAMMA


def _weight(quality: Quality, flags: tuple[Flag, ...]) -> float:
    return _TAMPERED_WEIGHT if Flag.TAMPERED in flags else _WEIGHT[quality]
