"""The site file that a demo writes for itself; only here is the mark `simulated` set."""

import json
from collections.abc import Sequence
from pathlib import Path

from cbrn_core.place import Zone
from cbrn_gateway.demo import places
from cbrn_gateway.demo.broker import Broker
from cbrn_sim.fittings import Endpoint, Family, GmcFitting
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.square import Point


def site_text(
    scenario: Scenario, endpoints: Sequence[Endpoint], data_dir: Path, broker: Broker
) -> str:
    """Return the TOML of the scenario's square with these instruments."""
    square = scenario.square
    points = {place.id: place.point for place in square.stations}
    stations = {endpoint.station_id: endpoint for endpoint in endpoints}
    counters = {f.device_id: f for f in scenario.fittings if isinstance(f, GmcFitting)}
    blocks = [
        _table(
            "[gateway]",
            {
                "id": places.GATEWAY,
                "city": places.CITY,
                "data_dir": str(data_dir),
                "clock_kept_by_host": True,
            },
        ),
        _table(
            "[site]",
            {
                "id": places.SITE,
                "name": places.SITE_NAME,
                "timezone": places.timezone(),
                "surroundings": "square",
                "not_in_service_reason": "a demonstration",
            },
        ),
        _table("[mqtt]", {"url": broker.url, "protocol": broker.protocol}),
        *(_zone(zone) for zone in places.zones_of(square)),
        *(
            _station(endpoint, places.zone_at(square, points.get(station_id, Point(0.0, 0.0))))
            for station_id, endpoint in stations.items()
        ),
        *(_device(scenario, endpoint, counters) for endpoint in endpoints),
    ]
    return "\n".join(blocks)


def _zone(zone: Zone) -> str:
    polygon = [[round(lon, 7), round(lat, 7)] for lon, lat in zone.polygon]
    return _table("[[zone]]", {"id": zone.id, "name": zone.name, "polygon": polygon})


def _station(endpoint: Endpoint, zone: str) -> str:
    place = endpoint.position
    name = places.station_name(endpoint.station_id)
    head: dict[str, object] = {"id": endpoint.station_id, "name": name}
    if endpoint.mobile:
        return _table("[[station]]", head | {"mobile": True})
    where = f"position = {{ lat = {place.lat}, lon = {place.lon}, height_m = {place.height_m} }}\n"
    return _table("[[station]]", head | {"zone": zone}) + where


def _device(scenario: Scenario, endpoint: Endpoint, counters: dict[str, GmcFitting]) -> str:
    family = endpoint.family.value
    keys: dict[str, object] = {
        "id": endpoint.device_id,
        "station": endpoint.station_id,
        "driver": family if "." in family else f"profile:{family}",
        "simulated": True,
        **endpoint.options,
    }
    if endpoint.family is Family.ZE03:
        keys["gas"] = endpoint.gas
    if endpoint.family is Family.XCD and "host" not in endpoint.options:
        keys["parity"] = "N"  # a pseudo-terminal has no parity
    channel = ""
    if endpoint.family is Family.XCD:
        channel = _table(
            "[[device.channel]]", {"id": endpoint.gas, "range": [0.0, endpoint.full_scale_ppm]}
        )
    elif endpoint.device_id in counters:
        channel = _counter(scenario, counters[endpoint.device_id])
    return _table("[[device]]", keys) + channel


def _counter(scenario: Scenario, fitting: GmcFitting) -> str:
    found = places.commissioned(scenario, fitting)
    background = (
        f"background = {{ value = {found.background.value}, sigma = {found.background.sigma},"
        f' from = "{found.background.since}", until = "{found.background.until}" }}\n'
    )
    keys = {"id": "gamma", "usv_h_per_cps": found.usv_h_per_cps}
    return _table("[[device.channel]]", keys) + background


def _table(head: str, keys: dict[str, object]) -> str:
    """Return one table; JSON writes strings, numbers, booleans and lists as TOML does."""
    return "\n".join([head, *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""])
