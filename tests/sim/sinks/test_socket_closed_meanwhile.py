"""A socket that is closed between the wish to write and the writing is left alone."""

import asyncio
import os
import socket

import paho.mqtt.client as paho
import pytest

from cbrn_gateway.sinks.mqtt_writable import watch_writable


@pytest.fixture
def client():
    made = paho.Client(paho.CallbackAPIVersion.VERSION2)
    near, far = socket.socketpair()
    near.setblocking(False)
    made._sock = near
    yield made
    made._sock = None
    near.close()
    far.close()


@pytest.fixture
def troubles():
    return []


async def turns(troubles, count: int = 3) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: troubles.append(told))
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_socket_that_is_still_there_is_written_to(client, troubles, monkeypatch):
    written = asyncio.Event()

    def loop_write() -> None:
        written.set()
        asyncio.get_running_loop().remove_writer(client.socket())

    monkeypatch.setattr(client, "loop_write", loop_write)
    watch_writable(client, troubles.append)
    client._call_socket_register_write()
    await asyncio.wait_for(written.wait(), 10)
    assert troubles == []


@pytest.mark.asyncio
async def test_a_socket_that_was_closed_is_not_watched_nor_what_has_its_number_now(
    client, troubles
):
    watch_writable(client, troubles.append)
    loop = asyncio.get_running_loop()
    with socket.socket() as other:
        client._call_socket_register_write()
        number = client.socket().fileno()
        client.socket().close()
        client._sock = None
        os.dup2(other.fileno(), number)
        await turns(troubles)
    assert troubles == []
    assert not loop.remove_writer(number)
    os.close(number)


@pytest.mark.asyncio
async def test_who_waits_hears_of_a_socket_that_fails(client, troubles, monkeypatch):
    def loop_write() -> None:
        asyncio.get_running_loop().remove_writer(client.socket())
        raise BrokenPipeError

    monkeypatch.setattr(client, "loop_write", loop_write)
    failed = asyncio.Event()
    watch_writable(client, lambda _: failed.set())
    client._call_socket_register_write()
    await asyncio.wait_for(failed.wait(), 10)
