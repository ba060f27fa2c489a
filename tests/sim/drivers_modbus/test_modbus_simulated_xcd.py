"""The driver and the simulated detector, written apart from the same handbook, agree."""

import asyncio

import pytest

from cbrn_core.reading import Quality
from cbrn_sim.faults import Fault, Faults
from cbrn_sim.instruments.modbus_server import ModbusTcpServer, RtuBus
from cbrn_sim.instruments.xcd import GasUnit, SensepointXcd, XcdSettings
from cbrn_sim.streams import stream

pytestmark = pytest.mark.asyncio


def fit(served, wire, unit_id, **settings):
    """Put a detector that reads 1.5 on a wire; return its faults."""
    faults = Faults(f"x{unit_id}", wire, stream(1, f"x{unit_id}"), knows=frozenset(Fault))
    served.units[unit_id] = SensepointXcd(
        XcdSettings(unit_id=unit_id, **settings), lambda _: 1.5, lambda: 0.0, faults
    )
    return faults


async def first_readings(driver):
    async with driver, asyncio.timeout(10):
        batches = driver.batches()
        readings = await anext(batches)
        await batches.aclose()
    return readings


async def test_over_tcp(detector):
    server = ModbusTcpServer()
    fit(server, server, 5, alarm1=1.0, temperature_deg_c=-7, supply_v=23.5)
    await server.start()
    driver = detector(5, host="127.0.0.1", port=server.port, diagnostics=True)
    gas, temperature, supply = await first_readings(driver)
    await server.stop()
    assert (gas.value, gas.unit, gas.quality) == (1.5, "ppm", Quality.GOOD)
    assert gas.detection.instrument_alarm == "a1"
    assert (temperature.value, supply.value) == (-7, 23.5)


async def test_on_a_serial_line(detector, tmp_path):
    bus = RtuBus(tmp_path / "bus")
    fit(bus, bus.wire, 9, unit=GasUnit.MG_M3)
    await bus.start()
    driver = detector(9, port=str(tmp_path / "bus"), parity="N")
    (gas,) = await first_readings(driver)
    await bus.stop()
    assert (gas.value, gas.unit, gas.quality) == (1.5, "mg/m3", Quality.GOOD)


async def test_an_absent_unit_behind_a_gateway_is_silence(detector):
    server = ModbusTcpServer()
    fit(server, server, 5)
    await server.start()
    driver = detector(4, 5, host="127.0.0.1", port=server.port)
    async with driver, asyncio.timeout(10):
        batches = driver.batches()
        while not driver.counters()["silent"]:
            assert (await anext(batches))[0].device == "x5"
        await batches.aclose()
    await server.stop()


@pytest.mark.parametrize(
    ("ail", "quality", "word"),
    [
        (lambda faults: faults.fault_code(1104), Quality.BAD, "fault"),
        (lambda faults: faults.inhibit(), Quality.BAD, "inhibit"),
        (lambda faults: faults.exception(4), Quality.BAD, "fault"),
        (lambda faults: faults.warm_up(), Quality.UNCERTAIN, None),
    ],
)
async def test_what_ails_it_arrives(detector, ail, quality, word):
    server = ModbusTcpServer()
    ail(fit(server, server, 5))
    await server.start()
    (gas,) = await first_readings(detector(5, host="127.0.0.1", port=server.port))
    await server.stop()
    assert gas.quality is quality
    assert (gas.detection and gas.detection.instrument_alarm) == word
