"""A bench for serial instruments: ptys behind symlinks, scripted peers, a clock of its own."""

import asyncio
import os
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cbrn_core.channel import Device
from cbrn_core.clock import Now
from cbrn_core.times import seconds_to_us
from cbrn_drivers.catalogue import load_driver, load_profile

WALL_US = 1_780_000_000_000_000


class BenchClock:
    """Moves only by what sleeps on it: no test waits for a real second."""

    def __init__(self, wall_us: int = WALL_US) -> None:
        self._us = wall_us

    def now(self) -> Now:
        return Now(self._us, self._us)

    async def sleep(self, seconds: float) -> None:
        self._us += seconds_to_us(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._us += seconds_to_us(seconds)


class Plug:
    """A pty behind a symlink, as udev makes one per adapter: pull it, put it in again."""

    def __init__(self, folder: Path) -> None:
        self.link = folder / "usb-adapter"
        self.heard = bytearray()
        self._news = asyncio.Event()
        self._master = self._slave = -1
        self._answer: Callable[[bytes], bytes] | None = None

    def put_in(self, answer: Callable[[bytes], bytes] | None = None) -> None:
        """Plug in; `answer` gets what the host sends and returns what the instrument says."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.link.symlink_to(os.ttyname(self._slave))
        self._answer = answer
        asyncio.get_running_loop().add_reader(self._master, self._listen)

    def hold_no_more(self) -> None:
        """Close our own end of the slave: from now on pulling the plug is seen at once."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def say(self, content: bytes) -> None:
        os.write(self._master, content)

    def pull(self) -> None:
        self.hold_no_more()
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = -1
            self.link.unlink()

    async def heard_at_least(self, count: int) -> bytes:
        """Return what the host has sent once that is `count` bytes."""
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return bytes(self.heard)

    def _listen(self) -> None:
        with suppress(BlockingIOError, OSError):
            content = os.read(self._master, 4096)
            self.heard += content
            self._news.set()
            if self._answer is not None and (reply := self._answer(content)):
                self.say(reply)


def device(profile_name: str, **options: object) -> Device:
    profile = load_profile(profile_name)
    return Device(
        id="instrument",
        station="st01",
        driver=profile.driver,
        profile=profile.name,
        bus="bench",
        channels=tuple(
            c.as_channel(station="st01", device="instrument", grade=profile.grade)
            for c in profile.channels
        ),
        options=options,
    )


def open_driver(profile_name: str, plug: Plug, clock: BenchClock, **options: object):
    one = device(profile_name, port=str(plug.link), **options)
    return load_driver(one.driver).open_bus([one], clock)


async def next_batch(batches, within_s: float = 5.0):
    async with asyncio.timeout(within_s):
        return await anext(batches)


async def readings_until(batches, count: int):
    """Return readings until there are `count` of them."""
    readings = []
    while len(readings) < count:
        readings += await next_batch(batches)
    return readings
