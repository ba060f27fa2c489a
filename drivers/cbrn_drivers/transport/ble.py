"""Links to Bluetooth Low Energy peripherals over one adapter; it and `ble_link.py` touch bleak.

Importing it loads bleak, so a driver does that when it opens. One scanner, every call to
BlueZ bounded in time. What fails goes up a ladder: connect again, have BlueZ forget the
peripheral (never a paired one), power-cycle the adapter where that is allowed and no link
works, at last tell by a TransportError and go over to the spare adapter where there is one.
One peripheral that is dead climbs by itself; the adapter is only touched when none of them
works. A valid value leads down again, opening the adapter anew does not.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress

from bleak import BleakScanner
from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from cbrn_core.clock import Clock
from cbrn_core.errors import ConnectFailed, Disconnected, ReadTimeout
from cbrn_core.times import US_PER_S, seconds_to_us
from cbrn_drivers.transport.ble_link import ANSWER_S, BLEAK_ERRORS, Link
from cbrn_drivers.transport.ble_peripheral import End, Heard, Peripheral
from cbrn_drivers.transport.ble_slots import FORGIVEN_AFTER_S, Rung, Slots
from cbrn_drivers.transport.bluez import Radio, open_radio
from cbrn_drivers.transport.bounded import bounded

_LOG = logging.getLogger(__name__)

SCAN_WINDOW_S = 20.0
"""BlueZ tells of an advertiser once per scan, so that a scan is begun anew to hear of it again."""
CYCLE_AGAIN_S = 900.0
MOST_WAITING = 10_000
_NO_RSSI_DBM = -127


class BleAdapter:
    """All peripherals that are wanted over one adapter; `counts` is the driver's.

    Of several `adapters` one is used at a time: the first, until it cannot be opened or no
    link can be made over it, then the next. `power_cycle` allows an adapter to be switched
    off and on, at most every CYCLE_AGAIN_S.
    """

    def __init__(
        self,
        adapters: Sequence[str],
        peripherals: Sequence[Peripheral],
        clock: Clock,
        counts: Counter[str],
        *,
        links_most: int,
        power_cycle: bool = False,
    ) -> None:
        self._adapters = deque(adapters)
        self._peripherals = {p.address: p for p in peripherals}
        self._clock = clock
        self._counts = counts
        self._power_cycle = power_cycle
        self._slots = Slots({p.address: p.priority for p in peripherals}, links_most)
        self._links: dict[str, Link] = {}
        self._devices: dict[str, BLEDevice] = {}
        self._rssi: dict[str, tuple[int, int]] = {}
        self._waiting: deque[Heard] = deque()
        self._news = asyncio.Event()
        self._stirred = True
        self._look_us = 0
        self._radio: Radio | None = None
        self._scanner: BleakScanner | None = None
        self._scan_until_us = 0
        self._cycled_us: dict[str, int] = {}
        self._is_open = False
        self._stuck_until_us = 0

    @property
    def is_well(self) -> bool:
        """Return whether the adapter is open, and not only for links that cannot be made."""
        lost = self._radio is None or self._radio.is_lost
        stuck = not self.links and self._now_us() < self._stuck_until_us
        return self._is_open and not lost and not stuck

    @property
    def links(self) -> int:
        """Return how many links give valid values now."""
        return sum(link.works for link in self._links.values())

    @property
    def without_link(self) -> int:
        """Return how many peripherals were heard that have no link."""
        return self._slots.waiting(self._now_us())

    async def open(self) -> None:
        """Find an adapter that works and begin to look for the peripherals.

        Raises:
            ConnectFailed: none can be used; the message says of the first what to do.
        """
        await self.close()
        self._slots.reopened()
        await _settle_bluez_version()
        troubles = []
        for turns, adapter in enumerate(self._adapters):
            try:
                await self._open_one(adapter)
            except ConnectFailed as error:
                troubles.append(error)
                continue
            self._turn(turns)
            self._is_open = True
            return
        raise troubles[0]

    async def close(self) -> None:
        """End all links and let go of the adapter; never raises, may be called again."""
        self._is_open = False
        for link in self._links.values():
            link.cancel()
        for link in self._links.values():
            await link.closed()
        self._links.clear()
        self._devices.clear()
        self._waiting.clear()
        await self._stop_scan()
        radio, self._radio = self._radio, None
        if radio is not None:
            await radio.close()

    async def take(self) -> list[Heard]:
        """Return what was heard since the last call, at least one thing, in order.

        Raises:
            Disconnected: the adapter, bluetoothd or the bus has gone, or was power-cycled.
            ConnectFailed: no peripheral can be connected any more, though some are heard.
        """
        while True:
            radio = self._open_radio()
            radio.raise_if_lost()
            now_us = self._now_us()
            if self._stirred or now_us >= self._look_us:
                self._stirred = False
                await self._look_after(radio)
            if self._waiting:
                heard = list(self._waiting)
                self._waiting.clear()
                self._news.clear()
                return heard
            await self._rest((self._look_us - self._now_us()) / US_PER_S)

    def progressed(self, address: str) -> None:
        """Say that a value of a peripheral was valid; without that its link counts as silent."""
        link = self._links.get(address)
        if link is not None:
            link.heard_us = self._now_us()
            self._slots.progressed(address, link.heard_us)
            self._stuck_until_us = 0

    async def _open_one(self, adapter: str) -> None:
        self._radio = await open_radio(adapter, self._clock, self._stir)
        opened = False
        try:
            await self._scan_anew()
            opened = True
        finally:
            if not opened:
                await self.close()

    def _turn(self, turns: int) -> None:
        """Let another adapter be the first, with a ladder of its own."""
        if turns % len(self._adapters):
            self._adapters.rotate(-turns)
            self._slots.forgive()
            self._counts["adapter_changes"] += 1

    async def _look_after(self, radio: Radio) -> None:
        """Settle what has ended, give links away, scan where somebody is missing."""
        for link in [link for link in self._links.values() if link.has_ended]:
            await self._settle(link, radio)
        now_us = self._now_us()
        for address in self._slots.grant(now_us):
            self._begin(self._peripherals[address])
        for address in self._slots.yielding(now_us):
            self._links[address].give_up()
        if not self._slots.is_looking:
            await self._stop_scan()
        elif self._scanner is None or now_us >= self._scan_until_us:
            await self._scan_on()
        now_us = self._now_us()
        next_us = now_us + seconds_to_us(SCAN_WINDOW_S)
        self._look_us = min(next_us, self._slots.next_us(now_us) or next_us)

    def _begin(self, peripheral: Peripheral) -> None:
        address = peripheral.address
        device = self._devices[address]
        link = self._links[address] = Link(
            peripheral,
            device,
            self._clock,
            self._counts,
            hear=self._hear,
            strength_dbm=self._strength_dbm,
        )
        link.begin(self._stir)

    def _strength_dbm(self, peripheral: Peripheral) -> int | None:
        """Return that of the last advertisement, where one was heard since the last poll."""
        rssi_dbm, at_us = self._rssi.get(peripheral.address, (0, -1))
        known = at_us >= self._now_us() - seconds_to_us(peripheral.poll_s)
        return rssi_dbm if known else None

    async def _settle(self, link: Link, radio: Radio) -> None:
        """Take back the link of one that has ended and climb its ladder."""
        address = link.peripheral.address
        del self._links[address]
        end = link.end
        self._counts[end.value] += 1
        if end is End.YIELDED:
            self._slots.yielded(address, self._now_us())
            return
        now_us = self._now_us()
        rung = self._slots.failed(address, now_us)
        if rung is Rung.RECONNECT:
            return
        hopeless = self.links == 0 and self._slots.all_fail(now_us)
        await self._forget(link)
        if hopeless and rung is not Rung.FORGET:
            await self._rescue(radio, rung)

    async def _rescue(self, radio: Radio, rung: Rung) -> None:
        """Power-cycle the adapter where that is allowed; on the last rung give up."""
        now_us = self._now_us()
        cycled_us = self._cycled_us.get(radio.name)
        recent = cycled_us is not None and now_us < cycled_us + seconds_to_us(CYCLE_AGAIN_S)
        if self._power_cycle and not recent:
            self._cycled_us[radio.name] = now_us
            self._counts["power_cycles"] += 1
            await radio.power_cycle()
            raise Disconnected(f"{radio.name} was switched off and on: nothing could be connected")
        if rung is Rung.TELL:
            self._stuck_until_us = now_us + seconds_to_us(FORGIVEN_AFTER_S)
            self._turn(1)
            reason = f"{radio.name}: none of {len(self._peripherals)} peripherals can be connected"
            raise ConnectFailed(f"{reason}, though some are heard")

    async def _forget(self, link: Link) -> None:
        """Have BlueZ drop what it remembers of a peripheral; a pairing is a person's work."""
        if link.is_paired:
            self._counts["kept_paired"] += 1
            return
        self._counts["forgotten"] += 1
        self._devices.pop(link.peripheral.address, None)
        self._slots.unsee(link.peripheral.address)
        await link.forget()

    async def _scan_anew(self) -> None:
        await self._stop_scan()
        scanner = BleakScanner(self._sighted, bluez={"adapter": self._open_radio().name})
        self._scanner = scanner
        self._scan_until_us = self._now_us() + seconds_to_us(SCAN_WINDOW_S)
        try:
            await bounded(scanner.start(), ANSWER_S)
        except (ReadTimeout, *BLEAK_ERRORS) as error:
            raise ConnectFailed(f"{self._open_radio().name} cannot scan: {error}") from error

    async def _scan_on(self) -> None:
        """Scan anew; links that work outlive a scan that does not."""
        try:
            await self._scan_anew()
        except ConnectFailed:
            if not self.links:
                raise
            self._counts["scan_failed"] += 1

    async def _stop_scan(self) -> None:
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            with suppress(ReadTimeout, *BLEAK_ERRORS):
                await bounded(scanner.stop(), ANSWER_S)

    def _sighted(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        address = device.address.upper()
        if address not in self._peripherals or advertisement.rssi == _NO_RSSI_DBM:
            return
        now_us = self._now_us()
        self._rssi[address] = (advertisement.rssi, now_us)
        self._devices[address] = device
        if self._slots.seen(address, now_us):
            self._stir()

    def _hear(self, heard: Heard) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._counts["notifications_dropped"] += 1
        self._waiting.append(heard)
        self._news.set()

    def _stir(self) -> None:
        self._stirred = True
        self._news.set()

    async def _rest(self, seconds: float) -> None:
        """Wait until something is heard or has changed."""
        if self._stirred:
            return
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._news.wait()

    def _open_radio(self) -> Radio:
        if self._radio is None:
            raise Disconnected("not open")
        return self._radio

    def _now_us(self) -> int:
        return self._clock.now().steady_us


async def _settle_bluez_version() -> None:
    """Let bleak ask for the version of BlueZ once.

    It waits for ever for a check that was cancelled half way, so none may be.
    """
    if BlueZFeatures.checked_bluez_version:
        return
    try:
        async with asyncio.timeout(ANSWER_S):
            await BlueZFeatures.check_bluez_version()
    except TimeoutError:
        _LOG.warning("bluetoothctl does not tell its version in %g s", ANSWER_S)
    finally:
        BlueZFeatures.checked_bluez_version = True
