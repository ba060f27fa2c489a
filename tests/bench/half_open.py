"""A TCP proxy in a process of its own: stopped, its wires are half open; killed, they are cut."""

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress


class Proxy:
    """Forwards one loopback port to another until it is frozen or cut."""

    def __init__(self, listen: int, to: int) -> None:
        self._command = [sys.executable, __file__, str(listen), str(to)]
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._child = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout.readline()

    def freeze(self) -> None:
        """Take in what the kernel takes, forward nothing, close nothing."""
        self._child.send_signal(signal.SIGSTOP)

    def cut(self) -> None:
        """Reset every connection and refuse new ones; what was on the way is lost."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child.stdout.close()
            self._child = None


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    writer.close()


async def run(listen: int, to: int) -> None:
    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(joined, "127.0.0.1", listen) as server:
        print("up", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))
