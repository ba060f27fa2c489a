"""Readings that other tools send: taken for channels of `external` devices only.

Whoever may publish on the external topic may not speak for an instrument on a wire.
"""

from collections.abc import Callable, Sequence

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.clock import Clock
from cbrn_core.errors import InputError
from cbrn_core.reading import Flag, Quality, Reading, worst
from cbrn_core.site_model import SiteModel
from cbrn_core.times import format_rfc3339, seconds_to_us
from cbrn_gateway.config.devices import EXTERNAL
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_gateway.pipeline.timeline import Pace
from cbrn_gateway.recording import decode_reading
from cbrn_gateway.sinks.payloads import READINGS_SCHEMA

DROP_NOT_EXTERNAL = "external_not_declared"
DROP_BAD_ROW = "external_bad_row"
MOST_ROWS = 1_000
_CLOCK_TOLERANCE_US = seconds_to_us(30)


class _Message(msgspec.Struct, frozen=True):
    schema: str
    rows: Sequence[msgspec.Raw] = ()


_DECODER = msgspec.json.Decoder(_Message)


class ExternalReadings:
    """Takes `cbrn-readings/1` messages; `put` gets the readings that may be used."""

    def __init__(
        self,
        model: SiteModel,
        clock: Clock,
        drops: DropCounter,
        put: Callable[[Sequence[Reading]], None],
    ) -> None:
        self._channels: frozenset[ChannelKey] = frozenset()
        self._paces: dict[ChannelKey, Pace] = {}
        self._clock = clock
        self._drops = drops
        self._put = put
        self.reconfigure(model)

    def reconfigure(self, model: SiteModel) -> None:
        """Take readings for the external devices of another configuration."""
        self._channels = frozenset(
            channel.key
            for channel in model.channels.values()
            if model.devices[channel.device].driver == EXTERNAL
        )
        self._paces = {key: self._paces.get(key, Pace()) for key in self._channels}

    async def take(self, _tool: str, payload: bytes) -> None:
        """Take one message of a tool; single bad rows are counted and passed over.

        Raises:
            InputError: not a message of readings, or too many in one.
        """
        try:
            message = _DECODER.decode(payload)
        except msgspec.DecodeError as error:
            raise InputError(f"not a message of readings: {error}") from None
        if message.schema != READINGS_SCHEMA:
            raise InputError(f"{message.schema!r} is not taken; expected {READINGS_SCHEMA}")
        if len(message.rows) > MOST_ROWS:
            raise InputError(f"{len(message.rows)} rows in one message; at most {MOST_ROWS}")
        readings = [r for row in message.rows if (r := self._reading(bytes(row))) is not None]
        if readings:
            self._put(readings)

    def _reading(self, row: bytes) -> Reading | None:
        try:
            reading = decode_reading(row)
        except InputError:
            self._drops.add(DROP_BAD_ROW)
            return None
        if reading.key not in self._channels:
            self._drops.add(DROP_NOT_EXTERNAL)
            return None
        return self._arrived(reading)

    def _arrived(self, reading: Reading) -> Reading:
        """Return the reading with its arrival here; old news is shown, but as stale.

        What keeps arriving old at its own pace is no old news: the tool's clock is slow, or
        its way is long, and nothing newer will come.
        """
        now = self._clock.now()
        early_us = now.wall_us - reading.time_us
        if early_us < -_CLOCK_TOLERANCE_US:
            return msgspec.structs.replace(
                reading,
                time_us=now.wall_us,
                received_us=now.steady_us,
                raw=format_rfc3339(reading.time_us),
                flags=(*reading.flags, Flag.CLOCK_UNSYNCED),
            )
        pace = self._paces[reading.key]
        if early_us <= _CLOCK_TOLERANCE_US:
            pace.forget()
            return msgspec.structs.replace(reading, received_us=now.steady_us)
        if pace.keeps(reading.time_us, now.steady_us):
            return msgspec.structs.replace(
                reading,
                received_us=now.steady_us,
                quality=worst(reading.quality, Quality.UNCERTAIN),
                flags=(*reading.flags, Flag.CLOCK_UNSYNCED),
            )
        return msgspec.structs.replace(
            reading,
            received_us=now.steady_us,
            quality=worst(reading.quality, Quality.STALE),
            flags=(*reading.flags, Flag.LATE),
        )
