"""Whose turn it is on a bus: fixed phases, missed slots skipped, the silent ones in probe slots.

A poll that failed is repeated soon. A device that answers, but damaged, is never put off for
as long as one that does not answer.
"""

import random
from collections.abc import Mapping
from typing import NamedTuple

from cbrn_core.times import US_PER_S

SILENT_AFTER_MISSES = 3
FIRST_BACK_OFF_US = 2 * US_PER_S
MOST_BACK_OFF_US = 30 * US_PER_S
FIRST_RETRY_US = US_PER_S // 4
MOST_RETRY_US = FIRST_BACK_OFF_US
"""A poll that failed is repeated after so long, twice as long each time, not a period later."""

MISS_APART_US = US_PER_S
"""Repeats that fail within this after a miss are the same miss."""

BEAT_US = 200_000
"""Slots begin on a multiple of this, so that hundreds of wires share a wake-up of the loop."""

REREAD_AFTER_US = US_PER_S // 4
"""A value that is asked for again sooner is the same one: it tells neither a spike, nor a
step that no lag can produce, from gas."""

PROBE_SHARE = 0.05
"""Of the bus's time, at the most, goes to devices that do not answer."""

GARBLED_SHARE = 0.2
"""The same for devices whose answers arrive damaged: they are alive, and may speak of gas."""


class Turn(NamedTuple):
    """Poll this device, not before `at_us` on the steady clock."""

    device_id: str
    at_us: int


class _Seat:
    """One device's place in the round."""

    def __init__(self, period_us: int, due_us: int) -> None:
        self.period_us = period_us
        self.due_us = due_us
        self.started_us = due_us
        self.misses = 0
        self.hurried = False
        self.is_fresh = True
        self.back_off_us = FIRST_BACK_OFF_US
        self.retry_us: int | None = None
        self.retry_wait_us = FIRST_RETRY_US
        self.is_repeat = False
        self.share = PROBE_SHARE
        self.missed_us = due_us

    @property
    def silent(self) -> bool:
        return self.misses >= SILENT_AFTER_MISSES

    def forgive(self) -> None:
        """Forget what was missed."""
        self.misses = 0
        self.back_off_us = FIRST_BACK_OFF_US
        self.retry_us = None
        self.retry_wait_us = FIRST_RETRY_US

    def repeat_soon(self, now_us: int) -> None:
        """Have the next poll before its slot, a little later after each failure.

        A slot that comes soon enough is waited for: others on the bus lose nothing then.
        """
        if self.due_us - now_us <= MISS_APART_US:
            return
        self.retry_us = now_us + _jittered(self.retry_wait_us)
        self.retry_wait_us = min(self.retry_wait_us * 2, MOST_RETRY_US)


