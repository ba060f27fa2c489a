"""When an alarm rises and how it lives: the policy of a site, read once and immutable."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cbrn_core.agents import AGENTS, Limit, aegl_10_min, extreme_limit, priority_1_limit
from cbrn_core.alarm import Priority
from cbrn_core.errors import ConfigError, Problem
from cbrn_gateway.alarms.signatures import Signature

BUILT_IN = "default-1"
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(gt=0, le=1)]
Samples = Annotated[int, msgspec.Meta(ge=1, le=10)]
Rank = Literal[1, 2, 3, "D"]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the policy: unknown keys are errors."""


class LevelPolicy(Table, frozen=True):
    """How one level of concentration becomes an alarm."""

    priority: Rank
    samples: Samples
    off_delay_s: NotNegative


class Sustained(Table, frozen=True):
    """A notice that needs its level to hold for a time."""

    setpoint_ppm: Positive
    hold_s: Positive


class ChemicalPolicy(Table, frozen=True):
    """Levels of the agents table; see the comments of the policy file."""

    deadband_fraction: Fraction
    deadband_sigmas: NotNegative
    detectable_factor: Positive
    substitute_fraction: Fraction
    single_sample_periods: Positive
    single_sample_s: Positive
    hold_last_s: Positive
    notice: LevelPolicy
    level: LevelPolicy
    extreme: LevelPolicy
    exceeded: LevelPolicy
    sustained: dict[str, Sustained] = {}


class IndicativePolicy(Table, frozen=True):
    """What an indicative device may raise alone."""

    priority: Rank


class InstrumentPolicy(Table, frozen=True):
    """The instrument's own outputs."""

    high_priority: Rank
    low_priority: Rank
    off_delay_s: NotNegative


class Jurisdiction(Table, frozen=True):
    """Where the danger area begins, and who says so."""

    boundary_usv_h: Positive
    source: str


class RadiationPolicy(Table, frozen=True):
    """Levels of dose rate; `jurisdiction` holds the profiles a site may choose."""

    investigate_days_per_false: Positive
    investigate_priority: Rank
    moving_priority: Rank
    elevated_usv_h: Positive
    elevated_factor: Annotated[float, msgspec.Meta(gt=1)]
    elevated_hold_s: NotNegative
    mobile_elevated_priority: Rank
    hot_usv_h: Positive
    turn_back_usv_h: Positive
    samples: Samples
    off_delay_s: NotNegative
    deadband_fraction: Fraction
    deadband_sigmas: NotNegative
    flight_altitude_m: Positive
    flight_speed_m_s: Positive
    jurisdiction: dict[str, Jurisdiction]


class TechnicalPolicy(Table, frozen=True):
    """Priorities of what the gateway says about itself and its instruments."""

    stale: Rank
    instrument_fault: Rank
    instrument_inhibited: Rank
    step: Rank
    stuck: Rank
    spike: Rank
    not_in_service: Rank
    altitude: Rank
    link_down: Rank
    delivery_refused: Rank
    store_failed: Rank
    alert_incomplete: Rank = 2
    loop_late: Rank = 3
    path_unproven: Rank = 2
    radio_down: Rank = 2
    certificate_expires: Rank = 3
    clock_set: Rank = 3
    coverage_lost: Rank = 2
    clock_unsynced: Rank = "D"
    config_not_in_force: Rank = 2


class CorroborationPolicy(Table, frozen=True):
    """When two stations tell of the same thing."""

    window_s: Positive
    least_wind_m_s: Positive
    calm_distance_m: Positive
    plume_half_width_m: Positive
    plume_half_angle_deg: Annotated[float, msgspec.Meta(gt=0, lt=90)]
    plume_source_distance_m: NotNegative
    early_s: NotNegative


class PublishPolicy(Table, frozen=True):
    """When a change of value or place is worth a message."""

    value_fraction: Fraction
    interval_s: Positive
    place_error_m: Positive
    mobile_interval_s: Positive = 60.0
    mobile_distance_m: Positive = 100.0


class LifePolicy(Table, frozen=True):
    """Times of an alarm's life and the reach of an incident."""

    unreviewed_s: Positive
    shelve_longest_s: Positive
    shelve_default_s: Positive
    out_of_service_longest_s: Positive
    incident_window_s: Positive
    incident_distance_m: NotNegative


class Override(Table, frozen=True):
    """What a city sets for one agent, in the unit of the agent's limits.

    A figure above the table's needs `signed_by` (name and role); `signed_by` alone signs
    the agent's rows off. A stricter figure needs nobody.
    """

    notice: Positive | None = None
    level: Positive | None = None
    extreme: Positive | None = None
    signed_by: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    date: str | None = None
    source: str | None = None


class Policy(Table, frozen=True):
    """Everything that decides when and how an alarm rises."""

    id: str
    chemical: ChemicalPolicy
    indicative: IndicativePolicy
    instrument: InstrumentPolicy
    radiation: RadiationPolicy
    technical: TechnicalPolicy
    corroboration: CorroborationPolicy
    publish: PublishPolicy
    life: LifePolicy
    chosen_jurisdiction: str = "default"
    overrides: dict[str, Override] = {}
    signed: tuple[Signature, ...] = ()

    @property
    def jurisdiction(self) -> Jurisdiction:
        """Return the profile that the site chose."""
        return self.radiation.jurisdiction[self.chosen_jurisdiction]


