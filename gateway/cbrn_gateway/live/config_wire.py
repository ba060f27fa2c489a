"""What the local door is asked and answers about configurations; never offered over MQTT."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from cbrn_core.errors import Problem
from cbrn_gateway.config.versions import Version


class Verb(StrEnum):
    """What somebody wants of the running configuration."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    HISTORY = "history"


class ConfigRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`cbrn-config/1`: `text` is the site file to apply, `hash` begins that to go back to."""

    schema: Literal["cbrn-config/1"] = "cbrn-config/1"
    verb: Verb
    actor: str
    text: str | None = None
    hash: str | None = None


class ToldProblem(msgspec.Struct, frozen=True):
    """Why a configuration was refused, and where in it."""

    path: str
    reason: str


class ConfigAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cbrn-config-answer/1`: what became of it; `config_hash` is what is in force now.

    Attributes:
        changes: the plan that was carried out, for people.
        trial_s: how long the configuration in force is on trial yet.
    """

    schema: Literal["cbrn-config-answer/1"] = "cbrn-config-answer/1"
    accepted: bool
    config_hash: str
    reason: str | None = None
    problems: tuple[ToldProblem, ...] = ()
    changes: tuple[str, ...] = ()
    on_trial: bool = False
    trial_s: float = 0.0
    versions: tuple[Version, ...] = ()


def told(problems: Sequence[Problem]) -> tuple[ToldProblem, ...]:
    """Return problems as they are told."""
    return tuple(ToldProblem(problem.path, problem.reason) for problem in problems)
