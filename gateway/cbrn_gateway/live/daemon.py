"""One daemon per square: buses in, pipeline turns, stores and sinks out, in one event loop."""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version

import msgspec

from cbrn_core.alarm import Command
from cbrn_core.clock import Clock
from cbrn_core.times import US_PER_S
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.buses import Bus, make_buses
from cbrn_gateway.live.control import ControlServer
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.outlets import Outlets
from cbrn_gateway.live.restart import adopt_open_alarms
from cbrn_gateway.live.supervisor import Supervisor
from cbrn_gateway.pipeline.pipeline import Answer, Ordered, Pipeline
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttCallbacks, MqttSink
from cbrn_gateway.sinks.mqtt_inbound import Asked
from cbrn_gateway.sinks.outbox import ALERTS_CONSUMER, LOG_CONSUMER
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.outbox import Consumer, View
from cbrn_gateway.store.series import Series
from cbrn_gateway.store.spool import Spool
from cbrn_gateway.store.writer import Writer
from cbrn_gateway.wire import AnswerMessage, CommandMessage

_LOG = logging.getLogger(__name__)

GATHER_S = 0.02
SPOOL_MOST_ROWS = 20_000_000
_BYTES_PER_MB = 1_000_000


class Daemon:
    """Everything of one site file, made on the event loop and run until cancelled."""

    def __init__(self, config: SiteConfig, clock: Clock) -> None:
        self.config = config
        self.pipeline = Pipeline(config.model, config.policy)
        self.inbox = Inbox(clock, self.pipeline.drops)
        self.buses: list[Bus] = make_buses(config.model.devices.values(), self.inbox, clock)
        self._clock = clock
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._make_stores()

    async def run(self) -> None:
        """Run until cancelled; what was accepted by then is stored and journalled."""
        await adopt_open_alarms(self._journal, self.pipeline)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_stores)
            await stack.enter_async_context(ControlServer(self.config.data_dir, self._answer_line))
            await self._work()

    def health(self) -> Mapping[str, int]:
        """Return the counters of the whole daemon."""
        counts = dict(self.pipeline.drops.counts()) | self._writer.counters()
        for bus in self.buses:
            counts |= {f"{bus.name}.{name}": n for name, n in bus.counters().items()}
            counts[f"{bus.name}.readings"] = bus.readings
        return counts

    async def obey(self, command: Command) -> Answer:
        """Give the pipeline a command; return what became of it."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[id(command)] = waiting
        try:
            self.inbox.put_command(Ordered(self._clock.now().steady_us, command))
            return await waiting
        finally:
            del self._waiting[id(command)]

    def _make_stores(self) -> None:
        folder = self.config.data_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        epoch = self._clock.now().wall_us // US_PER_S
        consumers = (Consumer(ALERTS_CONSUMER, View.NEWEST), Consumer(LOG_CONSUMER, View.LOG))
        has_mqtt = self.config.mqtt is not None
        self._journal = Journal.open(
            folder / "journal.db", epoch=epoch, consumers=consumers if has_mqtt else ()
        )
        most_bytes = int(self.config.store.spool_most_mb * _BYTES_PER_MB)
        spool = Spool(
            folder / "spool.db", epoch=epoch, max_rows=SPOOL_MOST_ROWS, max_bytes=most_bytes
        )
        self._writer = Writer(Series(folder / "series.db"), spool, on_error=_log_store_error)
        live = LiveQueue(self.config.model, epoch)
        self.outlets = Outlets(self.config, self._journal, self._writer, live, self._clock)
        self._sinks: dict[str, Supervisor] = {}
        self._add_mqtt(live)
        self._add_influx()

    def _add_mqtt(self, live: LiveQueue) -> None:
        if self.config.mqtt is None:
            return
        settings = mqtt_settings.settings_from_table(
            self.config.mqtt, self.config.model.gateway, os.environ
        )
        sink = MqttSink(
            settings,
            self.config.model,
            self._journal,
            live,
            self._clock,
            version=version("cbrn-gateway"),
            callbacks=MqttCallbacks(
                on_command=self._answer_asked,
                on_progress=partial(self._progressed, MqttSink.name),
                health=self.health,
            ),
        )
        self._sinks[sink.name] = Supervisor(sink.name, sink.run, self._clock)
        self.outlets.wakers.append(sink.wake)

    def _add_influx(self) -> None:
        if self.config.influx is None:
            return
        settings = influx_settings.settings_from_table(self.config.influx, os.environ)
        sink = InfluxSink(
            settings,
            self._writer,
            self._clock,
            on_progress=partial(self._progressed, InfluxSink.name),
        )
        self._sinks[sink.name] = Supervisor(sink.name, sink.run, self._clock)
        self.outlets.wakers.append(sink.wake)

    def _progressed(self, sink: str) -> None:
        self._sinks[sink].progressed()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outlets.journal_alerts())
            for sink in self._sinks.values():
                tasks.create_task(sink.run())
            for bus in self.buses:
                tasks.create_task(bus.supervisor.run())
            tasks.create_task(self._turns())

    async def _turns(self) -> None:
        self.pipeline.start(self._clock.now().steady_us)
        while True:
            await self.inbox.wait(self.pipeline.next_deadline())
            await self._clock.sleep(GATHER_S)
            self._turn()

    def _turn(self) -> None:
        now_us, events = self.inbox.take()
        out = self.pipeline.step(now_us, events)
        self.outlets.take(out)
        for answer in out.answers:
            waiting = self._waiting.get(id(answer.command))
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def _close_stores(self) -> None:
        self._turn()
        journalling = asyncio.create_task(self.outlets.journal_alerts())
        await self.outlets.drain()
        journalling.cancel()
        await self._writer.close()
        await self._journal.close()

    async def _answer_asked(self, asked: Asked) -> bytes:
        return await self._answer_line(asked.payload)

    async def _answer_line(self, line: bytes) -> bytes:
        gateway = self.config.model.gateway
        try:
            message = msgspec.json.decode(line, type=CommandMessage)
        except msgspec.DecodeError as error:
            reason = f"not a command: {error}"
            refused = AnswerMessage(gateway=gateway, accepted=False, reason=reason)
            return msgspec.json.encode(refused)
        fields = msgspec.structs.asdict(message)
        fields.pop("schema")
        answer = await self.obey(Command(**fields))
        return msgspec.json.encode(
            AnswerMessage(
                gateway=gateway,
                accepted=answer.refusal is None,
                reason=answer.refusal,
                verb=message.verb,
                alarm_id=message.alarm_id,
                version=message.version,
                idempotency_key=message.idempotency_key,
            )
        )


def _log_store_error(error: Exception) -> None:
    _LOG.error("the store refuses, rows wait: %s", error)
