"""Which levels a chemical channel has: built once, from the agents table and the policy."""

from typing import NamedTuple

import msgspec

from cbrn_core.agents import (
    AGENTS,
    Agent,
    Limit,
    aegl_10_min,
    extreme_limit,
    limit,
    priority_1_limit,
)
from cbrn_core.alarm import Basis, Reason
from cbrn_core.units import Unit, UnitError, convert
from cbrn_gateway.alarms.policy import LevelPolicy, Override, Policy, priority
from cbrn_gateway.alarms.rules.exposure import exponent_for
from cbrn_gateway.alarms.rules.levels import (
    ALARM_RANK,
    EXCEEDED_RANK,
    EXTREME_EXCEEDED_RANK,
    EXTREME_RANK,
    NOTICE_RANK,
    Level,
)
from cbrn_gateway.alarms.rules.watched import Facts
from cbrn_gateway.alarms.signatures import is_signed

_LONG_WINDOWS_MIN = (30.0, 60.0)
_SECONDS_PER_MIN = 60.0


class InactiveLevel(NamedTuple):
    """A level that a channel cannot judge: said, never silently left out."""

    station: str
    channel: str
    agent: str
    level: str
    setpoint: float
    unit: str
    reason: str


class ExposureLevel(NamedTuple):
    """An AEGL as an exposure: the mean of a window, or the load of one.

    `exponent` is None for the mean.
    """

    level: Level
    minutes: float
    exponent: float | None

    @property
    def window_s(self) -> float:
        """Return the length of the window."""
        return self.minutes * _SECONDS_PER_MIN


class ChemicalLevels(msgspec.Struct, frozen=True, kw_only=True):
    """The levels of one channel in its canonical unit; None where the table has none."""

    notice: Level | None
    level: Level | None
    extreme: Level | None
    exposures: tuple[ExposureLevel, ...]
    exponent: float = 1.0

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to judge."""
        return self.notice is None and self.level is None and self.extreme is None

    def every(self) -> list[Level]:
        """Return all levels there are: notice, level, extreme, then the exposures."""
        levels = (self.notice, self.level, self.extreme, *(e.level for e in self.exposures))
        return [level for level in levels if level is not None]


def chemical_levels(agent_id: str, unit: Unit, policy: Policy) -> ChemicalLevels:
    """Return the levels of an agent for a channel that reports in `unit`."""
    agent = AGENTS.get(agent_id)
    if agent is None:
        return ChemicalLevels(notice=None, level=None, extreme=None, exposures=())
    build = _Build(agent, unit, policy)
    exponent = exponent_for(agent, 60.0)
    return ChemicalLevels(
        notice=build.notice(),
        level=build.level(),
        extreme=build.extreme(),
        exposures=build.exposures(exponent),
        exponent=exponent or 1.0,
    )


class _Build:
    def __init__(self, agent: Agent, unit: Unit, policy: Policy) -> None:
        self._agent = agent
        self._unit = unit
        self._policy = policy
        self._override = policy.overrides.get(agent.id, Override())

    def notice(self) -> Level | None:
        rules = self._policy.chemical
        own = self._override.notice
        sustained = rules.sustained.get(self._agent.id)
        if sustained is not None:
            figure = sustained.setpoint_ppm if own is None else own
            words = f"{figure:g} ppm for {sustained.hold_s / _SECONDS_PER_MIN:g} min"
            facts: Facts = {"limit_source": "policy"}
            return self._new(
                NOTICE_RANK,
                rules.notice,
                words,
                figure=figure,
                unit=Unit.PPM,
                facts=facts,
                hold_s=sustained.hold_s,
            )
        first = aegl_10_min(self._agent.id, 1)
        if first is not None:
            return self._from_row(NOTICE_RANK, first, own, rules.notice)
        second = aegl_10_min(self._agent.id, 2)
        if second is None or second.value is None:
            return None
        share = rules.substitute_fraction
        words = f"{share * 100:g} % of the AEGL-2 10-min concentration (momentary)"
        figure = share * second.value if own is None else own
        facts = self._facts(second)
        return self._new(
            NOTICE_RANK, rules.notice, words, figure=figure, unit=second.unit, facts=facts
        )

    def level(self) -> Level | None:
        row = priority_1_limit(self._agent.id)
        return self._from_row(ALARM_RANK, row, self._override.level, self._policy.chemical.level)

    def extreme(self) -> Level | None:
        row = extreme_limit(self._agent.id)
        wanted = self._override.extreme
        return self._from_row(EXTREME_RANK, row, wanted, self._policy.chemical.extreme)

    def exposures(self, exponent: float | None) -> tuple[ExposureLevel, ...]:
        found = []
        for number, rank in ((2, EXCEEDED_RANK), (3, EXTREME_EXCEEDED_RANK)):
            for minutes in (10.0, *_LONG_WINDOWS_MIN):
                n = None if minutes == 10.0 else exponent
                exceeded = self._exceeded(number, rank, minutes, n)
                if exceeded is not None:
                    found.append(ExposureLevel(exceeded, minutes, n))
        return tuple(found)

    def _exceeded(self, number: int, rank: int, minutes: float, n: float | None) -> Level | None:
        row = limit(self._agent.id, f"AEGL-{number}", minutes)
        rules = self._policy.chemical.exceeded
        own = self._override.level if number == 2 else None
        if row is None or row.value is None:
            return None
        figure = row.value if own is None else min(own, row.value)
        words = f"{row.name} ({minutes:g} min) exceeded"
        made = self._new(rank, rules, words, figure=figure, unit=row.unit, facts=self._facts(row))
        if made is None:
            return None
        basis = Basis.RUNNING_MEAN if n is None else Basis.TOXIC_LOAD
        return msgspec.structs.replace(made, reason=Reason.EXPOSURE_EXCEEDED, basis=basis)

    def _from_row(
        self, rank: int, row: Limit | None, wanted: float | None, rules: LevelPolicy
    ) -> Level | None:
        if row is None or row.value is None:
            return None
        span = "" if row.duration_min is None else f" {row.duration_min:g}-min"
        words = f"{row.name}{span} concentration (momentary)"
        if wanted is not None and wanted != row.value:
            words = f"city's own level for the {words}"
        figure = row.value if wanted is None else wanted
        return self._new(rank, rules, words, figure=figure, unit=row.unit, facts=self._facts(row))

    def _new(
        self,
        rank: int,
        rules: LevelPolicy,
        words: str,
        *,
        figure: float,
        unit: Unit,
        facts: Facts,
        hold_s: float = 0.0,
    ) -> Level | None:
        mass = self._agent.molar_mass_g_mol
        try:
            setpoint = convert(figure, unit, self._unit, molar_mass_g_mol=mass)
        except UnitError:
            return None
        return Level(
            rank=rank,
            reason=_REASONS.get(rank, Reason.LEVEL),
            words=words,
            setpoint=setpoint,
            priority=priority(rules.priority),
            samples=rules.samples,
            off_delay_s=rules.off_delay_s,
            hold_s=hold_s,
            facts=facts,
        )

    def _facts(self, row: Limit) -> Facts:
        signed = self._override.signed_by is not None or is_signed(
            self._agent.id, row, self._policy.signed
        )
        return {
            "limit_audience": row.audience.value,
            "limit_basis": row.basis,
            "limit_source": row.source,
            "limit_confidence": row.confidence,
            "limit_unsigned": not signed,
        }


_REASONS = {
    NOTICE_RANK: Reason.NOTICE_LEVEL,
    ALARM_RANK: Reason.LEVEL,
    EXTREME_RANK: Reason.EXTREME_LEVEL,
}
