"""Hand-made site files for tests of the whole daemon: no mark `simulated`, so all is actual."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cbrn_sim.fittings import Endpoint, Family


def table(name: str, keys: Mapping[str, object]) -> str:
    """Return one TOML table; a value of JSON is a value of TOML for text, numbers and bools."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
    return "\n".join([f"[{name}]", *lines, ""])


def site_head(gateway: str, city: str, site: str, data_dir: Path) -> str:
    """Return the beginning of a site file; what this machine's kernel says of time is no matter."""
    keys = {"id": gateway, "city": city, "data_dir": str(data_dir), "clock_kept_by_host": True}
    return table("gateway", keys) + table(
        "site", {"id": site, "name": "Fish market", "timezone": "Europe/Oslo"}
    )


def instruments(endpoints: Iterable[Endpoint]) -> str:
    """Return the stations and devices of a square as a technician would write them."""
    known = list(endpoints)
    stations = {endpoint.station_id: endpoint for endpoint in known}
    return "\n".join([_station(e) for e in stations.values()] + [_device(e) for e in known])


def chlorine(station: str = "st1", **keys: object) -> str:
    """Return a station whose one channel `cl2` is heard from outside; `keys` are the channel's."""
    device = {"id": f"gas-{station}", "station": station, "driver": "external"}
    channel = {"id": "cl2", "quantity": "cl2", "unit": "ppm", "range": [0.0, 100.0]}
    return "\n".join(
        (
            table("[station]", {"id": station}),
            "position = { lat = 59.9, lon = 10.7, height_m = 3 }",
            table("[device]", device),
            table("[device.channel]", channel | keys),
        )
    )


def mobile_bgeigie(port: Path, station: str = "car") -> str:
    """Return one bGeigie that is carried about."""
    device = {
        "id": f"{station}-bgeigie",
        "station": station,
        "driver": "radiation.safecast_bgeigie",
        "port": str(port),
    }
    return table("[station]", {"id": station, "mobile": True}) + table("[device]", device)


def _station(endpoint: Endpoint) -> str:
    place = endpoint.position
    where = f"position = {{ lat = {place.lat}, lon = {place.lon}, height_m = {place.height_m} }}"
    if endpoint.mobile:
        where = "mobile = true"
    return table("[station]", {"id": endpoint.station_id}) + where + "\n"


def _device(endpoint: Endpoint) -> str:
    family = endpoint.family.value
    keys: dict[str, object] = {
        "id": endpoint.device_id,
        "station": endpoint.station_id,
        "driver": family if "." in family else f"profile:{family}",
        **endpoint.options,
    }
    if endpoint.family is Family.ZE03:
        keys["gas"] = endpoint.gas
    if endpoint.family is not Family.XCD:
        return table("[device]", keys)
    if "host" not in endpoint.options:
        keys["parity"] = "N"  # a pseudo-terminal has no parity
    channel = {"id": endpoint.gas, "range": [0.0, endpoint.full_scale_ppm]}
    return table("[device]", keys) + table("[device.channel]", channel)
