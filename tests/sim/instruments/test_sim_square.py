"""The whole square runs on its wires, and the command line says where it is found."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cbrn_sim.__main__ import main
from cbrn_sim.fittings import Family
from cbrn_sim.instruments.modbus_frames import rtu_frame
from cbrn_sim.scenarios import SCENARIOS, scenario
from cbrn_sim.square_sim import SimulatedSquare

SPEED = 30.0


async def gas_ppm(endpoint):
    """Read 40003-40004 of one detector over TCP."""
    reader, writer = await asyncio.open_connection(
        endpoint.options["host"], endpoint.options["port"]
    )
    unit_id = endpoint.options["unit_id"]
    writer.write(struct.pack(">HHHB", 1, 0, 6, unit_id) + bytes.fromhex("0300020002"))
    async with asyncio.timeout(10):
        reply = await reader.readexactly(13)
    writer.close()
    return struct.unpack(">f", reply[9:13])[0]


@pytest.mark.asyncio
async def test_every_instrument_of_the_square_answers_on_its_wire(tmp_path, open_line):
    async with SimulatedSquare(scenario("square"), 1, tmp_path, speed=SPEED) as square:
        assert len(square.endpoints) >= 20
        for endpoint in square.endpoints:
            await answers(endpoint, open_line)
        families = Counter(endpoint.family for endpoint in square.endpoints)
        assert families[Family.XCD] == 12
        assert families[Family.GMC] >= 3
        ranges = {e.gas: e.full_scale_ppm for e in square.endpoints if e.gas}
        assert ranges == {"cl2": 20.0, "nh3": 100.0, "h2s": 100.0}
        assert set(square.faults) == {endpoint.device_id for endpoint in square.endpoints}
    assert not any(path.is_symlink() for path in (tmp_path / "serial").iterdir())


async def answers(endpoint, open_line):
    """Prove that the instrument of this family is at the other end."""
    options = endpoint.options
    if "host" in options:
        assert await gas_ppm(endpoint) >= 0.0
        return
    line = open_line(options["port"])
    if endpoint.family is Family.XCD:
        reply = await line.ask(rtu_frame(options["unit_id"], bytes.fromhex("0300000001")), 7)
        assert reply[3:5] == bytes((0x25, options["unit_id"]))
    elif endpoint.family is Family.GMC:
        assert (await line.ask(b"<GETVER>>", 15)).startswith(b"GMC-")
    elif endpoint.family is Family.BGEIGIE:
        assert (await line.read_line()).startswith(b"$BNRDD,")
    elif endpoint.family is Family.ZE03:
        assert (await line.read(9))[:2] == b"\xff\x86"
    else:
        assert endpoint.family is Family.WINDSONIC
        assert (await line.read_line()).startswith(b"\x02Q,")
    line.close()


@pytest.mark.asyncio
async def test_the_first_detector_crosses_the_level_in_time(tmp_path):
    async with SimulatedSquare(scenario("square"), 1, tmp_path, speed=15.0) as square:
        first = next(e for e in square.endpoints if e.device_id == "st05-xcd")
        assert await gas_ppm(first) < 0.5
        await square.clock.sleep_until(45.0)
        assert await gas_ppm(first) > 2.8
        assert square.elapsed_s() >= 45.0
        assert square.truth().releases[0].agent == "cl2"


@pytest.mark.asyncio
async def test_two_runs_with_one_seed_show_the_same_value_at_the_same_moment(tmp_path):
    async def value_at(seed, folder):
        async with SimulatedSquare(scenario("square"), seed, folder, speed=SPEED) as square:
            sensor = square._assembly.detectors[4]
            return sensor._reading(40.0)

    first, second = await value_at(1, tmp_path / "a"), await value_at(1, tmp_path / "b")
    assert first == second > 0.5
    assert await value_at(2, tmp_path / "c") != first


@pytest.mark.asyncio
async def test_a_fault_by_device_id_hits_that_device_alone(tmp_path):
    async with SimulatedSquare(scenario("quiet"), 1, tmp_path, speed=SPEED) as square:
        by_id = {e.device_id: e for e in square.endpoints}
        square.faults["st03-xcd"].step(12.0)
        assert await gas_ppm(by_id["st03-xcd"]) == pytest.approx(12.0, abs=0.3)
        assert await gas_ppm(by_id["st04-xcd"]) < 0.3


@pytest.mark.asyncio
async def test_a_square_can_be_cancelled_and_leaves_no_task(tmp_path):
    entered = asyncio.Event()

    async def run():
        async with SimulatedSquare(scenario("square"), 1, tmp_path, speed=SPEED):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_command_line_lists_the_scenarios(capsys):
    assert main(["--list"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["scenario"] for each in listed] == list(SCENARIOS)


@pytest.mark.parametrize("arguments", [["--scenario", "party"], ["--speed", "0.5"]])
def test_bad_usage_is_exit_status_two_and_names_the_option(arguments, capsys):
    assert main(arguments) == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_command_line_prints_endpoints_that_answer_and_stops_on_a_signal(tmp_path):
    command = [sys.executable, "-m", "cbrn_sim", "--dir", str(tmp_path), "--scenario", "quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        endpoints = [json.loads(simulator.stdout.readline()) for _ in range(21)]
        links = [e["options"]["port"] for e in endpoints if "host" not in e["options"]]
        assert all(Path(link).is_char_device() for link in links)
        line = os.open(links[0], os.O_RDWR | os.O_NOCTTY)
        os.close(line)
        simulator.send_signal(signal.SIGTERM)
        assert simulator.wait(timeout=20) == 0
    assert not any(Path(link).exists() for link in links)
