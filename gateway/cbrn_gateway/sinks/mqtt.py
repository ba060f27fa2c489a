"""MQTT sink: alerts, log, live values, commands and status over one connection at a time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from cbrn_core.clock import Clock
from cbrn_core.errors import DeliveryError, Disconnected, DriverError, Refused
from cbrn_core.site_model import SiteModel
from cbrn_gateway.sinks.live_queue import LiveQueue
from cbrn_gateway.sinks.mqtt_alerts import AlertPublisher
from cbrn_gateway.sinks.mqtt_canary import Canary, ProvenCallback, ignore_proof
from cbrn_gateway.sinks.mqtt_catch_up import CatchUp
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.mqtt_coverage import AskCoverage, CoveragePublisher, no_coverage
from cbrn_gateway.sinks.mqtt_inbound import CommandCallback, ExternalCallback, Inbound
from cbrn_gateway.sinks.mqtt_live import LivePublisher
from cbrn_gateway.sinks.mqtt_log import LogPublisher
from cbrn_gateway.sinks.mqtt_settings import MqttSettings
from cbrn_gateway.sinks.outbox import (
    AlertRow,
    JournalOutbox,
    RefusedCallback,
    ignore_progress,
    ignore_refusal,
)
from cbrn_gateway.sinks.payloads import JSON, STATUS_SCHEMA, encode_status
from cbrn_gateway.sinks.topics import Topics
from cbrn_gateway.sinks.waiting import run_until_one_fails

_FAREWELL_S = 1.0
_US_PER_MS = 1000


def no_counters() -> Mapping[str, int]:
    """Stand in where the daemon has nothing to add to the status."""
    return {}


class MqttCallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon wants to hear, and what it adds.

    Attributes:
        on_command: answers a command.
        on_external: takes the messages of other tools.
        on_refused: called with (topic, reason code): a technical alarm.
        on_answer: the broker has acknowledged the first message of a connection.
        on_lasting: it acknowledges messages of a connection that has lasted.
        on_proven: the path to a control room has been proven.
        render_cap: the same alert as CAP 1.2.
        health: counters of the whole daemon for the status.
        coverage: what each zone can detect now.
    """

    on_command: CommandCallback | None = None
    on_external: ExternalCallback | None = None
    on_refused: RefusedCallback = ignore_refusal
    on_answer: Callable[[], None] = ignore_progress
    on_lasting: Callable[[], None] = ignore_progress
    on_proven: ProvenCallback = ignore_proof
    render_cap: Callable[[bytes], bytes | None] | None = None
    health: Callable[[], Mapping[str, int]] = no_counters
    coverage: AskCoverage = no_coverage