class PollSchedule:
    """Decides by the steady clock alone; knows no input or output.

    Every device is polled once at once; then its slots lie at `phase`, a share of its period
    in [0, 1) by which different wires are spread over it.
    """

    def __init__(self, periods_us: Mapping[str, int], start_us: int, phase: float = 0.0) -> None:
        self.skipped = 0
        self.misses_in_a_row = 0
        self._seats = {name: _Seat(period_us, start_us) for name, period_us in periods_us.items()}
        self._phase = phase
        self._hurried: dict[str, int] = {}
        self._probe_from_us = dict.fromkeys((PROBE_SHARE, GARBLED_SHARE), start_us)

    @property
    def silent(self) -> int:
        """Return how many devices do not answer."""
        return sum(seat.silent for seat in self._seats.values())

    @property
    def all_silent(self) -> bool:
        """Return whether no device has answered its last poll, three polls in a row at least."""
        return self.misses_in_a_row >= SILENT_AFTER_MISSES and all(
            seat.misses for seat in self._seats.values()
        )

    def next(self, now_us: int) -> Turn:
        """Return the next turn: those in a hurry first, then whoever is due the longest."""
        at_us, _, name = min(
            (self._due_us(seat), seat.due_us, name) for name, seat in self._seats.items()
        )
        for hurried, from_us in self._hurried.items():
            if from_us <= max(now_us, at_us):
                return Turn(hurried, from_us)
        return Turn(name, at_us)

    def started(self, device_id: str, now_us: int) -> None:
        """Note that a device's poll begins; slots that have passed meanwhile are skipped."""
        seat = self._seats[device_id]
        seat.started_us = now_us
        if self._hurried.pop(device_id, None) is not None:
            seat.hurried = True
        seat.is_repeat = seat.retry_us is not None and now_us < seat.due_us
        seat.retry_us = None
        if seat.silent or seat.due_us > now_us:
            return
        seat.hurried = False
        if seat.is_fresh:
            seat.is_fresh = False
            seat.due_us = self._slot_after(seat, now_us + seat.period_us // 2)
            return
        seat.due_us += seat.period_us
        if seat.due_us <= now_us:
            missed = (now_us - seat.due_us) // seat.period_us + 1
            self.skipped += missed
            seat.due_us += missed * seat.period_us

    def answered(self, device_id: str, now_us: int) -> None:
        """Note an answer: a device that was silent has its regular place again."""
        seat = self._seats[device_id]
        if seat.silent:
            seat.due_us = self._slot_after(seat, now_us + seat.period_us // 2)
        seat.forgive()
        self.misses_in_a_row = 0

    def missed(
        self, device_id: str, started_us: int, now_us: int, *, garbled: bool = False
    ) -> None:
        """Note that a poll from `started_us` to `now_us` brought nothing, or something damaged."""
        seat = self._seats[device_id]
        was_silent = seat.silent
        if not seat.is_repeat or now_us - seat.missed_us >= MISS_APART_US:
            seat.misses += 1
            seat.missed_us = now_us
            self.misses_in_a_row += 1
        if not seat.silent:
            seat.repeat_soon(now_us)
            return
        if garbled:
            seat.share, seat.back_off_us = GARBLED_SHARE, FIRST_BACK_OFF_US
            seat.due_us = now_us + _jittered(seat.back_off_us)
        else:
            if was_silent:
                seat.back_off_us = min(seat.back_off_us * 2, MOST_BACK_OFF_US)
            seat.share, seat.due_us = PROBE_SHARE, now_us + seat.back_off_us
        pause_us = round((now_us - started_us) * (1 / seat.share - 1))
        self._probe_from_us[seat.share] = now_us + pause_us

    def hurry(self, device_id: str) -> bool:
        """Let a device be next, a moment after its last poll and before anybody else.

        Once between two of its slots, so that nobody starves. False where it has had that
        already, is silent, or is not ours.
        """
        seat = self._seats.get(device_id)
        if seat is None or seat.silent or seat.hurried:
            return False
        self._hurried.setdefault(device_id, seat.started_us + REREAD_AFTER_US)
        return True

    def forgive(self, now_us: int) -> None:
        """Give every device a fresh chance, after the wire has been opened again."""
        self._hurried.clear()
        self._probe_from_us = dict.fromkeys(self._probe_from_us, now_us)
        self.misses_in_a_row = 0
        for seat in self._seats.values():
            seat.forgive()
            seat.hurried = False
            seat.is_fresh = True
            seat.due_us = now_us

    def _slot_after(self, seat: _Seat, time_us: int) -> int:
        """Return the first slot of a seat that is not before a moment."""
        phase_us = on_beat(round(self._phase * seat.period_us))
        periods = -(-(time_us - phase_us) // seat.period_us)
        return phase_us + periods * seat.period_us

    def _due_us(self, seat: _Seat) -> int:
        if seat.silent:
            return max(seat.due_us, self._probe_from_us[seat.share])
        return seat.due_us if seat.retry_us is None else min(seat.due_us, seat.retry_us)


def _jittered(wait_us: int) -> int:
    return round(wait_us * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret


def on_beat(time_us: int) -> int:
    """Return the first beat that is not before a moment on the steady clock."""
    return -(-time_us // BEAT_US) * BEAT_US
