"""All rules of one channel: made together, taken over together by a new configuration."""

from typing import NamedTuple

import msgspec

from cbrn_core.alarm import AlarmKind, Condition, Reason
from cbrn_core.channel import Channel
from cbrn_core.quantities import Hazard, Quantity
from cbrn_core.reading import Purpose
from cbrn_core.site_model import SiteModel
from cbrn_gateway.alarms.policy import Policy
from cbrn_gateway.alarms.rules.cases import CaseBook
from cbrn_gateway.alarms.rules.chemical import ChemicalRule
from cbrn_gateway.alarms.rules.instrument import InstrumentRule
from cbrn_gateway.alarms.rules.radiation import RadiationRule
from cbrn_gateway.alarms.rules.technical import TechnicalRule
from cbrn_gateway.alarms.rules.watched import Watched

WIND = frozenset({Quantity.WIND_SPEED, Quantity.WIND_DIRECTION})
RADIATION = frozenset(
    {Quantity.GAMMA_COUNT_RATE, Quantity.GAMMA_DOSE_RATE, Quantity.NEUTRON_COUNT_RATE}
)
_INSTRUMENT_REASONS = frozenset({Reason.INSTRUMENT_ALARM, Reason.CLASS_DETECTION})


class ChannelRules(NamedTuple):
    """The rules of one channel; `setup` is equal where they would judge alike."""

    watched: Watched
    technical: TechnicalRule
    instrument: InstrumentRule
    chemical: ChemicalRule | None
    radiation: RadiationRule | None
    simulated: bool
    wind: bool
    setup: tuple[object, ...]

    def speaks_for(self, condition: Condition) -> bool:
        """Return whether these rules, as configured now, can end an alarm of theirs."""
        if (condition.purpose == Purpose.ACTUAL) is self.simulated:
            return False
        if condition.key.kind is AlarmKind.TECHNICAL or condition.reason in _INSTRUMENT_REASONS:
            return True
        if self.chemical is not None:
            return condition.key == self.chemical.key
        return self.radiation is not None and condition.key.agent == self.watched.agent

    def adopt(self, condition: Condition) -> None:
        """Take up an open alarm that these rules speak for."""
        if condition.key.kind is AlarmKind.TECHNICAL:
            self.technical.adopt(condition)
        elif condition.reason in _INSTRUMENT_REASONS:
            self.instrument.adopt(condition)
        elif self.chemical is not None:
            self.chemical.adopt(condition)
        elif self.radiation is not None:
            self.radiation.adopt(condition)

    def moved(self, place: "ChannelRules") -> "ChannelRules":
        """Return these rules, going on untouched, where `place` of an equal setup stands."""
        self.watched.move(place.watched)
        if self.radiation is not None and place.radiation is not None:
            self.radiation.share_budget(place.radiation.channels)
        return self

    def inherit(self, before: "ChannelRules") -> None:
        """Go on from the channel's rules under another configuration, as far as that fits."""
        self.watched.last_seen_us = before.watched.last_seen_us
        self.technical.recall(before.technical.memory())
        self.instrument.recall(before.instrument.memory())
        if self.chemical is not None and before.chemical is not None:
            same = _own(before.watched.channel) == _own(self.watched.channel)
            self.chemical.inherit(before.chemical, same_instrument=same)
        if self.radiation is not None and before.radiation is not None:
            self.radiation.inherit(before.radiation)


def channel_rules(
    channel: Channel, model: SiteModel, policy: Policy, cases: CaseBook, radiation_channels: int
) -> ChannelRules:
    """Return the rules of a channel; `radiation_channels` share the budget of false alarms."""
    watched = Watched(channel, model)
    chemical = radiation = None
    levels: object = None
    if watched.hazard is Hazard.CHEMICAL:
        rule = ChemicalRule(watched, policy, cases)
        levels = (policy.chemical, rule.levels)
        chemical = rule if rule.has_levels else None
    elif channel.quantity in RADIATION:
        radiation = RadiationRule(watched, policy, cases, radiation_channels)
        levels = (policy.radiation, radiation.levels)
    every = (policy.technical, policy.instrument, policy.indicative)
    return ChannelRules(
        watched=watched,
        technical=TechnicalRule(watched, policy, cases),
        instrument=InstrumentRule(watched, policy, cases),
        chemical=chemical,
        radiation=radiation,
        simulated=channel.simulated,
        wind=channel.quantity in WIND,
        setup=(_own(channel), watched.mobile, every, levels),
    )


def _own(channel: Channel) -> Channel:
    """Return what a channel is, whatever its device is called."""
    return msgspec.structs.replace(channel, device="")
