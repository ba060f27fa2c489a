"""One run of the demo, from its wires to its picture."""

import asyncio
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cbrn_core.errors import StorageError
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.demo import report
from cbrn_gateway.demo.broker import Broker, demo_broker
from cbrn_gateway.demo.news import Newsroom, card
from cbrn_gateway.demo.output import Output
from cbrn_gateway.demo.screen import Screen
from cbrn_gateway.demo.site_file import site_text
from cbrn_gateway.demo.tally import Tally
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare

PROGRESS_S = 1.0
ALL_READ_S = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wanted(NamedTuple):
    """What the command line asked for; `started_s` on the monotonic clock."""

    scenario: str
    duration_s: float
    port: int
    seed: int
    headless: bool
    as_json: bool
    out: Path
    started_s: float


async def run_demo(wanted: Wanted) -> None:
    """Run until the time is over or a signal comes; everything is ended and tidied then.

    Raises:
        ConfigError: the folder for the results cannot be used.
        ConnectFailed: the port is taken.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # nohup: it is to outlive its terminal
        loop.add_signal_handler(number, ended.set)
    screen = Screen(as_json=wanted.as_json, quiet=wanted.headless, on_broken_pipe=ended.set)
    with (
        screen,
        Output(wanted.out, warn=screen.warn) as output,
        tempfile.TemporaryDirectory(prefix="cbrn-demo-") as folder,
    ):
        async with (
            demo_broker(Path(folder), wanted.port, say=screen.warn) as broker,
            SimulatedSquare(
                scenario(wanted.scenario), wanted.seed, Path(folder) / "wires"
            ) as square,
        ):
            config = _config(square, broker, Path(folder))
            for line in report.opening(square, broker, wanted.duration_s):
                screen.say(line)
            await Run(wanted, square, config, screen=screen, output=output).until(ended)


def _config(square: SimulatedSquare, broker: Broker, folder: Path) -> SiteConfig:
    site_file = folder / "site.toml"
    text = site_text(square.scenario, square.endpoints, folder / "data", broker)
    site_file.write_text(text, encoding="utf-8")
    return load_site(site_file, allow_simulated=True)


class Run:
    """The daemon over a simulated square, and what people see of it."""

    def __init__(
        self,
        wanted: Wanted,
        square: SimulatedSquare,
        config: SiteConfig,
        *,
        screen: Screen,
        output: Output,
    ) -> None:
        self._wanted = wanted
        self._square = square
        self._config = config
        self._screen = screen
        self._output = output
        self._tally = Tally()
        self._newsroom = Newsroom()
        self._daemon = Daemon(config, SystemClock())
        self._daemon.outlets.listeners.append(self._on_alert)
        self._daemon.outlets.sample_listeners.append(self._tally.take_samples)
        self._all_read_said = False

    async def until(self, ended: asyncio.Event) -> None:
        """Run, then tell what became of it; raises what the daemon raised."""
        daemon = asyncio.create_task(self._daemon.run())
        progress = asyncio.create_task(self._tell_progress())
        ending = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait(
                (daemon, ending),
                timeout=self._wanted.duration_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in (progress, ending, daemon):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await daemon
        self._screen.end_progress()
        self._tell_end()

    def _on_alert(self, alert: dict[str, object]) -> None:
        after_s = self._since_start_s()
        self._tally.take_alert(alert, self._square.elapsed_s())
        self._output.add_alert(alert)
        self._screen.record(alert)
        news = self._newsroom.news(alert)
        if news is not None:
            self._screen.alert(card(alert, news, self._config.model), after_s)

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            elapsed_s = self._square.elapsed_s()
            self._tell_instruments(elapsed_s)
            words = report.progress(self._tally, len(self._square.endpoints))
            self._screen.progress(elapsed_s, self._wanted.duration_s, words)

    def _tell_instruments(self, elapsed_s: float) -> None:
        """Say once that all instruments are read, or which are not after a while."""
        missing = report.unread(self._square.endpoints, self._tally)
        if self._all_read_said or (missing and elapsed_s < ALL_READ_S):
            return
        self._all_read_said = True
        self._screen.say(report.instruments(self._square.endpoints, self._tally))

    def _tell_end(self) -> None:
        picture = self._output.picture(self._config.model, self._square, self._tally)
        if self._wanted.headless:
            return
        self._screen.say()
        rows = report.alarm_rows(self._tally, self._config.model)
        if rows:
            self._screen.table("Alarms (newest version of each)", report.ALARM_HEAD, rows)
        self._screen.say()
        for line in report.closing(self._square, self._tally, self._daemon.health()):
            self._screen.say(line)
        with suppress(StorageError):
            self._screen.say(report.delivery(self._config.data_dir))
        for line in (*self._output.said(), *picture):
            self._screen.say(line)

    def _since_start_s(self) -> float:
        return time.monotonic() - self._wanted.started_s
