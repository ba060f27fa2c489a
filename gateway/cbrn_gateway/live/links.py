"""The sinks of one daemon, each with its supervisor, and what their troubles mean."""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

from cbrn_core.alarm import Reason
from cbrn_core.clock import Clock
from cbrn_core.times import seconds_to_us
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.external import ExternalReadings
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.operators import Operators
from cbrn_gateway.live.supervisor import Supervisor
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttCallbacks, MqttSink
from cbrn_gateway.sinks.mqtt_alerts import AlertVersion
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.writer import Writer

LOOK_EVERY_S = 5.0
DOWN_AFTER_S = 30.0
"""A link that has failed for so long is told (a SOC hears of it within a minute)."""

Sink = MqttSink | InfluxSink


class Links:
    """Makes the configured sinks; `run` keeps them alive until cancelled."""

    def __init__(self, config: SiteConfig, clock: Clock, notices: Notices) -> None:
        self._config = config
        self._clock = clock
        self._notices = notices
        self._sinks: dict[str, tuple[Sink, Supervisor]] = {}

    def add_mqtt(
        self,
        journal: Journal,
        live: LiveQueue,
        operators: Operators,
        external: ExternalReadings,
        health: Callable[[], Mapping[str, int]],
    ) -> None:
        """Add the MQTT sink where the site has one."""
        if self._config.mqtt is None:
            return
        model = self._config.model
        settings = mqtt_settings.settings_from_table(self._config.mqtt, model.gateway, os.environ)
        sink = MqttSink(
            settings,
            model,
            journal,
            live,
            self._clock,
            version=version("cbrn-gateway"),
            callbacks=MqttCallbacks(
                on_command=operators.answer_asked,
                on_external=external.take,
                on_refused=partial(self._refused, MqttSink.name),
                on_progress=partial(self._progressed, MqttSink.name),
                health=health,
            ),
        )
        self._add(sink)

    def add_influx(self, writer: Writer) -> None:
        """Add the InfluxDB sink where the site has one."""
        if self._config.influx is None:
            return
        settings = influx_settings.settings_from_table(self._config.influx, os.environ)
        sink = InfluxSink(
            settings,
            writer,
            self._clock,
            on_refused=partial(self._refused, InfluxSink.name),
            on_progress=partial(self._progressed, InfluxSink.name),
        )
        self._add(sink)

    def wake(self) -> None:
        """Say that the stores have something new."""
        for sink, _ in self._sinks.values():
            sink.wake()

    def send_unjournalled(self, row: AlertVersion) -> None:
        """Send an alert from memory, because the journal does not take it (safety 18)."""
        for sink, _ in self._sinks.values():
            if isinstance(sink, MqttSink):
                sink.send_unjournalled(row)

    def counters(self) -> dict[str, int]:
        """Return the counters of all sinks and how often each was started again."""
        counts: dict[str, int] = {}
        for name, (sink, supervisor) in self._sinks.items():
            counts |= sink.counters
            counts[f"{name}.restarts"] = supervisor.restarts
        return counts

    async def run(self) -> None:
        """Run every sink until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _, supervisor in self._sinks.values():
                tasks.create_task(supervisor.run())
            tasks.create_task(self._watch())

    def _add(self, sink: Sink) -> None:
        self._sinks[sink.name] = (sink, Supervisor(sink.name, sink.run, self._clock))

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self._notices.settle()
            before_us = self._clock.now().steady_us - seconds_to_us(DOWN_AFTER_S)
            for name, (_, supervisor) in self._sinks.items():
                since_us = supervisor.failing_since_us
                if since_us is not None and since_us <= before_us:
                    detail = supervisor.last_error or ""
                    self._notices.failing(Reason.LINK_DOWN, name, detail)

    def _progressed(self, name: str) -> None:
        self._sinks[name][1].progressed()
        self._notices.mended(Reason.LINK_DOWN, name)

    def _refused(self, name: str, target: str, reason_code: int) -> None:
        detail = f"{target} (reason {reason_code})"
        self._notices.failing(Reason.DELIVERY_REFUSED, name, detail)
