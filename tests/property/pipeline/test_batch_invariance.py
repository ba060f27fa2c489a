"""Any cut of the same ordered events into steps gives the same estimates and alarms."""

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples
from samples.gas_and_gamma import START_US, square

from cbrn_core.reading import Reading
from cbrn_core.units import Unit
from cbrn_gateway.pipeline.pipeline import Pipeline

CONFIG = square(t90_s=30)

events = st.lists(
    st.tuples(
        st.sampled_from(["st1", "st2"]),
        st.one_of(st.floats(0, 0.3), st.floats(0, 25)),
        st.sampled_from([1_000_000, 1_000_000, 250_000, 9_000_000]),
    ),
    min_size=5,
    max_size=80,
)


def readings_of(drawn) -> list[Reading]:
    now_us, readings = START_US, []
    for station, value, gap_us in drawn:
        now_us += gap_us
        gas = station == "st1"
        readings.append(
            Reading(
                station=station,
                channel="cl2" if gas else "gamma",
                time_us=now_us,
                received_us=now_us,
                value=value if gas else float(round(value)),
                unit=Unit.PPM if gas else Unit.CPS,
            )
        )
    return readings


def outcome(readings: list[Reading], cuts: set[int]) -> tuple[list, list]:
    pipeline = Pipeline(CONFIG.model, CONFIG.policy)
    pipeline.start(readings[0].received_us)
    estimates, alarms = [], []
    step: list[Reading] = []
    for index, reading in enumerate(readings):
        step.append(reading)
        if index in cuts or index == len(readings) - 1:
            out = pipeline.step(reading.received_us, step)
            estimates += [repr(e) for e in out.estimates]
            alarms += [repr(a) for a in out.alarms]
            step = []
    return estimates, alarms


@given(drawn=events, cuts=st.sets(st.integers(0, 80)))
@examples(60)
def test_any_cut_into_steps_gives_the_same_estimates_and_alarms(drawn, cuts):
    readings = readings_of(drawn)
    assert outcome(readings, cuts) == outcome(readings, set())
    assert outcome(readings, set(range(80))) == outcome(readings, set())
