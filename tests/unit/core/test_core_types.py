"""Units, times, places, quantities, readings and the clock of tests, by exact examples."""

import asyncio
from zoneinfo import ZoneInfo

import pytest

from cbrn_core.alarm import AlarmKey, AlarmKind, Priority, mint_alarm_id
from cbrn_core.clock import ManualClock, Now
from cbrn_core.errors import CbrnError, ConfigError, FrameError, LengthError, Problem
from cbrn_core.numbers import significant, value_with_sigma
from cbrn_core.place import Position, distance_m, is_id
from cbrn_core.quantities import (
    Hazard,
    Quantity,
    Series,
    canonical_unit,
    hazard_of,
    series_of,
)
from cbrn_core.reading import QUALITY_RANK, Assay, Detection, Quality, Stage, worst
from cbrn_core.times import (
    format_rfc3339,
    local_then_utc,
    parse_rfc3339,
    seconds_to_us,
)
from cbrn_core.units import Unit, UnitError, convert, molar_volume_l_mol


class TestUnits:
    def test_molar_volume_is_exact_at_the_two_reference_states(self):
        assert molar_volume_l_mol(25.0, 1013.25) == pytest.approx(24.4654, abs=5e-5)
        assert molar_volume_l_mol(20.0, 1013.25) == pytest.approx(24.0551, abs=5e-5)

    def test_one_ppm_of_chlorine_is_2_9_mg_m3(self):
        mg_m3 = convert(1.0, Unit.PPM, Unit.MG_M3, molar_mass_g_mol=70.906)
        assert mg_m3 == pytest.approx(70.906 / 24.4654, rel=1e-5)
        assert convert(1.0, Unit.PPB, Unit.UG_M3, molar_mass_g_mol=70.906) == pytest.approx(mg_m3)

    def test_thin_air_holds_less_gas_at_the_same_mole_fraction(self):
        low = convert(1.0, Unit.PPM, Unit.MG_M3, molar_mass_g_mol=17.0, pressure_hpa=900.0)
        high = convert(1.0, Unit.PPM, Unit.MG_M3, molar_mass_g_mol=17.0)
        assert low == pytest.approx(high * 900.0 / 1013.25)

    @pytest.mark.parametrize(
        ("value", "source", "target", "expected"),
        [
            (1.0, Unit.KNOT, Unit.M_S, 0.514444),
            (10.0, Unit.MPH, Unit.M_S, 4.4704),
            (36.0, Unit.KM_H, Unit.M_S, 10.0),
            (1.0, Unit.KNOT, Unit.KM_H, 1.852),
            (100.0, Unit.FT_MIN, Unit.M_S, 0.508),
            (0.1, Unit.MSV_H, Unit.USV_H, 100.0),
            (2.0, Unit.CPS, Unit.CPM, 120.0),
            (20.9, Unit.PCT_VOL, Unit.PPM, 209_000.0),
            (3.0, Unit.PER_L, Unit.PER_M3, 3000.0),
        ],
    )
    def test_conversion_vectors(self, value, source, target, expected):
        assert convert(value, source, target) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize(
        ("source", "target", "molar_mass_g_mol"),
        [
            (Unit.PPM, Unit.USV_H, 70.9),
            (Unit.PPM, Unit.MG_M3, None),
            (Unit.PPM, Unit.MG_M3, 0.0),
            (Unit.CPS, Unit.USV_H, None),
            (Unit.PCT_LEL, Unit.PPM, 16.0),
        ],
    )
    def test_what_measures_different_things_is_refused(self, source, target, molar_mass_g_mol):
        with pytest.raises(UnitError):
            convert(1.0, source, target, molar_mass_g_mol=molar_mass_g_mol)

    @pytest.mark.parametrize(("deg_c", "hpa"), [(-273.15, 1013.25), (25.0, 0.0), (-300.0, 900.0)])
    def test_there_is_no_gas_below_absolute_zero_or_in_a_vacuum(self, deg_c, hpa):
        with pytest.raises(UnitError):
            molar_volume_l_mol(deg_c, hpa)


