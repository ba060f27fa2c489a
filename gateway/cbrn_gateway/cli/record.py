"""`record`: capture what the instruments say, from the daemon or from the wires themselves."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from cbrn_core.errors import ConfigError, DeliveryError, Problem, StorageError
from cbrn_gateway.cli import EXIT_FAILED
from cbrn_gateway.cli.options import site_option
from cbrn_gateway.config.load import load_site
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.wires import devices_by_bus, wire_problems
from cbrn_gateway.live.buses import Buses
from cbrn_gateway.live.control import TapStream, open_tap
from cbrn_gateway.live.data_dir_lock import DataDirLock
from cbrn_gateway.live.inbox import Inbox
from cbrn_gateway.live.system_clock import SystemClock
from cbrn_gateway.live.taps import Tap, Taps, Wanted
from cbrn_gateway.pipeline.drops import DropCounter
from cbrn_gateway.recording import lost_lines, started_us_of
from cbrn_gateway.recording_file import RecordingFile

GATHER_S = 0.03
TELL_EVERY_S = 1.0

Lines = AsyncIterator[bytes]


class _Track(NamedTuple):
    """One stream of lines and the file that it goes into."""

    wanted: Wanted
    file: RecordingFile


class _Tally(msgspec.Struct):
    """How many lines came, by what they are; `lost` did not reach the file."""

    lines: dict[Wanted, int] = msgspec.field(default_factory=lambda: dict.fromkeys(Wanted, 0))
    lost: int = 0


@click.command("record")
@site_option
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the readings go; never overwritten.",
)
@click.option("--raw", is_flag=True, help="Also the octets of every wire, into FILE.raw.")
@click.option(
    "--duration",
    "duration_s",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds to record (default: until told to stop).",
)
def command(site_file: Path, out: Path, *, raw: bool, duration_s: float | None) -> None:
    """Record readings into FILE (JSON Lines) until Ctrl-C, SIGTERM or --duration.

    Where the daemon runs in data_dir, what goes into its pipeline is recorded and no
    instrument is opened; else the instruments are read here, without judging them.
    `replay` takes the file.

    Exit 1 when lines were lost (a gap stands in the file where they were), the file could
    not be written, or the daemon ended before the recording.
    """
    config = load_site(site_file, allow_simulated=True)
    tally = _Tally()
    with ExitStack() as files:
        tracks = [_Track(Wanted.READINGS, _opened(files, out))]
        if raw:
            tracks.append(_Track(Wanted.WIRE, _opened(files, out.with_name(f"{out.name}.raw"))))
        ended_early = asyncio.run(_record(config, tracks, tally, duration_s))
    tally.lost += sum(track.file.lost for track in tracks)
    pieces = f", {tally.lines[Wanted.WIRE]} pieces of wire traffic" if raw else ""
    click.echo(f"{tally.lines[Wanted.READINGS]} readings recorded in {out}{pieces}", err=True)
    if tally.lost:
        click.echo(f"{tally.lost} lines lost: something was too slow to take them", err=True)
    if ended_early:
        click.echo("the daemon ended before the recording did", err=True)
    if tally.lost or ended_early:
        sys.exit(EXIT_FAILED)


def _opened(files: ExitStack, path: Path) -> RecordingFile:
    file = RecordingFile(path)
    files.callback(file.close)
    return file


async def _record(
    config: SiteConfig, tracks: list[_Track], tally: _Tally, duration_s: float | None
) -> bool:
    """Record until told to stop; return whether the daemon ended before that."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    stream = await open_tap(config.data_dir, Wanted.READINGS)
    if stream is None:
        click.echo("no daemon runs here: reading the instruments directly", err=True)
        work = _from_wires(config, tracks, tally)
    else:
        click.echo(f"recording what the daemon in {config.data_dir} takes in", err=True)
        work = _from_daemon(config, stream, tracks, tally)
    recording = asyncio.ensure_future(work)
    telling = asyncio.ensure_future(_tell(tracks, tally))
    stopping = asyncio.ensure_future(_stop(stopped, duration_s))
    tasks = (recording, telling, stopping)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return stopping not in done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stop(stopped: asyncio.Event, duration_s: float | None) -> None:
    try:
        async with asyncio.timeout(duration_s):
            await stopped.wait()
    except TimeoutError:
        return


async def _from_daemon(
    config: SiteConfig, readings: TapStream, tracks: list[_Track], tally: _Tally
) -> None:
    """Record what the daemon tells, until it ends."""
    async with asyncio.TaskGroup() as tasks:
        for track in tracks:
            stream: TapStream | None = readings
            if track.wanted is not Wanted.READINGS:
                stream = await open_tap(config.data_dir, track.wanted)
            if stream is not None:
                tasks.create_task(_keep(stream.lines(), track, tally))


async def _from_wires(config: SiteConfig, tracks: list[_Track], tally: _Tally) -> None:
    """Read the instruments without a pipeline, until cancelled.

    The lock keeps a daemon from starting beside: it would not get its instruments.
    """
    problems = wire_problems(config)
    if not devices_by_bus(config.model.devices.values()):
        problems = [Problem("device", "no instrument with a wire: there is nothing to record")]
    if problems:
        raise ConfigError(problems)
    clock, drops = SystemClock(), DropCounter()
    inbox = Inbox(clock, drops)
    taps = Taps(config.model, clock)
    buses = Buses(inbox, clock, taps.listen)
    buses.join(buses.plan(config.model.devices.values()).new)
    with DataDirLock(config.data_dir, "record"):
        taps.begin(clock.now().steady_us)
        async with asyncio.TaskGroup() as tasks:
            for track in tracks:
                lines = _lines_of_tap(taps.add(track.wanted))
                tasks.create_task(_keep(lines, track, tally))
            tasks.create_task(buses.run())
            tasks.create_task(_pass_on(inbox, taps, drops, tally))


async def _pass_on(inbox: Inbox, taps: Taps, drops: DropCounter, tally: _Tally) -> None:
    dropped = 0
    while True:
        await inbox.wait(None)
        await asyncio.sleep(GATHER_S)
        taps.turn(*inbox.take())
        tally.lost += sum(drops.counts().values()) - dropped
        dropped = sum(drops.counts().values())


async def _keep(lines: Lines, track: _Track, tally: _Tally) -> None:
    """Put every line into its file; the first one of readings says when it began."""
    has_header = track.wanted is not Wanted.READINGS
    async for line in lines:
        if not has_header and started_us_of(line) is None:
            raise DeliveryError("the daemon does not know how to be recorded: another version?")
        track.file.put(line)
        lost = lost_lines(line)
        tally.lost += lost
        tally.lines[track.wanted] += has_header and not lost
        has_header = True


async def _lines_of_tap(tap: Tap) -> Lines:
    while True:
        for line in (await tap.take()).splitlines():
            yield line


async def _tell(tracks: list[_Track], tally: _Tally) -> None:
    """Show progress on a terminal; stop when a file cannot be written."""
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        for track in tracks:
            if track.file.error is not None:
                raise StorageError(f"{track.file.path}: {track.file.error}")
        if sys.stderr.isatty():
            lost = tally.lost + sum(track.file.lost for track in tracks)
            click.echo(
                f"\r{tally.lines[Wanted.READINGS]} readings, {lost} lost ", nl=False, err=True
            )
