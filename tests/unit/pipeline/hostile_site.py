"""A small square and its readings, for what instruments and networks should never send."""

from pathlib import Path
from typing import Any

from cbrn_core.alarm import Alarm
from cbrn_core.reading import Reading
from cbrn_core.times import seconds_to_us
from cbrn_core.units import Unit
from cbrn_gateway.config.load import parse_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.pipeline.pipeline import Pipeline

START_US = 1_780_000_000_000_000
_HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "unused"
[site]
id = "torg"
in_service = {in_service}
[[station]]
id = "st1"
position = {{ lat = 60.0, lon = 10.0, height_m = 3 }}
[[station]]
id = "st2"
position = {{ lat = 60.01, lon = 10.0, height_m = 3 }}
"""
_CHANNEL = """
[[device]]
id = "{station}-gas"
station = "{station}"
driver = "external"
[[device.channel]]
id = "cl2"
quantity = "cl2"
unit = "ppm"
lod = 0.1
period_s = 1
{more}
"""
RANGED = "range = [0, 100]\nt90_s = 30\nsigma = 0.05"


def square(*stations: str, more: str = RANGED, in_service: bool = True) -> SiteConfig:
    """Return a site with one chlorine channel at each of `stations` (default: both)."""
    head = _HEAD.format(in_service=str(in_service).lower())
    channels = (_CHANNEL.format(station=s, more=more) for s in stations or ("st1", "st2"))
    return parse_site(head + "".join(channels), Path("site.toml"))


def reading(at_s: float, value: float | None, **fields: Any) -> Reading:
    """Return one reading of st1 that arrives `at_s` after the start, measured then too."""
    at_us = START_US + seconds_to_us(at_s)
    known = {"station": "st1", "channel": "cl2", "unit": Unit.PPM, "time_us": at_us}
    return Reading(**(known | {"received_us": at_us, "value": value} | fields))


def quiet(seconds: int, **fields: Any) -> list[Reading]:
    """Return quiet readings, one a second."""
    return [reading(s, 0.02 + 0.01 * (s % 3), **fields) for s in range(seconds)]


def fed(pipeline: Pipeline, readings: list[Reading], until_s: float | None = None) -> list[Alarm]:
    """Return what a pipeline publishes of readings taken one by one, and until a moment."""
    pipeline.start(START_US)
    alarms = [a for r in readings for a in pipeline.step(r.received_us, [r]).alarms]
    if until_s is not None:
        alarms += pipeline.step(START_US + seconds_to_us(until_s), []).alarms
    return alarms


def run(config: SiteConfig, readings: list[Reading], until_s: float | None = None) -> list[Alarm]:
    """Return what a new pipeline publishes."""
    return fed(Pipeline(config.model, config.policy), readings, until_s)


def first(alarms: list[Alarm], reason: str) -> float | None:
    """Return how many seconds after the start a reason was first given, None if never."""
    times_us = [a.changed_us for a in alarms if a.condition.reason == reason]
    return (min(times_us) - START_US) / 1e6 if times_us else None
