"""Being a service of systemd: ready, alive, what it is doing, stopping (sd_notify(3)).

The watchdog is fed only while there is real progress. A loop that is blocked feeds
nothing by itself; whatever can hang beside the loop is a `Vital` that is asked.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping

from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S

_LOG = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
STATUS_EVERY_S = 5.0
_LONGEST_STATUS = 500

Vital = Callable[[], str | None]
"""Returns in plain words what does not go on, None while all is well."""


class ServiceSocket:
    """The datagram socket of the service manager; without one everything is a no-op."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s if address else None
        self._address = address
        self._is_lost = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceSocket":
        """Return the socket that systemd names; an address of another kind is ignored."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls(None)
        return cls(address, _watchdog_s(environment))

    def tell(self, *lines: str) -> None:
        """Send `NAME=value` lines in one datagram; never waits, never raises."""
        if self._address is None:
            return
        # a leading @ stands for the zero byte of the abstract name space
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
            self._is_lost = False
        except OSError as error:
            if not self._is_lost:
                _LOG.warning("the service manager cannot be told: %s", error)
            self._is_lost = True


class Answers:
    """A vital: something beside the loop – a thread, a disk – must answer in time.

    One question is out at a time, the next `every_s` (a quarter of `within_s`) after the
    last; a refusal is an answer too: it is told elsewhere.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], Awaitable[object]],
        clock: Clock,
        within_s: float,
        every_s: float | None = None,
    ) -> None:
        self._name = name
        self._ask = ask
        self._clock = clock
        self._within_s = within_s
        self._every_s = within_s / 4 if every_s is None else every_s
        self._asking: asyncio.Future[None] | None = None
        self._asked_us = 0

    def __call__(self) -> str | None:
        """Return that the answer is overdue; ask anew where one has come."""
        since_us = self.silent_since_us()
        if since_us is None:
            return None
        silent_s = (self._clock.now().steady_us - since_us) / US_PER_S
        return f"{self._name} has not answered for {silent_s:.0f} s"

    def silent_since_us(self) -> int | None:
        """Return the steady time of the question whose answer is overdue; ask anew else."""
        now_us = self._clock.now().steady_us
        since_s = (now_us - self._asked_us) / US_PER_S
        if self._asking is None or self._asking.done():
            if self._asking is None or since_s >= self._every_s:
                self._asking = asyncio.ensure_future(self._hear())
                self._asked_us = now_us
            return None
        return self._asked_us if since_s > self._within_s else None

    @property
    def is_waiting(self) -> bool:
        """Return whether no answer has come to the last question yet, or nothing was asked."""
        return self._asking is None or not self._asking.done()

    async def _hear(self) -> None:
        try:
            await self._ask()
        except StorageError as refusal:
            _LOG.debug("%s answers with a refusal: %s", self._name, refusal)


class Pace:
    """How many a second, between one question and the next."""

    def __init__(self, clock: Clock, count: Callable[[], int]) -> None:
        self._clock = clock
        self._count = count
        self._before = (clock.now().steady_us, count())

    def __call__(self) -> float:
        """Return the pace since the last call, 0 where no time has passed."""
        then_us, counted = self._before
        now_us, count = self._before = (self._clock.now().steady_us, self._count())
        return (count - counted) * US_PER_S / (now_us - then_us) if now_us > then_us else 0.0


class Service:
    """Tells the service manager of one daemon; `run` until cancelled.

    Args:
        is_turning: whether the pipeline has turned for the first time.
        vitals: all must be well for the watchdog to be fed.
        status: one plain line about what the daemon does.
    """

    def __init__(
        self,
        manager: ServiceSocket,
        clock: Clock,
        *,
        is_turning: Callable[[], bool],
        vitals: Iterable[Vital],
        status: Callable[[], str],
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._is_turning = is_turning
        self._vitals = vitals
        self._status = status
        self._trouble: str | None = None
        self._said: str | None = None
        self._said_us = 0

    async def run(self) -> None:
        """Say ready once the pipeline turns, then alive as long as it is, at last stopping."""
        try:
            while not self._is_turning():
                await self._clock.sleep(LOOK_EVERY_S)
            self._manager.tell("READY=1", f"STATUS={self._line()}")
            await self._stay()
        finally:
            self._manager.tell("STOPPING=1", "STATUS=stopping in order")

    async def _stay(self) -> None:
        fed_us: int | None = None
        while True:
            watchdog_s = self._manager.watchdog_s
            now_us = self._clock.now().steady_us
            if watchdog_s is not None:
                self._look()
                # one look early rather than one late
                due_us = (watchdog_s / 2 - self._look_every_s) * US_PER_S
                if self._trouble is None and (fed_us is None or now_us - fed_us >= due_us):
                    self._manager.tell("WATCHDOG=1")
                    fed_us = now_us
            self._tell_status(now_us)
            await self._clock.sleep(self._look_every_s)

    @property
    def _look_every_s(self) -> float:
        watchdog_s = self._manager.watchdog_s
        return LOOK_EVERY_S if watchdog_s is None else min(LOOK_EVERY_S, watchdog_s / 8)

    def _look(self) -> None:
        # all are asked, every time: an answer that came late is heard all the same
        troubles = [trouble for vital in self._vitals if (trouble := vital()) is not None]
        trouble = "; ".join(troubles) or None
        if trouble is not None and self._trouble is None:
            _LOG.error("no progress, the watchdog is not fed: %s", trouble)
        if trouble is None and self._trouble is not None:
            _LOG.warning("progress again after: %s", self._trouble)
        if (trouble is None) is not (self._trouble is None):
            self._said_us = 0  # what changed is told at once
        self._trouble = trouble

    def _tell_status(self, now_us: int) -> None:
        if now_us - self._said_us < STATUS_EVERY_S * US_PER_S:
            return
        self._said_us = now_us
        line = self._line()
        if line != self._said:
            self._said = line
            self._manager.tell(f"STATUS={line}")

    def _line(self) -> str:
        line = self._status() if self._trouble is None else f"NO PROGRESS: {self._trouble}"
        return " ".join(line.split())[:_LONGEST_STATUS]


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's time where systemd means this process, None without one."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    written = environment.get("WATCHDOG_USEC", "")
    if not (written.isascii() and written.isdigit()) or int(written) == 0:
        return None
    return int(written) / US_PER_S
