"""The one exception tree of the project.

::

    CbrnError
    ├ ConfigError(problems)                exit 2, before any input or output
    ├ DriverError(device)
    │  ├ TransportError                    reconnect with back-off
    │  │  ├ ConnectFailed  ReadTimeout  Disconnected
    │  └ ProtocolError                     drop the frame, count it; many in a row: reconnect
    │     └ FrameError(kind)
    │        ├ ChecksumError  LengthError  FieldError  UnexpectedReply  ExceptionReply
    ├ InputError                           bad recording, bad message: counted, the daemon goes on
    ├ StorageError                         the store refused; the caller keeps what it holds
    │  └ StoreDamaged                      moved aside as a whole at a start, a new file begins
    │     └ ChainBroken
    ├ DeliveryError                        the sink keeps the record and tries again
    │  ├ Refused(reason_code)              the other side said no: technical alarm
    │  └ PoisonBatch                       the receiver rejects the content: bisect, quarantine
    ├ CommandRefused                       an operator's command was refused, with the reason
    ├ PrerequisiteMissing                  exit 3, names what is missing
    └ FusionError
       └ ShapeError  DivergedFilter

Nothing matches on message text; retry is decided by class in the supervisor.
"""

from dataclasses import dataclass


class CbrnError(Exception):
    """Root of every error this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration: where it is and what is wrong."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class ConfigError(CbrnError):
    """The configuration cannot be used; carries every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(p) for p in problems))


class DriverError(CbrnError):
    """An instrument could not be read."""


class TransportError(DriverError):
    """The way to the instrument is broken; reconnect with back-off."""


class ConnectFailed(TransportError):
    """The port or host could not be opened."""


class ReadTimeout(TransportError, TimeoutError):
    """Nothing arrived in time."""


class Disconnected(TransportError):
    """The connection went away."""


class ProtocolError(DriverError):
    """The instrument said something that its protocol does not allow."""


class FrameError(ProtocolError):
    """A frame cannot be decoded; `kind` is the word that `decode` prints."""

    kind = "frame"


class ChecksumError(FrameError):
    """The frame's checksum does not match its bytes."""

    kind = "checksum"


class LengthError(FrameError):
    """The frame is too short or too long for its type."""

    kind = "length"


class FieldError(FrameError):
    """A field of a well-framed message has an impossible value."""

    kind = "field"


class UnexpectedReply(FrameError):
    """A well-formed reply that answers another question (unit, function, identity)."""

    kind = "unexpected_reply"


class ExceptionReply(FrameError):
    """A Modbus exception reply; `code` as in the Modbus application protocol §7."""

    kind = "exception"

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class InputError(CbrnError):
    """A recording line or a network message cannot be read."""


class StorageError(CbrnError):
    """A store could not read or write."""


class StoreDamaged(StorageError):
    """A store's file is damaged, foreign or of another layout: it cannot be used as it is."""


class ChainBroken(StoreDamaged):
    """The journal's hash chain does not verify; `seq` is the first bad entry."""

    def __init__(self, seq: int, message: str) -> None:
        self.seq = seq
        super().__init__(message)


class DeliveryError(CbrnError):
    """A record could not be delivered; it stays in the outbox."""


class Refused(DeliveryError):
    """The receiver refused a record; `reason_code` is its own code."""

    def __init__(self, reason_code: int, message: str) -> None:
        self.reason_code = reason_code
        super().__init__(message)


class PoisonBatch(DeliveryError):
    """The receiver accepts the connection but not the content of this batch."""


class CommandRefused(CbrnError):
    """An operator's command was refused; the message is the reason to show."""


class PrerequisiteMissing(CbrnError):
    """A program or library that the command needs is not installed."""


class FusionError(CbrnError):
    """The mathematics cannot go on with this input."""


class ShapeError(FusionError):
    """Array shapes disagree."""


class DivergedFilter(FusionError):
    """A covariance is no longer positive definite."""
