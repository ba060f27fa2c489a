"""Agents and their limits: the types, and how a row of a published table becomes limits."""

from enum import StrEnum
from typing import Literal

import msgspec

from cbrn_core.units import Unit

Confidence = Literal["A", "B", "C"]
"""A cross-checked against a second table · B recalled, self-consistent · C check before release."""

AEGL_DURATIONS_MIN = (10.0, 30.0, 60.0, 240.0, 480.0)
AEGL_SOURCE = (
    "NRC, Acute Exposure Guideline Levels for Selected Airborne Chemicals; "
    "EPA compilation of final AEGLs, 3 October 2014"
)
INTERIM_AEGL_SOURCE = "EPA, interim Acute Exposure Guideline Levels (AEGL programme)"


class Audience(StrEnum):
    """Whom a limit protects."""

    PUBLIC = "public"
    WORKER = "worker"
    RESPONDER = "responder"


class Use(StrEnum):
    """What a limit may do in the gateway (safety 9)."""

    NOTICE = "priority 3 notice"
    ALARM = "priority 1 alarm"
    EXTREME = "extreme alarm"
    RESPONDER = "responder line only"
    OCCUPATIONAL = "never alarms a SOC"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one published table.

    Attributes:
        name: as published: "AEGL-2", "IDLH", "NIOSH ST", …
        duration_min: exposure time the figure is for; None for a momentary limit.
        value: in `unit`; None means "not recommended" (NR) by the publisher.
        recalled: taken from memory of the source, not read from it or cross-checked.
        signed_by: who in the city vouches for the figure.
    """

    name: str
    duration_min: float | None
    value: float | None
    unit: Unit
    audience: Audience
    basis: str
    use: Use
    source: str
    confidence: Confidence
    recalled: bool
    interim: bool = False
    signed_by: str | None = None

    @property
    def needs_signature(self) -> bool:
        """Return whether an alert on this figure says "limit not signed off by the city"."""
        return self.signed_by is None and (self.recalled or self.confidence == "C")


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """A substance (or, for sum channels, a group) that a chemical channel answers to.

    Attributes:
        id: equal to the quantity that measures it.
        names: plain names by language: en, nb, it.
        un, adr: UN number and ADR hazard identification number of its usual transport;
            recalled from the ADR, None where it is not carried so or not known.
        toxic_load_exponent: n of Cⁿ·t = constant; None where unknown or not constant.
        late_exponent, late_after_min: n of exposures longer than `late_after_min`.
        exponent_is_approximate: the figures follow n only roughly.
    """

    id: str
    names: dict[str, str]
    cas: str | None = None
    un: str | None = None
    adr: str | None = None
    transport_numbers_recalled: bool = True
    molar_mass_g_mol: float | None = None
    toxic_load_exponent: float | None = None
    late_exponent: float | None = None
    late_after_min: float | None = None
    exponent_is_approximate: bool = False
    limits: tuple[Limit, ...] = ()

    def name(self, language: str = "en") -> str:
        """Return the plain name, in English where the language has none."""
        return self.names.get(language, self.names["en"])


_AEGL_USES = (Use.NOTICE, Use.ALARM, Use.EXTREME)
_AEGL_EFFECTS = (
    "discomfort, reversible",
    "irreversible or serious effects, impaired escape",
    "life-threatening effects or death",
)


def aegl_limits(
    levels: tuple[str, str, str],
    *,
    confidence: Confidence,
    unit: Unit = Unit.PPM,
    interim: bool = False,
    verified: bool = False,
) -> tuple[Limit, ...]:
    """Return fifteen limits from three rows as published.

    Each row is "NR", one figure for all durations, or five figures for 10, 30, 60, 240
    and 480 min. Figures of confidence A were cross-checked. `verified` marks a table of
    confidence B of which one duration was compared with a second table and the others
    follow from it by Cⁿ·t; all else is recalled.
    """
    return tuple(
        Limit(
            name=f"AEGL-{level}",
            duration_min=duration_min,
            value=value,
            unit=unit,
            audience=Audience.PUBLIC,
            basis=f"exposure over {duration_min:g} min: {_AEGL_EFFECTS[level - 1]}",
            use=_AEGL_USES[level - 1],
            source=INTERIM_AEGL_SOURCE if interim else AEGL_SOURCE,
            confidence=confidence,
            recalled=confidence != "A" and not verified,
            interim=interim,
        )
        for level, row in enumerate(levels, start=1)
        for duration_min, value in zip(AEGL_DURATIONS_MIN, _figures(row), strict=True)
    )


def _figures(row: str) -> list[float | None]:
    words = row.split()
    if len(words) == 1:
        words *= len(AEGL_DURATIONS_MIN)
    return [None if word == "NR" else float(word) for word in words]