class TestTimes:
    def test_a_time_without_offset_is_refused(self):
        with pytest.raises(ValueError, match="offset"):
            parse_rfc3339("2026-06-01T06:15:03")

    @pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "12"])
    def test_nonsense_is_a_value_error(self, text):
        with pytest.raises(ValueError, match=r".+"):
            parse_rfc3339(text)

    def test_an_offset_is_taken_into_account(self):
        assert parse_rfc3339("2026-06-01T08:15:03+02:00") == parse_rfc3339("2026-06-01T06:15:03Z")

    def test_microseconds_are_written_only_where_needed(self):
        assert format_rfc3339(0) == "1970-01-01T00:00:00.000Z"
        assert format_rfc3339(1) == "1970-01-01T00:00:00.000001Z"
        assert format_rfc3339(-1) == "1969-12-31T23:59:59.999999Z"

    def test_local_time_comes_first_with_its_offset(self):
        summer = parse_rfc3339("2026-06-01T19:01:07Z")
        winter = parse_rfc3339("2026-12-01T19:01:07Z")
        oslo = ZoneInfo("Europe/Oslo")
        assert local_then_utc(summer, oslo) == "21:01:07 +02:00 (19:01:07Z)"
        assert local_then_utc(winter, oslo) == "20:01:07 +01:00 (19:01:07Z)"
        newfoundland = local_then_utc(winter, ZoneInfo("America/St_Johns"))
        assert newfoundland.startswith("15:31:07 -03:30")

    def test_seconds_become_whole_microseconds(self):
        assert seconds_to_us(0.1) == 100_000
        assert seconds_to_us(1e-6) == 1


class TestQuantities:
    def test_every_quantity_has_hazard_unit_and_series(self):
        for quantity in Quantity:
            assert isinstance(hazard_of(quantity), Hazard)
            assert isinstance(canonical_unit(quantity), Unit)
            assert isinstance(series_of(quantity), Series)

    @pytest.mark.parametrize(
        ("quantity", "hazard", "unit", "series"),
        [
            (Quantity.CL2, Hazard.CHEMICAL, Unit.PPM, Series.CHEMICAL),
            (Quantity.GB, Hazard.CHEMICAL, Unit.MG_M3, Series.CHEMICAL),
            (Quantity.O2, Hazard.CHEMICAL, Unit.PCT_VOL, Series.CHEMICAL),
            (Quantity.LEL, Hazard.CHEMICAL, Unit.PCT_LEL, Series.CHEMICAL),
            (Quantity.GAMMA_DOSE_RATE, Hazard.RADIOLOGICAL, Unit.USV_H, Series.RADIOLOGICAL),
            (Quantity.PM2_5, Hazard.BIOLOGICAL, Unit.UG_M3, Series.PARTICLES),
            (Quantity.PARTICLE_COUNT_0_3, Hazard.BIOLOGICAL, Unit.PER_L, Series.PARTICLES),
            (Quantity.HEART_RATE, Hazard.PHYSIOLOGICAL, Unit.BPM, Series.PHYSIOLOGICAL),
            (Quantity.WIND_SPEED, Hazard.TECHNICAL, Unit.M_S, Series.WEATHER),
            (Quantity.TAMPER, Hazard.TECHNICAL, Unit.NONE, Series.SUPPLY),
        ],
    )
    def test_examples(self, quantity, hazard, unit, series):
        assert hazard_of(quantity) is hazard
        assert canonical_unit(quantity) is unit
        assert series_of(quantity) is series

    def test_body_quantities_are_stored_apart_from_everything_else(self):
        apart = {q for q in Quantity if series_of(q) is Series.PHYSIOLOGICAL}
        assert apart == {q for q in Quantity if hazard_of(q) is Hazard.PHYSIOLOGICAL}


