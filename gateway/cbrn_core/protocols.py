"""The seams of the house: what a driver, an estimator, a sink and a store must offer.

`Clock` is in `clock.py`. Implementations need not inherit; mypy checks the fit.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar, runtime_checkable

from cbrn_core.reading import Reading

SamplesT_contra = TypeVar("SamplesT_contra", contravariant=True)
EstimatesT_co = TypeVar("EstimatesT_co", covariant=True)


class Driver(Protocol):
    """One wire with its instruments.

    Entering connects (raises TransportError; may be entered again after leaving);
    leaving never raises and is safe when never entered. A driver does not sleep to
    retry, does not log an error that it raises, does not swallow cancellation, reads
    no clock but the one it was given, and only reads the instrument.
    """

    async def __aenter__(self) -> Self:
        """Open the transport and prove the instrument's identity."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the transport."""
        ...

    def batches(self) -> AsyncIterator[Sequence[Reading]]:
        """Yield readings as they arrive; raises TransportError when the wire breaks.

        A damaged frame is dropped and counted, never raised. An instrument that says it
        is ill yields readings of bad quality with its fault, never an exception.
        """
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was dropped and why, since the driver was made."""
        ...


@runtime_checkable
class Rereads(Protocol):
    """A driver that can ask an instrument again before its turn."""

    def reread(self, device_id: str) -> bool:
        """Let a device be read next; False where it cannot be. Call it on the loop."""
        ...


@runtime_checkable
class RadioDriver(Protocol):
    """A driver of a radio, where instruments come and go.

    It misses each instrument after that one's own silence and disturbs no other for it, so
    that nobody outside watches how long it gives no reading: nobody may be there. What it
    raises ails the radio.
    """

    @property
    def radio_name(self) -> str:
        """Return what people know the radio by: `Bluetooth hci0`."""
        ...

    @property
    def is_well(self) -> bool:
        """Return whether the radio is open and nothing shows that it does not work."""
        ...


class Estimator(Protocol[SamplesT_contra, EstimatesT_co]):
    """A filter bank: samples in, estimates out, state that can be taken along."""

    def submit(self, samples: SamplesT_contra) -> EstimatesT_co:
        """Return one estimate per sample, in order; any cut into batches gives the same."""
        ...

    def snapshot(self) -> bytes:
        """Return the whole state."""
        ...

    def restore(self, state: bytes) -> int:
        """Take over a snapshot by channel; return how many channels were recognised."""
        ...


class Sink(Protocol):
    """Delivers from its own outbox at its own pace.

    `run` ends by raising: DeliveryError or TransportError make the supervisor wait and
    start it again; nothing undelivered is lost by that.
    """

    name: str

    async def run(self) -> None:
        """Deliver until cancelled."""
        ...

    def wake(self) -> None:
        """Say that something new lies in the outbox."""
        ...


class Store(Protocol):
    """A durable series of readings and estimates; never called from the event loop."""

    def append(self, readings: Sequence[Reading]) -> None:
        """Commit the readings in one transaction; raises StorageError, keeps nothing half."""
        ...

    def close(self) -> None:
        """Flush and close."""
        ...
