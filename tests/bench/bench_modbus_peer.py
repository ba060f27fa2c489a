"""200 Modbus TCP devices of five values at 1 Hz, through the gateway to a real mosquitto.

One child process holds the devices, the gateway runs as users run it, a subscriber hears
what arrives. CPU is that of the gateway's whole process tree over the window, per value that
arrived in it (estimates, which only ours sends, are not counted as values). Where
CBRN_PEER_VENV or --peer-venv names a virtual environment with `thingsboard-gateway==3.8.5
pymodbus==3.9.2 pyserial pyserial-asyncio`, that gateway gets the same devices, broker and
faults in the same run, configured as it ships (storage in memory, time-out 35 s).

Lost is what was read from a device and is nowhere afterwards: live readings are QoS 0 with
30 s to live by contract, their durable copy is the series store, so that ours is looked for
there; the peer has nothing but MQTT. Alerts of ours must arrive by MQTT.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, parser, run_with
from bench.gateway_runs import Factory, Ours, ThingsBoard
from bench.meter import Record, read_to_arrival_s
from bench.modbus_faults import fault_figures
from bench.modbus_rig import (
    LAST_READS_S,
    changes_in,
    changes_read,
    missed_periods,
    quantile,
    rig,
)

PEER_VENV = "CBRN_PEER_VENV"
DEVICES = 200
FAULTY_DEVICES = 10
SETTLE_S = 15.0

BAR_CPU_US = 100.0
BAR_FIRST_S = 2.0
BAR_RSS_MB = 150.0
BATCH_MS = 30.0
BAR_P99_MS = 50.0 + BATCH_MS


def load_figures(factory: Factory, devices: int, seconds: float) -> list[Figure]:
    """Return what the load costs and how it arrives."""
    with rig(factory, devices) as square:
        name = square.gateway.name
        started_s = time.time()
        square.gateway.start()
        first_s = square.first_s(started_s)
        time.sleep(SETTLE_S)
        everyone_s = max(_first_of_each(square.records(started_s)).values()) - started_s
        begin_s, before = time.time(), square.gateway.weigh()
        time.sleep(seconds)
        end_s, after = time.time(), square.gateway.weigh()
        time.sleep(LAST_READS_S)
        records, late = square.records(begin_s, end_s), square.records(begin_s)
        messages = sum(h[0] < end_s for h in square.meter.since(begin_s))
        reads = square.reads()
        is_ours = square.gateway.is_ours
    wall_s, cpu_s = end_s - begin_s, after.cpu_s - before.cpu_s
    values = sum(record.values for record in records)
    lost = changes_read(reads, begin_s, end_s - LAST_READS_S) - changes_in(late)
    delays_ms = sorted(1e3 * d for r in records if (d := read_to_arrival_s(r)) is not None)

    def figure(what: str, value: float, unit: str, bar: float | None = None) -> Figure:
        judged = bar if is_ours else None
        note = "" if is_ours else "peer"
        return Figure(name=f"{name}: {what}", value=value, unit=unit, bar=judged, note=note)

    return [
        figure("CPU per published value", 1e6 * cpu_s / values, "µs", BAR_CPU_US),
        figure("CPU", 100 * cpu_s / wall_s, "% of one core"),
        figure("memory", after.rss_mb, "MB RSS", BAR_RSS_MB),
        figure("first value after the exec", first_s, "s", BAR_FIRST_S),
        figure("every device heard", everyone_s, "s"),
        figure("values", values / wall_s, "1/s"),
        figure("MQTT messages", messages / wall_s, "1/s"),
        figure("missed periods", missed_periods(reads, begin_s, end_s), "", 0),
        figure("changes read that did not arrive", len(lost), "", 0),
        figure("read to arrival, median", quantile(delays_ms, 0.5), "ms"),
        figure("read to arrival, p99", quantile(delays_ms, 0.99), "ms", BAR_P99_MS),
    ]


def _first_of_each(records: list[Record]) -> dict[int, float]:
    first: dict[int, float] = {}
    for record in records:
        first.setdefault(record.device, record.at_s)
    return first


def peers(venv: Path) -> list[Factory]:
    def by(by_range: bool) -> Factory:
        return lambda folder, ports, mqtt_port: ThingsBoard(
            folder, ports, mqtt_port, venv, by_range=by_range
        )

    return [by(True), by(False)]


def measure(arguments: argparse.Namespace) -> list[Figure]:
    venv: Path | None = arguments.peer_venv
    factories: list[Factory] = [Ours]
    if venv is None:
        print(f"no peer beside it: {PEER_VENV} and --peer-venv are not set", file=sys.stderr)
    else:
        factories += peers(venv)
    wanted: dict[str, Callable[[Factory], list[Figure]]] = {
        "load": lambda factory: load_figures(factory, arguments.devices, arguments.seconds),
        "faults": lambda factory: fault_figures(factory, FAULTY_DEVICES),
    }
    figures = []
    for part, make in wanted.items():
        # the peer's faults do not depend on how it reads: once is enough
        chosen = factories if part == "load" else factories[:2]
        if arguments.only in {None, part}:
            figures += [figure for factory in chosen for figure in make(factory)]
    return figures


if __name__ == "__main__":
    options = parser(__doc__ or "")
    known = os.environ.get(PEER_VENV)
    options.add_argument("--peer-venv", type=Path, default=Path(known) if known else None)
    options.add_argument("--devices", type=int, default=DEVICES)
    options.add_argument("--seconds", type=float, default=60.0, help="of the load's window")
    options.add_argument("--only", choices=("load", "faults"))
    sys.exit(run_with(options, "modbus_peer", __doc__ or "", measure))
