"""Start, memory and CPU of the daemon as users run it: 200 instruments on pseudo-terminals.

Start counts from the exec to the first reading that is stored. CPU is that of the whole
process, event loop and 200 serial ports included; InfluxDB is configured and away, so that
every row is spooled. Beside it in the same run: a bare interpreter, and one with numpy.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import Figure, parser, run_with
from bench.live_square import READY_S, LiveSquare, memory_mb

from cbrn_core.errors import StorageError
from cbrn_gateway.store.series import SeriesReader

INSTRUMENTS = 200
SETTLE_S = 10.0
FILL_S = 150.0
"""The files' page caches are then full: 2 MB each, as the stores bound them."""

BAR_HELP_S = 1.0
BAR_START_S = 3.0
BAR_RSS_MB = 150.0
BAR_GROWTH_MB = 2.0
AWAY = '[influx]\nurl = "http://127.0.0.1:9"\n'
_RUNS = 5


def least_s(command: Sequence[str]) -> float:
    """Return the least wall seconds of five runs."""
    walls_s = []
    for _ in range(_RUNS):
        start_s = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        walls_s.append(time.perf_counter() - start_s)
    return min(walls_s)


def interpreter_mb(statement: str) -> float:
    """Return the memory of an interpreter after a statement."""
    code = f"{statement}; print(open('/proc/self/status').read())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return memory_mb(said.stdout, "VmRSS")


def first_reading_s(square: LiveSquare, started_s: float) -> float:
    """Return the seconds from the exec to the first stored reading."""
    while time.perf_counter() - started_s < READY_S:
        if square.pid and readings_in(square) > 0:
            return time.perf_counter() - started_s
        time.sleep(0.01)
    raise SystemExit("no reading was stored within a minute")


def readings_in(square: LiveSquare) -> int:
    """Return how many readings are stored."""
    try:
        reader = SeriesReader(square.folder / "series.db")
    except StorageError:
        return 0
    try:
        return sum(reader.counts().values())
    finally:
        reader.close()


def daemon_figures(soak_s: float) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        square = LiveSquare(INSTRUMENTS, Path(name), AWAY)
        try:
            started_s = time.perf_counter()
            square.start()
            start_s = first_reading_s(square, started_s)
            time.sleep(SETTLE_S)
            early_mb = square.memory_mb("VmRSS")
            time.sleep(FILL_S)
            full_mb, cpu_s, readings = square.memory_mb("VmRSS"), square.cpu_s, readings_in(square)
            time.sleep(soak_s)
            cpu_s, readings = square.cpu_s - cpu_s, readings_in(square) - readings
            late_mb, peak_mb = square.memory_mb("VmRSS"), square.memory_mb("VmHWM")
        finally:
            square.stop()
    if readings < 0.99 * INSTRUMENTS * soak_s:
        raise SystemExit(f"only {readings} readings in {soak_s} s: not what is to be measured")
    return [
        Figure(name="start to the first stored reading", value=start_s, unit="s", bar=BAR_START_S),
        Figure(name="memory after the start", value=early_mb, unit="MB RSS"),
        Figure(name="memory, caches full", value=full_mb, unit="MB RSS", bar=BAR_RSS_MB),
        Figure(
            name=f"growth in the next {soak_s:g} s at {INSTRUMENTS} readings/s",
            value=late_mb - full_mb,
            unit="MB RSS",
            bar=BAR_GROWTH_MB,
        ),
        Figure(name="greatest memory", value=peak_mb, unit="MB RSS"),
        Figure(name="CPU, whole process", value=cpu_s / readings * 1e6, unit="µs/reading"),
        Figure(name="CPU, whole process", value=100 * cpu_s / soak_s, unit="% of one core"),
    ]


def measure(arguments: argparse.Namespace) -> list[Figure]:
    program = str(Path(sys.executable).with_name("cbrn-gateway"))
    bare, numpy = [sys.executable, "-c", "pass"], [sys.executable, "-c", "import numpy"]
    return [
        Figure(
            name="cbrn-gateway --help", value=least_s([program, "--help"]), unit="s", bar=BAR_HELP_S
        ),
        Figure(name="bare interpreter", value=least_s(bare), unit="s", note="limit"),
        Figure(name="interpreter with numpy", value=least_s(numpy), unit="s", note="limit"),
        *daemon_figures(arguments.soak),
        *(
            Figure(name=name, value=interpreter_mb(statement), unit="MB RSS", note="limit")
            for name, statement in (("bare interpreter", "pass"), ("with numpy", "import numpy"))
        ),
    ]


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--soak", type=float, default=60.0, metavar="S", help="seconds of load")
    sys.exit(run_with(options, "footprint", __doc__ or "", measure))
