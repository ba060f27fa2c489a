"""Intake: from what arrived to what may be believed, per channel, in order.

Quality only worsens here. A reading that may not be fused is still stored and still
shown to the rules, which hear an instrument's own alarms and faults.
"""

from collections.abc import Sequence
from math import isfinite

import msgspec

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel, ChannelKey
from cbrn_core.place import Fix, is_place
from cbrn_core.quantities import Hazard, canonical_unit, hazard_of
from cbrn_core.reading import Flag, InstrumentAlarm, Purpose, Quality, Reading, worst
from cbrn_core.site_model import SiteModel
from cbrn_core.units import UnitError, convert
from cbrn_gateway.pipeline.drops import Drop, DropCounter
from cbrn_gateway.pipeline.freshness import (
    Freshness,
    learnt_period_s,
    note_interval,
    still_warms_up,
)
from cbrn_gateway.pipeline.plausible import plausible
from cbrn_gateway.pipeline.timeline import Order

FUSED_HAZARDS = frozenset({Hazard.CHEMICAL, Hazard.RADIOLOGICAL, Hazard.BIOLOGICAL})
_NOT_FUSED = frozenset({Flag.WARMING_UP, Flag.INHIBITED, Flag.CALIBRATING})
_TOLD_OF = frozenset({Flag.INSTRUMENT_FAULT, Flag.INHIBITED, Flag.CALIBRATING})
_NOT_WATCHING = frozenset({InstrumentAlarm.FAULT, InstrumentAlarm.INHIBIT})
_ORDER_FLAGS = {
    Order.BELATED: (Flag.LATE,),
    Order.LATE: (Flag.LATE,),
    Order.CLOCK_SET: (Flag.CLOCK_UNSYNCED,),
}
_OVERTAKEN = frozenset({Order.BELATED, Order.LATE})


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A reading in its canonical unit with the slot of its channel.

    `in_order` says whether none was measured after it, `fusible` whether it may move an
    estimate, `belated` whether its level is judged though it may not, `fresh` whether it
    tells anything of now; `filter_us` is its time for the filters, which never falls;
    `livetime_s` is of a counting reading, None where it is not known (yet).
    """

    slot: int
    channel: Channel
    reading: Reading
    in_order: bool
    fusible: bool
    belated: bool
    fresh: bool
    filter_us: int
    livetime_s: float | None = None


class Intake:
    """Holds the order, the rhythm and the conversions of every channel of one site."""

    def __init__(self, model: SiteModel, drops: DropCounter) -> None:
        self.channels: Sequence[Channel] = tuple(model.channels.values())
        self.freshness = [Freshness() for _ in self.channels]
        self._slots: dict[ChannelKey, int] = {c.key: i for i, c in enumerate(self.channels)}
        self._masses = [_molar_mass_g_mol(c) for c in self.channels]
        self._limits = [self._canonical_range(slot) for slot in range(len(self.channels))]
        self._units = [canonical_unit(c.quantity) for c in self.channels]
        self._is_paced = [c.period_s is not None for c in self.channels]
        self._drops = drops

    def slot_of(self, key: ChannelKey) -> int | None:
        """Return the slot of a channel, None when the site does not have it."""
        return self._slots.get(key)

    def take_over(self, before: "Intake") -> dict[int, int]:
        """Take over order and rhythm by channel; return the slot there and here of each."""
        slots = {
            old: slot
            for old, channel in enumerate(before.channels)
            if (slot := self.slot_of(channel.key)) is not None
        }
        for old, slot in slots.items():
            self.freshness[slot] = before.freshness[old]
        return slots

    def accept(self, reading: Reading, at_us: int) -> Accepted | None:
        """Return the reading as it may be used, None when it names no channel of ours.

        `at_us` is its place on the virtual clock: its arrival, or later.
        """
        slot = self._slots.get((reading.station, reading.channel))
        if slot is None:
            self._drops.add(Drop.UNKNOWN_CHANNEL)
            return None
        channel, freshness = self.channels[slot], self.freshness[slot]
        reading = plausible(reading, at_us, self._drops)
        order = self._place(slot, reading, at_us)
        changed = reading
        if order is not Order.NEXT or not self._is_canonical(slot, reading):
            changed = self._changed(slot, channel, reading, order)
        in_order = order not in _OVERTAKEN
        usable = order is not Order.LATE and self._fusible(changed)
        fusible = in_order and usable
        fresh = in_order and _tells(channel, changed, freshness, at_us, fusible=fusible)
        if fresh:
            freshness.last_received_us = at_us
        filter_us = reading.time_us + freshness.timeline.shift_us
        livetime_s = self._livetime_s(slot, reading)
        belated = usable and not in_order
        return Accepted(
            slot, channel, changed, in_order, fusible, belated, fresh, filter_us, livetime_s
        )

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

    def _is_canonical(self, slot: int, reading: Reading) -> bool:
        """Return whether a plain reading may be used just as it came."""
        value, limits = reading.value, self._limits[slot]
        if value is None or not isfinite(value) or reading.unit is not self._units[slot]:
            return False
        in_range = limits is None or limits[0] <= value <= limits[1]
        fix = reading.fix
        placed = fix is None or is_place(fix.lat, fix.lon)
        marked = reading.purpose is not None or self.channels[slot].simulated
        return in_range and placed and reading.sigma is None and not marked

    def _changed(self, slot: int, channel: Channel, reading: Reading, order: Order) -> Reading:
        value, quality, flags = self._judge(slot, reading)
        return msgspec.structs.replace(
            reading,
            value=value,
            unit=self._units[slot],
            sigma=None if value is None else self._sigma(slot, reading),
            quality=quality,
            flags=(*flags, *_ORDER_FLAGS.get(order, ())),
            purpose=self._purpose(channel, reading),
            fix=self._checked_fix(reading),
        )

    def _livetime_s(self, slot: int, reading: Reading) -> float | None:
        if reading.livetime_s is not None or not self.channels[slot].counting:
            return reading.livetime_s
        return self.period_s(slot)

    def _canonical_range(self, slot: int) -> tuple[float, float] | None:
        limits = self.channels[slot].range
        if limits is None:
            return None
        return (self.canonical(slot, limits[0]), self.canonical(slot, limits[1]))

    def _judge(self, slot: int, reading: Reading) -> tuple[float | None, Quality, tuple[Flag, ...]]:
        value, limits = reading.value, self._limits[slot]
        if value is None:
            over_range = limits is not None and _is_over_range(reading)
            top = limits[1] if limits is not None and over_range else None
            return top, reading.quality, reading.flags
        if not isfinite(value):
            self._drops.add(Drop.NOT_FINITE)
            return None, worst(reading.quality, Quality.BAD), reading.flags
        target = self._units[slot]
        if reading.unit is not target:
            try:
                value = convert(value, reading.unit, target, molar_mass_g_mol=self._masses[slot])
            except UnitError:
                self._drops.add(Drop.UNIT_MISMATCH)
                return None, worst(reading.quality, Quality.BAD), reading.flags
        return self._within_range(slot, value, reading)

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

    def _sigma(self, slot: int, reading: Reading) -> float | None:
        sigma = reading.sigma
        if sigma is None or not isfinite(sigma) or sigma <= 0:
            return None
        target = self._units[slot]
        if reading.unit is target:
            return sigma
        try:
            return convert(sigma, reading.unit, target, molar_mass_g_mol=self._masses[slot])
        except UnitError:
            return None

    def _purpose(self, channel: Channel, reading: Reading) -> Purpose | None:
        """Return the mark of a declared simulated channel; None is actual."""
        marked = reading.purpose not in {None, Purpose.ACTUAL}
        if not channel.simulated:
            if marked:
                self._drops.add(Drop.PURPOSE_MARK_IGNORED)
            return None
        if reading.purpose is Purpose.TEST:
            return Purpose.TEST
        return Purpose.EXERCISE

    def _place(self, slot: int, reading: Reading, at_us: int) -> Order:
        freshness = self.freshness[slot]
        before_us = freshness.timeline.last_us
        order = freshness.timeline.place(reading.time_us, at_us)
        if order is Order.LATE or order is Order.BELATED:
            self._drops.add(Drop.NOT_IN_ORDER)
        elif order is Order.CLOCK_SET:
            self._drops.add(Drop.CLOCK_SET_BACK)
        elif before_us is not None and not self._is_paced[slot]:
            note_interval(freshness, reading.time_us - before_us)
        return order

    def _fusible(self, reading: Reading) -> bool:
        if reading.value is None:
            self._drops.add(Drop.NO_VALUE)
            return False
        if reading.flags and not _NOT_FUSED.isdisjoint(reading.flags):
            self._drops.add(Drop.WARMING_UP)
            return False
        bad = reading.quality is Quality.BAD and not _is_over_range(reading)
        if bad or reading.quality is Quality.STALE:
            self._drops.add(Drop.BAD_QUALITY)
            return False
        return True

    def _checked_fix(self, reading: Reading) -> Fix | None:
        fix = reading.fix
        if fix is None or is_place(fix.lat, fix.lon):
            return fix
        self._drops.add(Drop.BAD_FIX)
        return None


def _tells(
    channel: Channel, reading: Reading, freshness: Freshness, at_us: int, *, fusible: bool
) -> bool:
    """Return whether a reading shows that its channel watches, or why it does not.

    An instrument that goes on reporting without a value that can be used is as blind as
    one that is silent; a fault and an inhibit have alarms of their own.
    """
    if reading.quality is Quality.STALE:
        return False
    if Flag.WARMING_UP in reading.flags:
        return still_warms_up(freshness, at_us)
    freshness.warming_since_us = None
    if fusible or hazard_of(channel.quantity) not in FUSED_HAZARDS:
        return True
    detection = reading.detection
    if not _TOLD_OF.isdisjoint(reading.flags):
        return True
    if detection is None:
        return False
    return reading.quality is not Quality.BAD or detection.instrument_alarm in _NOT_WATCHING


def _is_over_range(reading: Reading) -> bool:
    """Return whether the instrument itself says that there is more than it can show.

    That speaks for gas, however bad the instrument calls its number; not so beside a fault.
    """
    flags = reading.flags
    return Flag.OVER_RANGE in flags and Flag.INSTRUMENT_FAULT not in flags


def _with(flags: tuple[Flag, ...], flag: Flag) -> tuple[Flag, ...]:
    return flags if flag in flags else (*flags, flag)


def _molar_mass_g_mol(channel: Channel) -> float | None:
    agent = AGENTS.get(channel.quantity)
    return None if agent is None else agent.molar_mass_g_mol