class TestReadings:
    def test_quality_only_worsens(self):
        assert worst(Quality.GOOD, Quality.UNCERTAIN) is Quality.UNCERTAIN
        assert worst(Quality.STALE, Quality.BAD) is Quality.STALE
        assert QUALITY_RANK == {
            Quality.GOOD: 0,
            Quality.UNCERTAIN: 1,
            Quality.BAD: 2,
            Quality.STALE: 3,
        }

    @pytest.mark.parametrize(("by", "lab_ref"), [(None, None), ("Dr Lie", None), (None, "NRL-7")])
    def test_a_confirmed_result_needs_a_person_and_a_reference(self, by, lab_ref):
        with pytest.raises(ValueError, match="confirmed"):
            self._assay(Stage.CONFIRMED, by, lab_ref)

    def test_a_presumptive_result_needs_neither(self):
        assert self._assay(Stage.PRESUMPTIVE, None, None).by is None
        assert self._assay(Stage.CONFIRMED, "Dr Lie", "NRL-7").lab_ref == "NRL-7"

    def test_a_detection_is_spelt_class_on_the_wire(self):
        assert Detection.__struct_encode_fields__[0] == "class"

    @staticmethod
    def _assay(stage, by, lab_ref):
        return Assay(
            station="st09",
            collected_from_us=0,
            collected_until_us=1,
            resulted_at_us=2,
            target="spores",
            method="field PCR",
            result="positive",
            stage=stage,
            by=by,
            lab_ref=lab_ref,
        )


class TestPlaces:
    @pytest.mark.parametrize("text", ["a", "st-05_b", "A" * 64, "0"])
    def test_ids(self, text):
        assert is_id(text)

    @pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a/b", "å", "a\n", "+", "#", "a."])
    def test_what_would_break_a_topic_or_a_file_name_is_no_id(self, text):
        assert not is_id(text)

    @pytest.mark.parametrize(
        ("position", "valid"),
        [
            (Position(59.91, 10.73), True),
            (Position(0.0, 10.0), True),
            (Position(0.0, 0.0), False),
            (Position(90.1, 0.0), False),
            (Position(0.0, -180.1), False),
            (Position(1.0, 1.0, float("nan")), False),
            (Position(float("nan"), 1.0), False),
        ],
    )
    def test_a_position_is_a_place_on_earth(self, position, valid):
        assert position.is_valid() is valid

    def test_distance_across_a_square(self):
        # One minute of arc of longitude at 60° north is close to half a nautical mile.
        assert distance_m((60.0, 10.0), (60.0, 10.0 + 1 / 60)) == pytest.approx(927.7, rel=2e-3)
        assert distance_m((59.9, 10.7), (59.9, 10.7)) == 0.0


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.71, "0.71"), (2.8, "2.8"), (1234.4, "1234"), (0.000071, "0.000071"), (0.0, "0")],
    )
    def test_two_significant_digits_at_least_and_no_exponent(self, value, text):
        assert significant(value) == text

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_not_a_number_is_never_shown(self, value):
        with pytest.raises(ValueError, match="finite"):
            significant(value)

    @pytest.mark.parametrize(
        ("value", "sigma", "text"),
        [
            (3.1, 0.6, "3.1 ± 0.6"),
            (0.834, 0.06, "0.83 ± 0.06"),
            (230.4, 12.0, "230 ± 12"),
            (3.1, 0.0, "3.1"),
            (3.1, float("inf"), "3.1"),
        ],
    )
    def test_the_uncertainty_decides_the_decimals(self, value, sigma, text):
        assert value_with_sigma(value, sigma) == text


