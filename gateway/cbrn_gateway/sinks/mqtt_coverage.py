"""What each zone can detect now, on its restricted topic (safety 17): at once when it changes."""

from collections import Counter
from collections.abc import Callable, Sequence

from cbrn_core.clock import Clock
from cbrn_core.errors import Refused
from cbrn_core.times import US_PER_S
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import RefusedCallback, ignore_refusal
from cbrn_gateway.sinks.payloads import COVERAGE_SCHEMA, JSON, CoverageRow, encode_coverage
from cbrn_gateway.sinks.topics import Topics

LOOK_EVERY_S = 2.0
TELL_EVERY_S = 60.0

AskCoverage = Callable[[], Sequence[CoverageRow]]


def no_coverage() -> Sequence[CoverageRow]:
    """Stand in where nobody knows."""
    return ()


class CoveragePublisher:
    """Tells the coverage of one site; outlives its connections."""

    def __init__(
        self,
        ask: AskCoverage,
        topics: Topics,
        clock: Clock,
        counters: Counter[str],
        on_refused: RefusedCallback = ignore_refusal,
    ) -> None:
        self._ask = ask
        self._topics = topics
        self._clock = clock
        self._counters = counters
        self._on_refused = on_refused

    async def run(self, link: MqttLink) -> None:
        """Tell until the connection fails; raises as `MqttLink.publish`."""
        told: Sequence[CoverageRow] | None = None
        told_us = 0
        while True:
            rows, now = tuple(self._ask()), self._clock.now()
            due = now.steady_us - told_us >= TELL_EVERY_S * US_PER_S
            if rows != told or (rows and due):
                await self._tell(link, rows, now.wall_us)
                told, told_us = rows, now.steady_us
            await self._clock.sleep(LOOK_EVERY_S)

    async def _tell(self, link: MqttLink, rows: Sequence[CoverageRow], wall_us: int) -> None:
        message = Outgoing(
            topic=self._topics.coverage,
            payload=encode_coverage(self._topics.gateway, wall_us, rows),
            qos=1,
            content_type=JSON,
            user=(("schema", COVERAGE_SCHEMA),),
        )
        try:
            await link.publish(message)
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._on_refused(self._topics.coverage, refused.reason_code)
