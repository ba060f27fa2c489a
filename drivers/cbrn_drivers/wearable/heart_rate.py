"""Heart-rate wearables over Bluetooth Low Energy: straps and watches with service 0x180D.

Documents: Bluetooth SIG Heart Rate Service and Battery Service; see `codec/heart_rate.py`.
One driver per adapter, many wearables; only notifications are asked for, and the battery
level is read now and then.

Energy expended and the intervals between beats are decoded and go no further. What a wire
listener would hear are body values, so that this driver tells none (safety 16).
"""

import asyncio
import importlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    FieldError,
    FrameError,
    Problem,
)
from cbrn_core.reading import Detection, Flag, Quality, Reading
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_drivers.codec.heart_rate import (
    BATTERY_UUID,
    MEASUREMENT_UUID,
    Contact,
    HeartRate,
    decode_battery,
    decode_location,
    decode_measurement,
)
from cbrn_drivers.decoded import DecodedReading, as_readings
from cbrn_drivers.profile import Profile
from cbrn_drivers.transport.ble_peripheral import (
    BleOptions,
    Heard,
    Notified,
    Peripheral,
    Polled,
)

if TYPE_CHECKING:
    from cbrn_drivers.transport.ble import BleAdapter

PROFILE = "bluetooth-heart-rate"
REOPEN_WAIT_S = 30.0
"""An adapter is not scanned anew every two seconds: other programs use it too."""


HEART_RATE, BATTERY, SIGNAL = "heart_rate", "battery", "signal"
FASTEST_BPM = 300
"""No human heart beats faster (recalled); what a sensor shows above is not a heart."""

_SAME_MOMENT_US = US_PER_S // 1000


