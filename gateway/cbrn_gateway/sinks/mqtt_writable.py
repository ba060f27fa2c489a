"""Watches an MQTT socket until it can be written to, unless it was closed meanwhile.

aiomqtt watches, one turn of the loop later, whatever file has the socket's number by then.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho


def watch_writable(client: paho.Client, on_failed: Callable[[Exception], None]) -> None:
    """Let the running loop write what a client has to send; `on_failed` hears of a lost socket."""
    loop = asyncio.get_running_loop()

    def write() -> None:
        try:
            client.loop_write()
        except (OSError, ValueError) as error:
            on_failed(error)

    def watch(sock: Any) -> None:  # noqa: ANN401 - a socket of any kind
        current = client.socket()
        if current is not None and current is sock and current.fileno() >= 0:
            loop.add_writer(current.fileno(), write)

    def registered(_client: paho.Client, _userdata: Any, sock: Any) -> None:  # noqa: ANN401
        # it may come from the thread that connects
        loop.call_soon_threadsafe(watch, sock)

    client.on_socket_register_write = registered
