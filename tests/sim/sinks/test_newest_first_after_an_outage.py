"""After an outage of the database a dashboard sees what is now before all that has waited."""

import asyncio
from typing import Self

import msgspec
import pytest
from e2e.servers import free_port
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head, table

from cbrn_core.units import Unit
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live import links
from cbrn_gateway.sinks.influx import InfluxSink
from cbrn_gateway.store.spool import SpoolReader

BATCH_ROWS = 40
BACKLOG_ROWS = 8 * BATCH_ROWS


class WriteApi:
    """`async with` it: the v2 write call over real HTTP; keeps the lines of each request.

    It is down until it listens. Each request waits for a permission, so that more can be
    measured meanwhile.
    """

    def __init__(self, port: int) -> None:
        self.requests: list[list[bytes]] = []
        self.permissions = asyncio.Semaphore(0)
        self.port = port
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.allow(1000)
        if self._server is not None:
            self._server.close()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def allow(self, requests: int) -> None:
        for _ in range(requests):
            self.permissions.release()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                await self.permissions.acquire()
                self.requests.append(body.split(b"\n"))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def readings_of(lines: list[bytes]) -> list[float]:
    """Return the values of the readings among lines, as they stand there."""
    return [
        float(line.split(b" ")[1].split(b",")[0].removeprefix(b"value="))
        for line in lines
        if line.startswith(b"chemical")
    ]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    read = links.influx_settings.settings_from_table

    def small(*what):
        return msgspec.structs.replace(read(*what), batch_rows=BATCH_ROWS, live_rows=20)

    monkeypatch.setattr(links.influx_settings, "settings_from_table", small)
    monkeypatch.setattr(links, "MOST_WAIT_S", 0.5)


@pytest.mark.asyncio
async def test_newest_readings_go_first_and_every_one_arrives(tmp_path):
    site = tmp_path / "site.toml"
    api = WriteApi(free_port())
    database = table("influx", {"url": f"http://127.0.0.1:{api.port}"})
    site.write_text(site_head("gw", "varde", "torg", "kept") + database + chlorine())
    here = DaemonHere(load_site(site))
    waited = [0.001 * number for number in range(1, BACKLOG_ROWS + 1)]
    async with api, here:
        for value in waited:
            here.put("cl2", value, Unit.PPM)
        await here.until(lambda: spooled(here) > BACKLOG_ROWS, "a backlog in the spool")
        await measure(here, 8.0)
        attempts = restarts(here)
        await here.until(lambda: restarts(here) >= attempts + 2, "vain attempts meanwhile")
        await api.listen()
        api.allow(2)
        await here.until(lambda: len(api.requests) >= 2, "the first two requests")
        assert readings_of(api.requests[0])[-1] == 8.0
        assert readings_of(api.requests[1])[0] == waited[0]

        # while the backlog drains, what is measured now goes ahead of it, once
        await measure(here, 9.0)
        api.allow(3)
        await here.until(lambda: len(api.requests) >= 5, "three more")
        then = [readings_of(request) for request in api.requests[2:5]]
        assert sum(9.0 in values for values in then) == 1
        assert not any(8.0 in values for values in then)

        api.allow(1000)
        await here.until(lambda: not spooled(here), "an empty spool")
    points = [line for request in api.requests for line in request]
    assert sorted(set(readings_of(points))) == [*waited, 8.0, 9.0]
    # what was shown early comes once more in its turn, as the very same point
    assert len({line for line in points if line.startswith(b"chemical")}) == BACKLOG_ROWS + 2


async def measure(here: DaemonHere, value_ppm: float) -> None:
    """Measure something and wait until the sink has heard of it."""
    here.put("cl2", value_ppm, Unit.PPM)
    await here.until(lambda: value_ppm in readings_of(list(sink(here)._live)), "it at the sink")


def sink(here: DaemonHere) -> InfluxSink:
    (found,) = [found for found in here.daemon.setup.sinks if "influx" in found.supervisors()]
    return found._sinks["influx"][0]


def restarts(here: DaemonHere) -> int:
    return here.daemon.health()["influx.restarts"]


def spooled(here: DaemonHere) -> int:
    """Return how many lines wait in the file."""
    reader = SpoolReader(here.daemon.setup.config.data_dir / "spool.db")
    try:
        return reader.fill().rows
    finally:
        reader.close()
