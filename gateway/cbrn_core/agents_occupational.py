"""Limits for people at work and for responders, and IDLH.

IDLH takes part in the extreme alarm; everything else here never alarms a SOC. Recalled
from the named documents, except the chlorine row, which was read.
"""

from typing import NamedTuple

from cbrn_core.agents_types import Audience, Confidence, Limit, Use
from cbrn_core.units import Unit

_NIOSH = "NIOSH Pocket Guide to Chemical Hazards"
_CDC_AGENTS = "CDC, Federal Register 68(196), 2003, and 69(85), 2004"
_OSHA = "29 CFR 1910.1000, table Z-1 and Z-2"
_EU = "Directives 2000/39/EC, 2006/15/EC, 2009/161/EU, (EU) 2017/164"
_ETW = "vfdb guideline 10/01, tolerance value for four hours of operation"

_IDLH_PPM = {
    "cl2": 10.0,
    "nh3": 300.0,
    "h2s": 100.0,
    "hcn": 50.0,
    "cocl2": 2.0,
    "so2": 100.0,
    "no2": 13.0,
    "co": 1200.0,
    "hf": 30.0,
    "hcl": 50.0,
    "ph3": 50.0,
    "ash3": 3.0,
    "mic": 3.0,
    "acrolein": 2.0,
    "hcho": 20.0,
    "br2": 3.0,
    "pic": 2.0,
}
_IDLH_MG_M3 = {"hd": 0.7, "gb": 0.1, "ga": 0.1, "gd": 0.05, "vx": 0.003, "l": 0.003}


class _Row(NamedTuple):
    name: str
    duration_min: float
    values: dict[str, float]
    source: str
    unit: Unit = Unit.PPM
    audience: Audience = Audience.WORKER
    use: Use = Use.OCCUPATIONAL
    confidence: Confidence = "B"


_SHIFT_MIN = 480.0
_SHORT_MIN = 15.0

