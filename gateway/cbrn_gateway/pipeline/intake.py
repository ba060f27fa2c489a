"""Intake: from what arrived to what may be believed, per channel, in order.

Quality only worsens here. A reading that may not be fused is still stored and still
shown to the rules, which hear an instrument's own alarms and faults.
"""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel, ChannelKey
from cbrn_core.place import Fix, Position
from cbrn_core.quantities import canonical_unit
from cbrn_core.reading import Flag, Purpose, Quality, Reading, worst
from cbrn_core.site_model import SiteModel
from cbrn_core.units import UnitError, convert
from cbrn_gateway.pipeline.drops import Drop, DropCounter
from cbrn_gateway.pipeline.freshness import Freshness, learnt_period_s, note_interval

_NOT_FUSED = frozenset({Flag.WARMING_UP, Flag.INHIBITED, Flag.CALIBRATING})


class Accepted(NamedTuple):
    """A reading in its canonical unit with the slot of its channel.

    `fusible` says whether it may move an estimate; `livetime_s` is of a counting reading,
    None where it is not known (yet).
    """

    slot: int
    channel: Channel
    reading: Reading
    fusible: bool
    livetime_s: float | None = None


class Intake:
    """Holds the order, the rhythm and the conversions of every channel of one site."""

    def __init__(self, model: SiteModel, drops: DropCounter) -> None:
        self.channels: Sequence[Channel] = tuple(model.channels.values())
        self.freshness = [Freshness() for _ in self.channels]
        self._slots: dict[ChannelKey, int] = {c.key: i for i, c in enumerate(self.channels)}
        self._masses = [_molar_mass_g_mol(c) for c in self.channels]
        self._limits = [self._canonical_range(slot) for slot in range(len(self.channels))]
        self._drops = drops

    def slot_of(self, key: ChannelKey) -> int | None:
        """Return the slot of a channel, None when the site does not have it."""
        return self._slots.get(key)

    def accept(self, reading: Reading, at_us: int) -> Accepted | None:
        """Return the reading as it may be used, None when it names no channel of ours.

        `at_us` is its place on the virtual clock: its arrival, or later.
        """
        slot = self._slots.get((reading.station, reading.channel))
        if slot is None:
            self._drops.add(Drop.UNKNOWN_CHANNEL)
            return None
        channel = self.channels[slot]
        value, quality, flags, convertible = self._judge(slot, channel, reading)
        purpose = self._purpose(channel, reading)
        in_order = self._note_arrival(slot, reading, at_us)
        changed = msgspec.structs.replace(
            reading,
            value=value,
            unit=canonical_unit(channel.quantity),
            sigma=self._sigma(slot, channel, reading) if convertible else None,
            quality=quality,
            flags=flags if in_order else (*flags, Flag.LATE),
            purpose=purpose,
            fix=self._checked_fix(reading),
        )
        fusible = in_order and self._fusible(changed)
        return Accepted(slot, channel, changed, fusible, self._livetime_s(slot, reading))

    def canonical(self, slot: int, value: float) -> float:
        """Return a figure of the channel's own unit in its canonical unit."""
        channel = self.channels[slot]
        target = canonical_unit(channel.quantity)
        return convert(value, channel.unit, target, molar_mass_g_mol=self._masses[slot])

    def range_of(self, slot: int) -> tuple[float, float] | None:
        """Return the channel's range in its canonical unit."""
        return self._limits[slot]

    def period_s(self, slot: int) -> float | None:
        """Return the channel's period, configured or learnt; None while it is unknown."""
        return learnt_period_s(self.channels[slot], self.freshness[slot])

    def _livetime_s(self, slot: int, reading: Reading) -> float | None:
        if reading.livetime_s is not None or not self.channels[slot].counting:
            return reading.livetime_s
        return self.period_s(slot)

    def _canonical_range(self, slot: int) -> tuple[float, float] | None:
        limits = self.channels[slot].range
        if limits is None:
            return None
        return (self.canonical(slot, limits[0]), self.canonical(slot, limits[1]))

    def _judge(
        self, slot: int, channel: Channel, reading: Reading
    ) -> tuple[float | None, Quality, tuple[Flag, ...], bool]:
        value = reading.value
        if value is None:
            return None, reading.quality, reading.flags, True
        if not isfinite(value):
            self._drops.add(Drop.NOT_FINITE)
            return None, worst(reading.quality, Quality.BAD), reading.flags, True
        target = canonical_unit(channel.quantity)
        if reading.unit is not target:
            try:
                value = convert(value, reading.unit, target, molar_mass_g_mol=self._masses[slot])
            except UnitError:
                self._drops.add(Drop.UNIT_MISMATCH)
                return None, worst(reading.quality, Quality.BAD), reading.flags, False
        return *self._within_range(slot, value, reading), True

    def _within_range(
        self, slot: int, value: float, reading: Reading
    ) -> tuple[float, Quality, tuple[Flag, ...]]:
        limits = self._limits[slot]
        if limits is not None and value > limits[1]:
            return limits[1], reading.quality, _with(reading.flags, Flag.OVER_RANGE)
        if limits is not None and value < limits[0]:
            quality = worst(reading.quality, Quality.UNCERTAIN)
            return value, quality, _with(reading.flags, Flag.UNDER_RANGE)
        return value, reading.quality, reading.flags

    def _sigma(self, slot: int, channel: Channel, reading: Reading) -> float | None:
        sigma = reading.sigma
        if sigma is None or not isfinite(sigma) or sigma <= 0:
            return None
        target = canonical_unit(channel.quantity)
        if reading.unit is target:
            return sigma
        return convert(sigma, reading.unit, target, molar_mass_g_mol=self._masses[slot])

    def _purpose(self, channel: Channel, reading: Reading) -> Purpose:
        marked = reading.purpose not in {None, Purpose.ACTUAL}
        if not channel.simulated:
            if marked:
                self._drops.add(Drop.PURPOSE_MARK_IGNORED)
            return Purpose.ACTUAL
        if reading.purpose is Purpose.TEST:
            return Purpose.TEST
        return Purpose.EXERCISE

    def _note_arrival(self, slot: int, reading: Reading, at_us: int) -> bool:
        freshness = self.freshness[slot]
        if reading.quality is not Quality.STALE:
            freshness.last_received_us = at_us
        if freshness.last_time_us is not None and reading.time_us <= freshness.last_time_us:
            self._drops.add(Drop.NOT_IN_ORDER)
            return False
        note_interval(freshness, reading.time_us)
        return True

    def _fusible(self, reading: Reading) -> bool:
        if reading.value is None:
            self._drops.add(Drop.NO_VALUE)
            return False
        if not _NOT_FUSED.isdisjoint(reading.flags):
            self._drops.add(Drop.WARMING_UP)
            return False
        if reading.quality in {Quality.BAD, Quality.STALE}:
            self._drops.add(Drop.BAD_QUALITY)
            return False
        return True

    def _checked_fix(self, reading: Reading) -> Fix | None:
        fix = reading.fix
        if fix is None or Position(lat=fix.lat, lon=fix.lon).is_valid():
            return fix
        self._drops.add(Drop.BAD_FIX)
        return None


def _with(flags: tuple[Flag, ...], flag: Flag) -> tuple[Flag, ...]:
    return flags if flag in flags else (*flags, flag)


def _molar_mass_g_mol(channel: Channel) -> float | None:
    agent = AGENTS.get(channel.quantity)
    return None if agent is None else agent.molar_mass_g_mol
