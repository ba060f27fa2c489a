"""Any readings and estimates, in any order of channels: no traceback, the same alarms."""

from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import given, settings
from unit.alarms.square import INDICATIVE, Square, channel, site_model, station

from cbrn_core.alarm import Priority
from cbrn_core.place import Fix
from cbrn_core.reading import Detection, DetectionClass, Flag, InstrumentAlarm, Purpose, Quality

values = st.one_of(
    st.sampled_from([0.0, 0.6, 3.0, 12.0, 60.0]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-1, 100),
)
flags = st.lists(st.sampled_from(list(Flag)), max_size=2).map(tuple)
detections = st.one_of(
    st.none(),
    st.builds(
        Detection,
        class_=st.sampled_from([None, *DetectionClass]),
        agent=st.sampled_from([None, "gb", "cl2"]),
        bars=st.integers(0, 8),
        instrument_alarm=st.sampled_from(list(InstrumentAlarm)),
        code=st.sampled_from([None, 3]),
        text=st.sampled_from([None, "x"]),
    ),
)
fixes = st.one_of(
    st.none(),
    st.builds(
        Fix,
        lat=st.floats(-90, 90),
        lon=st.floats(-180, 180),
        alt_m=st.one_of(st.none(), st.floats(-100, 12_000)),
        speed_m_s=st.one_of(st.none(), st.floats(0, 300)),
    ),
)
backgrounds = st.sampled_from(
    [None, (float("nan"), "unknown"), (0.1, "learnt"), (0.0, 0.1, "running")]
)
NAMES = ("st01/cl2", "st02/cl2", "st01/ims", "g1/gamma", "p1/n")
events = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(NAMES),
            "gap_s": st.sampled_from([0.0, 0.4, 1.0, 30.0, 700.0]),
            "what": st.sampled_from(["reading", "estimate", "stale", "fresh"]),
            "value": values,
            "sigma": st.sampled_from([0.0, 0.02, 5.0, float("inf")]),
            "flags": flags,
            "quality": st.sampled_from(list(Quality)),
            "detection": detections,
            "fix": fixes,
            "background": backgrounds,
            "purpose": st.sampled_from([None, *Purpose]),
        }
    ),
    max_size=50,
)


def square() -> Square:
    channels = [
        channel("st01/cl2", lod=0.1, range=(0.0, 50.0), also_answers_to={"nh3": 0.5}),
        channel("st02/cl2", lod=0.1, grade=INDICATIVE),
        channel("st01/ims", "voc", lod=None, sigma=None),
        channel("g1/gamma", "gamma_dose_rate", counting=True, usv_h_per_cps=0.01, lod=None),
        channel("p1/n", "neutron_count_rate", counting=True, lod=None, period_s=None),
    ]
    stations = [station("st01"), station("st02", 30), station("g1"), station("p1", mobile=True)]
    return Square(site_model(channels, stations, in_service=False))


def feed(one: Square, event, seconds: float) -> None:
    name, what = event["name"], event["what"]
    key = tuple(name.split("/"))
    if what == "reading":
        finite = event["value"] if abs(event["value"]) < 1e9 else None
        one.reading(
            name, seconds, finite, detection=event["detection"], flags=event["flags"],
            quality=event["quality"], purpose=event["purpose"],
        )  # fmt: skip
    elif what == "stale":
        one.apply(one.rules.on_stale(key, one.now(seconds)), seconds)
    elif what == "fresh":
        one.apply(one.rules.on_fresh(key, one.now(seconds)), seconds)
    elif name in {"g1/gamma", "p1/n"}:
        one.radiation(
            name, seconds, event["value"], background=event["background"],
            sigma=event["sigma"], fix=event["fix"],
        )  # fmt: skip
    else:
        one.estimate(
            name, seconds, event["value"], sigma=event["sigma"], flags=event["flags"],
            fix=event["fix"],
        )  # fmt: skip


def run(one: Square, script) -> Square:
    """Feed events in order, with the deadlines and full seconds that lie between them."""
    seconds, next_tick = 0.0, 1
    for event in script:
        seconds += event["gap_s"]
        while next_tick <= seconds and one.rules.needs_tick:
            one.advance(next_tick)
            one.tick(next_tick)
            next_tick += 1
        next_tick = max(next_tick, int(seconds) + 1)
        one.advance(seconds)
        feed(one, event, seconds)
    return one


@settings(deadline=None)
@given(events)
def test_no_input_ends_in_a_traceback_and_every_condition_is_whole(script):
    one = run(square(), script)
    one.rules.inactive_levels()
    for said in one.spoken:
        assert said.priority in set(Priority)
        assert said.purpose == "actual"
        assert said.observed_us <= said.at_us
        assert said.key.place in {*NAMES, *one.model.zones, "radhus"}
        assert said.level


@settings(deadline=None)
@given(events)
def test_the_order_of_channels_between_two_full_seconds_changes_no_alarm(script):
    """Events of one moment belong together; between channels their order is free."""
    regrouped = []
    moment = []
    for event in script:
        if event["gap_s"] > 0 and moment:
            regrouped += _by_channel(moment)
            moment = []
        moment.append(event)
    regrouped += _by_channel(moment)
    assert _versions(run(square(), regrouped)) == _versions(run(square(), script))


def _by_channel(moment):
    """Return the events of one moment sorted by channel, the first keeping the gap."""
    gap_s = moment[0]["gap_s"] if moment else 0.0
    ordered = sorted(moment, key=lambda event: NAMES.index(event["name"]), reverse=True)
    return [{**e, "gap_s": gap_s if i == 0 else 0.0} for i, e in enumerate(ordered)]


def _versions(one: Square):
    found = defaultdict(list)
    for alarm in one.published:
        found[alarm.id].append((alarm.version, alarm.state, alarm.changed_us, alarm.condition))
    return dict(found)
