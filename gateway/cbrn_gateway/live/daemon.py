"""One daemon per square: buses in, pipeline turns, stores and sinks out, in one event loop."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

import msgspec

from cbrn_core.alarm import Alarm, Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import StorageError, StoreDamaged
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.buses import Buses
from cbrn_gateway.live.clock_watch import ClockWatch
from cbrn_gateway.live.control import ControlServer
from cbrn_gateway.live.disk import Disk
from cbrn_gateway.live.external import ExternalReadings
from cbrn_gateway.live.health_report import HealthReport
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.journal_healing import JournalHealing
from cbrn_gateway.live.links import Links
from cbrn_gateway.live.loop_watch import LoopWatch
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.open_stores import fitted, keep_of, open_stores
from cbrn_gateway.live.operators import Operators
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.live.radio_watch import RadioWatch
from cbrn_gateway.live.reload import Reload
from cbrn_gateway.live.restart import Restart, Resumed
from cbrn_gateway.live.service import Pace, Service, ServiceSocket
from cbrn_gateway.live.setup import Setup
from cbrn_gateway.live.sinks import Sinks, mqtt_consumers
from cbrn_gateway.live.store_watch import StoreWatch
from cbrn_gateway.live.system_clock import Machine, machine_of
from cbrn_gateway.live.taps import Taps
from cbrn_gateway.live.vitals import Vitals
from cbrn_gateway.pipeline.pipeline import Pipeline, Restated
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.payloads import CoverageRow
from cbrn_gateway.store.ballast import disk_bytes
from cbrn_gateway.store.memory_mark import MemoryMark
from cbrn_gateway.store.probe import Probe
from cbrn_gateway.store.quarantine import SetAside
from cbrn_gateway.store.series_reader import SeriesReader, Snapshot
from cbrn_gateway.store.writer import Writer

_LOG = logging.getLogger(__name__)

GATHER_S = 0.03
TURN_EVERY_S = 1.0
SNAPSHOT_EVERY_S = 60.0
LONGEST_END_S = 1.0
_SERIES_FILE = "series.db"


class Daemon:
    """Everything of one site file, made on the event loop and run until cancelled.

    `machine` says of the wall clock whether it may be believed.
    """

    def __init__(self, config: SiteConfig, clock: Clock, machine: Machine | None = None) -> None:
        self._clock = clock
        pipeline = Pipeline(config.model, config.policy)
        self.inbox = Inbox(clock, pipeline.drops)
        self.taps = Taps(config.model, clock)
        self.operators = Operators(config.model.gateway, clock, self.inbox.put_order)
        self.resumed: Resumed | None = None
        self._notices = Notices(config.model, config.policy, clock, self.inbox.put_order)
        machine = machine or machine_of(kept_by_host=config.clock_kept_by_host)
        self._clock_watch = ClockWatch(clock, self._notices, machine)
        self.inbox.is_clock_doubted = self._clock_watch.is_doubted
        self._loop_watch = LoopWatch(self._came_late)
        self._turned_us: int | None = None
        self._kept = 0
        self._told_before: dict[str, int | None] = {}
        self._make_stores(config)
        self.setup = self._made_setup(config, pipeline)
        self.outlets.wakers.append(self.setup.sinks.wake)
        self.outlets.senders.append(self.setup.sinks.send_unjournalled)
        self.outlets.showers.append(self.setup.sinks.offer_live)
        self.reload = Reload(self.setup, self._journal, self._notices, clock, self._save_snapshot)

    async def run(self) -> None:
        """Run until cancelled; what was accepted by then is stored and journalled.

        Raises:
            StorageError: a store cannot be read or written at the start.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_stores)
            await self._resume()
            await self.reload.begin()
            control = ControlServer(self.setup.config.data_dir, self._answer, self.taps)
            await stack.enter_async_context(control)
            await self._work()

    def health(self) -> Mapping[str, int]:
        """Return the counters of the whole daemon."""
        pipeline = self.setup.pipeline
        counts = dict(pipeline.drops.counts()) | self._writer.counters()
        counts |= pipeline.rules.counters()
        counts |= self.setup.sinks.counters() | self.setup.buses.counters()
        counts |= self._loop_watch.counters() | self.outlets.counters() | self._disk.counters()
        counts |= self._report.counters()
        counts["stores_set_aside"] = len(self._set_aside)
        counts["samples_restamped"] = self._clock_watch.restamped
        counts["missing_at_start_ms"] = 0 if self.resumed is None else self.resumed.missing_ms
        return counts | self.reload.counters

    def coverage(self) -> Sequence[CoverageRow]:
        """Return what each zone can detect now."""
        found = self.setup.pipeline.rules.coverage()
        return [msgspec.convert(one, CoverageRow, from_attributes=True) for one in found]

    def _make_stores(self, config: SiteConfig) -> None:
        folder = config.data_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        epoch = self._clock.now().wall_us // US_PER_S
        limits, lowered = fitted(config.store, disk_bytes(folder))
        for words in lowered:
            _LOG.warning("%s", words)
        stores = open_stores(
            folder,
            limits,
            epoch,
            consumers=mqtt_consumers() if config.mqtt is not None else (),
        )
        self._journal, self._set_aside = stores.journal, stores.set_aside
        self._writer = Writer(
            stores.series, stores.spool, on_error=self._store_refuses, keep=keep_of(limits)
        )
        self._clock_watch.put_right = self._writer.restamp
        self._clock_watch.on_set = self._state_ends_again
        self._writer.may_move = self._clock_watch.may_move
        self._disk = Disk(folder, limits, self._clock, self._notices, self._writer.shed)
        self._writer.on_set_aside = self._was_set_aside
        self._journal_healing = JournalHealing(self._journal, self._clock, self._was_set_aside)
        self._mark = MemoryMark(folder)
        self._probe = Probe(folder)
        self._store_watch = StoreWatch.of(
            self._journal, self._writer, self._probe, self._clock, self._notices
        )
        self._live = LiveQueue(config.model, epoch)
        self.outlets = Outlets(config, self._journal, self._writer, self._live, self._clock)
        self._report = HealthReport(
            self._writer, self._clock, self.health, self.outlets.spool_health
        )
        self.outlets.on_refusing_journal = self._journal_refuses
        self.outlets.stamped = self._clock_watch.stamped
        self.outlets.make_room = self._disk.give_room
        self.outlets.on_late = self._state_again
        self.outlets.on_incomplete = self._came_incomplete
        self.outlets.on_memory = self._mark.put
        self.outlets.is_marked = self._mark.was_left

    def _made_setup(self, config: SiteConfig, pipeline: Pipeline) -> Setup:
        """Return the parts of the first configuration, and let the others follow the next."""
        external = ExternalReadings(config.model, self._clock, pipeline.drops, self.inbox.put)

        def add_mqtt(links: Links) -> None:
            links.add_mqtt(
                self._journal,
                self._live,
                self.operators,
                external,
                health=self.health,
                coverage=self.coverage,
            )

        def add_influx(links: Links) -> None:
            links.add_influx(self._writer, self._clock_watch.is_holding)

        setup = Setup(
            config,
            pipeline,
            Buses(self.inbox, self._clock, self.taps.listen),
            Sinks(
                {"mqtt": add_mqtt, "influx": add_influx}, self._clock, self._notices, self._journal
            ),
            turn=self._turn,
            publish=self.outlets.take,
        )
        setup.followers += [
            self.outlets.reconfigure,
            lambda new: self._notices.reconfigure(new.model, new.policy),
            lambda new: external.reconfigure(new.model),
            lambda new: self.taps.reconfigure(new.model),
            lambda _: self.inbox.stir(),
        ]
        return setup

    async def _answer(self, line: bytes) -> bytes:
        about_config = await self.reload.answer(line)
        return await self.operators.answer_line(line) if about_config is None else about_config

    async def _resume(self) -> None:
        pipeline = self.setup.pipeline
        try:
            self.resumed = await self._take_up()
        except StoreDamaged:
            if not self._journal.damaged.is_set():
                raise
            # deeper than the check at the opening could look
            self._set_aside += (await self._journal_healing.heal(),)
            self.resumed = await self._take_up()
        if self._clock.now().is_stand_in:
            left_open = pipeline.machine.open_alarms()
            self._told_before = {alarm.id: alarm.until_us for alarm in left_open}
        self.outlets.take(self.resumed.out)
        self._notices.adopt(pipeline.machine.open_alarms())
        for aside in self._set_aside:
            self._tell_set_aside(aside)
        _LOG.info(
            "taken up: %d open alarms, %d filters, %d readings heard again in %.1f s",
            *self.resumed[:4],
        )

    async def _take_up(self) -> Resumed:
        config = self.setup.config
        reader = SeriesReader(config.data_dir / _SERIES_FILE)
        try:
            lost = any(aside.name == "journal" for aside in self._set_aside)
            lost |= self._mark.was_left
            restart = Restart(
                self.setup.pipeline,
                self._journal,
                reader,
                config.model.config_hash,
                now_us=self._clock.now().steady_us,
                ahead_us=self._clock_watch.shift_us,
                journal_lost=lost,
            )
            resumed = await restart.resume(self.outlets.spool_again, self.outlets.spool_alert_again)
        finally:
            reader.close()
        if restart.series_damage is not None:
            self._writer.note_damage("series", restart.series_damage)
        return resumed

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            lasting = [
                tasks.create_task(self.outlets.journal_alerts(), name="journalling"),
                tasks.create_task(self.setup.sinks.run(), name="sinks"),
                tasks.create_task(self.setup.buses.run(), name="buses"),
                tasks.create_task(self._radio_watch().run(), name="radio watch"),
                tasks.create_task(self._disk.run(), name="disk"),
                tasks.create_task(self._store_watch.run(), name="store watch"),
                tasks.create_task(self._journal_healing.run(), name="journal healing"),
                tasks.create_task(self._keep_snapshots(), name="snapshots"),
                tasks.create_task(self._loop_watch.run(), name="loop watch"),
                tasks.create_task(self._clock_watch.run(), name="clock watch"),
                tasks.create_task(self._report.run(), name="health report"),
                tasks.create_task(self.reload.run(), name="configuration"),
                tasks.create_task(self._turns(), name="turns"),
            ]
            tasks.create_task(self._service(lasting).run())

    def _radio_watch(self) -> RadioWatch:
        return RadioWatch(self.setup.buses, self._clock, self._notices)

    async def _turns(self) -> None:
        pipeline = self.setup.pipeline
        pipeline.start(self._clock.now().steady_us)
        fresh = self.resumed is None or not any(self.resumed[:3])
        self.taps.begin(pipeline.now_us, fresh=fresh)
        while True:
            await self.inbox.wait(self._next_turn_us())
            await self._clock.sleep(GATHER_S)
            self._turn()

    def _next_turn_us(self) -> int:
        """Return when to turn at the latest: also where nothing happens, progress shows."""
        latest_us = self._clock.now().steady_us + seconds_to_us(TURN_EVERY_S)
        deadline_us = self.setup.pipeline.next_deadline()
        return latest_us if deadline_us is None else min(deadline_us, latest_us)

    def _turn(self) -> None:
        now_us, events = self.inbox.take()
        self.taps.turn(now_us, events)
        out = self.setup.pipeline.step(now_us, events)
        self.outlets.take(out)
        self.operators.settle(out.answers)
        for key in out.rereads:
            self.setup.buses.reread(self.setup.config.model.channels[key].device)
        self._kept += len(out.readings)
        self._turned_us = self._clock.now().steady_us

    def _service(self, lasting: Sequence["asyncio.Task[None]"]) -> Service:
        manager = ServiceSocket.from_environment(os.environ)
        vitals = Vitals(self._clock, manager.watchdog_s)
        vitals.add_tasks(lasting)
        vitals.add_supervisors(lambda: [bus.supervisor for bus in self.setup.buses])
        vitals.add_supervisors(lambda: [*self.setup.sinks.supervisors().values()])
        vitals.add_turns(lambda: self._turned_us)
        vitals.add_stores(self._journal, self._writer)
        return Service(
            manager,
            self._clock,
            is_turning=lambda: self._turned_us is not None,
            vitals=vitals,
            status=partial(self._status_line, Pace(self._clock, lambda: self._kept)),
        )

    def _status_line(self, pace: Pace) -> str:
        alarms = len(self.setup.pipeline.machine.open_alarms())
        sinks = self.setup.sinks.status_line()
        return "; ".join(
            (
                *self._store_watch.worries(),
                f"{alarms} open alarms",
                f"{pace():.1f} readings/s",
                sinks,
            )
        )

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
                config_hash=self.setup.config.model.config_hash,
                state=self.setup.pipeline.memory(),
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
            self._probe.close()
            await self._writer.close()
            await self._journal.close()

    def _was_set_aside(self, aside: SetAside) -> None:
        """Hear of a file that was damaged while it was written."""
        self._set_aside += (aside,)
        self._tell_set_aside(aside)
        if aside.name == "journal":
            # what the damaged part told of them the new one must know
            for alarm in self.setup.pipeline.machine.open_alarms():
                self._state_again(alarm)

    def _tell_set_aside(self, aside: SetAside) -> None:
        self._notices.failing(Reason.STORE_FAILED, f"{aside.name}.db", str(aside))

    def _came_late(self, lag_s: float) -> None:
        self._notices.failing(Reason.LOOP_LATE, "gateway", f"{lag_s * 1000:.0f} ms")

    def _came_incomplete(self, alarm: Alarm) -> None:
        self._notices.failing(Reason.ALERT_INCOMPLETE, "gateway", f"alarm {alarm.id[:12]}")

    def _state_again(self, alarm: Alarm) -> None:
        self.inbox.put_order(Restated(self._clock.now().steady_us, alarm))

    def _state_ends_again(self) -> None:
        """Tell until when what is set aside stays so, by the clock as it is now."""
        now_us, shift_us = self._clock.now().steady_us, self._clock_watch.shift_us
        told_before, self._told_before = self._told_before, {}
        for alarm in self.setup.pipeline.machine.open_alarms():
            if alarm.until_us is None:
                continue
            # told by a clock that was right, before this run knew none
            is_as_told = told_before.get(alarm.id) == alarm.until_us
            until_us = alarm.until_us - shift_us if is_as_told else None
            self.inbox.put_order(Restated(now_us, alarm, until_us))

    def _store_refuses(self, error: StorageError) -> None:
        _LOG.error("the store refuses, rows wait: %s", error)
        self._notices.failing(Reason.STORE_FAILED, "series", str(error))

    def _journal_refuses(self, error: StorageError) -> None:
        _LOG.error("the journal refuses, trying again: %s", error)
        self._notices.failing(Reason.STORE_FAILED, "journal", str(error))
