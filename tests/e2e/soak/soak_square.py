"""The square of the soak as a process of its own: `soak_square.py FOLDER SEED SPEED`.

Its instruments are those of the demo on their real wires. What they sense and what goes
wrong with them is told line by line on standard input (`Exposure`, `Trouble`). Prints one
JSON line per instrument, then `ready`.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from cbrn_sim.fittings import GmcFitting
from cbrn_sim.instruments.gmc_memory import Dialect
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.scenario import Scenario
from cbrn_sim.world.square import Point
from cbrn_sim.world.world import World


class Exposure(msgspec.Struct, frozen=True, tag=True):
    """From now on a station is in gas (ppm) or in a field (µSv/h above background)."""

    station: str
    agent: str
    level: float
    lasts_s: float


class Trouble(msgspec.Struct, frozen=True, tag=True):
    """From now on something is wrong with an instrument; `clear` and `replug` end it."""

    device: str
    kind: str
    amount: float = 0.0


Order = Exposure | Trouble
GAMMA = "gamma"


class ToldWorld(World):
    """A world in which there is what the test says, where and when it says it."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, seed)
        self._exposures: list[tuple[float, Exposure]] = []

    def expose(self, now_s: float, exposure: Exposure) -> None:
        self._exposures = [(t, e) for t, e in self._exposures if now_s < t + e.lasts_s + 10]
        self._exposures.append((now_s, exposure))

    def concentration_ppm(self, agent: str, point: Point, t_s: float) -> float:
        """Return the gas at the nearest station."""
        return super().concentration_ppm(agent, point, t_s) + self._told(agent, point, t_s)

    def dose_rate_usv_h(self, point: Point, t_s: float) -> float:
        """Return background and field at the nearest station."""
        return super().dose_rate_usv_h(point, t_s) + self._told(GAMMA, point, t_s)

    def _told(self, agent: str, point: Point, t_s: float) -> float:
        if not self._exposures:
            return 0.0
        station = self.scenario.square.nearest_station(point)
        return sum(
            exposure.level
            for since_s, exposure in self._exposures
            if (exposure.station, exposure.agent) == (station, agent)
            and since_s <= t_s < since_s + exposure.lasts_s
        )


class Orders:
    """Carries out what is told on standard input."""

    def __init__(self, square: SimulatedSquare, world: ToldWorld) -> None:
        self._square = square
        self._world = world

    async def obey(self, line: bytes) -> None:
        order = msgspec.json.decode(line, type=Order)
        if isinstance(order, Exposure):
            self._world.expose(self._square.elapsed_s(), order)
            return
        faults = self._square.faults[order.device]
        match order.kind:
            case "unplug":
                await faults.unplug()
            case "replug":
                await faults.replug()
            case "garble" | "spike":
                getattr(faults, order.kind)(order.amount)
            case "silence" | "stuck" | "freeze":
                getattr(faults, order.kind)()
            case "clear":
                faults.clear()


def quiet_square() -> Scenario:
    """Return the demo's square with nothing happening, its Geiger counters polled.

    Where one tells its heartbeat, the pause between two beats ends a record: faster clocks
    would take it away. The ground is the same everywhere: the counter that walks about is
    right to tell of granite, and that would be a cause nobody has noted.
    """
    quiet = scenario("quiet")
    fittings = tuple(
        msgspec.structs.replace(f, dialect=Dialect.RFC1801) if isinstance(f, GmcFitting) else f
        for f in quiet.fittings
    )
    return msgspec.structs.replace(quiet, fittings=fittings, background_usv_h={})


async def run(folder: Path, seed: int, speed: float) -> None:
    quiet = quiet_square()
    world = ToldWorld(quiet, seed)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with SimulatedSquare(quiet, seed, folder, speed=speed, world=world) as square:
        for endpoint in square.endpoints:
            print(msgspec.json.encode(endpoint).decode())
        print("ready", flush=True)
        orders = Orders(square, world)
        while line := await reader.readline():
            await orders.obey(line)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
