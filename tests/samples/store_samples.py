"""Small alerts, events, readings and estimates for the tests of the stores."""

import shutil
from pathlib import Path

from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import (
    Detection,
    DetectionClass,
    Flag,
    InstrumentAlarm,
    Purpose,
    Quality,
    Reading,
)
from cbrn_core.times import format_rfc3339
from cbrn_core.units import Unit

START_US = 1_780_000_000_000_000
EPOCH = 1_780_000_000


def alert(alarm_id="a1", version=1, *, priority=1, state="unack", purpose="actual", value=3.1):
    return {
        "type": "Feature",
        "id": alarm_id,
        "geometry": {"type": "Point", "coordinates": [10.73, 59.91]},
        "properties": {
            "schema": "cbrn-alert/1",
            "version": version,
            "priority": priority,
            "state": state,
            "purpose": purpose,
            "value": value,
            "text": "Chlorine at Rådhusplassen – treat as real",
            "changed_at": format_rfc3339(START_US + version * 1_000_000),
        },
    }


def event(text="started", **fields):
    return {
        "schema": "cbrn-journal/1",
        "type": "comment",
        "time": format_rfc3339(START_US),
        "text": text,
        **fields,
    }


def reading(second=0, value=1.25, station="st04", channel="cl2", **fields):
    time_us = START_US + second * 1_000_000
    named = {
        "station": station,
        "channel": channel,
        "time_us": time_us,
        "received_us": time_us + 250_000,
        "value": value,
        "unit": Unit.PPM,
    }
    return Reading(**(named | fields))


def estimate(second=0, value=1.2, station="st04", channel="cl2", **fields):
    time_us = START_US + second * 1_000_000
    named = {
        "station": station,
        "channel": channel,
        "time_us": time_us,
        "received_us": time_us + 250_000,
        "value": value,
        "sigma": 0.1,
        "unit": Unit.PPM,
        "nis": 0.7,
        "quality": Quality.GOOD,
    }
    return Estimate(**(named | fields))


FULL_READING = reading(
    7,
    unit=Unit.CPM,
    quality=Quality.UNCERTAIN,
    flags=(Flag.WARMING_UP, Flag.LATE),
    device="gmc-1",
    sigma=0.25,
    raw="0x1F 31 cpm",
    fix=Fix(59.91, 10.73, 12.5, 4.0, 1.1, gnss_fix=True),
    livetime_s=60.0,
    resulted_us=START_US + 9_000_000,
    seq=17,
    purpose=Purpose.EXERCISE,
    detection=Detection(
        class_=DetectionClass.NERVE,
        agent="gb",
        bars=3,
        instrument_alarm=InstrumentAlarm.A2,
        code=12,
        text="pump",
    ),
)


def copy_as_after_kill(path: Path, target: Path) -> Path:
    """Copy a database that is in use, with its log, as a kill would leave it on the disk."""
    target.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, target / source.name)
    return target / path.name


def readings_after(series, row):
    """Return the readings that were stored after a row, in one list."""
    return [reading for readings, _ in series.samples_after(row) for reading in readings]
