"""A simulated BlueZ in a process of its own, which may be killed and begun again."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from cbrn_core.errors import PrerequisiteMissing
from cbrn_sim.ble.orders import FIRST_ADAPTER, Answer, Order, Verb
from cbrn_sim.ble.strap import Strap

_ANSWER_S = 30.0
_LONGEST_LINE_BYTES = 1_000_000


class BlueZProcess:
    """`async with` it on a private bus; adapters and straps outlive bluetoothd's death."""

    def __init__(self, bus_address: str, adapters: Sequence[str] = (FIRST_ADAPTER,)) -> None:
        self._bus_address = bus_address
        self._adapters = dict.fromkeys(adapters)
        self._straps: dict[str, Strap] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start bluetoothd."""
        await self.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        await self.die()

    async def begin(self) -> None:
        """Start bluetoothd; it knows nothing, and what is in the air is there to be heard."""
        environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self._bus_address}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cbrn_sim.ble",
            *self._adapters,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=_LONGEST_LINE_BYTES,
        )
        await self._answer()
        await self._order(Order(verb=Verb.PUT, straps=tuple(self._straps.values())))

    async def die(self) -> None:
        """Kill bluetoothd: its name leaves the bus, and no signal says that links ended."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    def signal(self, number: int) -> None:
        """Send a signal, SIGSTOP to let it hang."""
        self._running().send_signal(number)

    async def put(self, *straps: Strap) -> Answer:
        """Put straps into the air, or change those that are there."""
        self._straps |= {strap.address: strap for strap in straps}
        return await self._order(Order(verb=Verb.PUT, straps=straps))

    async def drop(self, address: str) -> Answer:
        """Lose a link."""
        return await self._order(Order(verb=Verb.DROP, address=address))

    async def remove(self, address: str) -> Answer:
        """Remove a device object."""
        return await self._order(Order(verb=Verb.REMOVE, address=address))

    async def send(self, address: str, octets: bytes) -> Answer:
        """Notify octets, however malformed."""
        return await self._order(Order(verb=Verb.SEND, address=address, octets=octets.hex()))

    async def ramp(self, first_bpm: int, count: int) -> Answer:
        """Let all that are listened to count up, as fast as the bus takes it."""
        return await self._order(Order(verb=Verb.RAMP, first_bpm=first_bpm, count=count))

    async def power(self, *, on: bool, adapter: str = FIRST_ADAPTER) -> Answer:
        """Switch an adapter."""
        return await self._order(Order(verb=Verb.POWER, on=on, adapter=adapter))

    async def plug(self, *, on: bool, adapter: str = FIRST_ADAPTER) -> Answer:
        """Plug an adapter in, or pull it."""
        if on:
            self._adapters[adapter] = None
        else:
            del self._adapters[adapter]
        return await self._order(Order(verb=Verb.PLUG, on=on, adapter=adapter))

    async def jam(self, *, on: bool) -> Answer:
        """Let every new scan fail, as some releases of BlueZ do after a stuck one."""
        return await self._order(Order(verb=Verb.JAM, on=on))

    async def tell(self) -> Answer:
        """Return how things stand."""
        return await self._order(Order(verb=Verb.TELL))

    async def _order(self, order: Order) -> Answer:
        stdin = self._running().stdin
        if stdin is None:
            raise RuntimeError("no input to the simulated BlueZ")
        stdin.write(msgspec.json.encode(order) + b"\n")
        await stdin.drain()
        answer = await self._answer()
        if answer.trouble:
            raise RuntimeError(answer.trouble)
        return answer

    async def _answer(self) -> Answer:
        stdout = self._running().stdout
        if stdout is None:
            raise RuntimeError("no output of the simulated BlueZ")
        async with asyncio.timeout(_ANSWER_S):
            line = await stdout.readline()
        if not line:
            raise PrerequisiteMissing("the simulated BlueZ has ended")
        return msgspec.json.decode(line, type=Answer)

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the simulated BlueZ does not run")
        return self._process
