"""What must hold for every number, unit, time and place."""

from math import isclose, log10

from hypothesis import given
from hypothesis import strategies as st

from cbrn_core.agents import AGENTS
from cbrn_core.alarm import AlarmKey, AlarmKind, mint_alarm_id
from cbrn_core.numbers import significant, value_with_sigma
from cbrn_core.place import distance_m, is_id
from cbrn_core.reading import Quality, worst
from cbrn_core.times import (
    datetime_to_us,
    format_rfc3339,
    parse_rfc3339,
    us_to_datetime,
)
from cbrn_core.units import Unit, UnitError, convert

# Years 1 to 9999 without the edge days, where an offset would leave the calendar.
TIMES_US = st.integers(-62_135_500_000_000_000, 253_402_200_000_000_000)
MAGNITUDES = st.floats(1e-9, 1e12)
MASSES = st.sampled_from([a.molar_mass_g_mol for a in AGENTS.values() if a.molar_mass_g_mol])


def _converts(source, target, molar_mass_g_mol=100.0):
    try:
        return convert(1.0, source, target, molar_mass_g_mol=molar_mass_g_mol) > 0
    except UnitError:
        return False


PAIRS = [(a, b) for a in Unit for b in Unit if _converts(a, b)]


def test_there_are_conversions_beyond_the_identity():
    assert len(PAIRS) > len(Unit) + 20


@given(st.sampled_from(PAIRS), MAGNITUDES, MASSES)
def test_a_conversion_and_its_inverse_cancel(pair, value, molar_mass_g_mol):
    source, target = pair
    there = convert(value, source, target, molar_mass_g_mol=molar_mass_g_mol)
    back = convert(there, target, source, molar_mass_g_mol=molar_mass_g_mol)
    assert isclose(back, value, rel_tol=1e-12)


@given(st.sampled_from(Unit), st.sampled_from(Unit), MASSES)
def test_what_converts_one_way_converts_the_other_way(source, target, molar_mass_g_mol):
    assert _converts(source, target, molar_mass_g_mol) is _converts(
        target, source, molar_mass_g_mol
    )


@given(
    st.sampled_from([Unit.PPM, Unit.PPB, Unit.PCT_VOL]),
    MAGNITUDES,
    MASSES,
    st.floats(-60, 60),
    st.floats(500, 1100),
)
def test_a_gas_conversion_is_reversible_in_any_weather(unit, value, molar_mass, deg_c, hpa):
    air = {"molar_mass_g_mol": molar_mass, "temperature_deg_c": deg_c, "pressure_hpa": hpa}
    mass = convert(value, unit, Unit.UG_M3, **air)
    assert isclose(convert(mass, Unit.UG_M3, unit, **air), value, rel_tol=1e-12)


@given(TIMES_US)
def test_a_time_survives_rfc_3339(time_us):
    text = format_rfc3339(time_us)
    assert parse_rfc3339(text) == time_us
    assert text.endswith("Z")
    assert datetime_to_us(us_to_datetime(time_us)) == time_us


@given(TIMES_US, TIMES_US)
def test_written_times_sort_as_the_moments_do_to_the_millisecond(a_us, b_us):
    a_us, b_us = a_us // 1000 * 1000, b_us // 1000 * 1000
    assert (format_rfc3339(a_us) < format_rfc3339(b_us)) is (a_us < b_us)


@given(st.floats(1e-9, 1e9), st.integers(1, 6))
def test_a_shown_number_is_near_the_number(value, digits):
    text = significant(value, digits)
    assert "e" not in text
    assert isclose(float(text), value, rel_tol=0.51 * 10 ** (1 - digits), abs_tol=0)
    assert significant(-value, digits) == f"-{text}"


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_value_is_shown_no_finer_than_its_uncertainty(value, sigma):
    shown, _, spread = value_with_sigma(value, sigma).partition(" ± ")
    assert abs(float(shown) - value) <= 10 ** max(-6, log10(sigma))
    assert float(spread) > 0


@given(st.lists(st.sampled_from(Quality), min_size=1))
def test_the_worst_quality_is_never_better_than_any(qualities):
    ladder = list(Quality)
    assert all(ladder.index(worst(*qualities)) >= ladder.index(q) for q in qualities)


LATITUDES = st.floats(-80, 80)
LONGITUDES = st.floats(-170, 170)


@given(LATITUDES, LONGITUDES, st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_a_distance_is_the_same_both_ways(lat, lon, north_deg, east_deg):
    a, b = (lat, lon), (lat + north_deg, lon + east_deg)
    assert isclose(distance_m(a, b), distance_m(b, a), rel_tol=1e-12, abs_tol=1e-9)
    assert distance_m(a, b) >= abs(b[0] - a[0]) * 111_131


@given(st.text(max_size=70))
def test_an_id_never_holds_what_a_topic_or_path_would_interpret(text):
    if is_id(text):
        assert 1 <= len(text) <= 64
        assert text.isascii()
        assert not set(text) & set("/+#. \n\t\\$")


IDS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
KEYS = st.builds(AlarmKey, IDS, st.sampled_from(AlarmKind), IDS)


@given(IDS, KEYS, TIMES_US, KEYS, TIMES_US)
def test_two_alarms_share_an_id_only_when_they_are_the_same(gateway, key, at_us, other, other_us):
    same = (key, at_us) == (other, other_us)
    ids = mint_alarm_id(gateway, key, at_us), mint_alarm_id(gateway, other, other_us)
    assert (ids[0] == ids[1]) is same
    assert is_id(ids[0])
