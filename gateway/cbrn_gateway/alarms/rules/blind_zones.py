"""Tells when a zone that was watched for a substance has gone blind to it (safety 14, 17)."""

from collections.abc import Mapping, Sequence

import msgspec

from cbrn_core.alarm import AlarmKey, AlarmKind, Basis, Condition, Reason, Scope
from cbrn_core.channel import ChannelKey
from cbrn_core.quantities import Hazard
from cbrn_core.reading import Purpose
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.coverage import Ability, Fitted, ZoneCoverage, coverage
from cbrn_gateway.alarms.policy import Policy, priority

LEAST_FITTED = 2
"""A zone with one sensor is told by that sensor's own alarm, in the same words."""

_PREFIX = "blind_to_"
_LISTED = 4


class BlindZones:
    """Looks again whenever another channel goes blind, or watches again."""

    def __init__(self, model: SiteModel, policy: Policy, fitted: Sequence[Fitted]) -> None:
        self._model = model
        self._priority = priority(policy.technical.coverage_lost)
        self._fitted = fitted
        self._blind: Mapping[ChannelKey, str] | None = None
        self._told: dict[AlarmKey, Condition] = {}

    @property
    def has_told(self) -> bool:
        """Return whether an alarm of ours is open."""
        return bool(self._told)

    def look(self, blind: Mapping[ChannelKey, str], now_us: int) -> list[Condition]:
        """Return what changed with the channels that are `blind` now, each with its reason."""
        if blind == self._blind:
            return []
        self._blind = dict(blind)
        lost = {
            self._key(found): found
            for found in coverage(self._model, self._fitted, blind)
            if found.ability is Ability.CANNOT and found.fitted >= LEAST_FITTED
        }
        ended = [key for key in self._told if key not in lost]
        spoken = [self._condition(key, found, now_us) for key, found in lost.items()]
        for key in ended:
            told = self._told.pop(key)
            spoken.append(_ended(told, now_us))
        self._told |= {condition.key: condition for condition in spoken if condition.active}
        return spoken

    def reconfigure(self, model: SiteModel, policy: Policy, fitted: Sequence[Fitted]) -> None:
        """Go on for another configuration; what is told is looked at again."""
        self._model, self._fitted = model, fitted
        self._priority = priority(policy.technical.coverage_lost)
        self._blind = None

    def adopt(self, condition: Condition) -> None:
        """Take up an open alarm after a restart."""
        self._told[condition.key] = condition
        self._blind = None

    def _key(self, found: ZoneCoverage) -> AlarmKey:
        place = found.zone or self._model.site.id
        return AlarmKey(place, AlarmKind.TECHNICAL, _PREFIX + found.agent)

    def _condition(self, key: AlarmKey, found: ZoneCoverage, now_us: int) -> Condition:
        before = self._told.get(key)
        shown = "; ".join(found.because[:_LISTED])
        more = len(found.because) - _LISTED
        return Condition(
            key=key,
            active=True,
            at_us=now_us,
            observed_us=now_us if before is None else before.observed_us,
            reason=Reason.COVERAGE_LOST,
            priority=self._priority,
            hazard=Hazard.TECHNICAL,
            level="cannot detect",
            basis=Basis.MOMENTARY,
            agent=found.agent,
            zone=found.zone,
            purpose=self._purpose(found),
            scope=Scope.SITE if found.zone is None else Scope.ZONE,
            clears_when="one of its sensors watches again",
            facts={"detail": shown + (f"; and {more} more" if more > 0 else "")},
        )

    def _purpose(self, found: ZoneCoverage) -> Purpose:
        place = (found.zone, found.agent)
        real = [f for f in self._fitted if (f.zone, f.agent) == place and not f.simulated]
        return Purpose.ACTUAL if real else Purpose.EXERCISE


def _ended(told: Condition, now_us: int) -> Condition:
    """Return the condition as over."""
    return msgspec.structs.replace(told, active=False, at_us=now_us)
