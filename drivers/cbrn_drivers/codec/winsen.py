"""Winsen ZE03 frames of 9 bytes: `FF … ck`, ck = two's complement of the sum of bytes 1-7.

Sources: fega/winsen-ze03-arduino-library and 7ax/wokwi-chip-ze03-nh3, which agree on
framing, checksum and mode commands; Winsen's own document was not seen (confidence A for
framing, B per model).
"""

from enum import StrEnum

import msgspec

from cbrn_core.errors import ChecksumError, FieldError, LengthError, UnexpectedReply
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit
from cbrn_drivers.codec.checksum import negated_sum8

START = 0xFF
FRAME_BYTES = 9
_READ = 0x86
_MODE = 0x78
_HOST = 0x01
_FROM_MODULE = frozenset({_READ, _MODE})


def _sealed(*body: int) -> bytes:
    return bytes((START, *body, negated_sum8(bytes(body))))


COMMAND_ACTIVE = _sealed(_HOST, _MODE, 0x03, 0, 0, 0, 0)
COMMAND_QUESTION = _sealed(_HOST, _MODE, 0x04, 0, 0, 0, 0)
COMMAND_READ = _sealed(_HOST, _READ, 0, 0, 0, 0, 0)
_HOST_COMMANDS = {
    COMMAND_ACTIVE: "active upload",
    COMMAND_QUESTION: "question/answer",
    COMMAND_READ: "read",
}


class Gas(msgspec.Struct, frozen=True):
    """What one count of a cell means."""

    quantity: Quantity
    unit: Unit
    per_count: float


_UNIT_STEP = (Quantity.CO, Quantity.NH3, Quantity.H2S, Quantity.HF)
_TENTH_STEP = (Quantity.SO2, Quantity.NO2, Quantity.CL2, Quantity.O3)
GASES = (
    {q.value: Gas(q, Unit.PPM, 1.0) for q in _UNIT_STEP}
    | {q.value: Gas(q, Unit.PPM, 0.1) for q in _TENTH_STEP}
    | {"o2": Gas(Quantity.O2, Unit.PCT_VOL, 0.1)}
)
"""Gas id -> scale; the frame does not say which cell is fitted."""


class FrameType(StrEnum):
    """What a frame from the module is."""

    READ = "read"
    MODE_ACK = "mode_ack"


class ModuleFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame from the module.

    Attributes:
        count: bytes 2-3, in steps of the fitted cell.
        reserved: bytes 4-7; zero in every ZE03 seen.
        ok: the module took over the mode, of a MODE_ACK.
    """

    type: FrameType
    count: int = 0
    reserved: bytes = bytes(4)
    ok: bool = False

    def fields(self) -> dict[str, object]:
        """Return the fields by their names in the protocol document."""
        if self.type is FrameType.MODE_ACK:
            return {"type": self.type.value, "ok": self.ok}
        words_6_7 = int.from_bytes(self.reserved[2:], "big")
        return {"type": self.type.value, "hi_lo_2_3": self.count, "hi_lo_6_7": words_6_7}


def is_module_frame(frame: bytes) -> bool:
    """Return whether 9 bytes out of a stream are a frame of a ZE03.

    An 8-bit sum lets one damaged frame in 256 through; in a stream the bytes that are zero
    in every ZE03 seen must be zero too.
    """
    return frame[1] in _FROM_MODULE and not any(frame[4:8]) and _is_sealed(frame)


def host_command(frame: bytes) -> str | None:
    """Return the name of a command of the host, None for anything else."""
    return _HOST_COMMANDS.get(frame)


def decode_frame(frame: bytes) -> ModuleFrame:
    """Return what the module says.

    Raises:
        LengthError: not 9 bytes.
        FieldError: does not begin with FF.
        ChecksumError: the checksum does not match.
        UnexpectedReply: a good frame of another kind or of another module.
    """
    if len(frame) != FRAME_BYTES:
        raise LengthError(f"{len(frame)} bytes, not {FRAME_BYTES}")
    if frame[0] != START:
        raise FieldError(f"begins with {frame[0]:02X}, not FF")
    if not _is_sealed(frame):
        raise ChecksumError(f"printed {frame[8]:02X}, computed {negated_sum8(frame[1:8]):02X}")
    if frame[1] == _READ:
        count = int.from_bytes(frame[2:4], "big")
        return ModuleFrame(type=FrameType.READ, count=count, reserved=frame[4:8])
    if frame[1] == _MODE:
        return ModuleFrame(type=FrameType.MODE_ACK, ok=frame[2] == 1)
    raise UnexpectedReply(f"frame of kind {frame[1]:02X}")


def _is_sealed(frame: bytes) -> bool:
    return not sum(frame[1:FRAME_BYTES]) & 0xFF
