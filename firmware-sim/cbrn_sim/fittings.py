"""Which instrument is fitted where, on which wire."""

from enum import StrEnum
from pathlib import Path

import msgspec

from cbrn_core.place import Position
from cbrn_sim.instruments.gmc_memory import Dialect
from cbrn_sim.instruments.response import GasCell
from cbrn_sim.instruments.ze03 import Mode


class Family(StrEnum):
    """The driver that reads an instrument; the profile's name for a Modbus detector."""

    XCD = "sensepoint-xcd"
    GMC = "radiation.gmc"
    BGEIGIE = "radiation.safecast_bgeigie"
    ZE03 = "chemical.winsen_ze03"
    WINDSONIC = "weather.gill_windsonic"


class ModbusWire(StrEnum):
    """How a Modbus detector is reached."""

    TCP = "tcp"
    RTU = "rtu"


class XcdFitting(msgspec.Struct, frozen=True, kw_only=True, tag="xcd"):
    """A gas detector; those with the same `wire` share a bus or a TCP server."""

    device_id: str
    station_id: str
    agent: str
    gas_name: str
    wire: str
    over: ModbusWire
    unit_id: int
    cell: GasCell = GasCell()
    alarm1_ppm: float | None = None
    alarm2_ppm: float | None = None


class GmcFitting(msgspec.Struct, frozen=True, kw_only=True, tag="gmc"):
    """A Geiger counter."""

    device_id: str
    station_id: str
    dialect: Dialect = Dialect.RFC1201


class BgeigieFitting(msgspec.Struct, frozen=True, kw_only=True, tag="bgeigie"):
    """A bGeigie on a mobile station, or a log of one played back."""

    device_id: str
    station_id: str
    number: int = 2048
    log: Path | None = None
    log_period_s: float = 5.0


class Ze03Fitting(msgspec.Struct, frozen=True, kw_only=True, tag="ze03"):
    """A gas module."""

    device_id: str
    station_id: str
    agent: str
    mode: Mode = Mode.ACTIVE
    cell: GasCell = GasCell(
        t90_rise_s=60.0, t90_fall_s=90.0, sigma=0.3, resolution=0.1, full_scale=1000.0
    )


class WindSonicFitting(msgspec.Struct, frozen=True, kw_only=True, tag="windsonic"):
    """An anemometer."""

    device_id: str
    station_id: str
    rate_hz: float = 1.0


Fitting = XcdFitting | GmcFitting | BgeigieFitting | Ze03Fitting | WindSonicFitting


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running instrument is found.

    Attributes:
        position: of the station; of its start where `mobile`.
        options: `host`, `port`, `unit_id` over TCP; `port` (a symlink), `baudrate` on a
            serial line, with `unit_id` on a bus.
        gas: agent id of a chemical channel.
        full_scale_ppm: end of the range of that channel, for the site file.
    """

    device_id: str
    station_id: str
    family: Family
    position: Position
    options: dict[str, str | int]
    gas: str | None = None
    full_scale_ppm: float | None = None
    mobile: bool = False
