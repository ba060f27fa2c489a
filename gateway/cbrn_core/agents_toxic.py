"""Toxic industrial chemicals with AEGLs: names, numbers and public exposure limits.

Confidence per row as the reference gives it; a row marked A/B keeps the weaker mark and
is `verified`.
The 60-min figures of chlorine, ammonia, hydrogen cyanide, phosgene, nitrogen dioxide,
hydrogen fluoride, phosphine, arsine, methyl isocyanate and bromine, and all figures of
hydrogen sulfide and hydrogen chloride, were compared with a second table. UN and ADR
numbers are recalled from the ADR dangerous goods list.
"""

from cbrn_core.agents_types import Agent, aegl_limits

TOXIC_AGENTS = (
    Agent(
        id="cl2",
        names={"en": "chlorine", "nb": "klor", "it": "cloro"},
        cas="7782-50-5",
        un="1017",
        adr="265",
        molar_mass_g_mol=70.906,
        toxic_load_exponent=2,
        limits=aegl_limits(
            (".50", "2.8 2.8 2.0 1.0 .71", "50 28 20 10 7.1"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="nh3",
        names={"en": "ammonia", "nb": "ammoniakk", "it": "ammoniaca"},
        cas="7664-41-7",
        un="1005",
        adr="268",
        molar_mass_g_mol=17.031,
        toxic_load_exponent=2,
        limits=aegl_limits(("30", "220 220 160 110 110", "2700 1600 1100 550 390"), confidence="A"),
    ),
    Agent(
        id="h2s",
        names={"en": "hydrogen sulfide", "nb": "hydrogensulfid", "it": "acido solfidrico"},
        cas="7783-06-4",
        un="1053",
        adr="263",
        molar_mass_g_mol=34.081,
        toxic_load_exponent=4.36,
        limits=aegl_limits(
            (".75 .60 .51 .36 .33", "41 32 27 20 17", "76 59 50 37 31"), confidence="A"
        ),
    ),
    Agent(
        id="hcn",
        names={"en": "hydrogen cyanide", "nb": "hydrogencyanid", "it": "acido cianidrico"},
        cas="74-90-8",
        un="1051",
        adr="663",
        molar_mass_g_mol=27.025,
        toxic_load_exponent=2.6,
        exponent_is_approximate=True,
        limits=aegl_limits(
            ("2.5 2.5 2.0 1.3 1.0", "17 10 7.1 3.5 2.5", "27 21 15 8.6 6.6"), confidence="A"
        ),
    ),
    Agent(
        id="cocl2",
        names={"en": "phosgene", "nb": "fosgen", "it": "fosgene"},
        cas="75-44-5",
        un="1076",
        adr="268",
        molar_mass_g_mol=98.916,
        toxic_load_exponent=1,
        limits=aegl_limits(
            ("NR", ".60 .60 .30 .080 .040", "3.6 1.5 .75 .20 .090"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="so2",
        names={"en": "sulfur dioxide", "nb": "svoveldioksid", "it": "anidride solforosa"},
        cas="7446-09-5",
        un="1079",
        adr="268",
        molar_mass_g_mol=64.064,
        toxic_load_exponent=3,
        late_exponent=1,
        late_after_min=240,
        limits=aegl_limits((".20", ".75", "30 30 30 19 9.6"), confidence="B"),
    ),
    Agent(
        id="no2",
        names={"en": "nitrogen dioxide", "nb": "nitrogendioksid", "it": "biossido di azoto"},
        cas="10102-44-0",
        un="1067",
        adr="265",
        molar_mass_g_mol=46.006,
        toxic_load_exponent=3.5,
        limits=aegl_limits(
            (".50", "20 15 12 8.2 6.7", "34 25 20 14 11"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="co",
        names={"en": "carbon monoxide", "nb": "karbonmonoksid", "it": "monossido di carbonio"},
        cas="630-08-0",
        un="1016",
        adr="263",
        molar_mass_g_mol=28.010,
        limits=aegl_limits(("NR", "420 150 83 33 27", "1700 600 330 150 130"), confidence="B"),
    ),
    Agent(
        id="hf",
        names={"en": "hydrogen fluoride", "nb": "hydrogenfluorid", "it": "acido fluoridrico"},
        cas="7664-39-3",
        un="1052",
        adr="886",
        molar_mass_g_mol=20.006,
        toxic_load_exponent=2,
        limits=aegl_limits(
            ("1.0", "95 34 24 12 12", "170 62 44 22 22"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="hcl",
        names={"en": "hydrogen chloride", "nb": "hydrogenklorid", "it": "acido cloridrico"},
        cas="7647-01-0",
        un="1050",
        adr="268",
        molar_mass_g_mol=36.461,
        toxic_load_exponent=1,
        limits=aegl_limits(("1.8", "100 43 22 11 11", "620 210 100 26 26"), confidence="A"),
    ),
    Agent(
        id="ph3",
        names={"en": "phosphine", "nb": "fosfin", "it": "fosfina"},
        cas="7803-51-2",
        un="2199",
        molar_mass_g_mol=33.998,
        toxic_load_exponent=1,
        limits=aegl_limits(
            ("NR", "4.0 4.0 2.0 .50 .25", "7.2 7.2 3.6 .90 .45"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="ash3",
        names={"en": "arsine", "nb": "arsin", "it": "arsina"},
        cas="7784-42-1",
        un="2188",
        molar_mass_g_mol=77.945,
        toxic_load_exponent=3,
        late_exponent=1,
        late_after_min=60,
        limits=aegl_limits(
            ("NR", ".30 .21 .17 .040 .020", ".91 .63 .50 .13 .060"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="mic",
        names={"en": "methyl isocyanate", "nb": "metylisocyanat", "it": "isocianato di metile"},
        cas="624-83-9",
        un="2480",
        adr="663",
        molar_mass_g_mol=57.051,
        toxic_load_exponent=1,
        limits=aegl_limits(
            ("NR", ".40 .13 .067 .017 .0080", "1.2 .40 .20 .050 .025"), confidence="A"
        ),
    ),
    Agent(
        id="acrolein",
        names={"en": "acrolein", "nb": "akrolein", "it": "acroleina"},
        cas="107-02-8",
        un="1092",
        adr="663",
        molar_mass_g_mol=56.063,
        toxic_load_exponent=1.2,
        limits=aegl_limits((".030", ".44 .18 .10 .10 .10", "6.2 2.5 1.4 .48 .27"), confidence="B"),
    ),
    Agent(
        id="hcho",
        names={"en": "formaldehyde", "nb": "formaldehyd", "it": "formaldeide"},
        cas="50-00-0",
        un="2209",
        adr="80",
        molar_mass_g_mol=30.026,
        toxic_load_exponent=3,
        limits=aegl_limits((".90", "14", "100 70 56 35 35"), confidence="C", interim=True),
    ),
    Agent(
        id="br2",
        names={"en": "bromine", "nb": "brom", "it": "bromo"},
        cas="7726-95-6",
        un="1744",
        adr="886",
        molar_mass_g_mol=159.81,
        toxic_load_exponent=2.2,
        limits=aegl_limits(
            (".033", ".55 .33 .24 .13 .095", "19 12 8.5 4.5 3.3"), confidence="B", verified=True
        ),
    ),
    Agent(
        id="clo2",
        names={"en": "chlorine dioxide", "nb": "klordioksid", "it": "biossido di cloro"},
        cas="10049-04-4",
        molar_mass_g_mol=67.45,
        toxic_load_exponent=3,
        late_exponent=1,
        late_after_min=360,
        limits=aegl_limits((".15", "1.4 1.4 1.1 .69 .45", "3.0 3.0 2.4 1.5 .98"), confidence="C"),
    ),
    Agent(
        id="pic",
        names={"en": "chloropicrin", "nb": "klorpikrin", "it": "cloropicrina"},
        cas="76-06-2",
        un="1580",
        adr="66",
        molar_mass_g_mol=164.38,
        limits=aegl_limits((".050", ".15", "2.0 2.0 1.4 .79 .58"), confidence="C", interim=True),
    ),
)
