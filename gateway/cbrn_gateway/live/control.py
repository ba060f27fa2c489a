"""The local door: a Unix socket in `data_dir`, one JSON line in, one JSON line out.

Mode 0600: who may read the gateway's files may operate it. The payloads are those of the
MQTT command topic (`cbrn-command/1`, `cbrn-answer/1`).
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from cbrn_core.errors import DeliveryError, PrerequisiteMissing

_LOG = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
LONGEST_LINE_BYTES = 65_536
ANSWER_WAIT_S = 5.0


class ControlServer:
    """Serves `answer(line) -> line` to local processes."""

    def __init__(self, folder: Path, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._path = folder / SOCKET_NAME
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Open the socket; a left-over of a dead daemon is replaced."""
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, path=self._path, limit=LONGEST_LINE_BYTES
            )
        finally:
            os.umask(mask)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the socket and remove it."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(await self._answer(line.rstrip(b"\n")) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            _LOG.info("control: client left: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def ask(folder: Path, line: bytes) -> bytes:
    """Send one line to the daemon that runs in `folder`; return its answer.

    Raises:
        PrerequisiteMissing: no daemon runs there.
        DeliveryError: it did not answer in time.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(folder / SOCKET_NAME)
    except OSError:
        text = f"no daemon is running in {folder}; start one with: cbrn-gateway run -c SITE.toml"
        raise PrerequisiteMissing(text) from None
    try:
        async with asyncio.timeout(ANSWER_WAIT_S):
            writer.write(line + b"\n")
            await writer.drain()
            answer = await reader.readline()
    except (TimeoutError, ConnectionError) as error:
        raise DeliveryError(f"the daemon did not answer: {error}") from None
    finally:
        writer.close()
    if not answer:
        raise DeliveryError("the daemon closed the door without an answer")
    return answer.rstrip(b"\n")
