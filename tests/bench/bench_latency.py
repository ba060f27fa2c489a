"""From the last byte on the wire to an alert at a subscriber of a real mosquitto.

The daemon as users run it, 200 instruments on pseudo-terminals at one reading a second
each; every gas module is put into gas once, spread over a minute. An alert names the
reading that raised it; its latency counts from the moment before that reading's frame was
written as a whole. It holds the gathering of 30 ms, the journal's sync and the PUBLISH. Beside it
in the same run: the bare round trip through the same broker with the same client.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiomqtt
import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, run
from bench.live_square import LiveSquare
from bench.square_load import GASES, is_counter
from e2e.servers import Process, free_port, listens, program

from cbrn_core.times import US_PER_S, parse_rfc3339

INSTRUMENTS = 268
LEAST_ALERTS = 200
SETTLE_S = 15.0
SPREAD_S = 60.0
AFTER_S = 30.0
BAR_P99_MS = 100.0
ROUND_TRIPS = 200
STEPS_IN_GAS = {"cl2": 100, "nh3": 900, "h2s": 150}
"""Far above AEGL-2 (10 min) in steps of each module's display."""

ALERTS = "cbrn/v1/bench/square/alert/+"


class _Marks(msgspec.Struct):
    version: int
    kind: str
    station: str | None
    observed_at: str


class _Alert(msgspec.Struct):
    properties: _Marks


class Heard(msgspec.Struct):
    """The first version of one alert, with when it was there (UTC s)."""

    station: str
    observed_s: float
    at_s: float


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Run a bare mosquitto; give its port."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    command = [program("mosquitto", "mosquitto"), "-c", str(config)]
    server = Process("mosquitto", command, folder, lambda: listens(port))
    server.start()
    try:
        yield port
    finally:
        server.stop()


async def hear(client: aiomqtt.Client, heard: list[Heard]) -> None:
    async for message in client.messages:
        at_s = time.time()
        if not isinstance(message.payload, bytes) or not message.payload:
            continue
        marks = msgspec.json.decode(message.payload, type=_Alert).properties
        if marks.version == 1 and marks.kind != "technical" and marks.station is not None:
            observed_s = parse_rfc3339(marks.observed_at) / US_PER_S
            heard.append(Heard(marks.station, observed_s, at_s))


async def alerts(square: LiveSquare, port: int) -> list[Heard]:
    """Put every gas module into gas, one after the other; return the alerts."""
    heard: list[Heard] = []
    gas = [i for i in range(square.instruments) if not is_counter(i)]
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(ALERTS, qos=1)
        listening = asyncio.create_task(hear(client, heard))
        square.start()
        await asyncio.sleep(SETTLE_S)
        for index in gas:
            square.exposed[index] = (time.time(), STEPS_IN_GAS[GASES[index % 4 % 3]])
            await asyncio.sleep(SPREAD_S / len(gas))
        await asyncio.sleep(AFTER_S)
        assert square.pid
        listening.cancel()
    return heard


def latencies_ms(square: LiveSquare, heard: Sequence[Heard]) -> list[float]:
    """Return, per alert, the time since the frame of the reading that raised it."""
    found = []
    for alert in heard:
        sent = square.sent[int(alert.station.removeprefix("st"))]
        frame_s = max((s for s in sent if s <= alert.observed_s), default=None)
        if frame_s is None:
            raise SystemExit(f"{alert.station} alarmed before any frame was sent")
        found.append((alert.at_s - frame_s) * 1e3)
    return sorted(found)


async def round_trips_ms(port: int, payload: bytes) -> list[float]:
    """Return the times from publish to receive, one after the other."""
    found = []
    async with (
        aiomqtt.Client("127.0.0.1", port) as ears,
        aiomqtt.Client("127.0.0.1", port) as mouth,
    ):
        await ears.subscribe("bench/echo", qos=1)
        arrivals = ears.messages
        for _ in range(ROUND_TRIPS):
            start_s = time.perf_counter()
            sending = asyncio.create_task(mouth.publish("bench/echo", payload, qos=1))
            await anext(arrivals)
            found.append((time.perf_counter() - start_s) * 1e3)
            await sending
    return sorted(found)


def at(share: float, ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(_: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, mosquitto(Path(name)) as port:
        square = LiveSquare(INSTRUMENTS, Path(name), f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n')
        try:
            heard = asyncio.run(alerts(square, port))
            measured = latencies_ms(square, heard)
        finally:
            square.stop()
        bare = asyncio.run(round_trips_ms(port, b"x" * 4000))
    if len(measured) < LEAST_ALERTS:
        raise SystemExit(f"only {len(measured)} alerts: not what is to be measured")
    load = f"{INSTRUMENTS} readings/s"
    return [
        Figure(name="alerts", value=len(measured), unit="", note=load),
        Figure(name="wire to subscriber, median", value=at(0.5, measured), unit="ms"),
        Figure(name="wire to subscriber, p95", value=at(0.95, measured), unit="ms"),
        Figure(name="wire to subscriber, p99", value=at(0.99, measured), unit="ms", bar=BAR_P99_MS),
        Figure(name="wire to subscriber, worst", value=measured[-1], unit="ms"),
        Figure(name="bare broker, median", value=at(0.5, bare), unit="ms", note="limit"),
        Figure(name="bare broker, p99", value=at(0.99, bare), unit="ms", note="limit"),
    ]


if __name__ == "__main__":
    sys.exit(run("latency", __doc__ or "", measure))
