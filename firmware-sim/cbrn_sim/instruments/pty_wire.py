"""A serial line as a pseudo-terminal behind a stable symlink.

Whether anybody has the line open is read from the terminal itself (the master polls as
hung up while no one holds the other end), so that bytes sent to a closed port are lost,
as on a real one, instead of waiting for whoever opens it next.
"""

import asyncio
import os
import select
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LOOK_AGAIN_S = 0.02
_READ_BYTES = 4096


class PtyWire:
    """One serial line; `link` is the path that a driver opens."""

    def __init__(self, link: Path, received: Callable[[bytes], None]) -> None:
        self.link = link
        self.lost_bytes = 0
        self._received = received
        self._master: int | None = None
        self._is_read = False
        self._is_frozen = False
        self._look: asyncio.TimerHandle | None = None

    @property
    def is_plugged(self) -> bool:
        """Return whether the device file exists."""
        return self._master is not None

    async def plug(self) -> None:
        """Make a new terminal and point the symlink at it; nothing when already there."""
        if self._master is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._point_link_at(os.ttyname(slave))
        # The settings stay with the terminal; only the driver holds the line open.
        os.close(slave)
        self._master = master
        self._watch()

    async def unplug(self) -> None:
        """Hang up the line and remove the symlink."""
        self.close()

    def close(self) -> None:
        """Hang up the line; safe to call twice."""
        if self._master is None:
            return
        self._stop_reading()
        self._cancel_look()
        os.close(self._master)
        self._master = None
        self.link.unlink(missing_ok=True)

    def freeze(self, on: bool) -> None:
        """Neither read nor write until it ends."""
        self._is_frozen = on
        if self._master is None:
            return
        if on:
            self._stop_reading()
            self._cancel_look()
        elif not self._is_read and self._look is None:
            self._watch()

    def write(self, chunk: bytes) -> None:
        """Send what the line takes; the rest is lost, as on a line without flow control."""
        if self._master is None or not chunk:
            return
        if self._is_frozen or not self._is_open_at_far_end():
            self.lost_bytes += len(chunk)
            return
        try:
            written = os.write(self._master, chunk)
        except BlockingIOError:
            written = 0
        self.lost_bytes += len(chunk) - written

    def _watch(self) -> None:
        """Look every few milliseconds whether a driver has opened the line."""
        self._look = None
        if self._master is None or self._is_frozen:
            return
        loop = asyncio.get_running_loop()
        if self._is_open_at_far_end():
            loop.add_reader(self._master, self._read)
            self._is_read = True
        else:
            self._look = loop.call_later(_LOOK_AGAIN_S, self._watch)

    def _read(self) -> None:
        if self._master is None:
            return
        try:
            chunk = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._driver_left()
            return
        self._received(chunk)

    def _driver_left(self) -> None:
        self._stop_reading()
        if self._master is not None:
            with suppress(termios.error):
                termios.tcflush(self._master, termios.TCOFLUSH)
        self._watch()

    def _is_open_at_far_end(self) -> bool:
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def _stop_reading(self) -> None:
        if self._is_read and self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
        self._is_read = False

    def _cancel_look(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _point_link_at(self, target: str) -> None:
        self.link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(self.link)
