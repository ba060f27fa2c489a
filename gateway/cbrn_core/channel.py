"""Devices and channels: what is measured, by what, how well. Resolved from profile and site."""

from enum import StrEnum

import msgspec

from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit

ChannelKey = tuple[str, str]
"""(station id, channel id): a channel id alone is unique only within its station."""


class Grade(StrEnum):
    """What an instrument's reading may claim (safety 6)."""

    CERTIFIED = "certified"
    PROFESSIONAL = "professional"
    INDICATIVE = "indicative"


class Technology(StrEnum):
    """How an instrument senses; two technologies corroborate, two cells of one do not."""

    ELECTROCHEMICAL = "electrochemical"
    PHOTOIONISATION = "photoionisation"
    INFRARED = "infrared"
    CATALYTIC = "catalytic"
    SEMICONDUCTOR = "semiconductor"
    ION_MOBILITY = "ion_mobility"
    FLAME_PHOTOMETRY = "flame_photometry"
    GEIGER_MUELLER = "geiger_mueller"
    SCINTILLATOR = "scintillator"
    OPTICAL_PARTICLE = "optical_particle"
    FLUORESCENCE = "fluorescence"
    ULTRASONIC = "ultrasonic"
    OTHER = "other"


class Background(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """Commissioned background of a channel in its own unit, with when it was taken."""

    value: float
    sigma: float
    since: str
    until: str


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity from one device in one unit.

    `sigma`, `range`, `resolution`, `lod` and `background` are in `unit`. `None` means
    not known: period and sigma are then learnt, `lod` follows from them.
    """

    station: str
    id: str
    device: str
    quantity: Quantity
    unit: Unit
    grade: Grade = Grade.PROFESSIONAL
    technology: Technology = Technology.OTHER
    simulated: bool = False
    tau_rise_s: float | None = None
    tau_fall_s: float | None = None
    sigma: float | None = None
    range: tuple[float, float] | None = None
    resolution: float = 0.0
    lod: float | None = None
    period_s: float | None = None
    stale_after_s: float | None = None
    counting: bool = False
    usv_h_per_cps: float | None = None
    background: Background | None = None
    also_answers_to: dict[str, float] = {}

    @property
    def key(self) -> ChannelKey:
        """Return (station, channel)."""
        return (self.station, self.id)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument as configured: which driver reads it, with which options.

    `options` are the driver's own keys (port, host, unit_id …), already checked by the
    driver's option type; `bus` is equal for devices that share one wire. `own_profile` holds
    the tables of a profile of the site's own, {} where `profile` names a built-in one.
    """

    id: str
    station: str
    driver: str
    profile: str | None
    bus: str
    channels: tuple[Channel, ...]
    options: dict[str, object] = {}
    own_profile: dict[str, object] = {}
    grade: Grade = Grade.PROFESSIONAL
    simulated: bool = False
    period_s: float | None = None


T90_PER_TAU = 2.302585092994046
"""ln 10: a first-order lag reaches 90 % of a step after ln 10 time constants."""
