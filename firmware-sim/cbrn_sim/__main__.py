"""Run a simulated square for technicians to test against: `python -m cbrn_sim`."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from cbrn_core.errors import CommandRefused
from cbrn_sim.scenarios import SCENARIOS, scenario
from cbrn_sim.square_sim import SimulatedSquare
from cbrn_sim.world.scenario import Scenario

_BAD_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        for each in SCENARIOS.values():
            _say({"scenario": each.name, "duration_s": each.duration_s, "story": each.story})
        return 0
    if options.speed < 1:
        sys.stderr.write("--speed: 1 (real time) or more\n")
        return _BAD_USAGE
    try:
        chosen = scenario(options.scenario)
    except CommandRefused as refusal:
        sys.stderr.write(f"--scenario: {refusal}\n")
        return _BAD_USAGE
    asyncio.run(_run(chosen, options))
    return 0


async def _run(chosen: Scenario, options: argparse.Namespace) -> None:
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, enough.set)
    async with SimulatedSquare(chosen, options.seed, options.dir, speed=options.speed) as square:
        for endpoint in square.endpoints:
            _say(endpoint)
        try:
            await asyncio.wait_for(enough.wait(), options.duration)
        except TimeoutError:
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cbrn_sim",
        description="Run a square of simulated instruments on serial lines and TCP ports. "
        "Prints one JSON line per instrument (where it is found), then runs until Ctrl-C.",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and leave")
    parser.add_argument("--scenario", default="square", help="which one (default: square)")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("cbrn-sim"),
        help="folder for the serial lines' symlinks (default: ./cbrn-sim)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all chance (default: 1)")
    parser.add_argument("--speed", type=float, default=1.0, help="1 = real time, or faster")
    parser.add_argument("--duration", type=float, help="stop after so many real seconds")
    return parser


def _say(record: object) -> None:
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
