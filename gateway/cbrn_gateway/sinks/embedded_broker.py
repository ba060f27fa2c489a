"""Brokers for the demo: where mosquitto is, and amqtt inside this process where it is not."""

import logging
import shutil
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.errors import AMQTTError, BrokerError  # type: ignore[import-untyped]

from cbrn_core.errors import ConnectFailed

_MOSQUITTO_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


def find_mosquitto() -> str | None:
    """Return the path of the mosquitto broker, None where it is not installed.

    Debian keeps it in /usr/sbin, which is not on everybody's PATH.
    """
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_MOSQUITTO_FOLDERS)


class EmbeddedBroker:
    """amqtt on loopback: MQTT 3.1.1, without passwords, for the demo only.

    It acknowledges what it denies and knows neither reason codes nor expiry; what a real
    site does is only true with mosquitto. Port 0 takes a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self._broker: Broker | None = None

    @property
    def url(self) -> str:
        """Return the address for the site file's `[mqtt]`."""
        return f"mqtt://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start it.

        Raises:
            ConnectFailed: the port is taken.
        """
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        if self.port == 0:
            self.port = _free_port(self.host)
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {
                    "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
                },
            }
        )
        try:
            await broker.start()
        except BrokerError as error:
            raise ConnectFailed(f"{self.host}:{self.port}: {error}") from error
        self._broker = broker
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it; never raises."""
        broker, self._broker = self._broker, None
        if broker is not None:
            with suppress(AMQTTError, BrokerError):
                await broker.shutdown()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
