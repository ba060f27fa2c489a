"""What happens to a step's output: stores first, then whoever listens."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from typing import Any

import msgspec

from cbrn_core.alarm import Alarm
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.alarms.render_least import least_alert
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.pending import MOST_AT_ONCE, PendingAlerts, WaitingAlert
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_gateway.privacy import BodyChannels
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt_alerts import AlertVersion
from cbrn_gateway.store.chain import canonical
from cbrn_gateway.store.database import is_disk_full, may_want_room
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.spool import Consequence
from cbrn_gateway.store.writer import Batch, Writer

_LOG = logging.getLogger(__name__)

JOURNAL_RETRY_S = 0.5
PATIENCE_S = 0.5
"""How long an alert may wait for the journal (safety 18)."""
LOOK_EVERY_S = 0.05
FEWEST_LOOKS = 2
REMIND_EVERY_S = 5.0

AlertListener = Callable[[dict[str, Any]], None]
SampleListener = Callable[[Sequence[Reading], Sequence[Estimate]], None]


class Outlets:
    """Takes every step's output; readings to the writer, alerts to the journal, in order.

    `listeners` hear each alert once it is journalled, `sample_listeners` each step's samples;
    `showers` get each new line for InfluxDB beside the spool; `stamped` gives an alarm the
    times that its message shall show.
    What the journal refuses, or does not take within 0.5 s, `senders` and `listeners` get
    from memory (safety 18); `on_late` hears of it when the journal has it. `make_room` is
    asked when the disk is, or may be, full, and is told whether that is known; `on_incomplete`
    hears of an alarm whose message lacks its particulars. `on_memory` is told when something is
    known to memory alone, and when nothing is any more; `is_marked` is what it was told last.
    """

    def __init__(
        self, config: SiteConfig, journal: Journal, writer: Writer, live: LiveQueue, clock: Clock
    ) -> None:
        self.listeners: list[AlertListener] = []
        self.sample_listeners: list[SampleListener] = []
        self.showers: list[Callable[[Sequence[bytes]], None]] = []
        self.wakers: list[Callable[[], None]] = []
        self.senders: list[Callable[[AlertVersion], None]] = []
        self.on_refusing_journal: Callable[[StorageError], None] = _LOG.error
        self.stamped: Callable[[Alarm], Alarm] = _as_it_is
        self.on_late: Callable[[Alarm], None] = _ignore
        self.on_incomplete: Callable[[Alarm], None] = _ignore
        self.on_memory: Callable[[bool], None] = _ignore
        self.is_marked = False
        self.make_room: Callable[[bool], Awaitable[bool]] = _no_room
        self.last_row = writer.committed_row
        self._config = config
        self._presentation = config.presentation
        self._journal = journal
        self._writer = writer
        self._live = live
        self._clock = clock
        self._bodies = BodyChannels(config.model)
        self._lines = LineWriter(config.model) if config.influx is not None else None
        self._pending = PendingAlerts()
        self._counters: Counter[str] = Counter()
        self._journal_answers = True
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def reconfigure(self, config: SiteConfig) -> None:
        """Render and write for another configuration from the next step on."""
        self._config = config
        self._presentation = config.presentation
        self._bodies = BodyChannels(config.model)
        self._live.site = config.model
        if config.influx is None:
            self._lines = None
        elif self._lines is None:
            self._lines = LineWriter(config.model)
        else:
            self._lines.site = config.model

    def take(self, out: StepOutput) -> None:
        """Hand everything on without waiting; `last_row` is then that of the last sample."""
        if out.alarms:
            now_s = asyncio.get_running_loop().time()
            rendered = (self._rendered(alarm, now_s) for alarm in out.alarms)
            self._pending.put(alert for alert in rendered if alert is not None)
            self._filled.set()
            self._drained.clear()
            if not self._journal_answers:
                self._send_from_memory()
        if not out.readings and not out.estimates:
            return
        for listener in self.sample_listeners:
            listener(out.readings, out.estimates)
        self._live.offer(out.readings)
        self._live.offer(out.estimates)
        batch = Batch(
            readings=self._bodies.blanked(out.readings),
            estimates=out.estimates,
            lines=self._spooled(out.readings, out.estimates),
            stored_us=self._clock.now().wall_us,
        )
        self.last_row = self._writer.submit(batch)
        for lines in batch.lines.values():
            self._show(lines)
        self._wake()

    def spool_again(self, readings: Sequence[Reading], estimates: Sequence[Estimate]) -> None:
        """Spool samples that are stored already; the database overwrites them by themselves."""
        lines = self._spooled(readings, estimates)
        if lines:
            self._writer.submit(Batch(lines=lines, stored_us=self._clock.now().wall_us))

    def spool_alert_again(self, body: bytes) -> None:
        """Spool an alert that is journalled already."""
        self._spool_alerts([body])

    def spool_health(self, figures: Mapping[str, int]) -> None:
        """Spool the daemon's own figures as a point of now."""
        if self._lines is None:
            return
        now_us = self._clock.now().wall_us
        line = self._lines.health(figures, now_us)
        if line is not None:
            self._writer.submit(Batch(lines={Consequence.FAULT: [line]}, stored_us=now_us))
            self._wake()

    async def journal_alerts(self) -> None:
        """Journal what was rendered, in order, until cancelled; a refusal is tried again.

        What a cancellation met half way is kept for the next call: the journal knows a
        version that it has.
        """
        while True:
            await self._filled.wait()
            most = MOST_AT_ONCE
            while self._pending:
                group = self._pending.head(most)
                sealed = await self._write(group)
                # one alone may fit on a disk where many do not
                most = 1 if sealed is None else min(2 * most, MOST_AT_ONCE)
                if sealed is not None:
                    self._pending.journalled(group)
                    self._tell(group, sealed)
            self._journal_answers = True
            self._mark(in_memory=False)
            self._filled.clear()
            self._drained.set()
            for alarm in self._pending.take_owed():
                self.on_late(alarm)

    async def drain(self) -> None:
        """Return when every alert handed in has been journalled."""
        await self._drained.wait()

    def counters(self) -> dict[str, int]:
        """Return what went out from memory, what waits for the journal, what is no line.

        `alerts_incomplete` went out without their particulars, `alerts_unwritable` not at all.
        """
        lines = {} if self._lines is None else self._lines.counters
        waiting = {"alerts_waiting": len(self._pending)}
        return waiting | self._pending.counters | self._counters | lines

    async def _write(self, group: Sequence[WaitingAlert]) -> list[dict[str, Any]] | None:
        """Return the entries as journalled, None where the journal refuses them."""
        try:
            return await self._answer(group)
        except StorageError as error:
            with suppress(StorageError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    made_room = may_want_room(error) and await self.make_room(is_disk_full(error))
                if made_room:
                    return await self._answer(group)
            self._fall_back_to_memory(error)
            await self._clock.sleep(JOURNAL_RETRY_S)
            return None

    async def _answer(self, group: Sequence[WaitingAlert]) -> list[dict[str, Any]]:
        """Return the journal's answer, however late; what waits longer goes out from memory.

        A process that got no time for a while still gives the disk a moment of its own.
        """
        loop = asyncio.get_running_loop()
        waited_s = loop.time() - min(waiting.since_s for waiting in group)
        looks = max(ceil((PATIENCE_S - waited_s) / LOOK_EVERY_S), FEWEST_LOOKS)
        writing = asyncio.ensure_future(self._journal.append([w.alert for w in group]))
        try:
            while not writing.done() and looks > 0:
                await asyncio.wait({writing}, timeout=LOOK_EVERY_S)
                looks -= 1
            while not writing.done():
                self._fall_back_to_memory(StorageError("the journal does not answer"))
                await asyncio.wait({writing}, timeout=REMIND_EVERY_S)
            return writing.result()
        finally:
            writing.cancel()

    def _fall_back_to_memory(self, error: StorageError) -> None:
        self._journal_answers = False
        self._mark(in_memory=True)
        self.on_refusing_journal(error)
        self._send_from_memory()

    def _mark(self, *, in_memory: bool) -> None:
        if in_memory != self.is_marked:
            self.is_marked = in_memory
            self.on_memory(in_memory)

    def _send_from_memory(self) -> None:
        for row, alert in self._pending.send_from_memory():
            for send in self.senders:
                send(row)
            for listener in self.listeners:
                listener(alert)

    def _tell(self, group: Sequence[WaitingAlert], sealed: Sequence[dict[str, Any]]) -> None:
        self._show(self._spool_alerts([canonical(alert) for alert in sealed]))
        self._wake()
        for waiting, alert in zip(group, sealed, strict=True):
            if not waiting.from_memory:
                for listener in self.listeners:
                    listener(alert)

    def _rendered(self, alarm: Alarm, now_s: float) -> WaitingAlert | None:
        """Return the message, with fewer particulars where those cannot be written.

        What the journal cannot hold would be tried for ever, and mute all alarms after it.
        """
        for is_full, write in ((True, self._full), (False, self._bare), (False, self._least)):
            try:
                alert = write(alarm)
                canonical(alert)
            except Exception:  # noqa: BLE001 - no wording may take the daemon down
                _LOG.exception("alarm %s cannot be written in full", alarm.id)
            else:
                if not is_full:
                    self._incomplete("alerts_incomplete", alarm)
                return WaitingAlert(alarm, alert, now_s)
        self._incomplete("alerts_unwritable", alarm)
        return None

    def _full(self, alarm: Alarm) -> dict[str, Any]:
        return render_alert(self.stamped(alarm), self._config.model, self._presentation)

    def _bare(self, alarm: Alarm) -> dict[str, Any]:
        bare = _bare(self.stamped(alarm))
        return render_alert(bare, self._config.model, self._presentation)

    def _least(self, alarm: Alarm) -> dict[str, Any]:
        return least_alert(self.stamped(alarm), self._config.model, self._presentation.language)

    def _incomplete(self, counter: str, alarm: Alarm) -> None:
        self._counters[counter] += 1
        self.on_incomplete(alarm)

    def _spooled(
        self, kept_readings: Sequence[Reading], kept_estimates: Sequence[Estimate]
    ) -> dict[Consequence, list[bytes]]:
        if self._lines is None:
            return {}
        readings = (self._lines.reading(reading) for reading in kept_readings)
        estimates = (self._lines.estimate(estimate) for estimate in kept_estimates)
        return {
            Consequence.READING: [line for line in readings if line is not None],
            Consequence.ESTIMATE: [line for line in estimates if line is not None],
        }

    def _spool_alerts(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Spool the lines of journalled alerts and return them."""
        if self._lines is None:
            return []
        lines = (self._lines.alert(body) for body in bodies)
        kept = [line for line in lines if line is not None]
        self._writer.submit(
            Batch(lines={Consequence.ALARM: kept}, stored_us=self._clock.now().wall_us)
        )
        return kept

    def _show(self, lines: Sequence[bytes]) -> None:
        for show in self.showers if lines else ():
            show(lines)

    def _wake(self) -> None:
        for wake in self.wakers:
            wake()


def _as_it_is(alarm: Alarm) -> Alarm:
    return alarm


def _ignore(_: object) -> None:
    """Stand in where nobody wants to know."""


async def _no_room(_: bool) -> bool:
    """Stand in where there is no ballast."""
    return False


def _bare(alarm: Alarm) -> Alarm:
    """Return an alarm with its state, level and place only."""
    condition = msgspec.structs.replace(
        alarm.condition,
        facts={k: v for k, v in alarm.condition.facts.items() if k == "level_rank"},
        evidence=(),
        candidates=(),
        value=None,
        sigma=None,
        instrument_value=None,
        trend_per_min=None,
    )
    return msgspec.structs.replace(alarm, condition=condition, note=None)
