"""What happens in a soak: gas and fields, and everything that goes wrong, at random.

Each trouble is a generator: it does something, yields for how many seconds of the soak's
clock that lasts, and mends it.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from e2e.evidence import stored
from e2e.soak.soak_site import SoakSite
from e2e.soak.soak_square import GAMMA, Exposure, Trouble

from cbrn_sim.fittings import Family

Acts = Iterator[float]
REST_S = 600.0
"""After an exposure its alarm shall be over before the next one at that station."""

HOUR_S = 3600.0
LOOK_AGAIN_S = 30.0


class Happening(NamedTuple):
    """An exposure, or an instrument in trouble: from when on, and for how long."""

    what: str
    station: str
    began_s: float
    lasts_s: float
    level: float


class Troubles:
    """Chooses and carries out; `story` tells everything in order."""

    ROUND = (
        *("puff",) * 5,
        *("field",) * 2,
        *("garbled", "silent", "stuck", "spike", "unplugged", "frozen"),
        *("broker_dies", "database_dies", "wires_cut", "disk_full"),
        *("clock_set", "reloaded", "acknowledged", "shelved"),
    )

    def __init__(self, site: SoakSite) -> None:
        self._site = site
        self._random = random.Random(site.seed)
        self._wires: dict[str, list[str]] = defaultdict(list)
        self._stations: dict[str, str] = {}
        for endpoint in site.square.endpoints:
            wire = f"{endpoint.options.get('host', '')}{endpoint.options['port']}"
            self._wires[wire].append(endpoint.device_id)
            self._stations[endpoint.device_id] = endpoint.station_id
        self._serial = [e.device_id for e in site.square.endpoints if "host" not in e.options]
        self._of = defaultdict(list)
        for endpoint in site.square.endpoints:
            self._of[endpoint.family].append(endpoint.device_id)
        self._busy: set[str] = set()
        self._has_guest = False
        self.story: list[str] = []
        self.happened: list[Happening] = []
        self.up_again_s: list[float] = []
        self.clock_set_s: list[float] = []
        self.stored_before = 0
        self.outages = 0
        self.disks_full = 0

    def plan(self, rounds: int, round_s: float) -> list[tuple[float, str]]:
        """Return what is to begin when: each kind in each round, in an order of its own."""
        planned: list[tuple[float, str]] = []
        for number in range(rounds):
            kinds = list(self.ROUND)
            self._random.shuffle(kinds)
            apart_s = round_s / len(kinds)
            planned += [
                ((number * len(kinds) + place + self._random.random()) * apart_s, kind)
                for place, kind in enumerate(kinds)
            ]
        return planned

    def carry_out(self, planned: list[tuple[float, str]]) -> None:
        """Do it all, and wait until the last of it is mended."""
        start_s = self._site.time.passed_s()
        due: list[tuple[float, int, Acts]] = []
        for number, (at_s, kind) in enumerate(planned):
            heappush(due, (start_s + at_s, number, self._acts(kind)))
        while due:
            at_s, number, acts = heappop(due)
            wait_s = (at_s - self._site.time.passed_s()) / self._site.time.terms.speed
            time.sleep(max(0.0, wait_s))
            if (lasts_s := next(acts, None)) is not None:
                heappush(due, (self._site.time.passed_s() + lasts_s, number, acts))

    def tell(self, what: str) -> None:
        line = f"{self._site.time.passed_s():8.0f} s  {what}"
        self.story.append(line)
        print(line, flush=True)

    def _acts(self, kind: str) -> Acts:
        acts: Callable[[], Acts] = getattr(self, kind)
        return acts()

    def puff(self) -> Acts:
        """Chlorine at one station, far above every level."""
        level_ppm = self._random.uniform(8.0, 18.0)
        yield from self._exposed(Family.XCD, "cl2", level_ppm, self._random.uniform(90, 240))

    def field(self) -> Acts:
        """A source beside a Geiger counter: well below or well above the danger-area boundary."""
        lowest, highest = self._random.choice(((5.0, 15.0), (40.0, 60.0)))
        level_usv_h = self._random.uniform(lowest, highest)
        yield from self._exposed(Family.GMC, GAMMA, level_usv_h, self._random.uniform(180, 300))

    def garbled(self) -> Acts:
        """Bytes are lost, flipped and added on a serial line; TCP would not let that pass."""
        yield from self._device_fault("garble", 0.05, self._serial)

    def silent(self) -> Acts:
        yield from self._device_fault("silence")

    def stuck(self) -> Acts:
        yield from self._device_fault("stuck")

    def spike(self) -> Acts:
        """One sample far off: no gas does that."""
        yield from self._device_fault("spike", 10.0, self._of[Family.XCD])

    def unplugged(self) -> Acts:
        yield from self._wire_fault("unplug", "replug")

    def frozen(self) -> Acts:
        yield from self._wire_fault("freeze", "clear")

    def broker_dies(self) -> Acts:
        yield from self._waits_for("broker")
        self._site.keep_sessions()
        self._site.broker.kill()
        self.outages += 1
        self.tell("the broker is killed")
        yield self._random.uniform(60, 300)
        self._site.broker.start()
        self.tell("the broker is there again")
        self._busy.discard("broker")

    def database_dies(self) -> Acts:
        yield from self._waits_for("database")
        self._site.influx.database.kill()
        self.tell("the database is killed")
        yield self._random.uniform(60, 300)
        self._site.influx.database.start()
        self.tell("the database is there again")
        self._busy.discard("database")

    def wires_cut(self) -> Acts:
        wire = self._random.choice((self._site.to_broker, self._site.to_influx))
        name = "broker" if wire is self._site.to_broker else "database"
        yield from self._waits_for(f"wire to the {name}")
        wire.cut()
        self.outages += 1
        self.tell(f"the wire to the {name} is cut")
        yield self._random.uniform(300, 700)
        wire.mend()
        self.tell(f"the wire to the {name} is whole")
        self._busy.discard(f"wire to the {name}")

    def disk_full(self) -> Acts:
        yield from self._waits_for("disk")
        self._site.disk.fill()
        self.disks_full += 1
        self.tell("the disk is full")
        yield self._random.uniform(60, 200)
        self._site.disk.mend()
        self.tell("the disk has room")
        self._busy.discard("disk")

    def clock_set(self) -> Acts:
        yield from self._waits_for("clock")
        ahead_s = self._random.choice((-HOUR_S, HOUR_S))
        self._set_wall(ahead_s)
        self.tell(f"the clock is set by {ahead_s:+.0f} s")
        yield self._random.uniform(100, 400)
        self._set_wall(0.0)
        self.tell("the clock is right")
        self._busy.discard("clock")

    def reloaded(self) -> Acts:
        self._has_guest = not self._has_guest
        self._site.apply(guest=self._has_guest)
        self.tell(f"a new configuration, guest station: {self._has_guest}")
        yield 0.0

    def acknowledged(self) -> Acts:
        open_now = [told.id for told in self._site.told() if told.said["state"] == "unack"]
        if open_now:
            alarm_id = self._random.choice(open_now[-10:])
            self.tell(f"ack: {self._site.order('ack', alarm_id)}")
        yield 0.0

    def shelved(self) -> Acts:
        stands = [t.id for t in self._site.told() if t.said["level"] == "not in service"]
        if stands:
            more = {"text": "known", "duration_s": 300.0}
            self.tell(f"shelve: {self._site.order('shelve', stands[-1], **more)}")
        yield 0.0

    def killed(self) -> Acts:
        """The daemon is killed, and its service manager starts it again."""
        self._site.daemon.kill()
        self.stored_before = len(stored(self._site.daemon.data_dir))
        self.tell("the daemon is killed")
        self._site.daemon.start()
        self.up_again_s.append(self._site.time.passed_s())
        self.tell("the daemon runs again")
        yield 0.0

    def _set_wall(self, ahead_s: float) -> None:
        self._site.time.set_wall(ahead_s)
        self.clock_set_s.append(self._site.time.passed_s())

    def _exposed(self, family: Family, agent: str, level: float, lasts_s: float) -> Acts:
        device = yield from self._free(self._of[family])
        station = self._stations[device]
        self._site.square.tell(Exposure(station, agent, level, lasts_s))
        began_s = self._site.time.passed_s()
        self.happened.append(Happening(agent, station, began_s, lasts_s, level))
        self.tell(f"{station}: {agent} {level:.1f} for {lasts_s:.0f} s")
        yield lasts_s + REST_S
        self._busy.discard(device)

    def _device_fault(
        self, kind: str, amount: float = 0.0, devices: list[str] | None = None
    ) -> Acts:
        device = yield from self._free(devices or list(self._stations))
        yield from self._fault([device], kind, "clear", amount)

    def _wire_fault(self, kind: str, mended: str) -> Acts:
        while not (free := [w for w in self._wires.values() if not self._busy.intersection(w)]):
            yield LOOK_AGAIN_S
        on_wire = self._random.choice(free)
        self._busy.update(on_wire)
        yield from self._fault(on_wire, kind, mended)

    def _fault(self, devices: list[str], kind: str, mended: str, amount: float = 0.0) -> Acts:
        """Let one device (the first: a wire's fault hits all of them) have a fault for a time."""
        lasts_s = self._random.uniform(40, 180)
        began_s = self._site.time.passed_s()
        for device in devices:
            self.happened.append(Happening(kind, self._stations[device], began_s, lasts_s, amount))
        self._site.square.tell(Trouble(devices[0], kind, amount))
        self.tell(f"{', '.join(devices)}: {kind} for {lasts_s:.0f} s")
        yield lasts_s
        self._site.square.tell(Trouble(devices[0], mended))
        self.tell(f"{', '.join(devices)}: no {kind} any more")
        yield 60.0
        self._busy.difference_update(devices)

    def _free(self, devices: list[str]) -> Generator[float, None, str]:
        """Return a device that nothing happens to, once there is one."""
        while not (free := [d for d in devices if d not in self._busy]):
            yield LOOK_AGAIN_S
        device = self._random.choice(free)
        self._busy.add(device)
        return device

    def _waits_for(self, what: str) -> Acts:
        """Wait until what it is about to break is whole."""
        while what in self._busy:
            yield LOOK_AGAIN_S
        self._busy.add(what)