class TestAlarmIds:
    KEY = AlarmKey("st05/cl2", AlarmKind.SPECIFIC, "cl2")

    def test_the_id_is_a_stable_vector(self):
        # printf 'gw-1\x1fst05/cl2\x1fspecific\x1fcl2\x1f2026-06-01T19:01:04.120Z' | sha256sum |
        #     cut -c1-40 | xxd -r -p | base32 | tr A-Z a-z
        observed_us = parse_rfc3339("2026-06-01T19:01:04.120Z")
        assert mint_alarm_id("gw-1", self.KEY, observed_us) == "y5vnv7egr7gu5titveptjuuas2jvi2up"

    @pytest.mark.parametrize(
        ("gateway", "key", "observed_us"),
        [
            ("gw-2", KEY, 0),
            ("gw-1", KEY._replace(place="st06/cl2"), 0),
            ("gw-1", KEY._replace(kind=AlarmKind.EVOLVING), 0),
            ("gw-1", KEY._replace(agent="o3"), 0),
            ("gw-1", KEY, 1000),
        ],
    )
    def test_each_part_makes_another_id(self, gateway, key, observed_us):
        assert mint_alarm_id(gateway, key, observed_us) != mint_alarm_id("gw-1", self.KEY, 0)

    def test_the_id_fits_a_topic(self):
        alarm_id = mint_alarm_id("gw-1", self.KEY, 0)
        assert is_id(alarm_id)
        assert len(alarm_id) == 32
        assert alarm_id == alarm_id.lower()

    @pytest.mark.parametrize("priority", list(Priority))
    def test_a_priority_survives_the_wire(self, priority):
        assert Priority.from_wire(priority.wire) is priority

    @pytest.mark.parametrize("word", ["E", "0", 5, "d"])
    def test_an_unknown_priority_is_refused(self, word):
        with pytest.raises(ValueError, match=r".+"):
            Priority.from_wire(word)


class TestManualClock:
    def test_both_clocks_advance_together(self):
        clock = ManualClock(start_us=5)
        clock.advance(1.5)
        assert clock.now() == Now(1_500_005, 1_500_005)

    def test_a_step_of_the_wall_clock_leaves_the_steady_one(self):
        clock = ManualClock()
        clock.step_wall(-3600)
        clock.advance(1)
        assert clock.now() == Now(1_000_000, -3_599_000_000)

    def test_sleepers_wake_in_the_order_of_their_times(self):
        opened = []

        class Gate:
            def __init__(self, name):
                self.name = name

            def __await__(self):
                yield from ()

        names = iter(("late", "early", "early too"))

        def make_gate():
            name = next(names)
            return Gate(name), lambda: opened.append(name)

        clock = ManualClock(make_gate=make_gate)
        for seconds in (2.0, 1.0, 1.0):
            coroutine = clock.sleep(seconds)
            with pytest.raises(StopIteration):
                coroutine.send(None)
        clock.advance(0.999)
        assert opened == []
        clock.advance(0.001)
        assert opened == ["early", "early too"]
        clock.advance(10)
        assert opened == ["early", "early too", "late"]

    @pytest.mark.asyncio
    async def test_a_sleeper_waits_until_the_test_turns_the_clock(self):
        loop = asyncio.get_running_loop()

        def make_gate():
            future = loop.create_future()
            return future, lambda: future.set_result(None)

        clock = ManualClock(make_gate=make_gate)
        sleeper = asyncio.create_task(clock.sleep(5))
        await asyncio.sleep(0)
        clock.advance(4.9)
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.advance(0.1)
        await sleeper

    @pytest.mark.asyncio
    async def test_without_gates_nothing_may_sleep(self):
        with pytest.raises(RuntimeError, match="without gates"):
            await ManualClock().sleep(1)


class TestErrors:
    def test_a_configuration_error_names_every_problem(self):
        error = ConfigError([Problem("site.id", "missing"), Problem("zone[0]", "no polygon")])
        assert str(error) == "site.id: missing\nzone[0]: no polygon"
        assert isinstance(error, CbrnError)

    def test_a_frame_error_says_its_kind(self):
        assert (FrameError.kind, LengthError.kind) == ("frame", "length")
