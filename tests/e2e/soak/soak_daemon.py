"""`cbrn-gateway` on the clocks of a soak; it writes down what it told, and how big it is.

`CBRN_SOAK_DIARY` names the file: JSON lines with `kind` told (an alert as it was journalled)
or size (once a second: memory, open files, threads, tasks), both with `passed_s`.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
from e2e.soak.fast_clock import FastClock, SoakTime
from samples.blocking_calls import BlockingCalls

from cbrn_core.times import parse_rfc3339
from cbrn_gateway.cli import main, run
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.live.daemon import Daemon

SIZE_EVERY_S = 1.0
_DIARY = "CBRN_SOAK_DIARY"
_BLOCKED = "CBRN_BLOCKING_CALLS"
_TOLD = (
    *("station", "channel", "kind", "hazard", "agent", "level", "priority", "state", "version"),
    *("value", "text"),
)


class ObservedDaemon(Daemon):
    """The daemon, with an eye on what it tells and how big it grows."""

    def __init__(self, config: SiteConfig, clock: FastClock) -> None:
        super().__init__(config, clock)
        self._time = SoakTime.of_environment()
        self._diary = os.open(os.environ[_DIARY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.outlets.listeners.append(self._told)

    async def run(self) -> None:
        """Run, and look at the own size beside it."""
        looking = asyncio.create_task(self._sizes())
        try:
            await super().run()
        finally:
            looking.cancel()

    def _told(self, alert: dict) -> None:
        properties = alert["properties"]
        said = {name: properties[name] for name in _TOLD}
        said["now"] = properties["machine"]["facts"].get("momentary", properties["value"])
        changed_us = parse_rfc3339(properties["changed_at"])
        age_s = self._time.wall_ns() / 1e9 - changed_us / 1e6
        self._write({"kind": "told", "id": alert["id"], "age_s": age_s, "said": said})

    async def _sizes(self) -> None:
        while True:
            await asyncio.sleep(SIZE_EVERY_S)
            self._write(
                {
                    "kind": "size",
                    "pid": os.getpid(),
                    "resident_bytes": resident_bytes(),
                    "files": open_files(),
                    "threads": threading.active_count(),
                    "tasks": len(asyncio.all_tasks()),
                }
            )

    def _write(self, entry: dict) -> None:
        line = {"passed_s": self._time.passed_s()} | entry
        os.write(self._diary, msgspec.json.encode(line) + b"\n")


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def write_down(text: str) -> None:
    with Path(os.environ[_BLOCKED]).open("a") as file:
        file.write(text)


if __name__ == "__main__":
    run.clock_going_on = FastClock.going_on
    run.Daemon = ObservedDaemon
    with BlockingCalls(write_down):
        main()
