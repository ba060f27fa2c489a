"""One MQTT connection: the only file that touches aiomqtt and the client of paho.

aiomqtt throws the PUBACK reason code away, so a publish that the broker's access list
denied looks delivered; it neither reconnects nor cleans up a connection that failed half
way. This file publishes through paho directly, reads every reason code, and makes one
fresh client per connection.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import aiomqtt
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cbrn_core.errors import ConnectFailed, DeliveryError, Disconnected, Refused
from cbrn_gateway.sinks.mqtt_packets import describe, packed_properties, publish_octets
from cbrn_gateway.sinks.mqtt_queue import counting_queue, ignore_loss
from cbrn_gateway.sinks.mqtt_settings import MqttSettings
from cbrn_gateway.sinks.mqtt_writable import watch_writable
from cbrn_gateway.sinks.tls import explain, peer_dates, telling_socket

FIRST_FAILURE = 128
"""MQTT 5 §2.4: reason codes from 0x80 up are failures."""
NO_MATCHING_SUBSCRIBERS = 16
_TAKEN_OVER = 142
_TOO_LARGE = 149
_MOST_HEAD_BYTES = 512
"""Room for the fixed header and the properties of a PUBLISH as this gateway writes them."""
_BUSY_CODES = frozenset({136, 137, 151, 156, 157, 159})
_MOST_QUEUED_MESSAGES = 1000
_LARGEST_PACKET_BYTES = 1 << 20
_FAREWELL_S = 1.0
_LOG = logging.getLogger(__name__)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message to publish; what MQTT 3.1.1 cannot carry is left out there."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    content_type: str | None = None
    expiry_s: int | None = None
    correlation: bytes | None = None
    user: tuple[tuple[str, str], ...] = ()
    will_delay_s: int | None = None


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One message that arrived; the last two only ever come with MQTT 5."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


class MqttLink:
    """One connection; entering connects, leaving closes, a second entering is not allowed.

    Leaving normally or by cancellation says goodbye (the will is not sent); leaving by an
    error drops the connection, so that the broker sends the will unless we are back soon.
    """

    def __init__(
        self,
        settings: MqttSettings,
        will: Outgoing,
        tls_context: ssl.SSLContext | None = None,
        on_discarded: Callable[[], None] = ignore_loss,
    ) -> None:
        self._settings = settings
        self._has_answered = False
        self._farewell: ReasonCode | None = None
        self._tls_fault: ssl.SSLError | None = None
        if tls_context is not None:
            tls_context.sslsocket_class = telling_socket(self._note_tls_fault)
        self._client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if settings.is_v5 else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(
                will.topic, will.payload, will.qos, will.retain, self._will_properties(will)
            ),
            clean_session=None if settings.is_v5 else True,
            clean_start=False if settings.is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=self._connect_properties(),
            keepalive=settings.keepalive_s,
            timeout=settings.puback_timeout_s,
            max_queued_incoming_messages=_MOST_QUEUED_MESSAGES,
            queue_type=counting_queue(on_discarded),
            tls_context=tls_context,
            logger=_LOG,
        )
        self._paho: paho.Client = self._client._client  # noqa: SLF001
        self._paho.connect_timeout = settings.connect_timeout_s
        self._paho.on_connect = self._on_connect
        self._paho.on_publish = self._on_publish
        self._paho.on_disconnect = self._on_disconnect
        watch_writable(self._paho, self._lose)
        self._outcomes: dict[int, asyncio.Future[int]] = {}
        self._to_acknowledge: dict[int, str] = {}
        self._largest_bytes: int | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Refused: the broker does not want us (identity, protocol, rights of the will).
            ConnectFailed: it is not there, or too busy.
        """
        connecting = asyncio.ensure_future(self._client.__aenter__())
        try:
            # Shielded: the connecting thread cannot be cancelled; were it left alone, its
            # socket would stay open and be read by nobody.
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(self._drop_after)
            raise
        except aiomqtt.exceptions.MqttConnectError as error:
            self._drop()
            raise _connect_refusal(error) from error
        except (aiomqtt.MqttError, ValueError) as error:
            self._drop()
            raise ConnectFailed(await self._why(error)) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; never raises but for cancellation."""
        polite = kind is None or issubclass(kind, asyncio.CancelledError)
        try:
            if polite and not self._lost.done() and self._paho.disconnect() == 0:
                await asyncio.wait({self._lost}, timeout=_FAREWELL_S)
        finally:
            self._drop()

    def ending(self, *, is_young: bool) -> str | None:
        """Return how the connection ended, None where it has not or nothing can be told."""
        if not self._lost.done():
            return None
        name = self._settings.client_id
        said = "" if self._farewell is None else f": {self._farewell}"
        if self._farewell == _TAKEN_OVER:
            return f"another client has connected to the broker as {name}"
        if not self._has_answered:
            return f"the broker closes the connection at the first message{said}"
        for topic in self._to_acknowledge.values():
            return f"the connection ended before {topic} was acknowledged{said}"
        if said:
            return f"the broker ended the connection{said}"
        return f"the connection soon ended: does another client use {name}?" if is_young else None

    def post(self, message: Outgoing) -> asyncio.Future[int]:
        """Hand a message over and return the outcome for `settle`; order is kept.

        What the broker said to be too large for it is refused here: it would hang up.

        Raises:
            Disconnected: the connection is gone.
        """
        outcome = asyncio.get_running_loop().create_future()
        size_bytes = len(message.payload) + len(message.topic.encode()) + _MOST_HEAD_BYTES
        if not self._takes(size_bytes):
            outcome.set_result(_TOO_LARGE)
            return outcome
        sent = self._paho.publish(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            self._publish_properties(message, PacketTypes.PUBLISH),
        )
        if sent.rc != paho.MQTT_ERR_SUCCESS or self._lost.done():
            raise Disconnected(f"{message.topic}: {paho.error_string(sent.rc)}")
        self._outcomes[sent.mid] = outcome
        if message.qos:
            self._to_acknowledge[sent.mid] = message.topic
        return outcome

    def post_together(self, messages: Sequence[Outgoing]) -> asyncio.Future[int]:
        """Hand messages of QoS 0 over as one piece; the outcome is that of the last of them.

        Those that are too large for the broker are left out; the outcome then is a refusal.

        Raises:
            Disconnected: the connection is gone.
        """
        if self._lost.done() or self._paho.socket() is None:
            raise Disconnected(f"{len(messages)} live messages: no connection")
        outcome = asyncio.get_running_loop().create_future()
        mid = self._paho._mid_generate()  # noqa: SLF001
        self._outcomes[mid] = outcome
        packets = [_octets(message, is_v5=self._settings.is_v5) for message in messages]
        fitting = [packet for packet in packets if self._takes(len(packet))]
        if len(fitting) < len(packets):
            outcome.set_result(_TOO_LARGE)
        if not fitting:
            return outcome
        octets = b"".join(fitting)
        self._paho._packet_queue(  # noqa: SLF001
            paho.PUBLISH, octets, mid, 0, paho.MQTTMessageInfo(mid)
        )
        return outcome

    async def settle(self, outcome: asyncio.Future[int], topic: str) -> int:
        """Return the reason code below 128 (0 delivered, 16 nobody subscribes).

        With QoS 0 it means written to the socket; MQTT 3.1.1 knows only 0.

        Raises:
            Refused: the broker denied it; `reason_code` says why.
            Disconnected: the connection went away first.
            DeliveryError: no answer in time: nobody knows whether it arrived.
        """
        if not outcome.done():
            either: set[asyncio.Future[Any]] = {outcome, self._lost}
            await asyncio.wait(
                either,
                timeout=self._settings.puback_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        if outcome.done():
            code = outcome.result()
            if code >= FIRST_FAILURE:
                raise Refused(code, f"the broker refused {topic} with reason code {code}")
            return code
        if self._lost.done():
            raise Disconnected(f"connection lost before {topic} was acknowledged")
        raise DeliveryError(
            f"no acknowledgement of {topic} in {self._settings.puback_timeout_s:g} s"
        )

    async def publish(self, message: Outgoing) -> int:
        """Publish and wait for the outcome, as `post` and `settle`."""
        return await self.settle(self.post(message), message.topic)

    async def subscribe(self, topic: str, qos: int = 1) -> int:
        """Subscribe; return the granted quality of service.

        Raises:
            Refused: the broker denied it.
            Disconnected: the connection is gone, or no answer came.
        """
        try:
            answers = await self._client.subscribe(topic, qos)
        except aiomqtt.MqttError as error:
            raise Disconnected(f"subscribing to {topic}: {error}") from error
        code = _code(answers[0])
        if code >= FIRST_FAILURE:
            raise Refused(code, f"the broker refused the subscription {topic} with {code}")
        return code

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Yield what arrives.

        Raises:
            Disconnected: the connection ended.
        """
        try:
            async for message in self._client.messages:
                yield _incoming(message)
        except aiomqtt.MqttError as error:
            raise Disconnected(f"{self._settings!r}: {error.__cause__ or error}") from error

    @property
    def _lost(self) -> asyncio.Future[None]:
        return self._client._disconnected  # noqa: SLF001

    def _takes(self, size_bytes: int) -> bool:
        return self._largest_bytes is None or size_bytes <= self._largest_bytes

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        """Note what the broker takes; one without properties sets no limit."""
        self._largest_bytes = getattr(properties, "MaximumPacketSize", None)
        self._client._on_connect(client, userdata, flags, reason_code, properties)  # noqa: SLF001

    def _on_publish(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: Any,  # noqa: ANN401, ARG002
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002
    ) -> None:
        outcome = self._outcomes.pop(mid, None)
        self._has_answered |= self._to_acknowledge.pop(mid, None) is not None
        if outcome is not None and not outcome.done():
            outcome.set_result(_code(reason_code))

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        """Tell a waiting `__aenter__` at once; aiomqtt would let it wait for its time-out."""
        if flags.is_disconnect_packet_from_server:
            self._farewell = reason_code
        connected = self._client._connected  # noqa: SLF001
        if connected.done():
            self._client._on_disconnect(client, userdata, flags, reason_code, properties)  # noqa: SLF001
        else:
            connected.set_exception(aiomqtt.MqttError(f"closed before it began: {reason_code}"))

    def _lose(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)

    def _note_tls_fault(self, fault: ssl.SSLError) -> None:
        self._tls_fault = fault

    async def _why(self, error: Exception) -> str:
        """Return why there is no connection, first what is wrong and then with whom."""
        settings, fault = self._settings, self._tls_fault
        if fault is None:
            return f"{error} ({settings!r})"
        dates = partial(peer_dates, settings.files, settings.host, settings.port)
        why = await asyncio.to_thread(explain, fault, "the broker", settings.host, dates)
        return f"{why} ({settings!r})"

    def _drop_after(self, connecting: "asyncio.Future[Any]") -> None:
        if not connecting.cancelled():
            connecting.exception()
        self._drop()

    def _drop(self) -> None:
        self._paho._sock_close()  # noqa: SLF001
        if self._lost.done() and not self._lost.cancelled():
            self._lost.exception()
        self._outcomes.clear()

    def _connect_properties(self) -> Properties | None:
        if not self._settings.is_v5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.MaximumPacketSize = _LARGEST_PACKET_BYTES
        return properties

    def _will_properties(self, will: Outgoing) -> Properties | None:
        properties = self._publish_properties(will, PacketTypes.WILLMESSAGE)
        if properties is not None and will.will_delay_s is not None:
            properties.WillDelayInterval = will.will_delay_s
        return properties

    def _publish_properties(self, message: Outgoing, packet: int) -> Properties | None:
        if not self._settings.is_v5:
            return None
        properties = Properties(packet)  # type: ignore[no-untyped-call]
        describe(properties, message.content_type, message.expiry_s, message.user)
        if message.correlation is not None:
            properties.CorrelationData = message.correlation
        return properties


def _code(reason: ReasonCode | int) -> int:
    return reason.value if isinstance(reason, ReasonCode) else int(reason)


def _connect_refusal(error: aiomqtt.exceptions.MqttConnectError) -> Refused | ConnectFailed:
    code = _code(error.rc) if error.rc is not None else FIRST_FAILURE
    if code in _BUSY_CODES:
        return ConnectFailed(f"the broker is busy: {error}")
    return Refused(code, f"the broker refused the connection: {error}")


def _incoming(message: aiomqtt.Message) -> Incoming:
    properties = message.properties
    return Incoming(
        topic=message.topic.value,
        payload=bytes(message.payload),
        retained=message.retain,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )


def _octets(message: Outgoing, *, is_v5: bool) -> bytes:
    described = packed_properties(message.content_type, message.expiry_s, message.user)
    return publish_octets(
        message.topic,
        message.payload,
        retain=message.retain,
        properties=described if is_v5 else None,
    )
