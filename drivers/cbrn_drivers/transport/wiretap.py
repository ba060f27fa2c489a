"""Overhearing a wire: what a transport sends and receives, told to whoever asked for it.

A transport picks its listener up from the context in which it is opened, so that drivers
need not know of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Direction(StrEnum):
    """Seen from the gateway."""

    RECEIVED = "rx"
    SENT = "tx"


WireListener = Callable[[Direction, bytes, int | None], None]
"""Takes (direction, octets, unit id that is being asked, None on a line of one instrument)."""


def _deaf(_direction: Direction, _octets: bytes, _unit_id: int | None) -> None:
    return


_LISTENER: ContextVar[WireListener] = ContextVar("wire_listener", default=_deaf)


@contextmanager
def overheard_by(listener: WireListener) -> Iterator[None]:
    """Let every transport that is opened inside tell `listener`; it must not raise or wait."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def wire_listener() -> WireListener:
    """Return who is to be told; nobody unless somebody asked."""
    return _LISTENER.get()
