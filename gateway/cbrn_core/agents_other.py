"""Chemical channels without AEGLs: air gases, sum channels, the tracer of a rehearsal."""

from cbrn_core.agents_types import Agent

OTHER_AGENTS = (
    Agent(
        id="o3",
        names={"en": "ozone", "nb": "ozon", "it": "ozono"},
        cas="10028-15-6",
        molar_mass_g_mol=47.998,
    ),
    Agent(
        id="co2",
        names={"en": "carbon dioxide", "nb": "karbondioksid", "it": "anidride carbonica"},
        cas="124-38-9",
        un="1013",
        adr="20",
        molar_mass_g_mol=44.009,
    ),
    Agent(
        id="o2",
        names={"en": "oxygen", "nb": "oksygen", "it": "ossigeno"},
        cas="7782-44-7",
        un="1072",
        adr="25",
        molar_mass_g_mol=31.998,
    ),
    Agent(
        id="voc",
        names={
            "en": "volatile organic compounds",
            "nb": "flyktige organiske forbindelser",
            "it": "composti organici volatili",
        },
    ),
    Agent(
        id="lel",
        names={"en": "combustible gas", "nb": "brennbar gass", "it": "gas infiammabile"},
    ),
    Agent(
        id="tracer",
        names={"en": "tracer gas", "nb": "sporgass", "it": "gas tracciante"},
    ),
)
