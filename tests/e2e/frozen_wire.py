"""A wire that can be cut without a word: nothing is forwarded, nothing is closed.

`frozen_wire.py PORT TARGET_PORT` forwards TCP until SIGUSR1; then it keeps every connection
open, takes new ones and forwards nothing, not even that one end has died, until SIGUSR2. What a
connection was told before the cut and had not passed on is thrown away with it at the end.
"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PORT = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")


class FrozenWire:
    """The proxy as a process of its own; `cut` and `mend` return at once."""

    def __init__(self, target_port: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, str(Path(__file__)), str(self.port), str(target_port)]
        self._child = subprocess.Popen(command)
        deadline_s = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._child.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def cut(self) -> None:
        self._child.send_signal(signal.SIGUSR1)

    def mend(self) -> None:
        self._child.send_signal(signal.SIGUSR2)

    def close(self) -> None:
        self._child.kill()
        self._child.wait(10)


def behind(table: str) -> tuple[str, FrozenWire]:
    """Return the table with a wire that can be cut in front of its server."""
    found = _PORT.search(table)
    assert found is not None
    wire = FrozenWire(int(found[2]))
    return table.replace(found[0], f"{found[1]}:{wire.port}", 1), wire


class _Proxy:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._whole = asyncio.Event()
        self._whole.set()
        self._running: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        if not self._whole.is_set():
            for task in self._running:  # what had been cut stays dead; the next one lives
                task.cancel()
            self._whole.set()

    async def connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._whole.wait()
            far, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(near, far_writer))
                both.create_task(self._forward(far, back))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(task)
            for writer in (back, far_writer):
                if writer is not None:
                    with suppress(OSError):
                        writer.transport.abort()

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            await self._whole.wait()
            sink.write(chunk)
            await sink.drain()
        await self._whole.wait()
        raise ConnectionResetError


async def main(port: int, target_port: int) -> None:
    proxy = _Proxy(target_port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, proxy.cut)
    loop.add_signal_handler(signal.SIGUSR2, proxy.mend)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
