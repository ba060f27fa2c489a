"""Words between a Bluetooth transport and its drivers; imports no Bluetooth library."""

from enum import StrEnum
from typing import Annotated

import msgspec

from cbrn_core.clock import Now

DEFAULT_ADAPTER = "hci0"
MOST_LINKS = 5
"""How many links a common adapter keeps up at once without losing some."""

_OCTET = "[0-9A-Fa-f]{2}"
Address = Annotated[str, msgspec.Meta(pattern=f"^{_OCTET}(:{_OCTET}){{5}}$")]
AdapterName = Annotated[str, msgspec.Meta(pattern=f"^(hci[0-9]{{1,3}}|{_OCTET}(:{_OCTET}){{5}})$")]


class BleOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of a `[[device]]` table that every Bluetooth peripheral has.

    Attributes:
        address: of the peripheral, as it advertises; one that changes (a phone) cannot be
            followed unless it is paired.
        adapter: `hci0`, or the adapter's own address where several are plugged in.
        spare_adapter: used while `adapter` cannot be, or makes no links, and the other way
            round; the same for all its devices.
        priority: 1 gets a link before 2 and 2 before 3; mark responders with 1.
        silence_s: without a valid value for this long, the link is made anew.
        links_most: links that the adapter holds at once; the same for all its devices.
        power_cycle: the adapter may be switched off and on when none of its peripherals
            can be connected any more; that cuts the links of other programs as well.
    """

    address: Address
    adapter: AdapterName = DEFAULT_ADAPTER
    spare_adapter: AdapterName | None = None
    priority: Annotated[int, msgspec.Meta(ge=1, le=3)] = 2
    silence_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0
    links_most: Annotated[int, msgspec.Meta(ge=1, le=64)] = MOST_LINKS
    power_cycle: bool = False

    @property
    def adapters(self) -> tuple[str, ...]:
        """Return the adapter and its spare, where there is one."""
        return (self.adapter,) if self.spare_adapter is None else (self.adapter, self.spare_adapter)

    @property
    def bus(self) -> str:
        """Return what is equal for peripherals on one adapter."""
        return f"ble:{self.adapter.lower()}"


class Peripheral(msgspec.Struct, frozen=True, kw_only=True):
    """One peripheral that is wanted: what it notifies, and what is read from it now and then.

    `notified` and `polled` are 128-bit UUIDs of characteristics in lower case; `polled` None
    reads nothing, but `poll_s` still paces the word about the signal.
    """

    address: str
    notified: str
    priority: int = 2
    silence_s: float = 15.0
    polled: str | None = None
    poll_s: float = 300.0


class End(StrEnum):
    """Why a link ended; also the name under which it is counted."""

    LOST = "link_lost"
    SILENT = "link_silent"
    YIELDED = "link_yielded"
    NO_ANSWER = "connect_timeout"
    REFUSED = "connect_refused"
    NOT_THERE = "connect_not_there"
    UNSUITABLE = "characteristic_missing"


class Notified(msgspec.Struct, frozen=True, gc=False):
    """A value that a peripheral sent by itself, with when it arrived."""

    address: str
    octets: bytes
    at: Now


class Polled(msgspec.Struct, frozen=True, gc=False):
    """What a peripheral was asked for; None where it does not say.

    `rssi_dbm` is that of an advertisement heard since the last poll.
    """

    address: str
    octets: bytes | None
    rssi_dbm: int | None
    at: Now


Heard = Notified | Polled