_ROWS = (
    _Row(
        "NIOSH C",
        _SHORT_MIN,
        {"cl2": 0.5, "cocl2": 0.2, "co": 200.0, "hf": 6.0, "hcl": 5.0, "hcho": 0.1, "cncl": 0.3},
        _NIOSH,
    ),
    _Row("NIOSH C", 10.0, {"h2s": 10.0}, _NIOSH),
    _Row("NIOSH C", _SHORT_MIN, {"ash3": 0.002}, _NIOSH, unit=Unit.MG_M3),
    _Row(
        "NIOSH ST",
        _SHORT_MIN,
        {
            "nh3": 35.0,
            "hcn": 4.7,
            "so2": 5.0,
            "no2": 1.0,
            "ph3": 1.0,
            "acrolein": 0.3,
            "br2": 0.3,
        },
        _NIOSH,
    ),
    _Row(
        "NIOSH TWA",
        _SHIFT_MIN,
        {
            "nh3": 25.0,
            "cocl2": 0.1,
            "so2": 2.0,
            "co": 35.0,
            "hf": 3.0,
            "ph3": 0.3,
            "mic": 0.02,
            "acrolein": 0.1,
            "hcho": 0.016,
            "br2": 0.1,
            "pic": 0.1,
        },
        _NIOSH,
    ),
    _Row("OSHA C", _SHORT_MIN, {"cl2": 1.0, "h2s": 20.0, "no2": 5.0, "hcl": 5.0}, _OSHA),
    _Row("OSHA peak", 10.0, {"h2s": 50.0}, _OSHA),
    _Row("OSHA ST", _SHORT_MIN, {"hcho": 2.0}, _OSHA),
    _Row(
        "OSHA TWA",
        _SHIFT_MIN,
        {
            "nh3": 50.0,
            "hcn": 10.0,
            "cocl2": 0.1,
            "so2": 5.0,
            "co": 50.0,
            "hf": 3.0,
            "ph3": 0.3,
            "ash3": 0.05,
            "mic": 0.02,
            "acrolein": 0.1,
            "hcho": 0.75,
            "br2": 0.1,
            "pic": 0.1,
        },
        _OSHA,
    ),
    _Row(
        "EU STEL",
        _SHORT_MIN,
        {
            "cl2": 0.5,
            "nh3": 50.0,
            "h2s": 10.0,
            "hcn": 4.5,
            "cocl2": 0.1,
            "so2": 1.0,
            "no2": 1.0,
            "co": 100.0,
            "hf": 3.0,
            "hcl": 10.0,
            "ph3": 0.2,
            "acrolein": 0.05,
            "hcho": 0.6,
        },
        _EU,
    ),
    _Row(
        "EU TWA",
        _SHIFT_MIN,
        {
            "nh3": 20.0,
            "h2s": 5.0,
            "hcn": 0.9,
            "cocl2": 0.02,
            "so2": 0.5,
            "no2": 0.5,
            "co": 20.0,
            "hf": 1.8,
            "hcl": 5.0,
            "ph3": 0.1,
            "acrolein": 0.02,
            "hcho": 0.3,
        },
        _EU,
    ),
    _Row(
        "WPL",
        _SHIFT_MIN,
        {"hd": 4e-4, "gb": 3e-5, "ga": 3e-5, "gd": 3e-5, "vx": 1e-6, "l": 0.003},
        _CDC_AGENTS,
        unit=Unit.MG_M3,
    ),
    _Row(
        "STEL",
        _SHORT_MIN,
        {"hd": 3e-3, "gb": 1e-4, "ga": 1e-4, "gd": 5e-5, "vx": 1e-5},
        _CDC_AGENTS,
        unit=Unit.MG_M3,
    ),
    _Row(
        "GPL",
        1440.0,
        {"hd": 2e-5, "gb": 1e-6, "ga": 1e-6, "gd": 1e-6, "vx": 6e-7},
        _CDC_AGENTS,
        unit=Unit.MG_M3,
        audience=Audience.PUBLIC,
    ),
    _Row(
        "ETW-4",
        240.0,
        {"nh3": 110.0},
        _ETW,
        audience=Audience.RESPONDER,
        use=Use.RESPONDER,
        confidence="C",
    ),
)

# The one row of the occupational tables that was read at its source.
_READ = {("cl2", "IDLH"), ("cl2", "NIOSH C"), ("cl2", "OSHA C")}


def occupational_limits(agent_id: str) -> tuple[Limit, ...]:
    """Return IDLH (where determined) and the working limits of an agent."""
    limits = [_idlh_limit(agent_id)] if agent_id in _IDLH_PPM | _IDLH_MG_M3 else []
    limits += [_row_limit(agent_id, row) for row in _ROWS if agent_id in row.values]
    return tuple(limits)


def _idlh_limit(agent_id: str) -> Limit:
    in_mass = agent_id in _IDLH_MG_M3
    was_read = (agent_id, "IDLH") in _READ
    return Limit(
        name="IDLH",
        duration_min=None,
        value=_IDLH_MG_M3[agent_id] if in_mass else _IDLH_PPM[agent_id],
        unit=Unit.MG_M3 if in_mass else Unit.PPM,
        audience=Audience.WORKER,
        basis="immediately dangerous to life or health",
        use=Use.EXTREME,
        source=_CDC_AGENTS if in_mass else _NIOSH,
        confidence="A" if was_read else "B",
        recalled=not was_read,
    )


def _row_limit(agent_id: str, row: _Row) -> Limit:
    was_read = (agent_id, row.name) in _READ
    return Limit(
        name=row.name,
        duration_min=row.duration_min,
        value=row.values[agent_id],
        unit=row.unit,
        audience=row.audience,
        basis=f"mean over {row.duration_min:g} min",
        use=row.use,
        source=row.source,
        confidence="A" if was_read else row.confidence,
        recalled=not was_read,
    )
