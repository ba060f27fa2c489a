"""Sending on a bus at the pace at which its daemon reads.

dbus-fast ends its connection when the socket's buffer is full, so that after some messages
the daemon is asked something and its answer waited for.
"""

import asyncio
from collections import deque

from dbus_fast import Message
from dbus_fast.aio import MessageBus

_AT_ONCE = 10


class PacedBus:
    """Messages of one connection in order; `send` until cancelled."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._waiting: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, message: Message) -> None:
        """Queue a signal or a reply."""
        self._waiting.append(message)
        self._emptied.clear()
        self._filled.set()

    async def emptied(self) -> None:
        """Wait until everything queued so far has been read by the daemon."""
        await self._emptied.wait()

    async def send(self) -> None:
        """Send what is queued."""
        while True:
            await self._filled.wait()
            while self._waiting:
                for _ in range(min(len(self._waiting), _AT_ONCE)):
                    self._bus.send(self._waiting.popleft())
                await self._bus.call(_question())
            self._filled.clear()
            self._emptied.set()


def _question() -> Message:
    return Message(
        destination="org.freedesktop.DBus",
        path="/org/freedesktop/DBus",
        interface="org.freedesktop.DBus",
        member="GetId",
    )
