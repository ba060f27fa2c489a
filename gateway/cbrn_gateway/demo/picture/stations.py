"""Stations of the picture: where they are, and their last readings in words."""

from cbrn_core.agents import AGENTS
from cbrn_core.channel import Channel
from cbrn_core.quantities import Hazard, Quantity, hazard_of
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S
from cbrn_core.units import Unit
from cbrn_gateway.alarms.texts import catalogue
from cbrn_gateway.alarms.texts_amounts import amount_text, duration_text
from cbrn_gateway.demo.picture.scene import Line, Place, StationMark, WindNow
from cbrn_gateway.demo.tally import Tally
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.square import Square

_SHOWN = frozenset({Hazard.CHEMICAL, Hazard.RADIOLOGICAL, Hazard.BIOLOGICAL})
_WIND = frozenset({Quantity.WIND_SPEED, Quantity.WIND_DIRECTION})
_EN = catalogue("en")


def station_mark_of(
    station: str, model: SiteModel, square: SimulatedSquare, tally: Tally, now_us: int
) -> StationMark:
    """Return a station with the last readings of its channels."""
    known = model.stations[station]
    channels = [c for c in model.channels.values() if c.station == station]
    lines = [_line(c, tally, now_us) for c in channels if hazard_of(c.quantity) in _SHOWN]
    lines += [_line(c, tally, now_us) for c in channels if c.quantity in _WIND]
    worst = tally.worst_at(station)
    return StationMark(
        id=station,
        name=known.name,
        place=_station_place(station, model, square, tally),
        priority=None if worst is None else worst["properties"]["priority"],
        mobile=known.mobile,
        lines=tuple(lines),
    )


def _station_place(station: str, model: SiteModel, square: SimulatedSquare, tally: Tally) -> Place:
    """Return where a station stands; a mobile one where it said last that it was."""
    plane = square.scenario.square
    position = model.stations[station].position
    if position is not None:
        return metres(plane, position.lat, position.lon)
    for key, reading in tally.last.items():
        if key[0] == station and reading.fix is not None:
            return metres(plane, reading.fix.lat, reading.fix.lon)
    start = square.scenario.patrols[station].waypoints[0].point
    return (start.east_m, start.north_m)


def _line(channel: Channel, tally: Tally, now_us: int) -> Line:
    name = plain_name(channel.quantity)
    reading = tally.last.get(channel.key)
    if reading is None:
        return Line(f"{name}: no reading", "not read in this run", is_good=False)
    age = _age(now_us, reading)
    flags = f" ({', '.join(f.replace('_', ' ') for f in reading.flags)})" if reading.flags else ""
    amount = _amount(channel, reading, tally)
    return Line(
        f"{name} {amount}",
        f"{_shows(channel, reading, tally, amount)}{reading.quality}{flags}, {age}",
        is_good=reading.quality is Quality.GOOD,
    )


def _age(now_us: int, reading: Reading) -> str:
    age_s = (now_us - reading.time_us) // US_PER_S
    return f"{duration_text(age_s)} old" if age_s >= 1 else "<1 s old"


def _amount(channel: Channel, reading: Reading, tally: Tally) -> str:
    """Return the estimate with its uncertainty, the reading itself where there is none."""
    estimate = tally.estimates.get(channel.key)
    scale, unit = _shown_unit(channel)
    lod = None if channel.lod is None else channel.lod * scale
    over_range = Flag.OVER_RANGE in reading.flags
    if estimate is None or over_range:
        value = None if reading.value is None else reading.value * scale
        return amount_text(value, unit, _EN, lod=lod, over_range=over_range)
    sigma = estimate.sigma * scale
    return amount_text(estimate.value * scale, unit, _EN, sigma=sigma, lod=lod)


def _shows(channel: Channel, reading: Reading, tally: Tally, said: str) -> str:
    """Return what the instrument itself shows, unless that was just said."""
    if channel.counting or channel.key not in tally.estimates:
        return ""
    shown = amount_text(reading.value, reading.unit, _EN, lod=channel.lod)
    return "" if shown in said else f"shows {shown}, "


def _shown_unit(channel: Channel) -> tuple[float, Unit]:
    """Return the factor and unit for people: a dose rate where counts have a dose factor."""
    if channel.counting and channel.usv_h_per_cps is not None:
        return channel.usv_h_per_cps, Unit.USV_H
    return 1.0, channel.unit


def plain_name(quantity: Quantity) -> str:
    """Return what people call a quantity."""
    if quantity in AGENTS:
        return AGENTS[quantity].name()
    if quantity in _WIND:
        return "wind from" if quantity is Quantity.WIND_DIRECTION else "wind"
    return quantity.partition("_")[0]


def wind_now(tally: Tally, model: SiteModel, now_us: int) -> WindNow | None:
    """Return the last wind of the first anemometer that gave one."""
    for key, channel in model.channels.items():
        direction = tally.last.get(key)
        if channel.quantity is not Quantity.WIND_DIRECTION or direction is None:
            continue
        if direction.value is None:
            continue
        speed = next(
            (
                tally.last[k]
                for k, c in model.channels.items()
                if k[0] == key[0] and c.quantity is Quantity.WIND_SPEED and k in tally.last
            ),
            None,
        )
        pace = amount_text(None if speed is None else speed.value, Unit.M_S, _EN)
        words = f"wind {pace} from {direction.value:.0f}° at {key[0]}, {_age(now_us, direction)}"
        return WindNow(direction.value, words)
    return None


def metres(plane: Square, lat: float, lon: float) -> Place:
    """Return a place in metres from the south-west corner of the square."""
    point = plane.point_at(lat, lon)
    return (point.east_m, point.north_m)
