"""200 Modbus TCP devices × 5 values, 200 serial ports and 50 BLE wearables, all at 1 Hz at once.

The gateway runs as users run it, with a real mosquitto; devices, modules on pseudo-terminals
and a simulated BlueZ on a private D-Bus are processes of their own. A period is missed where
two samples of a channel in the series store lie more than 1.5 s apart. Then the same without
the wearables, with a series store that keeps 17 s, so that retention cuts it down all the time.
Latency is from a device's answer to the subscriber: the 30 ms of gathering are the batch.
The CPU is that of the whole process, event loop, stores and MQTT included. `--seconds 600`
is the run of the acceptance.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.bench_latency import mosquitto
from bench.figures import Figure, parser, run_with
from bench.gateway_runs import Ours
from bench.meter import Meter, read_to_arrival_s
from bench.modbus_field import FieldProcess
from bench.modbus_rig import MISSED_AFTER, quantile
from bench.serial_field import SerialField
from samples.old_series import OLD_CHANNELS, fill_with_old_rows, one_number
from sim.ble.air import address

from cbrn_core.times import US_PER_S
from cbrn_gateway.store.series import SeriesReader
from cbrn_sim.ble.private_bus import PrivateBus
from cbrn_sim.ble.process import BlueZProcess
from cbrn_sim.ble.strap import Strap

DEVICES = 200
SERIAL_PORTS = 200
WEARABLES = 50
SETTLE_S = 25.0
PATIENCE_S = 60.0
COMMIT_S = 1.0
GASES = ("cl2", "nh3", "h2s")

BATCH_MS = 30.0
BAR_P99_MS = 50.0 + BATCH_MS
BAR_CPU_US = 50.0
BAR_RSS_MB = 150.0
BUSY_STORE_S = 60.0
ROLLED_UP = "no wearables, under roll-up"
SHORT_MEMORY = "[store]\nseries_most_days = 0.0002\n"
"""17 s: retention always has something to take away."""

OLD_SECONDS = 4_000

Times = dict[tuple[str, str], list[int]]


class Crowd:
    """One run: everything that speaks, and the gateway that hears it."""

    def __init__(self, folder: Path, mqtt_port: int, more: str, bus_address: str) -> None:
        self.field = FieldProcess(0, DEVICES, folder)
        self.field.start()
        self.modules = SerialField(SERIAL_PORTS)
        run_folder = folder / "gateway"
        run_folder.mkdir()
        self.gateway = _OnBus(run_folder, self.field.ports, mqtt_port, self._site(more))
        self.gateway.bus_address = bus_address
        self.data_dir = run_folder / "data"
        self.meter = Meter(mqtt_port, list(self.gateway.topics), None)

    def close(self) -> None:
        self.gateway.end()
        self.meter.close()
        self.modules.kill()
        self.field.kill()

    def latencies_ms(self, begin_s: float, end_s: float) -> list[float]:
        heard = (h for h in self.meter.since(begin_s) if h[0] < end_s)
        records = (record for one in heard for record in self.gateway.records(one))
        return sorted(1e3 * d for r in records if (d := read_to_arrival_s(r)) is not None)

    def times(self, begin_s: float, end_s: float, after_row: int) -> Times:
        """Return when each channel was measured (µs) as the series store has it."""
        found: Times = {}
        reader = SeriesReader(self.data_dir / "series.db")
        try:
            for readings, _ in reader.samples_after(after_row):
                for r in readings:
                    if begin_s <= r.time_us / US_PER_S < end_s:
                        found.setdefault(r.key, []).append(r.time_us)
        finally:
            reader.close()
        return found

    def _site(self, more: str) -> str:
        parts = [more]
        for number, port in enumerate(self.modules.ports):
            parts.append(
                f'[[station]]\nid = "p{number:03}"\n'
                f"position = {{ lat = {59.92 + number * 1e-4:.5f}, lon = 10.73, height_m = 3 }}\n"
                f'[[device]]\nid = "module{number:03}"\nstation = "p{number:03}"\n'
                f'driver = "chemical.winsen_ze03"\ngas = "{GASES[number % 3]}"\nwarm_up_s = 0\n'
                f'port = "{port}"\n'
            )
        return "".join(parts)


class _OnBus(Ours):
    """The gateway, with the private D-Bus as the system's."""

    bus_address = ""

    def environment(self) -> dict[str, str]:
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus_address}


def wearables() -> str:
    """Return the tables of the straps; more links than a real adapter has, for the load."""
    return "".join(
        f'[[station]]\nid = "w{number:02}"\nmobile = true\n'
        f'[[device]]\nid = "strap{number:02}"\nstation = "w{number:02}"\n'
        f'driver = "wearable.heart_rate"\naddress = "{address(number)}"\n'
        "links_most = 64\nbattery = false\n"
        for number in range(WEARABLES)
    )


