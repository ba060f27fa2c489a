"""One daemon per square: buses in, pipeline turns, stores and sinks out, in one event loop."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress

from cbrn_core.alarm import Alarm, Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError
from cbrn_core.times import US_PER_S
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.buses import Bus, make_buses
from cbrn_gateway.live.control import ControlServer
from cbrn_gateway.live.disk import Disk
from cbrn_gateway.live.external import ExternalReadings
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.links import Links
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.open_stores import keep_of, open_stores
from cbrn_gateway.live.operators import Operators
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.live.restart import Restart, Resumed
from cbrn_gateway.live.taps import Taps
from cbrn_gateway.pipeline.pipeline import Journalled, Pipeline
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.store.memory_mark import MemoryMark
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import SeriesReader, Snapshot
from cbrn_gateway.store.writer import Writer

_LOG = logging.getLogger(__name__)

GATHER_S = 0.03
SNAPSHOT_EVERY_S = 60.0
LONGEST_END_S = 1.0
_SERIES_FILE = "series.db"


class Daemon:
    """Everything of one site file, made on the event loop and run until cancelled."""

    def __init__(self, config: SiteConfig, clock: Clock) -> None:
        self.config = config
        self.pipeline = Pipeline(config.model, config.policy)
        self.inbox = Inbox(clock, self.pipeline.drops)
        self.taps = Taps(config.model.gateway, config.model.config_hash, clock)
        self.buses: list[Bus] = make_buses(
            config.model.devices.values(), self.inbox, clock, self.taps.listen
        )
        self.operators = Operators(config.model.gateway, clock, self.inbox.put_order)
        self.resumed: Resumed | None = None
        self._clock = clock
        self._notices = Notices(config.model, config.policy, clock, self.inbox.put_order)
        self._links = Links(config, clock, self._notices)
        self._make_stores()

    async def run(self) -> None:
        """Run until cancelled; what was accepted by then is stored and journalled.

        Raises:
            StorageError: a store cannot be read or written at the start.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_stores)
            await self._resume()
            folder = self.config.data_dir
            control = ControlServer(folder, self.operators.answer_line, self.taps)
            await stack.enter_async_context(control)
            await self._work()

    def health(self) -> Mapping[str, int]:
        """Return the counters of the whole daemon."""
        counts = dict(self.pipeline.drops.counts()) | self._writer.counters()
        counts |= self.pipeline.rules.counters()
        counts |= self._links.counters() | self.outlets.counters() | self._disk.counters()
        counts["stores_set_aside"] = len(self._set_aside)
        for bus in self.buses:
            counts |= {f"{bus.name}.{name}": n for name, n in bus.counters().items()}
            counts[f"{bus.name}.readings"] = bus.readings
            counts[f"{bus.name}.restarts"] = bus.supervisor.restarts
        return counts

    def _make_stores(self) -> None:
        config, folder = self.config, self.config.data_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        epoch = self._clock.now().wall_us // US_PER_S
        mqtt = (Consumer(ALERTS_CONSUMER, View.NEWEST), Consumer(LOG_CONSUMER, View.LOG))
        stores = open_stores(
            folder, config.store, epoch, consumers=mqtt if config.mqtt is not None else ()
        )
        self._journal, self._set_aside = stores.journal, stores.set_aside
        self._writer = Writer(
            stores.series, stores.spool, on_error=self._store_refuses, keep=keep_of(config.store)
        )
        self._disk = Disk(folder, config.store, self._clock, self._notices, self._writer.shed)
        self._mark = MemoryMark(folder)
        live = LiveQueue(config.model, epoch)
        self.outlets = Outlets(config, self._journal, self._writer, live, self._clock)
        self.outlets.on_refusing_journal = self._journal_refuses
        self.outlets.make_room = self._disk.give_room
        self.outlets.senders.append(self._links.send_unjournalled)
        self.outlets.on_late = self._state_again
        self.outlets.on_memory = self._mark.put
        self.outlets.is_marked = self._mark.was_left
        external = ExternalReadings(config.model, self._clock, self.pipeline.drops, self.inbox.put)
        self._links.add_mqtt(self._journal, live, self.operators, external, self.health)
        self._links.add_influx(self._writer)
        self.outlets.wakers.append(self._links.wake)

    async def _resume(self) -> None:
        reader = SeriesReader(self.config.data_dir / _SERIES_FILE)
        try:
            lost = any(aside.name == "journal" for aside in self._set_aside)
            lost |= self._mark.was_left
            restart = Restart(
                self.pipeline,
                self._journal,
                reader,
                self.config.model.config_hash,
                lost_before_us=self._clock.now().steady_us if lost else None,
            )
            self.resumed = await restart.resume(
                self.outlets.spool_again, self.outlets.spool_alert_again
            )
        finally:
            reader.close()
        self.outlets.take(self.resumed.out)
        self._notices.adopt(self.pipeline.machine.open_alarms())
        for aside in self._set_aside:
            self._notices.failing(Reason.STORE_FAILED, f"{aside.name}.db", str(aside))
        _LOG.info(
            "taken up: %d open alarms, %d filters, %d readings heard again in %.1f s",
            *self.resumed[:4],
        )

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outlets.journal_alerts())
            tasks.create_task(self._links.run())
            tasks.create_task(self._disk.run())
            for bus in self.buses:
                tasks.create_task(bus.supervisor.run())
            tasks.create_task(self._keep_snapshots())
            tasks.create_task(self._turns())

    async def _turns(self) -> None:
        self.pipeline.start(self._clock.now().steady_us)
        fresh = self.resumed is None or not any(self.resumed[:3])
        self.taps.begin(self.pipeline.now_us, fresh=fresh)
        while True:
            await self.inbox.wait(self.pipeline.next_deadline())
            await self._clock.sleep(GATHER_S)
            self._turn()

    def _turn(self) -> None:
        now_us, events = self.inbox.take()
        self.taps.turn(now_us, events)
        out = self.pipeline.step(now_us, events)
        self.outlets.take(out)
        self.operators.settle(out.answers)
        for key in out.rereads:
            device = self.config.model.channels[key].device
            for bus in self.buses:
                bus.reread(device)

    async def _keep_snapshots(self) -> None:
        while True:
            await self._clock.sleep(SNAPSHOT_EVERY_S)
            with suppress(StorageError):  # the writer tells of it, and the next one follows
                await self._save_snapshot()

    async def _save_snapshot(self) -> None:
        journal_seq = (await self._journal.head()).seq
        # what is journalled up to there has then been handed to the spool
        await self.outlets.drain()
        await self._writer.save_snapshot(
            Snapshot(
                journal_seq=journal_seq,
                last_row=self.outlets.last_row,
                config_hash=self.config.model.config_hash,
                state=self.pipeline.memory(),
            )
        )

    async def _close_stores(self) -> None:
        self._turn()
        journalling = asyncio.create_task(self.outlets.journal_alerts())
        try:
            async with asyncio.timeout(LONGEST_END_S):
                await self.outlets.drain()
                await self._save_snapshot()
        except TimeoutError:
            _LOG.error("the journal did not take everything within %.0f s", LONGEST_END_S)
        finally:
            journalling.cancel()
            self._mark.close()
            await self._writer.close()
            await self._journal.close()

    def _state_again(self, alarm: Alarm) -> None:
        self.inbox.put_order(Journalled(self._clock.now().steady_us, alarm))

    def _store_refuses(self, error: StorageError) -> None:
        _LOG.error("the store refuses, rows wait: %s", error)
        self._notices.failing(Reason.STORE_FAILED, "series", str(error))

    def _journal_refuses(self, error: StorageError) -> None:
        _LOG.error("the journal refuses, trying again: %s", error)
        self._notices.failing(Reason.STORE_FAILED, "journal", str(error))
