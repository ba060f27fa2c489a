"""The canary: proves once a minute that the path to each control room's topic is open.

It goes out on the topic of its control room, never on an alert topic, and must come back
through the broker. A path is proven anew or it is not proven: a link that is cut, a right
that is missing and a broker that swallows look the same from here, and are told the same.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from cbrn_core.clock import Clock
from cbrn_core.errors import Refused
from cbrn_core.times import US_PER_S, format_rfc3339, seconds_to_us
from cbrn_gateway.sinks.mqtt_client import MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import RefusedCallback, ignore_refusal
from cbrn_gateway.sinks.payloads import CANARY_SCHEMA, JSON, encode_canary
from cbrn_gateway.sinks.topics import Topics

PERIOD_S = 60.0
PATIENCE_S = 10.0
_US_PER_MS = 1000

ProvenCallback = Callable[[str], None]
"""Called with the control room whose path has just been proven."""


def ignore_proof(soc: str) -> None:
    """Stand in where nobody waits for proofs."""


class _Path(msgspec.Struct):
    """What is known of one path; steady times.

    Attributes:
        number: of the canary that is out or came last; it never repeats.
    """

    since_us: int
    number: int = 0
    sent_us: int = 0
    is_out: bool = False
    refusal: int | None = None


class _Echo(msgspec.Struct, frozen=True):
    schema: str
    gateway: str
    soc: str
    number: int


_ECHO = msgspec.json.Decoder(_Echo)


class Canary:
    """The paths to all control rooms of a site; outlives its connections.

    Counters, per control room: `canary_SOC_ms` last round trip, `canary_SOC_proven`.
    """

    def __init__(
        self,
        socs: Sequence[str],
        topics: Topics,
        clock: Clock,
        counters: Counter[str],
        *,
        on_refused: RefusedCallback = ignore_refusal,
        on_proven: ProvenCallback = ignore_proof,
    ) -> None:
        now_us = clock.now().steady_us
        self._topics = topics
        self._clock = clock
        self._counters = counters
        self._on_refused = on_refused
        self._on_proven = on_proven
        self._paths = {soc: _Path(since_us=now_us) for soc in socs}
        self._by_topic = {topics.canary(soc): soc for soc in socs}
        self._heard: set[str] = set()

    async def run(self, link: MqttLink) -> None:
        """Send until the connection fails; raises as `MqttLink.settle` and `subscribe`."""
        self._heard.clear()
        while self._paths:
            for soc in self._paths:
                await self._send(link, soc)
            await self._clock.sleep(PERIOD_S)

    def take(self, topic: str, payload: bytes) -> bool:
        """Take what arrived on a canary topic; return False where it is another topic."""
        soc = self._by_topic.get(topic)
        if soc is None:
            return False
        try:
            echo = _ECHO.decode(payload)
        except msgspec.DecodeError:
            self._counters["canary_unreadable"] += 1
            return True
        path = self._paths[soc]
        mine = (echo.schema, echo.gateway, echo.soc) == (CANARY_SCHEMA, self._topics.gateway, soc)
        if mine and path.is_out and echo.number == path.number:
            self._note_proof(soc, path)
        return True

    def unproven(self) -> list[tuple[str, str]]:
        """Return (control room, why) of each path whose proof is overdue."""
        now_us = self._clock.now().steady_us
        return [
            (soc, why)
            for soc, path in self._paths.items()
            if (why := _why_unproven(path, now_us)) is not None
        ]

    async def _send(self, link: MqttLink, soc: str) -> None:
        topic, path = self._topics.canary(soc), self._paths[soc]
        now = self._clock.now()
        try:
            if soc not in self._heard:
                await link.subscribe(topic)
                self._heard.add(soc)
                now = self._clock.now()
            path.number = max(path.number + 1, now.wall_us)
            path.sent_us = now.steady_us
            path.is_out = True
            await link.publish(self._message(soc, path.number, now.wall_us))
            path.refusal = None
        except Refused as refused:
            path.refusal = refused.reason_code
            self._counters["mqtt_refused"] += 1
            self._on_refused(topic, refused.reason_code)

    def _message(self, soc: str, number: int, wall_us: int) -> Outgoing:
        return Outgoing(
            topic=self._topics.canary(soc),
            payload=encode_canary(self._topics.gateway, soc, number, format_rfc3339(wall_us)),
            qos=1,
            content_type=JSON,
            expiry_s=int(PERIOD_S),
            user=(("schema", CANARY_SCHEMA),),
        )

    def _note_proof(self, soc: str, path: _Path) -> None:
        now_us = self._clock.now().steady_us
        if now_us - path.sent_us > seconds_to_us(PATIENCE_S):
            return
        path.is_out = False
        path.since_us = now_us
        self._counters[f"canary_{soc}_ms"] = round((now_us - path.sent_us) / _US_PER_MS)
        self._counters[f"canary_{soc}_proven"] += 1
        self._on_proven(soc)


def _why_unproven(path: _Path, now_us: int) -> str | None:
    out_s = (now_us - path.sent_us) / US_PER_S if path.is_out else 0.0
    if path.refusal is not None:
        return f"the broker refuses its canary, reason {path.refusal}"
    if out_s > PATIENCE_S:
        return f"its canary did not come back within {PATIENCE_S:.0f} s"
    if (now_us - path.since_us) / US_PER_S > PERIOD_S + PATIENCE_S:
        return f"no canary came back for more than {PERIOD_S:.0f} s"
    return None
