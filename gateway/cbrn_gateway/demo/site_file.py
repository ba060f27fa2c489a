"""The site file that a demo writes for itself; only here is the mark `simulated` set."""

import json
from collections.abc import Iterable
from pathlib import Path

from cbrn_sim.fittings import Endpoint, Family


def site_text(endpoints: Iterable[Endpoint], data_dir: Path, mqtt_url: str, protocol: int) -> str:
    """Return the TOML of a square with these instruments."""
    known = list(endpoints)
    blocks = [
        f'[gateway]\nid = "demo"\ncity = "demo"\ndata_dir = {json.dumps(str(data_dir))}\n',
        '[site]\nid = "square"\nname = "Demo square"\nsurroundings = "square"\n',
        f'[mqtt]\nurl = "{mqtt_url}"\nprotocol = {protocol}\n',
    ]
    stations = {endpoint.station_id: endpoint for endpoint in known}
    blocks += [_station(endpoint) for endpoint in stations.values()]
    blocks += [_device(endpoint) for endpoint in known]
    return "\n".join(blocks)


def _station(endpoint: Endpoint) -> str:
    place = endpoint.position
    where = f"position = {{ lat = {place.lat}, lon = {place.lon}, height_m = {place.height_m} }}"
    if endpoint.mobile:
        where = "mobile = true"
    return f'[[station]]\nid = "{endpoint.station_id}"\n{where}\n'


def _device(endpoint: Endpoint) -> str:
    family = endpoint.family.value
    driver = family if "." in family else f"profile:{family}"
    lines = [
        "[[device]]",
        f'id = "{endpoint.device_id}"',
        f'station = "{endpoint.station_id}"',
        f'driver = "{driver}"',
        "simulated = true",
    ]
    lines += [f"{key} = {json.dumps(value)}" for key, value in endpoint.options.items()]
    if endpoint.family is Family.ZE03:
        lines.append(f'gas = "{endpoint.gas}"')
    if (
        endpoint.family is Family.XCD
        and "port" in endpoint.options
        and "host" not in endpoint.options
    ):
        lines.append('parity = "N"')  # a pseudo-terminal has no parity
    if endpoint.family is Family.XCD:
        lines += [
            "[[device.channel]]",
            f'id = "{endpoint.gas}"',
            f"range = [0.0, {endpoint.full_scale_ppm}]",
        ]
    return "\n".join(lines) + "\n"
