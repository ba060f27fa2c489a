"""`record` over real wires: from a running daemon, and from the instruments themselves."""

import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from samples.site_samples import instruments, site_head

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.control import is_running
from cbrn_gateway.recording import RecordingReader
from cbrn_gateway.replay.replay import replay
from cbrn_gateway.store.journal_file import JournalReader
from cbrn_sim.fittings import Family
from cbrn_sim.scenarios import scenario
from cbrn_sim.square_sim import SimulatedSquare

CBRN_GATEWAY = str(Path(sys.executable).with_name("cbrn-gateway"))
DEADLINE_S = 40
KEPT = {Family.GMC, Family.WINDSONIC, Family.XCD}


class Running:
    """A `cbrn-gateway` process; its standard error is kept in a file."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    async def end(self):
        self.process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)


@asynccontextmanager
async def gateway(log, *arguments):
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            CBRN_GATEWAY, *map(str, arguments), stdout=stream, stderr=stream
        )
    try:
        yield Running(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def square_site(tmp_path):
    """A simulated square and a site file for some of its instruments, one family each."""
    async with SimulatedSquare(scenario("square"), 1, tmp_path / "wires") as square:
        chosen = {e.family: e for e in square.endpoints if e.family in KEPT}
        site_file = tmp_path / "site.toml"
        head = site_head("gw-1", "varde", "torg", tmp_path / "data")
        site_file.write_text(head + instruments(chosen.values()))
        yield site_file


async def until(condition, what):
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - another process's file has no event
            await asyncio.sleep(0.05)
    assert condition(), what


def lines_of(path):
    return path.read_bytes().splitlines() if path.exists() else []


def stations_in(path):
    return {json.loads(line)["station"] for line in lines_of(path)[1:]}


def told_of(alert):
    said = alert["properties"]
    return (alert["id"], *(said[name] for name in ("version", "state", "level", "observed_at")))


async def door_is_open(site_file):
    folder = load_site(site_file).data_dir
    async with asyncio.timeout(DEADLINE_S):
        while not await is_running(folder):  # noqa: ASYNC110 - nor has its socket
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_a_running_daemon_is_recorded_and_its_recording_replays(tmp_path):
    out = tmp_path / "day.jsonl"
    async with (
        square_site(tmp_path) as site_file,
        gateway(tmp_path / "run.log", "run", "-c", site_file) as daemon,
    ):
        await door_is_open(site_file)
        async with gateway(tmp_path / "r.log", "record", "-c", site_file, "-o", out) as record:
            await until(lambda: len(stations_in(out)) == 3, "every station is heard")
            assert await record.end() == 0
        told = record.log.read_text()
        assert f"{len(lines_of(out)) - 1} readings recorded" in told
        assert daemon.process.returncode is None, "being listened to does not end a daemon"
        assert await daemon.end() == 0
    header = json.loads(lines_of(out)[0])
    config = load_site(tmp_path / "site.toml")
    assert header["schema"] == "cbrn-recording/1"
    assert (header["gateway"], header["config_hash"]) == ("gw-1", config.model.config_hash)
    reader = RecordingReader(out)
    readings = list(reader.readings())
    assert reader.rejected == {}
    received = [reading.received_us for reading in readings]
    assert received == sorted(received), "in the order of the pipeline's steady clock"
    assert reader.started_us <= received[0]
    summary = replay(config, RecordingReader(out), tmp_path / "replayed")
    assert summary.readings_used == len(readings)
    replayed = [told_of(json.loads(line)) for line in lines_of(tmp_path / "replayed/alerts.jsonl")]
    journal = JournalReader(tmp_path / "data/journal.db")
    live = [told_of(entry.decode()) for entry in journal.entries() if entry.type == "alert"]
    journal.close()
    assert replayed, "a site that is not in service says so at once"
    assert replayed == live[: len(replayed)]


@pytest.mark.asyncio
async def test_without_a_daemon_the_instruments_are_read_directly(tmp_path):
    out = tmp_path / "day.jsonl"
    raw = tmp_path / "day.jsonl.raw"
    async with square_site(tmp_path) as site_file:
        command = ("record", "-c", site_file, "-o", out, "--raw")
        async with gateway(tmp_path / "r.log", *command) as record:
            await until(lambda: len(stations_in(out)) == 3, "every station is heard")
            async with gateway(tmp_path / "run.log", "run", "-c", site_file) as daemon:
                assert await asyncio.wait_for(daemon.process.wait(), DEADLINE_S) == 1
            assert "in use by another gateway (record, process" in daemon.log.read_text()
            assert await record.end() == 0
    rows = [json.loads(line) for line in lines_of(raw)]
    assert all(set(row) == {"time", "device", "bus", "direction", "hex"} for row in rows)
    devices = {device.id for device in load_site(tmp_path / "site.toml").model.devices.values()}
    heard = Counter((row["device"], row["direction"]) for row in rows)
    assert {device for device, direction in heard if direction == "rx"} == devices
    gmc = next(device for device in devices if "gmc" in device)
    sent = [bytes.fromhex(r["hex"]) for r in rows if (r["device"], r["direction"]) == (gmc, "tx")]
    assert b"<GETVER>>" in sent


@pytest.mark.asyncio
async def test_the_wires_of_a_running_daemon_are_overheard(tmp_path):
    out = tmp_path / "day.jsonl"
    raw = tmp_path / "day.jsonl.raw"
    async with (
        square_site(tmp_path) as site_file,
        gateway(tmp_path / "run.log", "run", "-c", site_file),
    ):
        await door_is_open(site_file)
        command = ("record", "-c", site_file, "-o", out, "--raw")
        async with gateway(tmp_path / "r.log", *command) as record:
            await until(
                lambda: {json.loads(line)["direction"] for line in lines_of(raw)} == {"rx", "tx"},
                "both directions are overheard",
            )
            assert await record.end() == 0


@pytest.mark.asyncio
async def test_a_recording_whose_daemon_ends_says_so_and_fails(tmp_path):
    out = tmp_path / "day.jsonl"
    async with (
        square_site(tmp_path) as site_file,
        gateway(tmp_path / "run.log", "run", "-c", site_file) as daemon,
    ):
        await door_is_open(site_file)
        async with gateway(tmp_path / "r.log", "record", "-c", site_file, "-o", out) as record:
            await until(lambda: stations_in(out), "something is recorded")
            assert await daemon.end() == 0
            assert await asyncio.wait_for(record.process.wait(), DEADLINE_S) == 1
    assert "the daemon ended before the recording did" in record.log.read_text()
    assert list(RecordingReader(out).readings())


@pytest.mark.asyncio
async def test_two_daemons_on_one_data_dir_are_refused_until_the_first_is_gone(tmp_path):
    async with square_site(tmp_path) as site_file:
        async with gateway(tmp_path / "run.log", "run", "-c", site_file) as first:
            await door_is_open(site_file)
            async with gateway(tmp_path / "second.log", "run", "-c", site_file) as second:
                assert await asyncio.wait_for(second.process.wait(), DEADLINE_S) == 1
            told = second.log.read_text()
            assert f"in use by another gateway (run, process {first.process.pid})" in told
            assert "Traceback" not in told
            assert await is_running(load_site(site_file).data_dir), "the first goes on"
            first.process.kill()
            await first.process.wait()
        async with gateway(tmp_path / "third.log", "run", "-c", site_file) as third:
            await door_is_open(site_file)
            assert await third.end() == 0
    assert "NOT IN SERVICE" in third.log.read_text()
    assert "alerts list -c" in third.log.read_text()
