"""A small square with its rules and machine, driven by hand."""

from cbrn_core.alarm import Alarm, Condition
from cbrn_core.channel import Channel, Device, Grade, Technology
from cbrn_core.estimate import Estimate
from cbrn_core.place import Fix, Position, Site, Station, Zone
from cbrn_core.quantities import Quantity, canonical_unit
from cbrn_core.reading import Detection, Flag, Purpose, Quality, Reading
from cbrn_core.site_model import SiteModel
from cbrn_core.times import US_PER_S, parse_rfc3339
from cbrn_gateway.alarms.machine import AlarmMachine
from cbrn_gateway.alarms.policy import Policy, load_policy
from cbrn_gateway.alarms.rulebook import RuleBook

START_US = parse_rfc3339("2026-06-01T18:00:00Z")
_M_PER_DEG_LAT = 111_132.0


def at(seconds: float) -> int:
    return START_US + round(seconds * US_PER_S)


def station(name: str, north_m: float = 0.0, *, zone: str | None = "west", mobile: bool = False):
    position = None if mobile else Position(lat=59.91 + north_m / _M_PER_DEG_LAT, lon=10.73)
    return Station(id=name, name=name, zone=zone, position=position, mobile=mobile)


def channel(name: str, quantity: str = "cl2", **fields) -> Channel:
    """Return channel `name` = "station/channel"; a good one unless told otherwise."""
    where, _, ident = name.partition("/")
    kind = Quantity(quantity)
    known = {
        "device": f"{where}-{ident}",
        "unit": canonical_unit(kind),
        "technology": Technology.ELECTROCHEMICAL,
        "period_s": 1.0,
        "lod": 0.05,
        "sigma": 0.015,
    }
    return Channel(station=where, id=ident, quantity=kind, **{**known, **fields})


def site_model(
    channels: list[Channel], stations: list[Station] | None = None, *, in_service: bool = True
) -> SiteModel:
    if stations is None:
        stations = [station(name) for name in dict.fromkeys(c.station for c in channels)]
    devices = {
        c.device: Device(
            id=c.device,
            station=c.station,
            driver="external",
            profile=None,
            bus=c.device,
            channels=(c,),
            grade=c.grade,
        )
        for c in channels
    }
    return SiteModel(
        gateway="gw1",
        city="oslo",
        site=Site(id="radhus", name="Rådhusplassen", in_service=in_service),
        zones={z: Zone(id=z, name=z) for z in dict.fromkeys(s.zone for s in stations) if z},
        stations={s.id: s for s in stations},
        devices=devices,
        channels={c.key: c for c in channels},
        config_hash="0" * 64,
    )


class Square:
    """Rules and machine of one model; every published version is kept in `published`."""

    def __init__(self, model: SiteModel, policy: Policy | None = None) -> None:
        self.model = model
        self.policy = policy or load_policy()
        self.rules = RuleBook(model, self.policy)
        self.machine = AlarmMachine(model.gateway, self.policy, model.stations)
        self.published: list[Alarm] = []
        self.spoken: list[Condition] = []

    def estimate(
        self,
        name: str,
        seconds: float,
        value: float,
        *,
        sigma: float = 0.02,
        flags: tuple[Flag, ...] = (),
        shown: float | None = None,
        fix: Fix | None = None,
        purpose: Purpose = Purpose.ACTUAL,
    ) -> list[Alarm]:
        estimate = self.make_estimate(
            name, seconds, value, sigma=sigma, flags=flags, shown=shown, fix=fix, purpose=purpose
        )
        return self.apply(self.rules.on_estimate(estimate, at(seconds)), seconds)

    def make_estimate(self, name: str, seconds: float, value: float, **fields) -> Estimate:
        where, _, ident = name.partition("/")
        quantity = self.model.channels[where, ident].quantity
        shown = fields.get("shown")
        return Estimate(
            station=where,
            channel=ident,
            time_us=at(seconds),
            received_us=at(seconds),
            value=value,
            sigma=fields.get("sigma", 0.02),
            unit=canonical_unit(quantity),
            nis=1.0,
            quality=fields.get("quality", Quality.GOOD),
            flags=fields.get("flags", ()),
            instrument_value=value if shown is None else shown,
            fix=fields.get("fix"),
            purpose=fields.get("purpose", Purpose.ACTUAL),
        )

    def reading(
        self,
        name: str,
        seconds: float,
        value: float | None = 0.0,
        *,
        detection: Detection | None = None,
        flags: tuple[Flag, ...] = (),
        quality: Quality = Quality.GOOD,
        purpose: Purpose | None = None,
    ) -> list[Alarm]:
        where, _, ident = name.partition("/")
        known = self.model.channels[where, ident]
        reading = Reading(
            station=where,
            channel=ident,
            time_us=at(seconds),
            received_us=at(seconds),
            value=value,
            unit=canonical_unit(known.quantity),
            quality=quality,
            flags=flags,
            detection=detection,
            purpose=purpose,
        )
        return self.apply(self.rules.on_reading(reading, known, at(seconds)), seconds)

    def radiation(
        self,
        name: str,
        seconds: float,
        value: float,
        *,
        background: tuple[float, str] | None = (0.1, "commissioned"),
        sigma: float = 0.01,
        fix: Fix | None = None,
        livetime_s: float | None = None,
        shown: float | None = None,
    ) -> list[Alarm]:
        where, _, ident = name.partition("/")
        estimate = self.make_estimate(name, seconds, value, sigma=sigma, fix=fix, shown=shown)
        reading = Reading(
            station=where,
            channel=ident,
            time_us=at(seconds),
            received_us=at(seconds),
            value=estimate.instrument_value,
            unit=estimate.unit,
            fix=fix,
            livetime_s=livetime_s,
        )
        spoken = self.rules.on_radiation(estimate, reading, background, at(seconds))
        return self.apply(spoken, seconds)

    def tick(self, seconds: float) -> list[Alarm]:
        return self.apply(self.rules.on_tick(at(seconds)), seconds)

    def advance(self, seconds: float) -> list[Alarm]:
        """Meet the deadlines of rules and machine up to this time."""
        out = []
        while (due_us := self.rules.next_deadline()) is not None and due_us <= at(seconds):
            out += self.apply_us(self.rules.advance(due_us), due_us)
        found = self.machine.advance(at(seconds))
        self.published += found
        return out + found

    def apply(self, conditions: list[Condition], seconds: float) -> list[Alarm]:
        return self.apply_us(conditions, at(seconds))

    def apply_us(self, conditions: list[Condition], now_us: int) -> list[Alarm]:
        self.spoken += conditions
        out = [alarm for c in conditions for alarm in self.machine.apply(c, now_us)]
        self.published += out
        return out

    def now(self, seconds: float) -> int:
        return at(seconds)

    def only(self) -> Alarm:
        """Return the one open alarm."""
        (alarm,) = self.machine.open_alarms()
        return alarm


INDICATIVE = Grade.INDICATIVE
