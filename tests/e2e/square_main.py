"""The square of the acceptance tests as a process of its own: `square_main.py FOLDER SEED`.

Chlorine leaks just west of the square from the fourth second on. Prints one JSON line per
instrument (where it is found), then runs until SIGTERM.
"""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.scenario import Scenario

RELEASE_AT_S = 4.0


def leaking_square() -> Scenario:
    """Return the square of the demo, with its release early and nobody walking through."""
    square = scenario("square")
    releases = tuple(msgspec.structs.replace(r, start_s=RELEASE_AT_S) for r in square.releases)
    return msgspec.structs.replace(square, releases=releases, people=())


async def run(folder: Path, seed: int) -> None:
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)
    async with SimulatedSquare(leaking_square(), seed, folder) as square:
        for endpoint in square.endpoints:
            print(msgspec.json.encode(endpoint).decode())
        print("ready", flush=True)
        await enough.wait()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
