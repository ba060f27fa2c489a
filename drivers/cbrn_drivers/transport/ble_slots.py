"""Which peripherals may hold a link now, and how far to go when one will not work. Pure.

An adapter holds few links at once. They go by priority, then to who waits longest. A
peripheral without a link waits until it has been heard over the radio; one of higher
priority that is heard takes the link of one of lower priority, never of an equal.
"""

import random
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from cbrn_core.times import seconds_to_us

FIRST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
SIGHTING_HOLDS_S = 50.0
"""A peripheral that was heard this long ago may have been carried away."""
FORGIVEN_AFTER_S = 300.0
FORGET_AT = 3
CYCLE_AT = 5
TELL_AT = 7


class Rung(Enum):
    """What to do after a failure, besides trying again."""

    RECONNECT = "reconnect"
    FORGET = "forget"
    CYCLE = "cycle"
    TELL = "tell"


class _Standing(msgspec.Struct):
    """One peripheral; `failures` are in a row, since a valid value last came."""

    priority: int
    holds: bool = False
    yields: bool = False
    failures: int = 0
    due_us: int = 0
    waits_since_us: int = 0
    seen_us: int | None = None
    failed_us: int | None = None


class Slots:
    """Gives out at most `most` links; all times on the steady clock in µs.

    `jitter(a, b)` returns a random number between the two.
    """

    def __init__(
        self,
        priorities: Mapping[str, int],
        most: int,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._standings = {address: _Standing(p) for address, p in priorities.items()}
        self._most = most
        self._jitter = jitter

    @property
    def held(self) -> int:
        """Return how many links are held, or being made."""
        return sum(s.holds for s in self._standings.values())

    @property
    def is_looking(self) -> bool:
        """Return whether a peripheral that is not linked would get a link if it were heard."""
        waiting = [s.priority for s in self._standings.values() if not s.holds]
        if not waiting or self.held < self._most:
            return bool(waiting)
        return min(waiting) < max(s.priority for s in self._standings.values() if s.holds)

    def waiting(self, now_us: int) -> int:
        """Return how many that were heard have no link."""
        return sum(not s.holds and _is_sighted(s, now_us) for s in self._standings.values())

    def seen(self, address: str, now_us: int) -> bool:
        """Note that a peripheral was heard; return whether it is one that waits for a link."""
        standing = self._standings.get(address)
        if standing is None or standing.holds:
            return False
        long_ago_us = now_us - seconds_to_us(FORGIVEN_AFTER_S)
        if standing.failed_us is not None and standing.failed_us < long_ago_us:
            standing.failures = 0
        if standing.seen_us is None:
            standing.waits_since_us = now_us
        standing.seen_us = now_us
        return True

    def unsee(self, address: str) -> None:
        """Note that a peripheral has to be heard again before it can be connected."""
        self._standings[address].seen_us = None

    def grant(self, now_us: int) -> list[str]:
        """Give the free links away; return who got one."""
        granted = self._ready(now_us)[: max(self._most - self.held, 0)]
        for address in granted:
            self._standings[address].holds = True
        return granted

    def yielding(self, now_us: int) -> list[str]:
        """Return who must give its link up for a peripheral of higher priority; told once.

        Only one that was heard since it last failed takes a link away from another.
        """
        claims = [
            s.priority for s in map(self._standings.__getitem__, self._ready(now_us)) if _is_here(s)
        ]
        held = [(s.priority, a) for a, s in self._standings.items() if s.holds and not s.yields]
        worst_first = sorted(held, key=lambda holder: -holder[0])
        on_their_way = sum(s.yields for s in self._standings.values())
        leaving = []
        for claim, (priority, address) in zip(claims[on_their_way:], worst_first, strict=False):
            if claim < priority:
                self._standings[address].yields = True
                leaving.append(address)
        return leaving

    def progressed(self, address: str, now_us: int) -> None:
        """Note that a valid value came: it is here, and what failed before is forgiven."""
        standing = self._standings[address]
        standing.failures = 0
        standing.seen_us = now_us

    def yielded(self, address: str, now_us: int) -> None:
        """Take the link back from one that gave it up for another."""
        self._release(address, now_us)

    def failed(self, address: str, now_us: int) -> Rung:
        """Take the link back from one that failed or was lost; return what to do."""
        standing = self._release(address, now_us)
        standing.failures += 1
        standing.failed_us = now_us
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(standing.failures - 1, 10), MOST_WAIT_S)
        standing.due_us = now_us + seconds_to_us(wait_s * self._jitter(0.5, 1.0))
        if standing.failures >= TELL_AT:
            return Rung.TELL
        if standing.failures == CYCLE_AT:
            return Rung.CYCLE
        return Rung.FORGET if standing.failures == FORGET_AT else Rung.RECONNECT

    def all_fail(self, now_us: int) -> bool:
        """Return whether somebody is heard, and all who are have failed several times."""
        heard = [s for s in self._standings.values() if s.holds or _is_sighted(s, now_us)]
        return bool(heard) and all(s.failures >= FORGET_AT for s in heard)

    def reopened(self) -> None:
        """Begin anew with the adapter: nothing is linked or heard; who failed stays on its rung."""
        for address, standing in self._standings.items():
            self._standings[address] = _Standing(
                standing.priority, failures=standing.failures, failed_us=standing.failed_us
            )

    def forgive(self) -> None:
        """Let everybody begin at the foot of the ladder: over another adapter."""
        for standing in self._standings.values():
            standing.failures = 0

    def next_us(self, now_us: int) -> int | None:
        """Return when somebody's wait ends, None where nobody who was heard waits."""
        waits = [
            s.due_us
            for s in self._standings.values()
            if not s.holds and s.due_us > now_us and _is_sighted(s, now_us)
        ]
        return min(waits, default=None)

    def _ready(self, now_us: int) -> list[str]:
        """Return who may be connected now, who comes first first."""
        ready = [
            (s.priority, s.waits_since_us, address)
            for address, s in self._standings.items()
            if not s.holds and s.due_us <= now_us and _is_sighted(s, now_us)
        ]
        return [address for _, _, address in sorted(ready)]

    def _release(self, address: str, now_us: int) -> _Standing:
        standing = self._standings[address]
        standing.holds = standing.yields = False
        standing.waits_since_us = now_us
        return standing


def _is_sighted(standing: _Standing, now_us: int) -> bool:
    seen_us = standing.seen_us
    return seen_us is not None and now_us - seen_us <= seconds_to_us(SIGHTING_HOLDS_S)


def _is_here(standing: _Standing) -> bool:
    if standing.seen_us is None:
        return False
    return standing.failed_us is None or standing.seen_us > standing.failed_us
