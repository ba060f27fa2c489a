"""Instrument profiles: what the maker's document says about one model, as strict TOML.

A figure that a document does not state is left out, never guessed; `source` says where
each figure of a channel comes from and how sure that is.
"""

import re
from enum import StrEnum
from typing import Annotated

import msgspec

from cbrn_core.channel import T90_PER_TAU, Channel, Grade, Technology
from cbrn_core.quantities import Quantity
from cbrn_core.units import Unit

_AT = re.compile(r"^(?P<reason>.*?) - at `(?:key` in `)?\$(?P<where>[^`]*)`$", re.DOTALL)

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Confidence(StrEnum):
    """How well the protocol is known.

    A: two independent sources or vendor vectors agree; B: one good source; C: partly
    visible or reverse-engineered.
    """

    A = "A"
    B = "B"
    C = "C"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The maker's document that the driver follows."""

    title: str
    revision: str


class ChannelProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel of a model; `None` means that no source states the figure.

    Attributes:
        t90_s: time to 90 % of a step, both ways; not together with tau_rise_s, tau_fall_s.
        sigma, range, resolution, lod: in `unit`.
        usv_h_per_cps: dose rate per count rate of the tube.
        also_answers_to: cross-sensitivity, reading per unit of the other quantity.
        source: field name of this channel -> where its figure comes from, marked
            recalled or unverified where it is.
    """

    id: Id
    quantity: Quantity
    unit: Unit
    technology: Technology = Technology.OTHER
    t90_s: Positive | None = None
    tau_rise_s: Positive | None = None
    tau_fall_s: Positive | None = None
    sigma: Positive | None = None
    range: tuple[float, float] | None = None
    resolution: NotNegative = 0.0
    lod: Positive | None = None
    period_s: Positive | None = None
    stale_after_s: Positive | None = None
    counting: bool = False
    usv_h_per_cps: Positive | None = None
    also_answers_to: dict[Quantity, float] = {}
    source: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.t90_s is not None and (self.tau_rise_s or self.tau_fall_s):
            raise ValueError("give t90_s or the time constants, not both")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError("range: the lower end is not below the upper end")
        for name in self.source:
            if name not in self.__struct_fields__:
                raise ValueError(f"source.{name}: a channel has no such field")

    @property
    def taus_s(self) -> tuple[float | None, float | None]:
        """Return the rise and fall time constants, derived from `t90_s` where it is given."""
        if self.t90_s is not None:
            tau_s = self.t90_s / T90_PER_TAU
            return tau_s, tau_s
        return self.tau_rise_s, self.tau_fall_s

    def as_channel(
        self, *, station: str, device: str, grade: Grade, simulated: bool = False
    ) -> Channel:
        """Return the channel of one device of this model, before a site's own overrides."""
        tau_rise_s, tau_fall_s = self.taus_s
        return Channel(
            station=station,
            id=self.id,
            device=device,
            quantity=self.quantity,
            unit=self.unit,
            grade=grade,
            technology=self.technology,
            simulated=simulated,
            tau_rise_s=tau_rise_s,
            tau_fall_s=tau_fall_s,
            sigma=self.sigma,
            range=self.range,
            resolution=self.resolution,
            lod=self.lod,
            period_s=self.period_s,
            stale_after_s=self.stale_after_s,
            counting=self.counting,
            usv_h_per_cps=self.usv_h_per_cps,
            also_answers_to={q.value: ratio for q, ratio in self.also_answers_to.items()},
        )


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument model.

    Attributes:
        name: equal to the file's stem.
        driver: module that reads it, `<hazard>.<family>`.
        aliases: other names that `decode` accepts.
        warm_up_s: how long after power-on readings are not to be trusted.
        modbus: register map, read strictly by the Modbus driver alone.
    """

    name: Id
    title: str
    maker: str
    model: str
    document: Document
    driver: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
    grade: Grade
    confidence: Confidence
    channels: Annotated[tuple[ChannelProfile, ...], msgspec.Meta(min_length=1)] = msgspec.field(
        name="channel"
    )
    aliases: tuple[str, ...] = ()
    warm_up_s: Positive | None = None
    modbus: dict[str, object] = {}

    def __post_init__(self) -> None:
        ids = [c.id for c in self.channels]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"channel ids appear twice: {', '.join(twice)}")

    def channel(self, channel_id: str) -> ChannelProfile:
        """Return one channel.

        Raises:
            KeyError: the model has no such channel.
        """
        for channel in self.channels:
            if channel.id == channel_id:
                return channel
        raise KeyError(channel_id)


def place_and_reason(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return where in a document a value is refused, as ".key[0].key" or "", and why."""
    match = _AT.match(str(error))
    if match is None:
        return "", str(error)
    return "".join(c if c.isprintable() else "?" for c in match["where"]), match["reason"]
