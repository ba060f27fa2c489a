"""Log catch-up: pages of journal entries for a control room that has lost some of the log topic.

The command `catch_up` names the first entry that is missing; the answer and then the pages
go where answers to commands go. It only reads. Pages are small and have pauses between
them, so that an alarm on the same connection never waits for history; who asks is served in
turn, one request for each place of answer. A connection that ends takes the requests with it:
ask again from the `next_seq` of the last page.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence

import msgspec

from cbrn_core.clock import Clock
from cbrn_core.errors import CommandRefused, Refused, StorageError
from cbrn_gateway.sinks.mqtt_client import NO_MATCHING_SUBSCRIBERS, MqttLink, Outgoing
from cbrn_gateway.sinks.outbox import (
    JournalHead,
    LogReader,
    RefusedCallback,
    SealedRow,
    ignore_refusal,
)
from cbrn_gateway.sinks.payloads import JSON, LOG_PAGE_SCHEMA, encode_log_page
from cbrn_gateway.wire import ANSWER_SCHEMA, CATCH_UP, AnswerMessage, CommandMessage

PAGE_ROWS = 64
PAGE_BYTES = 32_768
PAGES_PER_REQUEST = 64
MOST_REQUESTS = 4
PAUSE_S = 0.25
_EXPIRY_S = 300


class _Verb(msgspec.Struct, frozen=True):
    verb: str | None = None


class Request(msgspec.Struct):
    """One catch-up that is under way; `next_seq` is the entry that comes next."""

    topic: str
    correlation: bytes | None
    command: CommandMessage
    next_seq: int
    pages: int = 0


_VERB = msgspec.json.Decoder(_Verb)
_COMMAND = msgspec.json.Decoder(CommandMessage)


def asks_to_catch_up(payload: bytes) -> bool:
    """Return whether a command is a catch-up; what is no command at all is none either."""
    try:
        return _VERB.decode(payload).verb == CATCH_UP
    except msgspec.DecodeError:
        return False


class CatchUp:
    """Serves requests for journal entries; outlives its connections, its requests do not.

    Counters: `catch_ups` accepted, `catch_ups_refused`, `catch_up_pages`.
    """

    def __init__(
        self,
        journal: LogReader,
        gateway: str,
        clock: Clock,
        counters: Counter[str],
        *,
        on_refused: RefusedCallback = ignore_refusal,
    ) -> None:
        self._journal = journal
        self._gateway = gateway
        self._clock = clock
        self._counters = counters
        self._on_refused = on_refused
        self._requests: OrderedDict[str, Request] = OrderedDict()
        self._filled = asyncio.Event()

    def take(self, payload: bytes, topic: str | None, correlation: bytes | None) -> bytes | None:
        """Take a request; return the answer where it is refused, None where it will be answered.

        Never raises for bad input. Nothing is read and nothing is sent here.
        """
        command = None
        try:
            command = _COMMAND.decode(payload)
            self._admit(command, topic, correlation)
        except (msgspec.DecodeError, CommandRefused) as error:
            return self._refusal(command, str(error))
        return None

    async def run(self, link: MqttLink) -> None:
        """Answer and send pages until the connection fails; raises as `MqttLink.settle`."""
        try:
            while True:
                while not self._requests:
                    self._filled.clear()
                    await self._filled.wait()
                await self._serve_next(link)
                await self._clock.sleep(PAUSE_S)
        finally:
            self._requests.clear()

    async def _serve_next(self, link: MqttLink) -> None:
        # it stays among the requests, so that a second one of its place is refused meanwhile
        topic = next(iter(self._requests))
        self._requests.move_to_end(topic)
        try:
            goes_on = await self._serve(link, self._requests[topic])
        except Refused as refused:
            self._counters["mqtt_refused"] += 1
            self._on_refused(topic, refused.reason_code)
            goes_on = False
        if not goes_on:
            del self._requests[topic]

    def _admit(self, command: CommandMessage, topic: str | None, correlation: bytes | None) -> None:
        if not command.actor:
            raise CommandRefused("a command needs the name of the person who gives it")
        if command.seq_from is None:
            raise CommandRefused(f"{CATCH_UP} needs seq_from, the first entry that is missing")
        if command.seq_to is not None and command.seq_to < command.seq_from:
            raise CommandRefused("seq_to is before seq_from")
        if topic is None:
            raise CommandRefused("there is no place where the pages may go")
        if topic in self._requests:
            raise CommandRefused("a catch-up to this place is under way: wait for its last page")
        if len(self._requests) >= MOST_REQUESTS:
            raise CommandRefused("too many catch-ups at once: ask again in a minute")
        self._requests[topic] = Request(topic, correlation, command, command.seq_from)
        self._filled.set()

    async def _serve(self, link: MqttLink, request: Request) -> bool:
        """Send the next page, before the first the answer; return whether more will follow."""
        try:
            head = await self._journal.head()
            rows = await self._journal.entries(request.next_seq - 1, PAGE_ROWS)
            if not request.pages:
                _require_known(request.command, head, rows)
        except (StorageError, CommandRefused) as error:
            refusal = self._refusal(request.command, str(error))
            await link.publish(_message(request, refusal, ANSWER_SCHEMA))
            return False
        if not request.pages:
            self._counters["catch_ups"] += 1
            accepted = self._answer(request.command, None)
            await link.publish(_message(request, accepted, ANSWER_SCHEMA))
        return await self._send_page(link, request, head, rows)

    async def _send_page(
        self, link: MqttLink, request: Request, head: JournalHead, rows: Sequence[SealedRow]
    ) -> bool:
        page = _page(rows, request.command.seq_to)
        first_seq = request.next_seq
        last_seq = page[-1].seq if page else first_seq - 1
        request.next_seq = last_seq + 1
        request.pages += 1
        wanted_seq = min(head.seq, request.command.seq_to or head.seq)
        is_complete = not page or last_seq >= wanted_seq
        goes_on = not is_complete and request.pages < PAGES_PER_REQUEST
        payload = encode_log_page(
            self._gateway,
            epoch=head.epoch,
            head_seq=head.seq,
            seq_from=first_seq,
            seq_to=last_seq,
            next_seq=None if is_complete else request.next_seq,
            is_last=not goes_on,
            bodies=[row.body for row in page],
        )
        code = await link.publish(_message(request, payload, LOG_PAGE_SCHEMA))
        self._counters["catch_up_pages"] += 1
        return goes_on and code != NO_MATCHING_SUBSCRIBERS

    def _refusal(self, command: CommandMessage | None, reason: str) -> bytes:
        self._counters["catch_ups_refused"] += 1
        return self._answer(command, reason)

    def _answer(self, command: CommandMessage | None, refusal: str | None) -> bytes:
        answer = AnswerMessage(
            gateway=self._gateway,
            accepted=refusal is None,
            reason=refusal,
            verb=CATCH_UP,
            idempotency_key=None if command is None else command.idempotency_key,
        )
        return msgspec.json.encode(answer)


def _require_known(command: CommandMessage, head: JournalHead, rows: Sequence[SealedRow]) -> None:
    """Refuse what this journal does not hold.

    Raises:
        CommandRefused: an entry that is not yet written, or one of another epoch.
    """
    seq_from = command.seq_from or 1
    if seq_from > head.seq + 1:
        raise CommandRefused(f"entry {seq_from} is not there: the newest is {head.seq}")
    epoch = rows[0].epoch if rows else head.epoch
    if command.epoch is not None and command.epoch != epoch:
        raise CommandRefused(
            f"entry {seq_from} is of epoch {epoch} here: the journal was begun anew; "
            "ask without epoch, from where it left the one you know"
        )


def _page(rows: Sequence[SealedRow], seq_to: int | None) -> list[SealedRow]:
    """Return the first rows that fit into one page, at least one where there is any."""
    page: list[SealedRow] = []
    size_bytes = 0
    for row in rows:
        size_bytes += len(row.body)
        if (seq_to is not None and row.seq > seq_to) or (page and size_bytes > PAGE_BYTES):
            break
        page.append(row)
    return page


def _message(request: Request, payload: bytes, schema: str) -> Outgoing:
    return Outgoing(
        topic=request.topic,
        payload=payload,
        qos=1,
        content_type=JSON,
        expiry_s=_EXPIRY_S,
        correlation=request.correlation,
        user=(("schema", schema),),
    )