class Options(BleOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table.

    Attributes:
        battery: the wearable's battery level is a channel.
        signal: the strength of its advertisements is a channel; many wearables are quiet
            while they are linked, and then it has no figure.
    """

    battery: bool = True
    signal: bool = False


def bus_key(options: Options) -> str:
    """Return the adapter."""
    return options.bus


def open_bus(devices: Sequence[Device], clock: Clock) -> "HeartRateDriver":
    """Return the driver of one adapter and its wearables; opens nothing yet.

    Raises:
        ConfigError: one address twice, or what holds for the adapter is not said alike.
    """
    seats = [_Seat(device) for device in devices]
    _refuse_same_address(seats)
    _refuse_contradictions(seats)
    _refuse_same_spare(seats)
    return HeartRateDriver(seats, clock)


def channel_ids(options: Options, profile: Profile) -> tuple[str, ...]:
    """Return the heart rate, and what else the options ask for."""
    wanted = {HEART_RATE: True, BATTERY: options.battery, SIGNAL: options.signal}
    return tuple(c.id for c in profile.channels if wanted[c.id])


def fields(frame: bytes, options: Mapping[str, str], _profile: Profile) -> dict[str, object]:
    """Return the fields of one value; `-o uuid=2A38` or `2A19`, without it 2A37."""
    match _uuid(options):
        case "2A37":
            return decode_measurement(frame).fields()
        case "2A38":
            return {"location": decode_location(frame).name.lower()}
        case _:
            return {"battery_pct": decode_battery(frame)}


def decode_readings(
    frame: bytes, options: Mapping[str, str], _profile: Profile
) -> list[DecodedReading]:
    """Return the readings of one value; `-o uuid=2A19` for the battery, 2A38 has none."""
    match _uuid(options):
        case "2A37":
            return [as_decoded(decode_measurement(frame))]
        case "2A38":
            decode_location(frame)
            return []
        case _:
            return [_battery(decode_battery(frame))]


def as_decoded(measured: HeartRate) -> DecodedReading:
    """Return the heart rate; without skin contact uncertain, null where it can be no heart's.

    A sensor that lost the beat shows 0, which is not the heart's rate.
    """
    rate_bpm = measured.rate_bpm
    off_skin = measured.contact is Contact.NOT_DETECTED
    shown = 0 < rate_bpm <= FASTEST_BPM
    reasons = []
    if off_skin:
        reasons.append("no skin contact")
    if not shown:
        reasons.append("no beat found" if rate_bpm == 0 else "faster than a heart")
    quality = Quality.UNCERTAIN if off_skin else Quality.GOOD
    return DecodedReading(
        channel=HEART_RATE,
        value=float(rate_bpm) if shown else None,
        unit=Unit.BPM,
        quality=quality if shown else Quality.BAD,
        flags=(Flag.INSTRUMENT_WARNING,) if reasons else (),
        raw=None if shown else float(rate_bpm),
        detection=Detection(text=", ".join(reasons)) if reasons else None,
    )


class _Seat:
    """One wearable: what is wanted of it, and how its values become readings."""

    def __init__(self, device: Device) -> None:
        try:
            self.options = msgspec.convert(device.options, Options)
        except msgspec.ValidationError as error:
            raise ConfigError([Problem(f"device {device.id}", str(error))]) from None
        self.device = device
        self.address = self.options.address.upper()
        self._last_us = 0

    def peripheral(self) -> Peripheral:
        """Return what is wanted of the wearable."""
        return Peripheral(
            address=self.address,
            notified=MEASUREMENT_UUID,
            priority=self.options.priority,
            silence_s=self.options.silence_s,
            polled=BATTERY_UUID if self.options.battery else None,
        )

    def measured(self, notified: Notified) -> list[Reading]:
        """Return the heart rate; raises FrameError."""
        decoded = [as_decoded(decode_measurement(notified.octets))]
        return as_readings(decoded, self.device, self._apart(notified.at))

    def polled(self, polled: Polled) -> list[Reading]:
        """Return battery and signal, null where the wearable does not say; raises FrameError."""
        level_pct = None if polled.octets is None else decode_battery(polled.octets)
        return as_readings([_battery(level_pct), _signal(polled.rssi_dbm)], self.device, polled.at)

    def _apart(self, at: Now) -> Now:
        """Return a moment after that of the value before: a sample is known by its time."""
        if 0 <= self._last_us - at.wall_us < _SAME_MOMENT_US:
            at = Now(at.steady_us, self._last_us + 1)
        self._last_us = at.wall_us
        return at


class HeartRateDriver:
    """One adapter with its wearables."""

    def __init__(self, seats: Sequence[_Seat], clock: Clock) -> None:
        self._seats = {seat.address: seat for seat in seats}
        # what holds for the adapter is the same in all of them
        self._options = seats[0].options
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._adapter: BleAdapter | None = None

    async def __aenter__(self) -> Self:
        """Open the adapter and begin to look for the wearables."""
        if self._adapter is None:
            self._adapter = await self._new_adapter()
        await self._adapter.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all links."""
        if self._adapter is not None:
            await self._adapter.close()

    async def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield what the wearables sent.

        Raises:
            TransportError: the adapter, bluetoothd or the bus has gone, or no wearable that
                is heard can be connected any more.
        """
        if self._adapter is None:
            raise Disconnected("not open")
        while True:
            readings: list[Reading] = []
            for heard in await self._adapter.take():
                readings += self._read(heard, self._adapter)
            if readings:
                yield readings

    @property
    def radio_name(self) -> str:
        """Return the adapter's name, as configured."""
        return f"Bluetooth {self._options.adapter}"

    @property
    def is_well(self) -> bool:
        """Return whether the adapter is open and, where somebody is heard, makes links."""
        return self._adapter is not None and self._adapter.is_well

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and what links did; `links`, `waiting_for_link` as of now."""
        adapter = self._adapter
        return {
            **self._counts,
            "links": 0 if adapter is None else adapter.links,
            "waiting_for_link": 0 if adapter is None else adapter.without_link,
        }

    def _read(self, heard: Heard, adapter: "BleAdapter") -> list[Reading]:
        seat = self._seats[heard.address]
        try:
            if isinstance(heard, Polled):
                return seat.polled(heard)
            readings = seat.measured(heard)
        except FrameError as error:
            self._counts[f"frame_{error.kind}"] += 1
            return []
        adapter.progressed(heard.address)
        return readings

    async def _new_adapter(self) -> "BleAdapter":
        """Load bleak, in a thread since it takes a while; raises ConnectFailed without it."""
        options = self._options
        try:
            ble = await asyncio.to_thread(importlib.import_module, "cbrn_drivers.transport.ble")
        except ImportError as error:
            raise ConnectFailed(f"Bluetooth cannot be used: {error}") from error
        adapter: BleAdapter = ble.BleAdapter(
            options.adapters,
            [seat.peripheral() for seat in self._seats.values()],
            self._clock,
            self._counts,
            links_most=options.links_most,
            power_cycle=options.power_cycle,
        )
        return adapter


def _battery(level_pct: int | None) -> DecodedReading:
    return DecodedReading(
        channel=BATTERY,
        value=None if level_pct is None else float(level_pct),
        unit=Unit.PERCENT,
        quality=Quality.UNCERTAIN if level_pct is None else Quality.GOOD,
    )


def _signal(rssi_dbm: int | None) -> DecodedReading:
    return DecodedReading(
        channel=SIGNAL,
        value=None if rssi_dbm is None else float(rssi_dbm),
        unit=Unit.DBM,
        quality=Quality.UNCERTAIN if rssi_dbm is None else Quality.GOOD,
    )


def _uuid(options: Mapping[str, str]) -> str:
    uuid = options.get("uuid", "2A37").upper()
    if uuid not in {"2A37", "2A38", "2A19"}:
        raise FieldError(f"uuid {uuid[:40]!r} is none of 2A37, 2A38, 2A19")
    return uuid


def _refuse_same_address(seats: Sequence[_Seat]) -> None:
    owners: dict[str, str] = {}
    for seat in seats:
        owner = owners.setdefault(seat.address, seat.device.id)
        if owner != seat.device.id:
            reason = f"{owner} has the address {seat.address} already"
            raise ConfigError([Problem(f"device {seat.device.id}.address", reason)])


def _refuse_same_spare(seats: Sequence[_Seat]) -> None:
    for seat in seats:
        adapter, spare = seat.options.adapter, seat.options.spare_adapter
        if spare is not None and spare.lower() == adapter.lower():
            reason = f"{spare} is the adapter itself, not another one"
            raise ConfigError([Problem(f"device {seat.device.id}.spare_adapter", reason)])


def _refuse_contradictions(seats: Sequence[_Seat]) -> None:
    first = seats[0]
    for seat in seats[1:]:
        for key in ("spare_adapter", "links_most", "power_cycle"):
            said, before = getattr(seat.options, key), getattr(first.options, key)
            if said != before:
                reason = f"{first.device.id} on the same adapter says {before}, here it is {said}"
                raise ConfigError([Problem(f"device {seat.device.id}.{key}", reason)])
