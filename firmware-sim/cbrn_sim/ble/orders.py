"""What the process of a simulated BlueZ is told, one JSON object a line, and what it answers."""

from enum import StrEnum

import msgspec

from cbrn_sim.ble.strap import Strap

FIRST_ADAPTER = "hci0"


class Verb(StrEnum):
    """What to do."""

    PUT = "put"
    DROP = "drop"
    REMOVE = "remove"
    SEND = "send"
    RAMP = "ramp"
    POWER = "power"
    PLUG = "plug"
    JAM = "jam"
    TELL = "tell"


class Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One order.

    Attributes:
        straps: PUT: these are in the air as described, known ones are changed.
        address: DROP, REMOVE, SEND: of which strap.
        octets: SEND: hex of what it notifies, however malformed.
        first_bpm, count: RAMP: every linked strap notifies first_bpm, first_bpm + 1 and so
            on, `count` times, as fast as the bus takes it.
        on: POWER, PLUG: on and in, or off and out; JAM: scanning fails.
        adapter: POWER, PLUG: which one.
    """

    verb: Verb
    straps: tuple[Strap, ...] = ()
    address: str = ""
    octets: str = ""
    first_bpm: int = 0
    count: int = 0
    on: bool = True
    adapter: str = FIRST_ADAPTER


class Answer(msgspec.Struct, kw_only=True):
    """How things stand after an order; `trouble` where it could not be done.

    Attributes:
        powered, scanning: the adapters that are on, and those on which anybody scans.
        over: which adapter each linked address is linked with.
    """

    trouble: str = ""
    powered: tuple[str, ...] = ()
    scanning: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    over: dict[str, str] = {}
    notifying: tuple[str, ...] = ()
    sent: dict[str, int] = {}
    calls: dict[str, int] = {}
