"""The queue of what arrived by MQTT and was not read yet: bounded, its losses counted."""

import asyncio
from collections.abc import Callable
from typing import Any


def counting_queue(count: Callable[[], None]) -> type[asyncio.Queue[Any]]:
    """Return a queue class that tells when the gateway reads too slowly and messages are lost."""

    class CountingQueue(asyncio.Queue[Any]):
        def put_nowait(self, item: object) -> None:
            """Add a message, or count it and refuse."""
            if self.full():
                count()
            super().put_nowait(item)

    return CountingQueue


def ignore_loss() -> None:
    """Stand in where nobody counts messages that were not read in time."""