def load_policy(
    name: str | None = None,
    *,
    folder: Path | None = None,
    jurisdiction: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Policy:
    """Return the built-in policy or the one in `folder`/`name`, with the site's choices.

    `name` is None or "default-1" for the built-in one, else a file relative to `folder`,
    with or without `.toml`.

    Raises:
        ConfigError: unreadable, unknown key, wrong type, or a choice that is not allowed.
    """
    return parse_policy(_text(name, folder), jurisdiction=jurisdiction, overrides=overrides)


def parse_policy(
    text: str,
    *,
    jurisdiction: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Policy:
    """Return the policy written in `text` (TOML) with a site's choices.

    Raises:
        ConfigError: with the path of everything that is wrong.
    """
    try:
        policy = msgspec.convert(tomllib.loads(text), Policy)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem("policy", f"not TOML: {error}")]) from None
    except msgspec.ValidationError as error:
        raise ConfigError([_problem("policy", error)]) from None
    problems = _inconsistencies(policy)
    chosen = jurisdiction or policy.chosen_jurisdiction
    if chosen not in policy.radiation.jurisdiction:
        known = ", ".join(sorted(policy.radiation.jurisdiction))
        problems.append(Problem("jurisdiction", f"{chosen!r} is not one of {known}"))
    checked = dict(policy.overrides) | _overrides(overrides or {}, policy, problems)
    if problems:
        raise ConfigError(problems)
    return msgspec.structs.replace(policy, chosen_jurisdiction=chosen, overrides=checked)


def priority(rank: Rank) -> Priority:
    """Return the priority that a policy file writes as 1, 2, 3 or "D"."""
    return Priority.from_wire(rank)


def _text(name: str | None, folder: Path | None) -> str:
    if name in {None, BUILT_IN}:
        resource = files("cbrn_gateway.alarms").joinpath("policies", f"{BUILT_IN}.toml")
        return resource.read_text(encoding="utf-8")
    wanted = Path(folder or ".") / str(name)
    path = wanted if wanted.suffix == ".toml" else wanted.with_name(f"{wanted.name}.toml")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError([Problem("policy", f"cannot read {path.name}: {error}")]) from None


def _problem(prefix: str, error: msgspec.ValidationError) -> Problem:
    reason, _, path = str(error).partition(" - at `$")
    return Problem(prefix + path.rstrip("`"), reason)


def _inconsistencies(policy: Policy) -> list[Problem]:
    problems = []
    if policy.radiation.hot_usv_h >= policy.radiation.turn_back_usv_h:
        reason = "must be above hot_usv_h"
        problems.append(Problem("policy.radiation.turn_back_usv_h", reason))
    for name, profile in policy.radiation.jurisdiction.items():
        if profile.boundary_usv_h > policy.radiation.hot_usv_h:
            path = f"policy.radiation.jurisdiction.{name}.boundary_usv_h"
            problems.append(Problem(path, "must not be above hot_usv_h"))
    if policy.life.shelve_default_s > policy.life.shelve_longest_s:
        reason = "must not be longer than shelve_longest_s"
        problems.append(Problem("policy.life.shelve_default_s", reason))
    problems += [
        Problem(f"policy.chemical.sustained.{agent}", "no such agent")
        for agent in policy.chemical.sustained
        if agent not in AGENTS
    ]
    for agent, override in policy.overrides.items():
        problems += _weaker(agent, override, policy, f"policy.overrides.{agent}")
    return problems


def _overrides(
    raw: Mapping[str, object], policy: Policy, problems: list[Problem]
) -> dict[str, Override]:
    checked = {}
    for agent, table in raw.items():
        path = f"overrides.{agent}"
        try:
            override = msgspec.convert(table, Override)
        except msgspec.ValidationError as error:
            problems.append(_problem(path, error))
            continue
        problems += _weaker(agent, override, policy, path)
        checked[agent] = override
    return checked


def _weaker(agent: str, override: Override, policy: Policy, path: str) -> list[Problem]:
    if agent not in AGENTS:
        return [Problem(path, "no such agent")]
    if override.signed_by is not None:
        return []
    tables = {
        "notice": notice_figure(agent, policy),
        "level": _figure(priority_1_limit(agent)),
        "extreme": _figure(extreme_limit(agent)),
    }
    problems = []
    for name, table in tables.items():
        wanted = getattr(override, name)
        if wanted is not None and (table is None or wanted > table):
            against = "the table has none" if table is None else f"{table:g} of the table"
            reason = f"{wanted:g} is weaker than {against}: needs signed_by"
            problems.append(Problem(f"{path}.{name}", reason))
    return problems


def notice_figure(agent: str, policy: Policy) -> float | None:
    """Return the figure of the notice: AEGL-1, the sustained level, or a share of AEGL-2."""
    if agent in policy.chemical.sustained:
        return policy.chemical.sustained[agent].setpoint_ppm
    first = aegl_10_min(agent, 1)
    if first is not None:
        return first.value
    second = _figure(aegl_10_min(agent, 2))
    return None if second is None else policy.chemical.substitute_fraction * second


def _figure(row: Limit | None) -> float | None:
    return None if row is None else row.value
