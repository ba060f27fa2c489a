"""From a run to its picture: places, truth, readings in words."""

import time

import pytest

from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.times import seconds_to_us
from cbrn_core.units import Unit
from cbrn_gateway.alarms.lint import lint
from cbrn_gateway.demo.picture.gather import scene_of
from cbrn_gateway.demo.picture.truth import clouds_of, true_marks
from cbrn_gateway.demo.tally import Tally
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.square import Point

ST05 = (8.0, 45.0)


@pytest.fixture
def square(tmp_path):
    """Return a square whose wires were never plugged in."""
    return SimulatedSquare(scenario("square"), 1, tmp_path)


@pytest.fixture
def picture(demo_site, square):
    """Return a function that gives the scene of these samples, taken so long ago."""

    def make(*samples, age_s=0.0):
        tally = Tally()
        measured_us = time.time_ns() // 1000 - seconds_to_us(age_s)
        for sample in samples:
            fields = {"time_us": measured_us, "received_us": measured_us} | sample
            sigma = fields.pop("estimate_sigma", None)
            tally.take_samples([Reading(**fields)], [])
            if sigma is not None:
                names = ("station", "channel", "time_us", "received_us", "value", "unit")
                known = {name: fields[name] for name in names}
                tally.take_samples(
                    [], [Estimate(sigma=sigma, nis=1.0, quality=Quality.GOOD, **known)]
                )
        return scene_of(demo_site().model, square, tally)

    return make


def chlorine(**changes):
    return {"station": "st05", "channel": "cl2", "value": 4.4, "unit": Unit.PPM} | changes


def line_of(scene, station, start):
    (mark,) = [mark for mark in scene.stations if mark.id == station]
    return next(line for line in mark.lines if line.value.startswith(start))


def inside(place, ring):
    """Return whether a place lies in a ring, by the parity of crossings."""
    x, y = place
    crossings = 0
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            crossings += 1
    return crossings % 2 == 1


def test_a_place_in_degrees_is_the_same_point_of_the_plane_again(square):
    plane = square.scenario.square
    position = plane.position(Point(37.5, -12.25))
    point = plane.point_at(position.lat, position.lon)
    assert point[:2] == pytest.approx((37.5, -12.25), abs=1e-6)


def test_every_station_is_drawn_where_it_stands(picture):
    marks = {mark.id: mark for mark in picture().stations}
    assert len(marks) == 15
    assert marks["st05"].place == pytest.approx(ST05, abs=1e-3)
    assert marks["mob01"].place == pytest.approx((25.0, 62.0))


def test_a_mobile_station_is_drawn_where_it_measured_last(picture, square):
    position = square.scenario.square.position(Point(60.0, 75.0))
    fix = Fix(lat=position.lat, lon=position.lon)
    walked = {"station": "mob01", "channel": "gamma", "value": 1.0, "unit": Unit.CPS, "fix": fix}
    (mark,) = [mark for mark in picture(walked).stations if mark.mobile]
    assert mark.place == pytest.approx((60.0, 75.0), abs=1e-3)


def test_an_estimate_stands_beside_what_the_instrument_shows(picture):
    line = line_of(picture(chlorine(estimate_sigma=0.1), age_s=3), "st05", "chlorine")
    assert line.value == "chlorine 4.4 ± 0.1 ppm"
    assert line.quality == "shows 4.4 ppm, good, 3 s old"
    assert line.is_good


@pytest.mark.parametrize(
    ("sample", "value", "quality"),
    [
        (chlorine(value=0.0, estimate_sigma=0.02), "chlorine below ", "good, <1 s old"),
        (
            chlorine(value=20.0, estimate_sigma=0.1, flags=(Flag.OVER_RANGE,)),
            "chlorine ≥ 20 ppm (over range)",
            "over range",
        ),
        (chlorine(value=None, quality=Quality.BAD), "chlorine no value", "bad, <1 s old"),
        (
            chlorine(quality=Quality.UNCERTAIN, flags=(Flag.WARMING_UP,)),
            "chlorine 4.4 ppm",
            "uncertain (warming up), <1 s old",
        ),
    ],
)
def test_what_a_reading_cannot_say_is_not_said(picture, sample, value, quality):
    line = line_of(picture(sample), "st05", "chlorine")
    assert line.value.startswith(value)
    assert quality in line.quality
    assert lint(line.value) == []
    assert lint(line.quality) == []


def test_a_channel_without_a_reading_is_drawn_as_such(picture):
    assert line_of(picture(), "st05", "chlorine").value == "chlorine: no reading"
    assert picture().wind is None


def test_counts_are_shown_as_a_dose_rate(picture):
    counts = {"station": "st02", "channel": "gamma", "unit": Unit.CPS, "estimate_sigma": 0.1}
    line = line_of(picture(counts | {"value": 0.323}), "st02", "gamma")
    assert line.value == "gamma 0.12 ± 0.04 µSv/h"


def test_the_measured_wind_is_drawn_with_its_age(picture):
    wind = {"station": "mast", "value": 264.0, "channel": "wind_direction", "unit": Unit.DEG}
    speed = {"station": "mast", "value": 2.2, "channel": "wind_speed", "unit": Unit.M_S}
    drawn = picture(wind, speed, age_s=2).wind
    assert drawn.from_deg == 264.0
    assert drawn.words == "wind 2.2 m/s from 264° at mast, 2 s old"


def test_the_true_source_and_the_walking_visitor_are_where_the_world_has_them(square):
    release, visitor = true_marks(square, 100.0)
    assert release.place == pytest.approx((-16.0, 36.0), abs=1e-3)
    assert visitor.place == pytest.approx((-10.0 + 0.8 * 30.0, 6.0), abs=1e-3)
    assert visitor.walked[0] == pytest.approx((-10.0, 6.0), abs=1e-3)
    assert visitor.ahead[-1] == pytest.approx((130.0, 6.0), abs=1e-3)
    assert visitor.words[1].endswith("is here")


@pytest.mark.parametrize(("elapsed_s", "words"), [(10.0, "comes at 70 s"), (400.0, "has left")])
def test_a_visitor_who_is_not_there_is_not_said_to_be(square, elapsed_s, words):
    _, visitor = true_marks(square, elapsed_s)
    assert visitor.words[1].endswith(words)


def test_the_true_cloud_covers_what_it_reached_and_nothing_before_the_release(picture, square):
    extent = picture().extent
    assert clouds_of(square, extent, 10.0) == []
    mild, extreme = clouds_of(square, extent, 90.0)
    assert mild.words == "chlorine above 2.8 ppm (AEGL-2 10 min)"
    assert extreme.words == "chlorine above 10 ppm (IDLH)"
    for cloud in (mild, extreme):
        for place in (ST05, (8.0, 9.0), (43.0, 46.0), (112.0, 81.0)):
            level = 10.0 if cloud.is_extreme else 2.8
            truly = square.world.concentration_ppm("cl2", Point(*place), 90.0) >= level
            assert any(inside(place, ring) for ring in cloud.rings) == truly


def test_the_extent_holds_the_square_and_its_sources(picture):
    extent = picture().extent
    assert (extent.west_m, extent.south_m) == (-24.0, -8.0)
    assert (extent.east_m, extent.north_m) == (128.0, 98.0)
