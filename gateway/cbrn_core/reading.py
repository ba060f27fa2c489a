"""Readings: what an instrument said about one channel at one moment."""

from enum import IntEnum, StrEnum

import msgspec

from cbrn_core.channel import ChannelKey
from cbrn_core.place import Fix
from cbrn_core.units import Unit


class Quality(StrEnum):
    """How far a value may be trusted; stages of the pipeline may only worsen it."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    STALE = "stale"


QUALITY_RANK = {q: rank for rank, q in enumerate(Quality)}
"""0 good … 3 stale; also the integer written to InfluxDB."""


def worst(*qualities: Quality) -> Quality:
    """Return the least trustworthy of the qualities."""
    return max(qualities, key=QUALITY_RANK.__getitem__)


class Flag(StrEnum):
    """Why a reading is not simply good."""

    WARMING_UP = "warming_up"
    OVER_RANGE = "over_range"
    UNDER_RANGE = "under_range"
    UNDER_TEST = "under_test"
    STUCK = "stuck"
    SPIKE = "spike"
    DRIFT = "drift"
    STEP = "step"
    NOISE = "noise"
    INHIBITED = "inhibited"
    CALIBRATING = "calibrating"
    INSTRUMENT_FAULT = "instrument_fault"
    INSTRUMENT_WARNING = "instrument_warning"
    OTHER_INSTRUMENT = "other_instrument"
    CLOCK_UNSYNCED = "clock_unsynced"
    LATE = "late"
    TAMPERED = "tampered"
    OUTSIDE_ENVELOPE = "outside_envelope"
    NO_FIX = "no_fix"
    BELOW_LOD = "below_lod"


class Purpose(StrEnum):
    """Provenance of evidence (safety 1): absent is actual."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class DetectionClass(StrEnum):
    """What a class detector says it sees."""

    NERVE = "nerve"
    BLISTER = "blister"
    BLOOD = "blood"
    CHOKING = "choking"
    TIC = "tic"
    BIO_TRIGGER = "bio_trigger"
    RADIATION = "radiation"
    EXPLOSIVE = "explosive"
    OTHER = "other"


class InstrumentAlarm(StrEnum):
    """The instrument's own output."""

    NONE = "none"
    A1 = "a1"
    A2 = "a2"
    FAULT = "fault"
    INHIBIT = "inhibit"


class Bars(IntEnum):
    """Limits of a class detector's bar display."""

    LEAST = 0
    MOST = 8


class Detection(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False
):
    """What a class detector or an instrument's own alarm output says.

    `code` and `text` are the instrument's own fault or warning, for the technician.
    """

    class_: DetectionClass | None = msgspec.field(default=None, name="class")
    agent: str | None = None
    bars: int = 0
    instrument_alarm: InstrumentAlarm = InstrumentAlarm.NONE
    code: int | None = None
    text: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value of one channel.

    Attributes:
        time_us: measured at.
        received_us: arrival on the steady clock; drives the virtual clock in replay.
        value: in `unit`; None where there is none, never a sentinel; over range it is
            the limit with the flag.
        sigma: one standard deviation in `unit`, where the source states it.
        raw: what the wire carried, before conversion, or the device's own time text.
        livetime_s: live time of a counting reading.
        resulted_us: when a sample's result was known, where that is later.
    """

    station: str
    channel: str
    time_us: int
    received_us: int
    value: float | None
    unit: Unit
    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()
    device: str | None = None
    sigma: float | None = None
    raw: float | str | None = None
    fix: Fix | None = None
    livetime_s: float | None = None
    resulted_us: int | None = None
    seq: int | None = None
    purpose: Purpose | None = None
    detection: Detection | None = None

    @property
    def key(self) -> ChannelKey:
        """Return (station, channel)."""
        return (self.station, self.channel)


class Stage(StrEnum):
    """How far a biological result has come; `confirmed` needs a person and a reference."""

    TRIGGER = "trigger"
    PRESUMPTIVE = "presumptive"
    CONFIRMED = "confirmed"


class Assay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Result of a sample, known long after it was taken (`cbrn-assay/1`)."""

    station: str
    collected_from_us: int
    collected_until_us: int
    resulted_at_us: int
    target: str
    method: str
    result: str
    stage: Stage
    concentration: float | None = None
    unit: Unit | None = None
    by: str | None = None
    lab_ref: str | None = None

    def __post_init__(self) -> None:
        if self.stage is Stage.CONFIRMED and not (self.by and self.lab_ref):
            raise ValueError("stage 'confirmed' needs `by` (a person) and `lab_ref`")
