"""GQ GMC Geiger counter on its USB serial line, both command sets.

Sources: GQ-RFC1201 v1.40 (280/300/320), GQ-RFC1801 v1.00 (500+/600+). Requests are
`<NAME[parameters]>>`; replies have no frame and no checksum.
"""

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from cbrn_sim.faults import Faults
from cbrn_sim.instruments.gmc_memory import Dialect, History, configuration, date_bytes

VERSION = {Dialect.RFC1201: b"GMC-300SRe 1.14", Dialect.RFC1801: b"GMC-500+Re 2.22"}

_ACK = b"\xaa"
# Name and number of parameter bytes.
_COMMON_COMMANDS = {
    b"GETVER": 0,
    b"GETCPM": 0,
    b"HEARTBEAT1": 0,
    b"HEARTBEAT0": 0,
    b"GETVOLT": 0,
    b"GETCFG": 0,
    b"GETDATETIME": 0,
    b"SETDATETIME": 6,
    b"GETGYRO": 0,
    b"GETSERIAL": 0,
    b"SPIR": 5,
    b"POWEROFF": 0,
    b"POWERON": 0,
    b"REBOOT": 0,
    b"KEY0": 0,
    b"KEY1": 0,
    b"KEY2": 0,
    b"KEY3": 0,
    b"ECFG": 0,
    b"CFGUPDATE": 0,
    b"FACTORYRESET": 0,
}
_COMMANDS = {
    Dialect.RFC1201: _COMMON_COMMANDS | {b"GETTEMP": 0, b"WCFG": 2},
    Dialect.RFC1801: _COMMON_COMMANDS
    | dict.fromkeys((b"GETCPS", b"GETMAXCPS", b"GETCPMH", b"GETCPML"), 0)
    | dict.fromkeys((b"SETDATEYY", b"SETDATEMM", b"SETDATEDD"), 1)
    | dict.fromkeys((b"SETTIMEHH", b"SETTIMEMM", b"SETTIMESS"), 1)
    | {b"WCFG": 3},
}
_CONFIGURATION_COMMANDS = (b"ECFG", b"WCFG", b"CFGUPDATE", b"FACTORYRESET")
_MOST_HISTORY_BYTES = 4096
# A captured reply: the device lay still.
_GYRO = bytes.fromhex("c0c0fec00680aa")


class Tube(Protocol):
    """What the counter counts; one bin is one second."""

    def counts(self, t_s: float) -> int:
        """Return the counts of the last full second."""
        ...

    def window_counts(self, t_s: float) -> int:
        """Return the counts of the last 60 seconds."""
        ...


