"""Chemical warfare agents: names, numbers and public exposure limits.

Vesicants and nerve agents are tabulated in mg/m³; cyanogen chloride in ppm. UN numbers
are the entry their transport would fall under, recalled.
"""

from cbrn_core.agents_types import Agent, Audience, Limit, Use, aegl_limits
from cbrn_core.units import Unit

_GB_AEGL_1 = ".0069 .0040 .0028 .0014 .0010"
_GB_AEGL_2 = ".087 .050 .035 .017 .013"


def _erpg(level: int, value_ppm: float, use: Use) -> Limit:
    return Limit(
        name=f"ERPG-{level}",
        duration_min=60,
        value=value_ppm,
        unit=Unit.PPM,
        audience=Audience.PUBLIC,
        basis="exposure over 60 min; no AEGL is published",
        use=use,
        source="AIHA, Emergency Response Planning Guidelines",
        confidence="A",
        recalled=False,
    )


WARFARE_AGENTS = (
    Agent(
        id="cncl",
        names={"en": "cyanogen chloride", "nb": "cyanogenklorid", "it": "cloruro di cianogeno"},
        cas="506-77-4",
        un="1589",
        molar_mass_g_mol=61.47,
        limits=(_erpg(2, 0.05, Use.ALARM), _erpg(3, 4.0, Use.EXTREME)),
    ),
    Agent(
        id="hd",
        names={"en": "sulfur mustard", "nb": "sennepsgass", "it": "iprite"},
        cas="505-60-2",
        un="2810",
        adr="66",
        molar_mass_g_mol=159.08,
        toxic_load_exponent=3,
        late_exponent=1,
        late_after_min=60,
        limits=aegl_limits(
            (".40 .13 .067 .017 .0083", ".60 .20 .10 .025 .013", "3.9 2.7 2.1 .53 .27"),
            confidence="B",
            verified=True,
            unit=Unit.MG_M3,
        ),
    ),
    Agent(
        id="l",
        names={"en": "lewisite", "nb": "lewisitt", "it": "lewisite"},
        cas="541-25-3",
        un="2810",
        adr="66",
        molar_mass_g_mol=207.32,
        toxic_load_exponent=1,
        limits=aegl_limits(
            ("NR", "1.3 .47 .25 .070 .037", "3.9 1.4 .74 .21 .11"),
            confidence="C",
            unit=Unit.MG_M3,
        ),
    ),
    Agent(
        id="gb",
        names={"en": "sarin", "nb": "sarin", "it": "sarin"},
        cas="107-44-8",
        un="2810",
        adr="66",
        molar_mass_g_mol=140.09,
        toxic_load_exponent=2,
        limits=aegl_limits(
            (_GB_AEGL_1, _GB_AEGL_2, ".38 .19 .13 .070 .051"),
            confidence="B",
            verified=True,
            unit=Unit.MG_M3,
        ),
    ),
    Agent(
        id="gd",
        names={"en": "soman", "nb": "soman", "it": "soman"},
        cas="96-64-0",
        un="2810",
        adr="66",
        molar_mass_g_mol=182.18,
        toxic_load_exponent=2,
        limits=aegl_limits(
            (
                ".0035 .0020 .0014 .00070 .00050",
                ".044 .025 .018 .0085 .0065",
                ".38 .19 .13 .070 .051",
            ),
            confidence="B",
            verified=True,
            unit=Unit.MG_M3,
        ),
    ),
    Agent(
        id="ga",
        names={"en": "tabun", "nb": "tabun", "it": "tabun"},
        cas="77-81-6",
        un="2810",
        adr="66",
        molar_mass_g_mol=162.13,
        toxic_load_exponent=2,
        limits=aegl_limits(
            (_GB_AEGL_1, _GB_AEGL_2, ".76 .38 .26 .14 .10"),
            confidence="B",
            verified=True,
            unit=Unit.MG_M3,
        ),
    ),
    Agent(
        id="vx",
        names={"en": "VX", "nb": "VX", "it": "VX"},
        cas="50782-69-9",
        un="2810",
        adr="66",
        molar_mass_g_mol=267.37,
        toxic_load_exponent=2,
        limits=aegl_limits(
            (
                ".00057 .00033 .00017 .00010 .000071",
                ".0072 .0042 .0029 .0015 .0010",
                ".029 .015 .010 .0052 .0038",
            ),
            confidence="B",
            verified=True,
            unit=Unit.MG_M3,
        ),
    ),
)
