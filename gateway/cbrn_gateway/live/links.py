"""The sinks of one daemon, each with its supervisor, and what their troubles mean."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from math import floor

from cbrn_core.alarm import Reason
from cbrn_core.clock import Clock
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.external import ExternalReadings
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.operators import Operators
from cbrn_gateway.live.supervisor import MOST_WAIT_S, PROMPT_WAIT_S, Health, Supervisor
from cbrn_gateway.sinks import influx_settings, mqtt_settings
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt import MqttCallbacks, MqttSink
from cbrn_gateway.sinks.mqtt_alerts import AlertVersion
from cbrn_gateway.sinks.mqtt_coverage import AskCoverage
from cbrn_gateway.sinks.tls import TlsFiles
from cbrn_gateway.store.journal import Journal
from cbrn_gateway.store.writer import Writer

LOOK_EVERY_S = 5.0
DOWN_AFTER_S = 30.0
"""A link that has failed for so long is told (a SOC hears of it within a minute)."""

CERTIFICATE_DAYS = 30
CERTIFICATES_EVERY_S = 60.0

Sink = MqttSink | InfluxSink


class Links:
    """Makes the configured sinks; `run` keeps them alive until cancelled."""

    def __init__(self, config: SiteConfig, clock: Clock, notices: Notices) -> None:
        self._config = config
        self._clock = clock
        self._notices = notices
        self._sinks: dict[str, tuple[Sink, Supervisor]] = {}
        self._files: dict[str, TlsFiles] = {}

    def add_mqtt(
        self,
        journal: Journal,
        live: LiveQueue,
        operators: Operators,
        external: ExternalReadings,
        *,
        health: Callable[[], Mapping[str, int]],
        coverage: AskCoverage,
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
                on_answer=partial(self._answered, MqttSink.name),
                on_lasting=partial(self._progressed, MqttSink.name),
                on_proven=partial(self._notices.mended, Reason.PATH_UNPROVEN),
                health=health,
                coverage=coverage,
            ),
        )
        self._add(sink, settings.files)

    def add_influx(self, writer: Writer, is_held: Callable[[], bool]) -> None:
        """Add the InfluxDB sink where the site has one; it delivers nothing while it `is_held`."""
        if self._config.influx is None:
            return
        settings = influx_settings.settings_from_table(self._config.influx, os.environ)
        sink = InfluxSink(
            settings,
            writer,
            self._clock,
            is_held=is_held,
            on_refused=partial(self._refused, InfluxSink.name),
            on_progress=partial(self._progressed, InfluxSink.name),
        )
        self._add(sink, settings.files)

    def wake(self) -> None:
        """Say that the stores have something new."""
        for sink, _ in self._sinks.values():
            sink.wake()

    def supervisors(self) -> dict[str, Supervisor]:
        """Return who keeps each sink alive."""
        return {name: supervisor for name, (_, supervisor) in self._sinks.items()}

    def status_line(self) -> str:
        """Return what each sink is doing, in one line."""
        return "; ".join(map(_what_it_does, self.supervisors().values())) or "no sinks"

    def send_unjournalled(self, row: AlertVersion) -> None:
        """Send an alert from memory, because the journal does not take it (safety 18)."""
        for sink, _ in self._sinks.values():
            if isinstance(sink, MqttSink):
                sink.send_unjournalled(row)

    def offer_live(self, lines: Sequence[bytes]) -> None:
        """Offer what was just spooled, to be shown before a backlog of the database."""
        for sink, _ in self._sinks.values():
            if isinstance(sink, InfluxSink):
                sink.offer_live(lines)

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
            tasks.create_task(self._watch_certificates())

    def _add(self, sink: Sink, files: TlsFiles) -> None:
        if files.cert_file is not None:
            self._files[sink.name] = files
        # an alert must not wait for a broker that is back; history can
        most_wait_s = PROMPT_WAIT_S if isinstance(sink, MqttSink) else MOST_WAIT_S
        supervisor = Supervisor(sink.name, sink.run, self._clock, most_wait_s=most_wait_s)
        self._sinks[sink.name] = (sink, supervisor)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self._notices.settle()
            before_us = self._clock.now().steady_us - seconds_to_us(DOWN_AFTER_S)
            for name, (sink, supervisor) in self._sinks.items():
                since_us = supervisor.failing_since_us
                if since_us is not None and since_us <= before_us:
                    self._notices.failing(Reason.LINK_DOWN, name, supervisor.plain_error)
                for soc, why in sink.unproven() if isinstance(sink, MqttSink) else ():
                    self._notices.failing(Reason.PATH_UNPROVEN, soc, why)

    async def _watch_certificates(self) -> None:
        """Tell of own certificates that end soon, for as long as they do."""
        while self._files:
            for name, files in self._files.items():
                until = await asyncio.to_thread(files.own_end)
                if until is not None:
                    self._judge_certificate(name, until)
            await self._clock.sleep(CERTIFICATES_EVERY_S)

    def _judge_certificate(self, name: str, until: datetime) -> None:
        now = datetime.fromtimestamp(self._clock.now().wall_us / US_PER_S, UTC)
        days = floor((until - now) / timedelta(days=1))
        if days >= CERTIFICATE_DAYS:
            self._notices.mended(Reason.CERTIFICATE_EXPIRES, name)
            return
        # the level changes with the day: one message a day
        level = f"certificate ends in {days} days" if days >= 0 else "certificate has ended"
        detail = f"{name}: {until:%Y-%m-%d %H:%M}Z, {level}"
        self._notices.failing(Reason.CERTIFICATE_EXPIRES, name, detail, level)

    def _answered(self, name: str) -> None:
        if self._sinks[name][1].answered():
            self._notices.mended(Reason.LINK_DOWN, name)

    def _progressed(self, name: str) -> None:
        self._sinks[name][1].progressed()
        self._notices.mended(Reason.LINK_DOWN, name)

    def _refused(self, name: str, target: str, reason_code: int) -> None:
        detail = f"{target} (reason {reason_code})"
        self._notices.failing(Reason.DELIVERY_REFUSED, name, detail)


def _what_it_does(supervisor: Supervisor) -> str:
    if supervisor.health is not Health.WAITING:
        return f"{supervisor.name} {supervisor.health}"
    return f"{supervisor.name} {supervisor.health} ({supervisor.plain_error})"
