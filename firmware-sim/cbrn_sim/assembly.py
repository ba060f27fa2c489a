"""Builds the instruments of a scenario and the wires that they hang on."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from cbrn_core.place import Position
from cbrn_sim.faults import Fault, Faults, Wire
from cbrn_sim.fittings import (
    BgeigieFitting,
    Endpoint,
    Family,
    Fitting,
    GmcFitting,
    ModbusWire,
    WindSonicFitting,
    XcdFitting,
    Ze03Fitting,
)
from cbrn_sim.instruments.bgeigie import (
    CPM_PER_USV_H,
    DEAD_TIME_S,
    LINE_PERIOD_S,
    BgeigieNano,
    LogPlayer,
    Whereabouts,
)
from cbrn_sim.instruments.counting import PulseCounter
from cbrn_sim.instruments.gmc import Gmc
from cbrn_sim.instruments.gmc_memory import Dialect, cpm_per_usv_h
from cbrn_sim.instruments.modbus_server import ModbusTcpServer, RtuBus
from cbrn_sim.instruments.response import GasCell, GasSensor
from cbrn_sim.instruments.serial_port import SerialInstrument, SerialModel
from cbrn_sim.instruments.windsonic import WindSonic
from cbrn_sim.instruments.xcd import SensepointXcd, XcdSettings
from cbrn_sim.instruments.ze03 import RANGES, Ze03
from cbrn_sim.scenario_clock import ScenarioClock
from cbrn_sim.streams import stream
from cbrn_sim.world.square import Point
from cbrn_sim.world.world import World

_GROUND_ALTITUDE_M = 12.0
_GM_DEAD_TIME_S = 1.9e-4
_HIGH_DOSE_CPM_PER_USV_H = 25 / 4.85
_SLOW_BAUD = 9600
_GMC_BAUD = 115_200


class Runnable(Protocol):
    """Anything that is switched on and off."""

    async def start(self) -> None:
        """Switch it on."""
        ...

    async def stop(self) -> None:
        """Switch it off."""
        ...


RunnableT = TypeVar("RunnableT", bound=Runnable)


class Assembly:
    """The instruments of one run; endpoints are known once the wires run."""

    def __init__(self, world: World, clock: ScenarioClock, workdir: Path) -> None:
        self.wires: dict[str, Runnable] = {}
        self.faults: dict[str, Faults] = {}
        self.detectors: list[SensepointXcd] = []
        self._world = world
        self._clock = clock
        self._links = workdir / "serial"
        self._endpoints: list[Callable[[], Endpoint]] = []
        for fitting in world.scenario.fittings:
            self._add(fitting)

    def endpoints(self) -> list[Endpoint]:
        """Return where everything is found; call when the wires run."""
        return [make() for make in self._endpoints]

    def _add(self, fitting: Fitting) -> None:
        match fitting:
            case XcdFitting():
                self._add_xcd(fitting)
            case GmcFitting():
                self._add_gmc(fitting)
            case BgeigieFitting():
                self._add_bgeigie(fitting)
            case Ze03Fitting():
                self._add_ze03(fitting)
            case WindSonicFitting():
                self._add_windsonic(fitting)

    def _add_xcd(self, fitting: XcdFitting) -> None:
        wire: Wire
        bus: RtuBus | ModbusTcpServer
        if fitting.over is ModbusWire.TCP:
            bus = wire = self._shared(fitting.wire, ModbusTcpServer)
        else:
            bus = self._shared(fitting.wire, lambda: RtuBus(self._links / fitting.wire))
            wire = bus.wire
        faults = self._new_faults(fitting.device_id, wire, frozenset(Fault))
        settings = XcdSettings(
            unit_id=fitting.unit_id,
            gas_name=fitting.gas_name,
            alarm1=fitting.alarm1_ppm,
            alarm2=fitting.alarm2_ppm,
        )
        sensor = self._gas_sensor(
            fitting.device_id, fitting.station_id, fitting.agent, fitting.cell
        )
        detector = SensepointXcd(settings, sensor.reading, self._clock.elapsed_s, faults)
        bus.units[fitting.unit_id] = detector
        self.detectors.append(detector)
        self._endpoints.append(lambda: self._xcd_endpoint(fitting, bus))

    def _add_gmc(self, fitting: GmcFitting) -> None:
        point = self._world.scenario.square.point_of(fitting.station_id)
        faults, line = self._serial_line(fitting.device_id, frozenset())
        high_dose = None
        if fitting.dialect is Dialect.RFC1801:
            high_dose = self._tube(f"{fitting.device_id}/high", point, _HIGH_DOSE_CPM_PER_USV_H)
        tube = self._tube(fitting.device_id, point, cpm_per_usv_h(fitting.dialect))
        line.fit(
            Gmc(
                fitting.dialect,
                tube,
                self._clock.date,
                faults,
                high_dose_tube=high_dose,
                serial=stream(self._world.seed, f"{fitting.device_id}/serial").bytes(7),
            ),
            faults,
        )
        self._serial_endpoint(fitting, Family.GMC, _GMC_BAUD)

    def _add_bgeigie(self, fitting: BgeigieFitting) -> None:
        faults, line = self._serial_line(fitting.device_id, frozenset())
        model: SerialModel
        if fitting.log is not None:
            model = LogPlayer(fitting.log, period_s=fitting.log_period_s)
        else:
            model = BgeigieNano(
                fitting.number,
                self._pancake(fitting),
                lambda t_s: self._whereabouts(fitting.station_id, t_s),
                self._clock.date,
                faults,
            )
        line.fit(model, faults)
        self._serial_endpoint(fitting, Family.BGEIGIE, _SLOW_BAUD)

    def _add_ze03(self, fitting: Ze03Fitting) -> None:
        faults, line = self._serial_line(fitting.device_id, frozenset({Fault.WARM_UP}))
        sensor = self._gas_sensor(
            fitting.device_id, fitting.station_id, fitting.agent, fitting.cell
        )
        line.fit(Ze03(fitting.agent, sensor.reading, faults, mode=fitting.mode), faults)
        self._serial_endpoint(fitting, Family.ZE03, _SLOW_BAUD, gas=fitting.agent)

    def _add_windsonic(self, fitting: WindSonicFitting) -> None:
        faults, line = self._serial_line(fitting.device_id, frozenset({Fault.FAULT_CODE}))
        rng = stream(self._world.seed, f"{fitting.device_id}/scatter")
        line.fit(WindSonic(self._world.wind, faults, rng, rate_hz=fitting.rate_hz), faults)
        self._serial_endpoint(fitting, Family.WINDSONIC, _SLOW_BAUD)

    def _shared(self, name: str, make: Callable[[], RunnableT]) -> RunnableT:
        """Return the wire of that name, made when first asked for."""
        if name not in self.wires:
            self.wires[name] = make()
        return self.wires[name]  # type: ignore[return-value] # one name, one kind of wire

    def _serial_line(
        self, device_id: str, knows: frozenset[Fault]
    ) -> tuple[Faults, SerialInstrument]:
        line = SerialInstrument(self._links / device_id, self._clock)
        self.wires[device_id] = line
        return self._new_faults(device_id, line.wire, knows), line

    def _new_faults(self, device_id: str, wire: Wire, knows: frozenset[Fault]) -> Faults:
        rng = stream(self._world.seed, f"{device_id}/garble")
        self.faults[device_id] = Faults(device_id, wire, rng, knows=knows)
        return self.faults[device_id]

    def _gas_sensor(self, device_id: str, station_id: str, agent: str, cell: GasCell) -> GasSensor:
        point = self._world.scenario.square.point_of(station_id)
        return GasSensor(
            cell,
            lambda t_s: self._world.concentration_ppm(agent, point, t_s),
            stream(self._world.seed, f"{device_id}/noise"),
        )

    def _tube(self, name: str, point: Point, cpm_per_usv: float) -> PulseCounter:
        return PulseCounter(
            lambda t_s: self._world.dose_rate_usv_h(point, t_s) * cpm_per_usv / 60,
            stream(self._world.seed, f"{name}/counts"),
            dead_time_s=_GM_DEAD_TIME_S,
        )

    def _pancake(self, fitting: BgeigieFitting) -> PulseCounter:
        def rate_cps(t_s: float) -> float:
            point = self._place(fitting.station_id, t_s)
            return self._world.dose_rate_usv_h(point, t_s) * CPM_PER_USV_H / 60

        return PulseCounter(
            rate_cps,
            stream(self._world.seed, f"{fitting.device_id}/counts"),
            bin_s=LINE_PERIOD_S,
            window_bins=12,
            dead_time_s=DEAD_TIME_S,
        )

    def _place(self, station_id: str, t_s: float) -> Point:
        """Return where a station is; a mobile one that is away waits at its first waypoint."""
        patrol = self._world.scenario.patrols.get(station_id)
        if patrol is None:
            return self._world.scenario.square.point_of(station_id)
        return patrol.at(max(t_s, patrol.waypoints[0].t_s)) or patrol.waypoints[0].point

    def _whereabouts(self, station_id: str, t_s: float) -> Whereabouts:
        place = self._position(station_id, t_s)
        return Whereabouts(place.lat, place.lon, _GROUND_ALTITUDE_M + place.height_m)

    def _position(self, station_id: str, t_s: float = 0.0) -> Position:
        return self._world.scenario.square.position(self._place(station_id, t_s))

    def _serial_endpoint(
        self, fitting: Fitting, family: Family, baudrate: int, gas: str | None = None
    ) -> None:
        endpoint = Endpoint(
            device_id=fitting.device_id,
            station_id=fitting.station_id,
            family=family,
            position=self._position(fitting.station_id),
            options={"port": str(self._links / fitting.device_id), "baudrate": baudrate},
            gas=gas,
            full_scale_ppm=RANGES[gas].full_scale if gas else None,
            mobile=fitting.station_id in self._world.scenario.patrols,
        )
        self._endpoints.append(lambda: endpoint)

    def _xcd_endpoint(self, fitting: XcdFitting, bus: RtuBus | ModbusTcpServer) -> Endpoint:
        options: dict[str, str | int]
        if isinstance(bus, ModbusTcpServer):
            options = {"host": bus.host, "port": bus.port, "unit_id": fitting.unit_id}
        else:
            path = str(bus.wire.link)
            options = {"port": path, "baudrate": _SLOW_BAUD, "unit_id": fitting.unit_id}
        return Endpoint(
            device_id=fitting.device_id,
            station_id=fitting.station_id,
            family=Family.XCD,
            position=self._position(fitting.station_id),
            options=options,
            gas=fitting.agent,
            full_scale_ppm=fitting.cell.full_scale,
        )
