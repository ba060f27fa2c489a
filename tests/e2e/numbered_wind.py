"""An anemometer whose lines are numbered, and that writes down when it said each of them."""

import os
import select
import threading
import time
import tty
from functools import reduce
from operator import xor
from pathlib import Path
from typing import NamedTuple

from samples.site_samples import table


class Said(NamedTuple):
    """One line: its number, when it was said, how much later than it was due (monotonic, s)."""

    number: int
    at_s: float
    late_s: float


class NumberedWind:
    """Says line 1, 2, 3 … at a fixed pace while somebody listens; its speed is the number / 100."""

    def __init__(self, link: Path, period_s: float) -> None:
        self.said: list[Said] = []
        self.link = link
        self._period_s = period_s
        self._master, slave = os.openpty()
        tty.setraw(slave)
        link.symlink_to(os.ttyname(slave))
        os.close(slave)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)
        os.close(self._master)
        self.link.unlink(missing_ok=True)

    def site_tables(self) -> str:
        """Return its station and device."""
        device = {"id": "wind", "station": "mast", "driver": "profile:gill-windsonic"}
        place = "position = { lat = 59.9, lon = 10.7, height_m = 3 }\n"
        station = table("[station]", {"id": "mast"}) + place
        return station + table("[device]", device | {"port": str(self.link)})

    def _talk(self) -> None:
        due_s = time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            if self._is_heard():
                number = len(self.said) + 1
                at_s = time.monotonic()
                self.said.append(Said(number, at_s, at_s - due_s))
                os.write(self._master, _line(number))
            due_s += self._period_s

    def _is_heard(self) -> bool:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))


def _line(number: int) -> bytes:
    body = f"Q,229,{number / 100:06.2f},M,00,".encode()
    return b"\x02" + body + b"\x03%02X\r\n" % reduce(xor, body, 0)
