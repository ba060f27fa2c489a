"""What a gateway makes of a device that hangs or dies, and of a broker that is cut off."""

import signal
import time

from bench.figures import Figure
from bench.gateway_runs import Factory, Ours
from bench.meter import alert_marks
from bench.modbus_rig import Changes, Rig, changes_in, changes_read, rig

SETTLE_S = 12.0
HUNG_S = 40.0
DEAD_S = 60.0
STEADY_S = 10.0
FROZEN_S = 30.0
CUT_S = 5.0
OUTAGE_S = 30.0
DRAIN_S = 20.0
UNCOMMITTED_S = 0.2
"""What a crash may cost by contract: readings of the last 200 ms."""

BAR_FLAGGED_S = 5.0
BAR_RECOVERY_S = 3.0

CONNECT, DISCONNECT = "v1/gateway/connect", "v1/gateway/disconnect"


class Faults:
    """The faults of one gateway, one after the other; each returns its figures."""

    def __init__(self, square: Rig, devices: int) -> None:
        self._square = square
        self._odd = devices - 1
        self._ours = square.gateway if isinstance(square.gateway, Ours) else None

    def hung(self) -> list[Figure]:
        """A device takes connections and answers nothing for 40 s."""
        square = self._square
        square.odd_one.send(signal.SIGSTOP)
        stopped_s = time.time()
        time.sleep(HUNG_S)
        flags = self._flags(stopped_s)
        square.odd_one.send(signal.SIGCONT)
        back_s = square.first_s(time.time(), self._odd)
        figures = [
            self._figure("hung device: told within", flags[0] - stopped_s, "s", BAR_FLAGGED_S)
            if flags
            else self._never(f"hung device: told within {HUNG_S:g} s")
        ]
        return [
            *figures,
            self._figure("hung device: told again, or taken back", len(flags) - 1, "times", 0)
            if flags
            else self._figure("hung device: told again, or taken back", 0, "times"),
            self._figure("hung device: first value when it is back", back_s, "s", BAR_RECOVERY_S),
        ]

    def dead(self) -> list[Figure]:
        """A device is gone for 60 s, its port refuses."""
        square = self._square
        square.odd_one.kill()
        time.sleep(DEAD_S)
        square.odd_one.start()
        back_s = square.first_s(time.time(), self._odd)
        what = f"device dead for {DEAD_S:g} s: first value when it is back"
        return [self._figure(what, back_s, "s", BAR_RECOVERY_S)]

    def half_open(self) -> list[Figure]:
        """The wire to the broker takes everything and delivers nothing, then it is cut."""
        square = self._square
        began_s = time.time()
        square.proxy.freeze()
        time.sleep(FROZEN_S)
        square.proxy.cut()
        time.sleep(CUT_S)
        square.proxy.start()
        up_s = time.time()
        back_s = square.first_s(up_s)
        time.sleep(DRAIN_S)
        read = changes_read(square.reads(), began_s, up_s)
        return [
            *self._loss(f"broker half open for {FROZEN_S:g} s", read, began_s),
            self._figure("broker back: first value", back_s, "s", BAR_RECOVERY_S),
        ]

    def killed(self) -> list[Figure]:
        """The broker is away for 30 s, a device falls silent, then the gateway is killed."""
        square = self._square
        began_s = time.time()
        square.proxy.cut()
        time.sleep(STEADY_S)
        square.odd_one.send(signal.SIGSTOP)
        time.sleep(OUTAGE_S - STEADY_S)
        square.gateway.end(signal.SIGKILL)
        killed_s = time.time()
        reads = square.reads_of_the_field()
        read = changes_read(reads, began_s, killed_s)
        youngest = changes_read(reads, killed_s - UNCOMMITTED_S, killed_s)
        square.gateway.start()
        time.sleep(3.0)
        square.proxy.start()
        up_s = time.time()
        back_s = square.first_s(up_s)
        time.sleep(DRAIN_S)
        square.odd_one.send(signal.SIGCONT)
        what = f"kill -9 after {OUTAGE_S:g} s without a broker"
        figures = self._loss(what, read, began_s, youngest)
        if self._ours is not None:
            told = [t for t in self._flags(up_s) if t >= up_s]
            lost = 0 if told else 1
            figures.append(self._figure(f"{what}: alerts lost", lost, "of 1", 0))
        return [*figures, self._figure(f"{what}: first value", back_s, "s")]

    def _loss(
        self, what: str, read: Changes, began_s: float, youngest: Changes | None = None
    ) -> list[Figure]:
        square = self._square
        arrived = changes_in(square.records(began_s))
        unit = f"of {len(read)}"
        by_mqtt = self._figure(f"{what}: not by MQTT", len(read - arrived), unit)
        if self._ours is None:
            return [by_mqtt]
        lost = read - self._ours.stored()
        figures = [by_mqtt, self._figure(f"{what}: lost", len(lost - (youngest or set())), unit, 0)]
        if youngest is not None:
            what = f"{what}: lost of its last {UNCOMMITTED_S:g} s"
            figures.append(self._figure(what, len(lost & youngest), f"of {len(youngest)}"))
        return figures

    def _flags(self, since_s: float) -> list[float]:
        """Return when somebody was told of the odd device (again)."""
        if self._ours is None:
            return [
                heard[0]
                for heard in self._square.meter.since(since_s)
                if heard[1] in {CONNECT, DISCONNECT} and f'"dev{self._odd:03}"'.encode() in heard[2]
            ]
        return [
            heard[0]
            for heard in self._square.meter.since(since_s)
            if "/alert/" in heard[1] and heard[2] and self._is_about_r1(heard)
        ]

    def _is_about_r1(self, heard: tuple[float, str, bytes]) -> bool:
        """Of five channels that fall silent together one stands for all."""
        marks = alert_marks(heard)
        return (marks.station, marks.channel) == (f"st{self._odd:03}", "r1")

    def _never(self, what: str) -> Figure:
        return Figure(name=f"{self._name}: {what}", value=0, unit="times", note="never told; peer")

    def _figure(self, what: str, value: float, unit: str, bar: float | None = None) -> Figure:
        is_ours = self._ours is not None
        return Figure(
            name=f"{self._name}: {what}",
            value=value,
            unit=unit,
            bar=bar if is_ours else None,
            note="" if is_ours else "peer",
        )

    @property
    def _name(self) -> str:
        return self._square.gateway.name


def fault_figures(factory: Factory, devices: int) -> list[Figure]:
    """Return the figures of all faults, one gateway through all of them."""
    with rig(factory, devices) as square:
        square.gateway.start()
        square.first_s(time.time())
        time.sleep(SETTLE_S)
        faults = Faults(square, devices)
        figures = []
        for fault in (faults.hung, faults.dead, faults.half_open, faults.killed):
            figures += fault()
            time.sleep(STEADY_S)
    return figures
