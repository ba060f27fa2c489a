"""Scenarios that can be run by name. All places are fictional."""

from cbrn_core.errors import CommandRefused
from cbrn_sim.fittings import (
    BgeigieFitting,
    Fitting,
    GmcFitting,
    ModbusWire,
    WindSonicFitting,
    XcdFitting,
    Ze03Fitting,
)
from cbrn_sim.instruments.gmc_memory import Dialect
from cbrn_sim.world.chemical import Release
from cbrn_sim.world.people import Path, Person, walk
from cbrn_sim.world.radiation import CS137_USV_H_AT_1_M_PER_GBQ
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.square import Point, Square, StationPlace
from cbrn_sim.world.wind import WindClimate

CHLORINE_G_MOL = 70.906

_MAST = "mast"
_MOBILE = "mob01"
_SECOND_MAST = "mast2"

# Three rows of four from south-west to north-east, 33 to 36 m apart.
_PLACES = (
    (8.0, 9.0),
    (43.0, 10.0),
    (77.0, 8.0),
    (112.0, 10.0),
    (8.0, 45.0),
    (43.0, 46.0),
    (77.0, 45.0),
    (112.0, 46.0),
    (9.0, 80.0),
    (43.0, 81.0),
    (77.0, 80.0),
    (111.0, 81.0),
)


def scenario(name: str) -> Scenario:
    """Return a scenario by name.

    Raises:
        CommandRefused: there is none of that name.
    """
    if name not in SCENARIOS:
        raise CommandRefused(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def fictional_square() -> Square:
    """Return the square of all scenarios: 120 x 90 m, twelve stations and two wind masts."""
    stations = [
        StationPlace(f"st{number:02d}", Point(east_m, north_m))
        for number, (east_m, north_m) in enumerate(_PLACES, start=1)
    ]
    masts = [
        StationPlace(_MAST, Point(60.0, 62.0, 6.0)),
        StationPlace(_SECOND_MAST, Point(3.0, 28.0, 4.0)),
    ]
    return Square(
        name="Example square (fictional)",
        origin_lat=60.0,
        origin_lon=10.0,
        width_m=120.0,
        depth_m=90.0,
        stations=(*stations, *masts),
    )


def default_fittings() -> tuple[Fitting, ...]:
    """Return the 21 instruments of the square.

    Twelve chlorine detectors (st01-st08 behind four TCP servers, st09-st12 on one RTU
    bus), four Geiger counters, one walking bGeigie, two gas modules, two anemometers.
    """
    detectors = [_detector(number) for number in range(1, 13)]
    return (
        *detectors,
        GmcFitting(device_id="st02-gmc", station_id="st02"),
        GmcFitting(device_id="st03-gmc", station_id="st03", dialect=Dialect.RFC1801),
        GmcFitting(device_id="st04-gmc", station_id="st04"),
        GmcFitting(device_id="st10-gmc", station_id="st10"),
        BgeigieFitting(device_id="mob01-bgeigie", station_id=_MOBILE),
        Ze03Fitting(device_id="st03-nh3", station_id="st03", agent="nh3"),
        Ze03Fitting(device_id="st09-h2s", station_id="st09", agent="h2s"),
        WindSonicFitting(device_id="mast-wind", station_id=_MAST),
        WindSonicFitting(device_id="mast2-wind", station_id=_SECOND_MAST, rate_hz=2.0),
    )


def _detector(number: int) -> XcdFitting:
    over_tcp = number <= 8
    return XcdFitting(
        device_id=f"st{number:02d}-xcd",
        station_id=f"st{number:02d}",
        agent="cl2",
        gas_name="Chlorine",
        wire=f"tcp{(number + 1) // 2}" if over_tcp else "rtu1",
        over=ModbusWire.TCP if over_tcp else ModbusWire.RTU,
        unit_id=number,
    )


def _patrol() -> Path:
    """Return the round of the mobile bGeigie through the northern half."""
    corners = (
        Point(25.0, 62.0, 1.0),
        Point(95.0, 62.0, 1.0),
        Point(95.0, 75.0, 1.0),
        Point(25.0, 75.0, 1.0),
        Point(25.0, 62.0, 1.0),
    )
    return walk(0.0, 1.1, corners, repeats=True)


def _chlorine(point: Point, *, rate_g_s: float, start_s: float, duration_s: float) -> Release:
    return Release(
        agent="cl2",
        molar_mass_g_mol=CHLORINE_G_MOL,
        mass_g=rate_g_s * duration_s,
        start_s=start_s,
        duration_s=duration_s,
        point=point,
    )


def _default_square() -> Scenario:
    carrier = Person(
        id="visitor",
        path=walk(70.0, 0.8, (Point(-10.0, 6.0, 1.0), Point(130.0, 6.0, 1.0))),
        carries_usv_h_at_1_m=3.7 * CS137_USV_H_AT_1_M_PER_GBQ,
        nuclide="Cs-137",
    )
    return Scenario(
        name="square",
        story=(
            "Chlorine leaks just west of the square from 16 s on. st05 reads above 2.8 ppm "
            "within 45 s of the start, st06 and st07 within two minutes as the wind carries "
            "it along the middle row; st05 may read over its range for a while. "
            "From 70 s a "
            "visitor with an unshielded caesium-137 source walks along the southern row, "
            "past the Geiger counters at st02, st03 and st04."
        ),
        duration_s=900.0,
        square=fictional_square(),
        wind=WindClimate(speed_m_s=2.2, from_deg=264.5, direction_sd_deg=3.0),
        fittings=default_fittings(),
        releases=(
            _chlorine(Point(-16.0, 36.0, 1.0), rate_g_s=14.0, start_s=16.0, duration_s=480.0),
        ),
        people=(carrier,),
        patrols={_MOBILE: _patrol()},
    )


def _chlorine_single() -> Scenario:
    return Scenario(
        name="chlorine_single",
        story=(
            "A small chlorine leak 8 m upwind of st12, the north-eastern corner, from 15 s "
            "on; the wind carries it out of the square. Of the twelve stations only st12 is "
            "ever above 2.8 ppm, and no other above 0.3 ppm."
        ),
        duration_s=600.0,
        square=fictional_square(),
        wind=WindClimate(speed_m_s=2.0, from_deg=240.0, direction_sd_deg=5.0),
        fittings=default_fittings(),
        releases=(
            _chlorine(Point(104.1, 77.0, 1.0), rate_g_s=0.6, start_s=15.0, duration_s=300.0),
        ),
        patrols={_MOBILE: _patrol()},
    )


def _quiet() -> Scenario:
    return Scenario(
        name="quiet",
        story=(
            "Nothing happens: background radiation, no gas, a light wind. Every alarm in "
            "it is a false one. st07 stands on granite paving (0.31 µSv/h)."
        ),
        duration_s=3600.0,
        square=fictional_square(),
        wind=WindClimate(speed_m_s=1.8, from_deg=240.0, direction_sd_deg=12.0),
        fittings=default_fittings(),
        background_usv_h={"st07": 0.31},
        patrols={_MOBILE: _patrol()},
    )


SCENARIOS = {made.name: made for made in (_default_square(), _chlorine_single(), _quiet())}
"""Every scenario by name; `square` is the default demonstration."""
