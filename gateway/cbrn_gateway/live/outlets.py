"""What happens to a step's output: stores first, then whoever listens."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from cbrn_core.alarm import Alarm
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_gateway.alarms.render import Presentation, render_alert
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.pipeline.pipeline import StepOutput
from cbrn_gateway.sinks.influx_lines import LineWriter
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.store.chain import canonical
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.spool import Consequence
from cbrn_gateway.store.writer import Batch, Writer

_LOG = logging.getLogger(__name__)

JOURNAL_RETRY_S = 0.5
AlertListener = Callable[[dict[str, Any]], None]


class Outlets:
    """Takes every step's output; readings to the writer, alerts to the journal, in order.

    `on_alert` hears each alert once it is journalled.
    """

    def __init__(
        self, config: SiteConfig, journal: Journal, writer: Writer, live: LiveQueue, clock: Clock
    ) -> None:
        self.listeners: list[AlertListener] = []
        self.wakers: list[Callable[[], None]] = []
        self._config = config
        self._presentation = Presentation(language=config.language)
        self._journal = journal
        self._writer = writer
        self._live = live
        self._clock = clock
        self._lines = LineWriter(config.model) if config.influx is not None else None
        self._alerts: asyncio.Queue[Sequence[dict[str, Any]]] = asyncio.Queue()

    def take(self, out: StepOutput) -> int | None:
        """Hand everything on without waiting; return the row number of the last sample."""
        if out.alarms:
            self._alerts.put_nowait([self._rendered(alarm) for alarm in out.alarms])
        if not out.readings and not out.estimates:
            return None
        self._live.offer(out.readings)
        self._live.offer(out.estimates)
        batch = Batch(
            readings=out.readings,
            estimates=out.estimates,
            lines=self._spooled(out),
            stored_us=self._clock.now().wall_us,
        )
        row = self._writer.submit(batch)
        self._wake()
        return row

    async def journal_alerts(self) -> None:
        """Journal what was rendered, in order, until cancelled; a refusal is tried again."""
        while True:
            entries = await self._alerts.get()
            sealed = await self._append(entries)
            self._spool_alerts(sealed)
            self._alerts.task_done()
            self._wake()
            for alert in sealed:
                for listener in self.listeners:
                    listener(alert)

    async def drain(self) -> None:
        """Return when every alert handed in has been journalled."""
        await self._alerts.join()

    async def _append(self, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        while True:
            try:
                return await self._journal.append(entries)
            except StorageError as error:
                _LOG.error("the journal refuses, trying again: %s", error)
                await self._clock.sleep(JOURNAL_RETRY_S)

    def _rendered(self, alarm: Alarm) -> dict[str, Any]:
        return render_alert(alarm, self._config.model, self._presentation)

    def _spooled(self, out: StepOutput) -> dict[Consequence, list[bytes]]:
        if self._lines is None:
            return {}
        readings = (self._lines.reading(reading) for reading in out.readings)
        estimates = (self._lines.estimate(estimate) for estimate in out.estimates)
        return {
            Consequence.READING: [line for line in readings if line is not None],
            Consequence.ESTIMATE: [line for line in estimates if line is not None],
        }

    def _spool_alerts(self, sealed: Sequence[dict[str, Any]]) -> None:
        if self._lines is None:
            return
        lines = (self._lines.alert(canonical(alert)) for alert in sealed)
        kept = [line for line in lines if line is not None]
        self._writer.submit(
            Batch(lines={Consequence.ALARM: kept}, stored_us=self._clock.now().wall_us)
        )

    def _wake(self) -> None:
        for wake in self.wakers:
            wake()
