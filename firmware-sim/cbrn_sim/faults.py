"""What can go wrong with an instrument, switched on and off while it runs."""

from enum import StrEnum
from typing import Protocol

import numpy as np

from cbrn_core.errors import CommandRefused


class Wire(Protocol):
    """What faults need of a wire: to be pulled, put back and held still."""

    async def plug(self) -> None:
        """Make the instrument reachable again."""
        ...

    async def unplug(self) -> None:
        """Cut the connection as pulling the cable does."""
        ...

    def freeze(self, on: bool) -> None:
        """Stop or resume all traffic without closing anything."""
        ...


class Fault(StrEnum):
    """Faults that only some families know; the others every instrument has."""

    EXCEPTION = "exception"
    FAULT_CODE = "fault_code"
    WARM_UP = "warm_up"
    INHIBIT = "inhibit"


_TOP_BIT = 8
_ANY_BYTE = 256


class Faults:
    """Faults of one instrument.

    Where several instruments share a wire (a bus, one Modbus server), `unplug`,
    `replug` and `freeze` hit all of them, as they do in the field; everything else
    hits this one alone.
    """

    def __init__(
        self,
        device_id: str,
        wire: Wire,
        rng: np.random.Generator,
        *,
        knows: frozenset[Fault] = frozenset(),
    ) -> None:
        self.device_id = device_id
        self.knows = knows
        self._wire = wire
        self._rng = rng
        self._garble_rate = 0.0
        self._is_silent = False
        self._is_stuck = False
        self._stuck_values: dict[str, float] = {}
        self._spike: float | None = None
        self._step = 0.0
        self._exception_code: int | None = None
        self._fault_code = 0
        self._is_warming_up = False
        self._is_inhibited = False

    async def unplug(self) -> None:
        """Pull the cable: a serial device file vanishes, a TCP server refuses."""
        await self._wire.unplug()

    async def replug(self) -> None:
        """Put the cable back: same symlink onto a new device file, same TCP port."""
        await self._wire.plug()

    def freeze(self, on: bool = True) -> None:
        """Hang without closing; what was asked meanwhile is answered late, when it ends."""
        self._wire.freeze(on)

    def garble(self, rate: float) -> None:
        """Drop, flip or insert a byte with probability `rate` per byte sent; 0 ends it."""
        self._garble_rate = rate

    def silence(self, on: bool = True) -> None:
        """Say nothing, answer nothing; the cable stays in."""
        self._is_silent = on

    def stuck(self, on: bool = True) -> None:
        """Show the value of now for ever, without any sign of it."""
        self._is_stuck = on
        self._stuck_values.clear()

    def spike(self, amount: float) -> None:
        """Add `amount` to the next value that goes out, and to no other."""
        self._spike = amount

    def step(self, offset: float) -> None:
        """Add `offset` from now on at once, as no gas can; 0 ends it."""
        self._step = offset

    def exception(self, code: int | None) -> None:
        """Answer every Modbus request with this exception; None ends it."""
        self._require(Fault.EXCEPTION)
        self._exception_code = code

    def fault_code(self, code: int) -> None:
        """Report a fault or warning of the instrument's own numbering; 0 ends it."""
        self._require(Fault.FAULT_CODE)
        self._fault_code = code

    def warm_up(self, on: bool = True) -> None:
        """Behave as just after power-on."""
        self._require(Fault.WARM_UP)
        self._is_warming_up = on

    def inhibit(self, on: bool = True) -> None:
        """Behave as inhibited by a technician."""
        self._require(Fault.INHIBIT)
        self._is_inhibited = on

    def clear(self) -> None:
        """End every fault except a pulled cable."""
        self.freeze(on=False)
        self.garble(0.0)
        self.silence(on=False)
        self.stuck(on=False)
        self._spike = None
        self._step = 0.0
        self._exception_code = None
        self._fault_code = 0
        self._is_warming_up = False
        self._is_inhibited = False

    @property
    def is_silent(self) -> bool:
        """Return whether the instrument says nothing."""
        return self._is_silent

    @property
    def active_exception(self) -> int | None:
        """Return the Modbus exception to answer with."""
        return self._exception_code

    @property
    def active_code(self) -> int:
        """Return the instrument's own fault or warning number, 0 for none."""
        return self._fault_code

    @property
    def is_warming_up(self) -> bool:
        """Return whether the instrument is warming up."""
        return self._is_warming_up

    @property
    def is_inhibited(self) -> bool:
        """Return whether the instrument is inhibited."""
        return self._is_inhibited

    def report(
        self, name: str, value: float, *, scale: float = 1.0, spends_spike: bool = True
    ) -> float:
        """Return the value that goes out instead of the measured one.

        `name` tells the values of one instrument apart; `scale` turns the unit of
        `spike` and `step` into the unit of this value, 0 where they do not apply.
        """
        value += self._step * scale
        if self._spike is not None and scale and spends_spike:
            value += self._spike * scale
            self._spike = None
        if self._is_stuck:
            return self._stuck_values.setdefault(name, value)
        return value

    def on_wire(self, frame: bytes) -> bytes:
        """Return the bytes that really go out: none when silent, damaged when garbling."""
        if self._is_silent or not frame:
            return b""
        if self._garble_rate <= 0:
            return frame
        damaged = bytearray()
        for byte in frame:
            damaged += (
                self._damaged(byte) if self._rng.random() < self._garble_rate else bytes((byte,))
            )
        return bytes(damaged)

    def _damaged(self, byte: int) -> bytes:
        kind = int(self._rng.integers(3))
        if kind == 0:
            return b""
        if kind == 1:
            return bytes((byte ^ (1 << int(self._rng.integers(_TOP_BIT))),))
        return bytes((byte, int(self._rng.integers(_ANY_BYTE))))

    def _require(self, fault: Fault) -> None:
        if fault not in self.knows:
            raise CommandRefused(f"{self.device_id} has no way to show the fault {fault}")
