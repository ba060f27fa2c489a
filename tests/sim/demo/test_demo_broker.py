"""The demo's broker: mosquitto where it is found and starts, else the embedded one."""

import asyncio
import socket
from pathlib import Path

import pytest

from cbrn_core.errors import ConnectFailed
from cbrn_gateway.demo import broker as brokers
from cbrn_gateway.demo.broker import demo_broker, find_mosquitto

pytestmark = pytest.mark.asyncio
CONNECT_5 = bytes.fromhex("10 0f 0004 4d515454 05 02 003c 00 0002 6361")
CONNECT_311 = bytes.fromhex("10 0e 0004 4d515454 04 02 003c 0002 6361")


async def connack(port, connect):
    """Return the return or reason code of a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect)
    async with asyncio.timeout(20):
        head = await reader.readexactly(4)
    writer.close()
    await writer.wait_closed()
    assert head[0] == 0x20
    return head[3]


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
async def test_mosquitto_speaks_mqtt_5_on_this_machine_only_and_is_gone_afterwards(tmp_path):
    said = []
    async with demo_broker(tmp_path, say=said.append) as broker:
        assert (broker.name, broker.version, said) == ("mosquitto", "MQTT 5", [])
        assert await connack(broker.port, CONNECT_5) == 0
        assert f"listener {broker.port} 127.0.0.1\n" in (tmp_path / "mosquitto.conf").read_text()
    assert is_free(broker.port)


async def test_without_mosquitto_the_embedded_broker_is_used_and_said(tmp_path):
    said = []
    async with demo_broker(tmp_path, say=said.append, find=lambda: None) as broker:
        assert (broker.name, broker.protocol) == ("embedded amqtt", 311)
        assert await connack(broker.port, CONNECT_311) == 0
    assert said == ["mosquitto is not installed: using the embedded broker amqtt (MQTT 3.1.1)"]
    assert is_free(broker.port)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Error: no such option' >&2; exit 1", "Error: no such option"),
        ("exit 0", "it ended at once"),
        ("trap '' TERM; while :; do sleep 0.1; done", "no answer in 1 s"),
    ],
)
async def test_a_mosquitto_that_does_not_start_is_said_and_replaced(
    tmp_path, monkeypatch, script, reason
):
    monkeypatch.setattr(brokers, "READY_S", 1.0)
    monkeypatch.setattr(brokers, "END_S", 0.5)
    program = tmp_path / "mosquitto"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    said = []
    async with demo_broker(tmp_path, say=said.append, find=lambda: str(program)) as broker:
        assert broker.protocol == 311
        assert await connack(broker.port, CONNECT_311) == 0
    (line,) = said
    assert line.startswith("mosquitto does not start: ")
    assert reason in line
    assert not runs(program)


async def test_a_program_that_is_none_is_replaced_too(tmp_path):
    said = []
    async with demo_broker(tmp_path, say=said.append, find=lambda: "/no/such/program") as broker:
        assert broker.protocol == 311
    assert "mosquitto does not start: " in said[0]


async def test_a_port_of_somebody_else_is_refused_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConnectFailed, match=str(port)):
            async with demo_broker(tmp_path, port, say=print):
                pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
async def test_a_cancelled_demo_ends_its_broker(tmp_path):
    running = asyncio.Event()
    ports = []

    async def run():
        async with demo_broker(tmp_path, say=print) as broker:
            ports.append(broker.port)
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_free(ports[0])


def runs(program):
    """Return whether a process of that program is alive."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(program).encode() in entry.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False
