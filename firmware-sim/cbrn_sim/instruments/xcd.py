"""Honeywell Sensepoint XCD gas detector, Modbus RTU.

Source: technical handbook SPXCDHMANEN issue 15, appendix A.2 (register tables). Not in
the document as read, hence our choice: registers that the tables leave out within the
block read as zero, relay bits repeat the alarm bits, and the gas value is held while
inhibited and zero while warming up.
"""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum

import msgspec

from cbrn_sim.faults import Faults


class MonitorState(IntEnum):
    """Register 40007."""

    NORMAL = 1
    WARM_UP = 2
    INHIBIT = 3
    CALIBRATION = 12


class GasUnit(IntEnum):
    """Register 40011."""

    MG_M3 = 1
    PCT_VOL = 3
    PPM = 4
    PCT_LEL = 5


class XcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the instrument is set up.

    Attributes:
        alarm1, alarm2: its own setpoints in the shown unit; None (default) disables
            them, so that in a demonstration the gateway's own levels are what speaks.
        latching: alarm and fault bits stay once set.
    """

    unit_id: int
    gas_name: str = "Chlorine"
    unit: GasUnit = GasUnit.PPM
    alarm1: float | None = None
    alarm2: float | None = None
    latching: bool = False
    temperature_deg_c: int = 12
    supply_v: float = 24.0
    calibration_due: float = 180.0


_IDENTITY = 0x2500
_HOLDING = 58
_INPUT_FIRST = 13
_INPUTS = 6
_GAS = range(2, 4)
_FIRST_FAULT = 1100
_ALARM_BITS = 0b11
_WARNING_BIT = 1 << 4
_FAULT_BIT = 1 << 5


class SensepointXcd:
    """One detector: registers as a function of scenario time."""

    def __init__(
        self,
        settings: XcdSettings,
        reading: Callable[[float], float],
        now_s: Callable[[], float],
        faults: Faults,
    ) -> None:
        self.settings = settings
        self.faults = faults
        self._reading = reading
        self._now_s = now_s
        self._sent = 0.0
        self._peak = 0.0
        self._latched_bits = 0

    @property
    def active_exception(self) -> int | None:
        """Return the exception that answers everything."""
        return self.faults.active_exception

    def holding(self, address: int, count: int) -> Sequence[int] | None:
        """Return registers 40001 + address …; None beyond 40058."""
        if address + count > _HOLDING:
            return None
        has_gas = address < _GAS.stop and address + count > _GAS.start
        self._measure(spends_spike=has_gas)
        return self._image()[address : address + count]

    def inputs(self, address: int, count: int) -> Sequence[int] | None:
        """Return input registers; only 30014 to 30019 exist."""
        first = address - _INPUT_FIRST
        if first < 0 or first + count > _INPUTS:
            return None
        self._measure(spends_spike=False)
        alarms = self._state_bits() & _ALARM_BITS
        image = (0, alarms, 0, self._latched_bits & _ALARM_BITS, *self._fault_words())
        return image[first : first + count]

    def advance(self, t_s: float) -> None:
        """Let the cell go on although nobody asks."""
        self._reading(t_s)

    def _measure(self, *, spends_spike: bool) -> None:
        """Take the value of now; a spike is for the one who reads the gas."""
        shown = self._reading(self._now_s())
        if self.faults.is_warming_up:
            self._sent = 0.0
        elif not self.faults.is_inhibited:
            reported = self.faults.report("gas", shown, spends_spike=spends_spike)
            self._sent = max(0.0, reported)
        self._peak = max(self._peak, self._sent)

    def _image(self) -> list[int]:
        s = self.settings
        image = [0] * _HOLDING
        image[0] = image[1] = _IDENTITY | s.unit_id
        image[2:4] = _float_words(self._sent)
        image[4] = self.faults.active_code
        image[5] = self._state_bits()
        image[6] = self._state()
        image[8:10] = _float_words(s.calibration_due)
        image[10] = s.unit
        image[11:13] = _float_words(self._peak)
        image[16] = s.temperature_deg_c & 0xFFFF
        name = s.gas_name.encode("ascii")[:14].ljust(14, b"\0")
        image[45:52] = struct.unpack(">7H", name)
        image[55] = self._alarm_bits()
        image[56:58] = _float_words(s.supply_v)
        return image

    def _state(self) -> MonitorState:
        if self.faults.is_warming_up:
            return MonitorState.WARM_UP
        return MonitorState.INHIBIT if self.faults.is_inhibited else MonitorState.NORMAL

    def _state_bits(self) -> int:
        bits = self._alarm_bits()
        code = self.faults.active_code
        if code > _FIRST_FAULT:
            bits |= _FAULT_BIT
        elif code:
            bits |= _WARNING_BIT
        self._latched_bits |= bits & (_FAULT_BIT | _ALARM_BITS)
        return bits | self._latched_bits if self.settings.latching else bits

    def _alarm_bits(self) -> int:
        if self._state() is not MonitorState.NORMAL:
            return 0
        setpoints = (self.settings.alarm1, self.settings.alarm2)
        return sum(
            1 << bit
            for bit, setpoint in enumerate(setpoints)
            if setpoint is not None and self._sent >= setpoint
        )

    def _fault_words(self) -> tuple[int, int]:
        """Return active faults as in issue 15: bits 0-4 W1-W5, bits 6-18 F1-F13."""
        code = self.faults.active_code
        bits = 0
        if _FIRST_FAULT < code <= _FIRST_FAULT + 13:
            bits = 1 << (5 + code - _FIRST_FAULT)
        elif 1 <= code <= 5:
            bits = 1 << (code - 1)
        return bits >> 16, bits & 0xFFFF


def _float_words(value: float) -> tuple[int, int]:
    """Return a float32 as two registers, high word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low
