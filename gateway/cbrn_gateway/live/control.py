"""The local door: a Unix socket in `data_dir`, one JSON line in, one JSON line out.

Mode 0600: who may read the gateway's files may operate it. The payloads are those of the
MQTT command topic (`cbrn-command/1`, `cbrn-answer/1`); a line `cbrn-tap/1` makes the rest of
the connection a stream of lines from the daemon.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import msgspec

from cbrn_core.errors import DeliveryError, PrerequisiteMissing, StorageError
from cbrn_gateway.live.taps import Tap, TapRequest, Taps, Wanted

_LOG = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
LONGEST_LINE_BYTES = 10_000_000
"""A whole site file fits into one line."""

_LONGEST_TOLD_BYTES = 1_000_000
ANSWER_WAIT_S = 5.0


class ControlServer:
    """Serves `answer(line) -> line` to local processes, and streams to those who listen."""

    def __init__(
        self,
        folder: Path,
        answer: Callable[[bytes], Awaitable[bytes]],
        taps: Taps | None = None,
    ) -> None:
        self._path = folder / SOCKET_NAME
        self._answer = answer
        self._taps = taps
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Open the socket; a left-over of a dead daemon is replaced.

        Raises:
            StorageError: the folder takes no socket, or its path is too long for one.
        """
        mask = os.umask(0o177)
        try:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(
                self._serve, path=self._path, limit=LONGEST_LINE_BYTES
            )
        except OSError as error:
            raise StorageError(f"{self._path}: no control socket can be made: {error}") from None
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
                tap = None if self._taps is None else self._taps.open(line)
                if tap is not None and self._taps is not None:
                    await self._stream(self._taps, tap, reader, writer)
                    return
                writer.write(await self._answer(line.rstrip(b"\n")) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            _LOG.info("control: client left: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _stream(
        self, taps: Taps, tap: Tap, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send what the tap holds until the listener leaves."""
        sending = asyncio.ensure_future(_send_all(tap, writer))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            done, _ = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            taps.close(tap)
            sending.cancel()
            leaving.cancel()


class TapStream:
    """What a daemon tells a listener, line by line, until one of the two ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer  # the connection lives as long as somebody holds it

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield whole lines without their ends."""
        try:
            while (line := await self._reader.readline()).endswith(b"\n"):
                yield line[:-1]
        except ConnectionError:
            return
        finally:
            self._writer.close()


async def open_tap(folder: Path, wanted: Wanted) -> TapStream | None:
    """Return the stream of the daemon that runs in `folder`, None where none runs.

    Raises:
        DeliveryError: a daemon runs there, but may not be listened to.
    """
    connection = await _connect(folder)
    if connection is None:
        return None
    reader, writer = connection
    request = TapRequest(schema="cbrn-tap/1", wants=wanted)
    writer.write(msgspec.json.encode(request) + b"\n")
    return TapStream(reader, writer)


async def is_running(folder: Path) -> bool:
    """Return whether a daemon answers in `folder`.

    Raises:
        DeliveryError: one runs there, but its socket may not be opened.
    """
    connection = await _connect(folder)
    if connection is None:
        return False
    connection[1].close()
    return True


async def ask(folder: Path, line: bytes, wait_s: float = ANSWER_WAIT_S) -> bytes:
    """Send one line to the daemon that runs in `folder`; return its answer.

    Raises:
        PrerequisiteMissing: no daemon runs there.
        DeliveryError: it did not answer in time, or its socket may not be opened.
    """
    connection = await _connect(folder)
    if connection is None:
        text = f"no daemon is running in {folder}; start one with: cbrn-gateway run -c SITE.toml"
        raise PrerequisiteMissing(text)
    reader, writer = connection
    try:
        async with asyncio.timeout(wait_s):
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


async def _connect(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        return await asyncio.open_unix_connection(folder / SOCKET_NAME, limit=_LONGEST_TOLD_BYTES)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except PermissionError:
        text = f"the daemon in {folder} belongs to another user: run this as that user"
        raise DeliveryError(text) from None
    except OSError as error:
        raise DeliveryError(f"{folder / SOCKET_NAME}: {error}") from None


async def _send_all(tap: Tap, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(await tap.take())
        await writer.drain()
