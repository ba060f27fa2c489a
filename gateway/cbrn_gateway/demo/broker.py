"""The demo's broker: mosquitto as a child of this process where it is found, else amqtt inside.

Both listen on 127.0.0.1 only and ask for no password: for a demo on one machine.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, Self

from cbrn_core.errors import ConnectFailed
from cbrn_gateway.sinks.embedded_broker import EmbeddedBroker, find_mosquitto

HOST = "127.0.0.1"
READY_S = 10.0
END_S = 5.0
_LOOK_AGAIN_S = 0.02
_TAIL_CHARACTERS = 400

# The pipe to this process closes however it ends, kill -9 included; then the broker goes.
_GUARD = """
exec 3<&0
"$1" -c "$2" </dev/null 3<&- &
broker=$!
( read -r _ <&3; kill "$broker" ) 2>/dev/null &
exec 3<&-
wait "$broker"
"""


class Broker(NamedTuple):
    """A running broker: where it is and what it speaks."""

    name: str
    port: int
    protocol: Literal[5, 311]

    @property
    def url(self) -> str:
        """Return the address for the site file's `[mqtt]`."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def version(self) -> str:
        """Return the version of MQTT as people write it."""
        return "MQTT 5" if self.protocol == 5 else "MQTT 3.1.1"


@asynccontextmanager
async def demo_broker(
    folder: Path,
    port: int = 0,
    *,
    say: Callable[[str], None],
    find: Callable[[], str | None] = find_mosquitto,
) -> AsyncIterator[Broker]:
    """Run a broker inside the block; port 0 takes a free one.

    `say` hears which it is, and why it is not mosquitto.

    Raises:
        ConnectFailed: the port is taken.
    """
    port = _checked_port(port)
    program = find()
    if program is None:
        say("mosquitto is not installed: using the embedded broker amqtt (MQTT 3.1.1)")
    else:
        child = Mosquitto(program, folder, port)
        try:
            await child.start()
        except ConnectFailed as error:
            say(f"mosquitto does not start: {error}. Using the embedded broker amqtt (MQTT 3.1.1)")
        else:
            async with child:
                yield Broker("mosquitto", port, 5)
                return
    async with EmbeddedBroker(port):
        yield Broker("embedded amqtt", port, 311)


class Mosquitto:
    """One mosquitto process that never outlives this one; `start` it, then `async with` it."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.port = port
        self._program = program
        self._settings = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ConnectFailed: it ended, or does not listen in time; with the end of its log.
        """
        self._settings.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence false\n"
            "log_dest stderr\nlog_type error\nlog_type warning\n",
            encoding="utf-8",
        )
        try:
            await self._spawn()
            async with asyncio.timeout(READY_S):
                await self._listening()
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError):  # a TimeoutError is one
                raise ConnectFailed(self._reason(error)) from error
            raise

    async def stop(self) -> None:
        """End it and wait until it is gone; never raises, may be called again."""
        child, self._child = self._child, None
        if child is None:
            return
        stdin = child.stdin
        if stdin is not None:
            stdin.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await child.wait()
        finally:
            # Only a broker that does not heed SIGTERM is still there.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        if stdin is not None:
            with suppress(OSError):
                await stdin.wait_closed()
        # The loop lets go of a process in the turn after its last pipe.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        """Return it, running."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self.stop()

    async def _spawn(self) -> None:
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for the demo, which ends it last.
            self._child = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                _GUARD,
                "demo-broker",
                self._program,
                str(self._settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _listening(self) -> None:
        while not await _answers(self.port):
            if self._child is None or self._child.returncode is not None:
                raise OSError("it ended at once")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _reason(self, error: OSError) -> str:
        said = ""
        with suppress(OSError):
            said = self._log.read_text(encoding="utf-8", errors="replace")
        last = " ".join(said.split())[-_TAIL_CHARACTERS:]
        return last or str(error) or f"no answer in {READY_S:g} s"


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _checked_port(port: int) -> int:
    """Return the port, a free one for 0.

    Raises:
        ConnectFailed: somebody has it; mosquitto's own probe would then meet a stranger.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConnectFailed(f"port {port} of {HOST} cannot be used: {error}") from error
        free: int = probe.getsockname()[1]
        return free
