"""Whatever arrives: nothing stops the pipeline, every alert can be written, any cut is the same."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.place import Fix
from cbrn_core.reading import Detection, DetectionClass, Flag, InstrumentAlarm, Quality, Reading
from cbrn_core.units import Unit
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.pipeline.pipeline import Pipeline
from cbrn_gateway.store.chain import canonical

START_US = 1_780_000_000_000_000
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
timezone = "Europe/Rome"
[[station]]
id = "st1"
position = { lat = 60.0, lon = 10.0, height_m = 3 }
[[station]]
id = "van"
mobile = true
[[device]]
id = "gas"
station = "st1"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
t90_s = 30
sigma = 0.05
range = [0, 20]
[[device.channel]]
id = "nh3"
quantity = "nh3"
unit = "mg/m3"
[[device]]
id = "geiger"
station = "van"
driver = "external"
[[device.channel]]
id = "gamma"
quantity = "gamma_count_rate"
unit = "cpm"
counting = true
usv_h_per_cps = 0.2
"""
CONFIG = parse_site(SITE, Path("site.toml"))
CHANNELS = (("st1", "cl2", Unit.PPM), ("st1", "nh3", Unit.MG_M3), ("van", "gamma", Unit.CPM))

numbers = st.one_of(st.floats(0, 50), st.floats(), st.sampled_from([0.0, -1.0, 1e15, 1e300]))
whole = st.one_of(st.integers(-10, 10), st.integers(-(2**80), 2**80))
maybe = st.none() | numbers
detections = st.builds(
    Detection,
    class_=st.none() | st.sampled_from(DetectionClass),
    agent=st.none() | st.sampled_from(["gb", "", "a/b", "x" * 300]),
    bars=whole,
    instrument_alarm=st.sampled_from(InstrumentAlarm),
    code=st.none() | whole,
    text=st.none() | st.text(max_size=20),
)
fixes = st.builds(Fix, numbers, numbers, maybe, maybe, maybe, st.none() | st.booleans())
gaps_us = st.sampled_from([0, 1, 200_000, 1_000_000, 1_000_000, 1_000_000, 8_000_000])
slips_us = st.sampled_from([0] * 12 + [1, -1, -1_000_000, -3_600_000_000, 10**15, -(2**61)])


@st.composite
def readings(draw) -> list[Reading]:
    now_us, taken = START_US, []
    for gap_us in draw(st.lists(gaps_us, min_size=3, max_size=40)):
        now_us += gap_us
        station, channel, unit = draw(st.sampled_from(CHANNELS))
        taken.append(
            Reading(
                station=station,
                channel=channel,
                time_us=now_us + draw(slips_us),
                received_us=now_us,
                value=draw(maybe),
                unit=draw(st.sampled_from([unit] * 5 + [Unit.DEG_C, Unit.PPB])),
                quality=draw(st.sampled_from([Quality.GOOD] * 4 + list(Quality))),
                flags=tuple(draw(st.lists(st.sampled_from(Flag), max_size=2))),
                sigma=draw(maybe),
                livetime_s=draw(maybe),
                seq=draw(st.none() | whole),
                fix=draw(st.none() | fixes),
                detection=draw(st.none() | detections),
            )
        )
    return taken


def outcome(taken: list[Reading], cuts: set[int]) -> tuple[list[str], list[bytes]]:
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    pipeline.start(START_US)
    estimates, alerts, step = [], [], []
    for index, reading in enumerate(taken):
        step.append(reading)
        if index in cuts or index == len(taken) - 1:
            out = pipeline.step(reading.received_us, step)
            estimates += [repr(e) for e in out.estimates]
            alerts += [canonical(render_alert(a, CONFIG.model)) for a in out.alarms]
            step = []
    assert "not_judged" not in pipeline.drops.counts()
    return estimates, alerts


@given(taken=readings(), cuts=st.sets(st.integers(0, 40)))
@examples(60)
def test_anything_is_judged_written_and_cut_alike(taken, cuts):
    assert outcome(taken, cuts) == outcome(taken, set())
    assert outcome(taken, set(range(40))) == outcome(taken, set())