async def with_wearers(seconds: float) -> list[Figure]:
    with PrivateBus() as bus:
        async with BlueZProcess(bus.address) as bluez:
            straps = [
                Strap(address=address(n), bpm=60 + n, battery_pct=None) for n in range(WEARABLES)
            ]
            await bluez.put(*straps)
            return await crowd_figures("all at once", seconds, wearables(), bus.address, WEARABLES)


async def crowd_figures(
    name: str, seconds: float, more: str = "", bus_address: str = "", wearers: int = 0
) -> list[Figure]:
    is_cut_down, is_rolled_up = SHORT_MEMORY in more, name == ROLLED_UP
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as port:
        crowd = Crowd(Path(folder), port, more, bus_address)
        try:
            if is_rolled_up:
                crowd.data_dir.mkdir()
                fill_with_old_rows(crowd.data_dir / "series.db", OLD_SECONDS)
            crowd.gateway.start()
            await asyncio.sleep(SETTLE_S)
            begin_s, before = time.time(), crowd.gateway.weigh()
            await asyncio.sleep(seconds)
            end_s, after = time.time(), crowd.gateway.weigh()
            await asyncio.sleep(COMMIT_S)
            delays_ms = crowd.latencies_ms(begin_s, end_s)
            times = crowd.times(begin_s, end_s, OLD_CHANNELS * OLD_SECONDS * is_rolled_up)
            if is_rolled_up:
                _require_rolling(crowd.data_dir)
        finally:
            crowd.close()
    channels = 5 * DEVICES + SERIAL_PORTS + wearers
    readings = channels * (end_s - begin_s)
    figures = [
        Figure(
            name=f"{name}: CPU per reading",
            value=1e6 * (after.cpu_s - before.cpu_s) / readings,
            unit="µs",
            bar=BAR_CPU_US,
            note=f"{channels} readings/s",
        ),
        Figure(
            name=f"{name}: memory",
            value=after.rss_mb,
            unit="MB RSS",
            bar=None if wearers else BAR_RSS_MB,
        ),
        Figure(name=f"{name}: read to arrival, median", value=quantile(delays_ms, 0.5), unit="ms"),
        Figure(
            name=f"{name}: read to arrival, p99",
            value=quantile(delays_ms, 0.99),
            unit="ms",
            bar=BAR_P99_MS,
        ),
    ]
    if is_cut_down:
        share = sum(map(len, times.values())) / readings
        if share > 0.9:
            raise SystemExit("retention has cut nothing down: not what is to be measured")
        return figures
    return [*_missed(name, times, channels, begin_s, end_s), *figures]


def _require_rolling(data_dir: Path) -> None:
    chunks = one_number(data_dir, "SELECT COUNT(*) FROM chunks")
    if (
        not chunks
        or one_number(data_dir, "SELECT MIN(row) FROM head") >= OLD_CHANNELS * OLD_SECONDS
    ):
        raise SystemExit("the roll-up was over, or had not begun: not what is to be measured")


def _missed(name: str, times: Times, channels: int, begin_s: float, end_s: float) -> list[Figure]:
    kinds = {"st": "Modbus TCP", "p": "serial", "w": "Bluetooth"}
    if len(times) != channels:
        raise SystemExit(f"{len(times)} of {channels} channels reported at all")
    figures = []
    for prefix, kind in kinds.items():
        of_kind = [t for (station, _), t in times.items() if station.rstrip("0123456789") == prefix]
        if of_kind:
            missed = sum(_passed_over(t, begin_s, end_s) for t in of_kind)
            of = f"of {round(len(of_kind) * (end_s - begin_s))}"
            figures.append(
                Figure(name=f"{name}: missed periods, {kind}", value=missed, unit=of, bar=0)
            )
    return figures


def _passed_over(times_us: Sequence[int], begin_s: float, end_s: float) -> int:
    edges_s = [begin_s, *(t / US_PER_S for t in sorted(times_us)), end_s]
    gaps_s = (later - earlier for earlier, later in pairwise(edges_s))
    return sum(round(gap_s) - 1 for gap_s in gaps_s if gap_s >= MISSED_AFTER)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    async def all_three() -> list[Figure]:
        return [
            *await with_wearers(arguments.seconds),
            *await crowd_figures("no wearables, under retention", BUSY_STORE_S, SHORT_MEMORY),
            *await crowd_figures(ROLLED_UP, BUSY_STORE_S),
        ]

    return asyncio.run(all_three())


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--seconds", type=float, default=60.0, help="of the window")
    sys.exit(run_with(options, "crowd", __doc__ or "", measure))
