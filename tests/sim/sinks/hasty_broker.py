"""A broker of a few lines that can be made to hang up at certain messages (MQTT 5.0, OASIS)."""

import asyncio
from collections.abc import Callable
from typing import Self

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
CONNACK = b"\x20\x03\x00\x00\x00"
PINGRESP = b"\xd0\x00"


def every_message(topic: str) -> bool:
    return True


def no_message(topic: str) -> bool:
    return False


class HastyBroker:
    """`async with` it: takes every client, hangs up at each message that `hangs_up_at` names.

    `connected_s` are the loop's times of the connections, `acknowledged` the topics that came
    to rest here.
    """

    def __init__(self, hangs_up_at: Callable[[str], bool] = every_message) -> None:
        self.hangs_up_at = hangs_up_at
        self.connected_s: list[float] = []
        self.acknowledged: list[str] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    @property
    def gaps_s(self) -> list[float]:
        pairs = zip(self.connected_s, self.connected_s[1:], strict=False)
        return [later - earlier for earlier, later in pairs]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, body = await _packet(reader)
                answer = self._answer(first, body)
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, first: int, body: bytes) -> bytes | None:
        kind = first >> 4
        if kind == CONNECT:
            self.connected_s.append(asyncio.get_running_loop().time())
            return CONNACK
        if kind == SUBSCRIBE:
            return b"\x90\x04" + body[:2] + b"\x00\x01"
        if kind == PINGREQ:
            return PINGRESP
        return self._published(first, body) if kind == PUBLISH else None

    def _published(self, first: int, body: bytes) -> bytes | None:
        length = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + length].decode()
        if self.hangs_up_at(topic):
            return None
        if not first & 0x06:
            return b""
        self.acknowledged.append(topic)
        return b"\x40\x02" + body[2 + length : 4 + length]


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        octet = (await reader.readexactly(1))[0]
        length |= (octet & 0x7F) << shift
        shift += 7
        if not octet & 0x80:
            return first, await reader.readexactly(length)
