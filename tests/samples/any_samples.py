"""Hypothesis strategies: any reading and any estimate that a row of the series can hold."""

from hypothesis import strategies as st

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
from cbrn_core.units import Unit

texts = st.text(st.characters(codec="utf-8"), max_size=12)
i64 = st.integers(-(2**63), 2**63 - 1)
any_float = st.floats(allow_nan=False)
maybe_float = st.none() | any_float
fixes = st.none() | st.builds(
    Fix, any_float, any_float, maybe_float, maybe_float, maybe_float, st.none() | st.booleans()
)
flags = st.lists(st.sampled_from(Flag), max_size=4).map(tuple)
named = {
    "station": st.sampled_from(["st1", "st2"]),
    "channel": st.sampled_from(["cl2", "γ"]),
    "time_us": i64,
    "received_us": i64,
    "unit": st.sampled_from(Unit),
    "quality": st.sampled_from(Quality),
    "flags": flags,
    "fix": fixes,
}

any_readings = st.builds(
    Reading,
    **named,
    value=maybe_float,
    device=st.none() | texts,
    sigma=maybe_float,
    raw=maybe_float | texts,
    livetime_s=maybe_float,
    resulted_us=st.none() | i64,
    seq=st.none() | i64,
    purpose=st.none() | st.sampled_from(Purpose),
    detection=st.none()
    | st.builds(
        Detection,
        class_=st.none() | st.sampled_from(DetectionClass),
        agent=st.none() | texts,
        bars=st.integers(0, 8),
        instrument_alarm=st.sampled_from(InstrumentAlarm),
        code=st.none() | i64,
        text=st.none() | texts,
    ),
)
any_estimates = st.builds(
    Estimate,
    **named,
    value=any_float,
    sigma=any_float,
    nis=any_float,
    instrument_value=maybe_float,
    trend_per_min=maybe_float,
    purpose=st.sampled_from(Purpose),
)
