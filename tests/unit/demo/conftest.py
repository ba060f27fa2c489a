"""A demo's site without any wire: endpoints as the simulator would name them."""

import pytest

from cbrn_gateway.config.load import load_site
from cbrn_gateway.demo.broker import Broker
from cbrn_gateway.demo.site_file import site_text
from cbrn_sim.fittings import (
    BgeigieFitting,
    Endpoint,
    Family,
    GmcFitting,
    ModbusWire,
    WindSonicFitting,
    XcdFitting,
    Ze03Fitting,
)
from cbrn_sim.scenarios import scenario

FAMILIES = {
    XcdFitting: Family.XCD,
    GmcFitting: Family.GMC,
    BgeigieFitting: Family.BGEIGIE,
    Ze03Fitting: Family.ZE03,
    WindSonicFitting: Family.WINDSONIC,
}


def _endpoint_of(fitting, chosen):
    """Return where the simulator would say that an instrument is found."""
    options = {"port": f"/tmp/{fitting.device_id}", "baudrate": 9600}
    if isinstance(fitting, XcdFitting):
        over_tcp = fitting.over is ModbusWire.TCP
        options = {"host": "127.0.0.1", "port": 502} if over_tcp else {"port": "/tmp/rtu1"}
        options["unit_id"] = fitting.unit_id
    mobile = fitting.station_id in chosen.patrols
    point = (
        chosen.patrols[fitting.station_id].waypoints[0].point
        if mobile
        else chosen.square.point_of(fitting.station_id)
    )
    return Endpoint(
        device_id=fitting.device_id,
        station_id=fitting.station_id,
        family=FAMILIES[type(fitting)],
        position=chosen.square.position(point),
        options=options,
        gas=getattr(fitting, "agent", None),
        full_scale_ppm=20.0 if isinstance(fitting, XcdFitting) else None,
        mobile=mobile,
    )


@pytest.fixture
def endpoint_of():
    """Return a function that gives the endpoint of a fitting of a scenario."""
    return _endpoint_of


@pytest.fixture
def demo_site(tmp_path):
    """Return a function that gives the loaded site of a scenario."""

    def make(name="square"):
        chosen = scenario(name)
        endpoints = [_endpoint_of(fitting, chosen) for fitting in chosen.fittings]
        site_file = tmp_path / "site.toml"
        broker = Broker("mosquitto", 1883, 5)
        site_file.write_text(site_text(chosen, endpoints, tmp_path / "data", broker))
        return load_site(site_file, allow_simulated=True)

    return make