class Gmc:
    """One counter. `spike` and `step` faults are in counts per second."""

    period_s = 1.0

    def __init__(
        self,
        dialect: Dialect,
        tube: Tube,
        date: Callable[[float], datetime],
        faults: Faults,
        *,
        high_dose_tube: Tube | None = None,
        serial: bytes = bytes.fromhex("f7f4c578139d08"),
        battery_v: float = 4.2,
        temperature_deg_c: float = 22.5,
        heartbeat_flags: int = 0,
    ) -> None:
        self.dialect = dialect
        self.configuration_writes = 0
        self._tube = tube
        self._high_dose_tube = high_dose_tube
        self._date = date
        self._faults = faults
        self._serial = serial
        self._battery_v = battery_v
        self._temperature_deg_c = temperature_deg_c
        self._heartbeat_flags = heartbeat_flags
        self._clock_error = timedelta()
        self._history = History(date(0.0))
        self._most_cps = 0
        self._has_heartbeat = False
        self._is_on = True
        self._buffer = b""
        self._now_s = 0.0

    def receive(self, chunk: bytes, t_s: float) -> bytes:
        """Answer every complete command; anything else is skipped to the next `<`."""
        self._now_s = t_s
        self._buffer += chunk
        reply = b""
        while self._buffer:
            name, parameters, length = self._match()
            if length == 0:
                break
            self._buffer = self._buffer[length:]
            if name:
                reply += self._obey(name, parameters)
        return reply

    def emit(self, t_s: float) -> bytes:
        """Close the second: remember it, and say it when the heartbeat is on."""
        self._now_s = t_s
        self._history.save(self._tube.counts(t_s))
        if not (self._has_heartbeat and self._is_on):
            return b""
        counts = self._cps()
        if self.dialect is Dialect.RFC1201:
            return struct.pack(">H", min(counts, 0x3FFF) | self._heartbeat_flags)
        return struct.pack(">I", counts)

    def _match(self) -> tuple[bytes, bytes, int]:
        """Return (name, parameters, bytes to take); no name: rubbish, 0 bytes: wait."""
        waits = False
        for name, count in _COMMANDS[self.dialect].items():
            head = b"<" + name
            length = len(head) + count + 2
            if self._buffer.startswith(head) and len(self._buffer) >= length:
                if self._buffer[length - 2 : length] == b">>":
                    return name, self._buffer[len(head) : len(head) + count], length
            elif len(self._buffer) < length and head.startswith(self._buffer[: len(head)]):
                waits = True
        if waits:
            return b"", b"", 0
        following = self._buffer.find(b"<", 1)
        return b"", b"", following if following > 0 else len(self._buffer)

    def _obey(self, name: bytes, parameters: bytes) -> bytes:
        if name == b"POWERON":
            self._is_on = True
            return b""
        if not self._is_on:
            return b""
        if name in _CONFIGURATION_COMMANDS:
            self.configuration_writes += 1
            return _ACK
        if name.startswith(b"SET"):
            self._set_clock(name, parameters)
            return _ACK
        if name == b"SPIR":
            return self._read_history(parameters)
        if name.startswith((b"HEARTBEAT", b"POWER", b"REBOOT", b"KEY")):
            self._press(name)
            return b""
        return self._counts_reply(name) or self._state_reply(name)

    def _press(self, name: bytes) -> None:
        if name.startswith(b"HEARTBEAT"):
            self._has_heartbeat = name.endswith(b"1")
        elif name == b"POWEROFF":
            self._is_on = False
        elif name == b"REBOOT":
            self._has_heartbeat = False

    def _counts_reply(self, name: bytes) -> bytes:
        if name == b"GETCPM":
            return self._count_bytes(self._cpm())
        if name == b"GETCPS":
            return self._count_bytes(self._cps())
        if name == b"GETMAXCPS":
            self._cps()
            return self._count_bytes(self._most_cps)
        if name == b"GETCPML":
            return self._count_bytes(self._cpm())
        if name == b"GETCPMH":
            tube = self._high_dose_tube
            return self._count_bytes(tube.window_counts(self._now_s) if tube else 0)
        return b""

    def _state_reply(self, name: bytes) -> bytes:
        if name == b"GETVER":
            return VERSION[self.dialect]
        if name == b"GETCFG":
            return configuration(self.dialect)
        if name == b"GETDATETIME":
            return date_bytes(self._date(self._now_s) + self._clock_error) + _ACK
        if name == b"GETGYRO":
            return _GYRO
        if name == b"GETSERIAL":
            return self._serial
        if name == b"GETTEMP":
            whole, tenths = divmod(round(abs(self._temperature_deg_c) * 10), 10)
            return bytes((whole, tenths, int(self._temperature_deg_c < 0))) + _ACK
        return self._voltage()

    def _voltage(self) -> bytes:
        if self.dialect is Dialect.RFC1201:
            return bytes((round(self._battery_v * 10),))
        return f"{self._battery_v:.1f}v\0".encode()

    def _count_bytes(self, counts: int) -> bytes:
        if self.dialect is Dialect.RFC1201:
            return struct.pack(">H", min(counts, 0xFFFF))
        return struct.pack(">I", min(counts, 0xFFFFFFFF))

    def _cps(self) -> int:
        counts = self._faults.report("cps", self._tube.counts(self._now_s))
        self._most_cps = max(self._most_cps, round(max(0.0, counts)))
        return round(max(0.0, counts))

    def _cpm(self) -> int:
        counts = self._faults.report("cpm", self._tube.window_counts(self._now_s), scale=60.0)
        return round(max(0.0, counts))

    def _set_clock(self, name: bytes, parameters: bytes) -> None:
        shown = self._date(self._now_s) + self._clock_error
        fields = dict(
            zip(
                ("year", "month", "day", "hour", "minute", "second"), date_bytes(shown), strict=True
            )
        )
        if name == b"SETDATETIME":
            fields = dict(zip(fields, parameters, strict=True))
        else:
            key = {b"YY": "year", b"DD": "day", b"HH": "hour", b"SS": "second"}.get(name[-2:])
            fields[key or ("month" if b"DATE" in name else "minute")] = parameters[0]
        try:
            wanted = datetime(
                2000 + fields["year"],
                fields["month"],
                fields["day"],
                fields["hour"],
                fields["minute"],
                fields["second"],
                tzinfo=shown.tzinfo,
            )
        except ValueError:
            return
        self._clock_error += wanted - shown

    def _read_history(self, parameters: bytes) -> bytes:
        address = int.from_bytes(parameters[:3], "big")
        length = int.from_bytes(parameters[3:], "big")
        return self._history.read(address, min(length, _MOST_HISTORY_BYTES))
