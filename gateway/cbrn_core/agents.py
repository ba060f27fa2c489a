"""The agents table: every chemical that a channel may answer to, with its limits.

Every row alarms from the first start, signed by the city or not (safety 9); a missing
signature is said in the alert.
"""

import msgspec

from cbrn_core.agents_occupational import occupational_limits
from cbrn_core.agents_other import OTHER_AGENTS
from cbrn_core.agents_toxic import TOXIC_AGENTS
from cbrn_core.agents_types import AEGL_DURATIONS_MIN, Agent, Audience, Confidence, Limit, Use
from cbrn_core.agents_warfare import WARFARE_AGENTS

__all__ = [
    "AEGL_DURATIONS_MIN",
    "AGENTS",
    "Agent",
    "Audience",
    "Confidence",
    "Limit",
    "Use",
    "aegl_10_min",
    "agent",
    "extreme_limit",
    "idlh",
    "limit",
    "priority_1_limit",
]

AGENTS: dict[str, Agent] = {
    known.id: msgspec.structs.replace(known, limits=known.limits + occupational_limits(known.id))
    for known in TOXIC_AGENTS + WARFARE_AGENTS + OTHER_AGENTS
}
"""By id; the limits of one agent may be in different units (each says its own)."""


def agent(agent_id: str) -> Agent:
    """Return the agent of that id.

    Raises:
        KeyError: no such agent.
    """
    return AGENTS[agent_id]


def limit(agent_id: str, name: str, duration_min: float | None) -> Limit | None:
    """Return one figure; None where the agent is unknown or the table has no such row.

    A row that the publisher does not recommend (NR) is returned with `value` None.
    """
    known = AGENTS.get(agent_id)
    if known is None:
        return None
    rows = (r for r in known.limits if r.name == name and r.duration_min == duration_min)
    return next(rows, None)


def aegl_10_min(agent_id: str, level: int) -> Limit | None:
    """Return the 10-min AEGL of level 1, 2 or 3 with a value; None where NR or unknown."""
    row = limit(agent_id, f"AEGL-{level}", AEGL_DURATIONS_MIN[0])
    return None if row is None or row.value is None else row


def idlh(agent_id: str) -> Limit | None:
    """Return the concentration immediately dangerous to life or health, where determined."""
    return limit(agent_id, "IDLH", None)


def priority_1_limit(agent_id: str) -> Limit | None:
    """Return the figure from which priority 1 rises: AEGL-2 10 min, else ERPG-2."""
    return aegl_10_min(agent_id, 2) or limit(agent_id, "ERPG-2", 60)


def extreme_limit(agent_id: str) -> Limit | None:
    """Return the lower of AEGL-3 10 min (else ERPG-3) and IDLH.

    It lies below `priority_1_limit` where IDLH is below AEGL-2 (NO2, HF, HCl, L, VX).
    """
    level_3 = aegl_10_min(agent_id, 3) or limit(agent_id, "ERPG-3", 60)
    rows = [row for row in (level_3, idlh(agent_id)) if row is not None and row.value is not None]
    return min(rows, key=lambda row: row.value or 0.0, default=None)