class MqttSink:
    """Everything the gateway says on MQTT; `run` is one connection, restart it when it ends.

    Make it on the event loop. `counters` counts since it was made, across connections;
    `mqtt_round_trip_ms` is that of the last status and its acknowledgement.
    """

    name = "mqtt"

    def __init__(
        self,
        settings: MqttSettings,
        site: SiteModel,
        outbox: JournalOutbox,
        live: LiveQueue,
        clock: Clock,
        *,
        version: str = "0",
        callbacks: MqttCallbacks | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.is_connected = False
        self._settings = settings
        self._clock = clock
        self._live_queue = live
        self._version = version
        self._calls = callbacks or MqttCallbacks()
        self._topics = Topics(city=site.city, site=site.site.id, gateway=site.gateway)
        self._online_since_us = 0
        self._has_lasted = False
        self._make_parts(outbox, live)

    def wake(self) -> None:
        """Say that the journal has something new; call it on the event loop."""
        self._alerts.wake()
        self._log.wake()

    def send_unjournalled(self, row: AlertRow) -> None:
        """Send an alert that the journal could not take in time (safety 18)."""
        self._alerts.send_unjournalled(row)

    def unproven(self) -> list[tuple[str, str]]:
        """Return (control room, why) of each path whose proof is overdue."""
        return self._canary.unproven()

    async def run(self) -> None:
        """Connect and deliver until cancelled or until the connection fails.

        Raises:
            Refused: the broker does not want us at all; refused topics do not end it.
            DeliveryError: an acknowledgement did not come.
            TransportError: no connection, or it went away.
            ConfigError: a file of TLS cannot be used now.
        """
        tls_context = None
        if self._settings.tls:
            tls_context = await asyncio.to_thread(self._settings.tls_context)
        self._online_since_us = self._clock.now().wall_us
        will, discarded = self._will(), self._note_discarded
        async with MqttLink(self._settings, will, tls_context, discarded) as link:
            self.is_connected = True
            self._has_lasted = False
            self.counters["mqtt_connections"] += 1
            try:
                await run_until_one_fails(
                    self._inbound.run(link),
                    self._alerts.run(link),
                    self._log.run(link),
                    self._live.run(link),
                    self._tell_status(link),
                    self._canary.run(link),
                    self._coverage.run(link),
                    self._catch_up.run(link),
                )
            except asyncio.CancelledError:
                await self._say_goodbye(link)
                raise
            except (DriverError, DeliveryError) as error:
                if (why := link.ending(is_young=not self._has_lasted)) is not None:
                    raise Disconnected(why) from error
                raise
            finally:
                self.is_connected = False

    def _make_parts(self, outbox: JournalOutbox, live: LiveQueue) -> None:
        calls, settings = self._calls, self._settings
        self._alerts = AlertPublisher(
            outbox,
            self._topics,
            self.counters,
            render_cap=calls.render_cap,
            refused_retry_s=settings.refused_retry_s,
            on_refused=calls.on_refused,
        )
        self._log = LogPublisher(
            outbox,
            self._topics,
            self.counters,
            refused_retry_s=settings.refused_retry_s,
            on_refused=calls.on_refused,
        )
        self._live = LivePublisher(
            live,
            self._topics,
            self._clock,
            self.counters,
            interval_s=settings.live_interval_s,
            expiry_s=settings.live_expiry_s,
            on_refused=calls.on_refused,
        )
        self._canary = Canary(
            settings.socs,
            self._topics,
            self._clock,
            self.counters,
            on_refused=calls.on_refused,
            on_proven=calls.on_proven,
        )
        self._coverage = CoveragePublisher(
            calls.coverage, self._topics, self._clock, self.counters, calls.on_refused
        )
        self._catch_up = CatchUp(
            outbox, self._topics.gateway, self._clock, self.counters, on_refused=calls.on_refused
        )
        self._inbound = Inbound(
            self._topics,
            self.counters,
            on_command=calls.on_command,
            on_external=calls.on_external,
            on_refused=calls.on_refused,
            canary=self._canary,
            catch_up=self._catch_up,
            refused_retry_s=settings.refused_retry_s,
        )

    async def _tell_status(self, link: MqttLink) -> None:
        """Tell it at once, when the connection has lasted, and then regularly."""
        await self._inbound.asked.wait()  # online means: it listens
        await self._tell_online(link)
        self._calls.on_answer()
        await asyncio.sleep(self._settings.lasting_s)
        while True:
            await self._tell_online(link)
            self._has_lasted = True
            self._calls.on_lasting()
            await asyncio.sleep(self._settings.status_period_s)

    async def _tell_online(self, link: MqttLink) -> None:
        """Publish the status; a refusal is an answer, too, and is told otherwise."""
        asked_us = self._clock.now().steady_us
        try:
            await link.publish(self._status("online", self._online_since_us))
        except Refused as refused:
            self.counters["mqtt_refused"] += 1
            self._calls.on_refused(self._topics.status, refused.reason_code)
        taken_us = self._clock.now().steady_us - asked_us
        self.counters["mqtt_round_trip_ms"] = round(taken_us / _US_PER_MS)

    def _note_discarded(self) -> None:
        self.counters["inbound_discarded"] += 1

    async def _say_goodbye(self, link: MqttLink) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await link.publish(self._status("offline", self._clock.now().wall_us))
        except (DeliveryError, DriverError, TimeoutError):
            # the broker keeps the will for those who left without a word
            self.counters["mqtt_farewells_lost"] += 1

    def _will(self) -> Outgoing:
        message = self._status("offline", None, with_counters=False)
        return msgspec.structs.replace(message, will_delay_s=self._settings.will_delay_s)

    def _status(self, state: str, since_us: int | None, *, with_counters: bool = True) -> Outgoing:
        counters = {**self._live_queue.counters, **self.counters, **self._calls.health()}
        payload = encode_status(
            self._topics.gateway,
            state,
            since_us=since_us,
            online_since_us=self._online_since_us,
            version=self._version,
            counters=counters if with_counters else {},
        )
        return Outgoing(
            topic=self._topics.status,
            payload=payload,
            qos=1,
            retain=True,
            content_type=JSON,
            user=(("schema", STATUS_SCHEMA),),
        )
