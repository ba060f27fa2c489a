"""InfluxDB sink: from the durable spool, exactly what the database acknowledged is deleted.

A repeat is harmless: same measurement, tags and time overwrite themselves.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from cbrn_core.clock import Clock
from cbrn_core.errors import DeliveryError, PoisonBatch, Refused, TransportError
from cbrn_core.times import seconds_to_us
from cbrn_gateway.sinks.influx_client import InfluxLink, TryLater
from cbrn_gateway.sinks.influx_settings import InfluxSettings
from cbrn_gateway.sinks.line_protocol import NS_PER_US, encode_line
from cbrn_gateway.sinks.outbox import (
    LineSpool,
    RefusedCallback,
    SpoolRow,
    ignore_progress,
    ignore_refusal,
)
from cbrn_gateway.sinks.waiting import wait_for_wake

_BAD_REQUEST = 400


class InfluxSink:
    """Writes the spool, oldest first; in a backlog the newest lines go ahead of it.

    Counters: `influx_rows`, `influx_quarantined`, `influx_refused`, `influx_live_rows`,
    `influx_live_rejected`, `influx_round_trip_ms` (of the last write).
    """

    name = "influx"

    def __init__(
        self,
        settings: InfluxSettings,
        spool: LineSpool,
        clock: Clock,
        *,
        is_held: Callable[[], bool] = lambda: False,
        on_refused: RefusedCallback = ignore_refusal,
        on_progress: Callable[[], None] = ignore_progress,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._settings = settings
        self._spool = spool
        self._clock = clock
        self._is_held = is_held
        self._on_refused = on_refused
        self._on_progress = on_progress
        self._wake = asyncio.Event()
        self._live: deque[bytes] = deque(maxlen=settings.live_rows)
        self._not_before_us = 0

    def wake(self) -> None:
        """Say that the spool has something new; call it on the event loop."""
        self._wake.set()

    def offer_live(self, lines: Iterable[bytes]) -> None:
        """Take lines that are spooled, too, to be shown early while a backlog drains.

        Only the newest are kept. While nothing may be delivered none is: the spool puts
        times right that were written by a wrong clock, this cannot.
        """
        if self._is_held():
            self._live.clear()
        else:
            self._live.extend(lines)

    async def run(self) -> None:
        """Deliver until cancelled or until something must be waited for.

        Raises:
            Refused: the database does not let us in, or the bucket is missing; nothing is
                discarded.
            TransportError: connection lost or overloaded (`TryLater.retry_after_s`; the
                next `run` waits for it too).
            DeliveryError: an answer that means neither.
            StorageError: the spool failed.
            ConfigError: a file of TLS cannot be used now.
        """
        await self._wait_as_asked()
        if self._settings.is_tls:
            tls_context = await asyncio.to_thread(self._settings.tls_context)
        else:
            tls_context = self._settings.tls_context()
        async with InfluxLink(self._settings, tls_context) as link:
            try:
                while True:
                    if not self._is_held():
                        await self._drain(link)
                    await wait_for_wake(self._wake)
            except Refused as refused:
                self.counters["influx_refused"] += 1
                self._on_refused(
                    f"{self._settings.url} {self._settings.bucket}", refused.reason_code
                )
                raise
            except TryLater as busy:
                self._note_wish(busy)
                raise

    async def _wait_as_asked(self) -> None:
        wait_us = self._not_before_us - self._clock.now().steady_us
        if wait_us > 0:
            await self._clock.sleep(wait_us / seconds_to_us(1.0))

    def _note_wish(self, busy: TryLater) -> None:
        if busy.retry_after_s is not None:
            now_us = self._clock.now().steady_us
            self._not_before_us = now_us + seconds_to_us(busy.retry_after_s)

    async def _drain(self, link: InfluxLink) -> None:
        while rows := await self._spool.peek_lines(
            self._settings.batch_rows, self._settings.batch_bytes
        ):
            if self._is_backlog(rows):
                await self._write_live(link)
            else:
                self._live.clear()
            await self._deliver(link, rows)
            await self._spool.delete_lines_through(rows[-1].seq)
            self._on_progress()

    def _is_backlog(self, rows: Sequence[SpoolRow]) -> bool:
        size_bytes = sum(len(row.line) for row in rows)
        nearly_full = size_bytes + len(rows[-1].line) > self._settings.batch_bytes
        return len(rows) >= self._settings.batch_rows or nearly_full

    async def _write_live(self, link: InfluxLink) -> None:
        lines, self._live = self._live, deque(maxlen=self._live.maxlen)
        if not lines:
            return
        try:
            await link.write(list(lines))
            self.counters["influx_live_rows"] += len(lines)
        except PoisonBatch:
            # the bad line is found when the spool reaches it
            self.counters["influx_live_rejected"] += 1
        except (TransportError, DeliveryError):
            lines.extend(self._live)
            self._live = lines
            raise

    async def _deliver(self, link: InfluxLink, rows: Sequence[SpoolRow]) -> None:
        """Store every row, or set it aside where it alone is refused for its content."""
        waiting = [rows]
        proven = False
        while waiting:
            part = waiting.pop()
            asked_us = self._clock.now().steady_us
            try:
                await link.write([row.line for row in part])
                self.counters["influx_rows"] += len(part)
                answered_us = self._clock.now().steady_us
                self.counters["influx_round_trip_ms"] = (answered_us - asked_us) // 1_000
            except PoisonBatch as poison:
                if len(part) == 1:
                    proven = proven or await self._takes_a_plain_line(link)
                    self.counters["influx_quarantined"] += 1
                    await self._spool.quarantine_line(part[0].seq, part[0].line, str(poison))
                else:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]

    async def _takes_a_plain_line(self, link: InfluxLink) -> bool:
        """Return True when the database takes a line that nothing can be wrong with.

        Raises:
            Refused: it rejects that one too: the request itself is wrong, not the content.
        """
        time_ns = self._clock.now().wall_us * NS_PER_US
        line = encode_line("health", (), {"probe": 1.0}, time_ns) or b""
        try:
            await link.write([line])
        except PoisonBatch as error:
            raise Refused(_BAD_REQUEST, f"even a plain line is rejected: {error}") from error
        return True
