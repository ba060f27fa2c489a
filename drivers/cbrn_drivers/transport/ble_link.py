"""One link to a Bluetooth Low Energy peripheral: made, listened to, polled, ended.

Importing it loads bleak, as `ble.py` does. A fresh client per link; every call is bounded.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakCharacteristicNotFoundError,
    BleakDeviceNotFoundError,
    BleakError,
)

from cbrn_core.clock import Clock
from cbrn_core.errors import ReadTimeout
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_drivers.transport.ble_peripheral import End, Heard, Notified, Peripheral, Polled
from cbrn_drivers.transport.bluez import BUS_ERRORS, is_paired
from cbrn_drivers.transport.bounded import bounded

_LOG = logging.getLogger(__name__)
# At DEBUG it writes every value that a wearable sends.
logging.getLogger("bleak").setLevel(logging.ERROR)

CONNECT_TIMEOUT_S = 20.0
NOTIFY_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
ANSWER_S = 5.0
BLEAK_ERRORS = (BleakError, *BUS_ERRORS)


class Link:
    """One link, being made or up; `hear` takes what comes over it.

    `strength_dbm` returns that of the last advertisement, None where there is none.
    """

    def __init__(
        self,
        peripheral: Peripheral,
        device: BLEDevice,
        clock: Clock,
        counts: Counter[str],
        *,
        hear: Callable[[Heard], None],
        strength_dbm: Callable[[Peripheral], int | None],
    ) -> None:
        self.peripheral = peripheral
        self.heard_us: int | None = None
        self._device = device
        self._clock = clock
        self._counts = counts
        self._hear = hear
        self._strength_dbm = strength_dbm
        self._ending = asyncio.Event()
        self._end = End.LOST
        self._client = BleakClient(
            device,
            disconnected_callback=lambda _: self._ending.set(),
            timeout=CONNECT_TIMEOUT_S,
        )
        self._task: asyncio.Task[End] | None = None

    @property
    def works(self) -> bool:
        """Return whether a valid value has come and the link has not ended."""
        return self.heard_us is not None and not self._ending.is_set()

    @property
    def has_ended(self) -> bool:
        """Return whether there is no more to come of it."""
        return self._task is not None and self._task.done()

    @property
    def end(self) -> End:
        """Return why a link that `has_ended` did."""
        if self._task is None or self._task.cancelled():
            return self._end
        error = self._task.exception()
        if error is None:
            return self._task.result()
        if isinstance(error, TimeoutError):
            return End.NO_ANSWER
        if isinstance(error, BleakDeviceNotFoundError):
            return End.NOT_THERE
        if isinstance(error, BleakCharacteristicNotFoundError):
            return End.UNSUITABLE
        if not isinstance(error, (*BLEAK_ERRORS, AssertionError)):
            _LOG.error("a link ended in an unexpected way", exc_info=error)
        return End.REFUSED

    @property
    def is_paired(self) -> bool:
        """Return whether a person has paired the peripheral."""
        return is_paired(self._device.details)

    def begin(self, on_end: Callable[[], None]) -> None:
        """Make the link; `on_end` is called once it has ended."""
        self._task = asyncio.create_task(self._serve())
        self._task.add_done_callback(lambda _: on_end())

    def give_up(self) -> None:
        """End the link, or the making of it, for the sake of another."""
        self._end = End.YIELDED
        self._ending.set()
        self.cancel()

    def cancel(self) -> None:
        """End the link without a word."""
        if self._task is not None:
            self._task.cancel()

    async def closed(self) -> None:
        """Wait until it has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def forget(self) -> None:
        """Have BlueZ drop what it remembers of the peripheral."""
        with suppress(ReadTimeout, *BLEAK_ERRORS):
            await bounded(self._client.unpair(), ANSWER_S)

    async def _serve(self) -> End:
        """Connect, listen and poll until the link ends; raises what bleak raises."""
        client, wanted = self._client, self.peripheral

        def heard(_source: BleakGATTCharacteristic, octets: bytearray) -> None:
            self._hear(Notified(wanted.address, bytes(octets), self._clock.now()))

        try:
            await bounded(client.connect(), CONNECT_TIMEOUT_S + ANSWER_S)
            self._counts["connects"] += 1
            await bounded(client.start_notify(wanted.notified, heard), NOTIFY_TIMEOUT_S)
            return await self._watch()
        finally:
            with suppress(ReadTimeout, *BLEAK_ERRORS):
                await bounded(client.disconnect(), ANSWER_S)

    async def _watch(self) -> End:
        """Return why the link ended: dropped, given up, or without a valid value for too long."""
        wanted = self.peripheral
        silence_us, poll_us = seconds_to_us(wanted.silence_s), seconds_to_us(wanted.poll_s)
        since_us = poll_due_us = self._now_us()
        while not self._ending.is_set():
            now_us = self._now_us()
            silent_us = (self.heard_us or since_us) + silence_us
            if now_us >= silent_us:
                return End.SILENT
            if now_us >= poll_due_us:
                poll_due_us = now_us + poll_us
                await self._poll()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout((min(silent_us, poll_due_us) - now_us) / US_PER_S):
                    await self._ending.wait()
        return self._end

    async def _poll(self) -> None:
        wanted, octets = self.peripheral, None
        if wanted.polled is not None:
            try:
                octets = bytes(
                    await bounded(self._client.read_gatt_char(wanted.polled), READ_TIMEOUT_S)
                )
            except (ReadTimeout, *BLEAK_ERRORS):
                self._counts["poll_unanswered"] += 1
        now, strength_dbm = self._clock.now(), self._strength_dbm(wanted)
        self._hear(Polled(wanted.address, octets, strength_dbm, now))

    def _now_us(self) -> int:
        return self._clock.now().steady_us
