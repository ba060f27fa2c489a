"""What can be measured: one enum; every quantity has a hazard, a canonical unit, a series.

A chemical quantity is its agent id (`agents.py` has its names, numbers and limits).
"""

from enum import StrEnum
from typing import NamedTuple

from cbrn_core.units import Unit


class Hazard(StrEnum):
    """The kind of harm a quantity or an alarm is about."""

    CHEMICAL = "chemical"
    BIOLOGICAL = "biological"
    RADIOLOGICAL = "radiological"
    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class Series(StrEnum):
    """InfluxDB measurement that a quantity is stored under (contracts §6)."""

    CHEMICAL = "chemical"
    BIOLOGICAL = "biological"
    RADIOLOGICAL = "radiological"
    PARTICLES = "particles"
    WEATHER = "weather"
    SUPPLY = "supply"
    PHYSIOLOGICAL = "physiological"


class Quantity(StrEnum):
    """Every quantity a channel may measure."""

    CL2 = "cl2"
    NH3 = "nh3"
    H2S = "h2s"
    HCN = "hcn"
    COCL2 = "cocl2"
    SO2 = "so2"
    NO2 = "no2"
    CO = "co"
    HF = "hf"
    HCL = "hcl"
    PH3 = "ph3"
    ASH3 = "ash3"
    MIC = "mic"
    ACROLEIN = "acrolein"
    HCHO = "hcho"
    BR2 = "br2"
    CLO2 = "clo2"
    PIC = "pic"
    CNCL = "cncl"
    HD = "hd"
    L = "l"
    GB = "gb"
    GD = "gd"
    GA = "ga"
    VX = "vx"
    O3 = "o3"
    CO2 = "co2"
    O2 = "o2"
    VOC = "voc"
    LEL = "lel"
    TRACER = "tracer"
    GAMMA_COUNT_RATE = "gamma_count_rate"
    GAMMA_DOSE_RATE = "gamma_dose_rate"
    NEUTRON_COUNT_RATE = "neutron_count_rate"
    DOSE = "dose"
    BIO_FLUORESCENT_COUNT = "bio_fluorescent_count"
    BIO_TOTAL_COUNT = "bio_total_count"
    BACTERIA_CONCENTRATION = "bacteria_concentration"
    PM1 = "pm1"
    PM2_5 = "pm2_5"
    PM4 = "pm4"
    PM10 = "pm10"
    PARTICLE_COUNT_0_3 = "particle_count_0_3"
    PARTICLE_COUNT_0_5 = "particle_count_0_5"
    PARTICLE_COUNT_1 = "particle_count_1"
    PARTICLE_COUNT_2_5 = "particle_count_2_5"
    PARTICLE_COUNT_4 = "particle_count_4"
    PARTICLE_COUNT_5 = "particle_count_5"
    PARTICLE_COUNT_10 = "particle_count_10"
    WIND_SPEED = "wind_speed"
    WIND_DIRECTION = "wind_direction"
    AIR_TEMPERATURE = "air_temperature"
    RELATIVE_HUMIDITY = "relative_humidity"
    PRESSURE = "pressure"
    RAIN_RATE = "rain_rate"
    HEART_RATE = "heart_rate"
    BODY_TEMPERATURE = "body_temperature"
    SKIN_TEMPERATURE = "skin_temperature"
    SPO2 = "spo2"
    POSITION = "position"
    TAMPER = "tamper"
    TILT = "tilt"
    SUPPLY = "supply"
    BATTERY = "battery"
    VOLTAGE = "voltage"
    SIGNAL = "signal"
    ENCLOSURE_TEMPERATURE = "enclosure_temperature"


class _Facts(NamedTuple):
    hazard: Hazard
    unit: Unit
    series: Series


_Q = Quantity
_MASS_AGENTS = (_Q.HD, _Q.L, _Q.GB, _Q.GD, _Q.GA, _Q.VX, _Q.TRACER)
_PARTICLE_MASSES = (_Q.PM1, _Q.PM2_5, _Q.PM4, _Q.PM10)
_BODY = {
    _Q.HEART_RATE: Unit.BPM,
    _Q.BODY_TEMPERATURE: Unit.DEG_C,
    _Q.SKIN_TEMPERATURE: Unit.DEG_C,
    _Q.SPO2: Unit.PERCENT,
}
_WEATHER = {
    _Q.WIND_SPEED: Unit.M_S,
    _Q.WIND_DIRECTION: Unit.DEG,
    _Q.AIR_TEMPERATURE: Unit.DEG_C,
    _Q.RELATIVE_HUMIDITY: Unit.PERCENT,
    _Q.PRESSURE: Unit.HPA,
    _Q.RAIN_RATE: Unit.MM_H,
}
_SUPPLY = {
    _Q.POSITION: Unit.M,
    _Q.TAMPER: Unit.NONE,
    _Q.TILT: Unit.DEG,
    _Q.SUPPLY: Unit.V,
    _Q.BATTERY: Unit.PERCENT,
    _Q.VOLTAGE: Unit.V,
    _Q.SIGNAL: Unit.DBM,
    _Q.ENCLOSURE_TEMPERATURE: Unit.DEG_C,
}
_RADIOLOGICAL = {
    _Q.GAMMA_COUNT_RATE: Unit.CPS,
    _Q.GAMMA_DOSE_RATE: Unit.USV_H,
    _Q.NEUTRON_COUNT_RATE: Unit.CPS,
    _Q.DOSE: Unit.USV,
}
_BIOLOGICAL = {
    _Q.BIO_FLUORESCENT_COUNT: Unit.PER_L,
    _Q.BIO_TOTAL_COUNT: Unit.PER_L,
    _Q.BACTERIA_CONCENTRATION: Unit.CFU_M3,
}
_CHEMICAL_UNITS = {_Q.O2: Unit.PCT_VOL, _Q.LEL: Unit.PCT_LEL} | dict.fromkeys(
    _MASS_AGENTS, Unit.MG_M3
)


def _facts(quantity: Quantity) -> _Facts:
    families = (
        (_RADIOLOGICAL, Hazard.RADIOLOGICAL, Series.RADIOLOGICAL),
        (_BIOLOGICAL, Hazard.BIOLOGICAL, Series.BIOLOGICAL),
        (_WEATHER, Hazard.TECHNICAL, Series.WEATHER),
        (_BODY, Hazard.PHYSIOLOGICAL, Series.PHYSIOLOGICAL),
        (_SUPPLY, Hazard.TECHNICAL, Series.SUPPLY),
    )
    for units, hazard, series in families:
        if quantity in units:
            return _Facts(hazard, units[quantity], series)
    if quantity in _PARTICLE_MASSES:
        return _Facts(Hazard.BIOLOGICAL, Unit.UG_M3, Series.PARTICLES)
    if quantity.startswith("particle_count_"):
        return _Facts(Hazard.BIOLOGICAL, Unit.PER_L, Series.PARTICLES)
    return _Facts(Hazard.CHEMICAL, _CHEMICAL_UNITS.get(quantity, Unit.PPM), Series.CHEMICAL)


_FACTS = {quantity: _facts(quantity) for quantity in Quantity}


def hazard_of(quantity: Quantity) -> Hazard:
    """Return the hazard a quantity speaks of."""
    return _FACTS[quantity].hazard


def canonical_unit(quantity: Quantity) -> Unit:
    """Return the one unit in which a quantity is fused, stored and compared."""
    return _FACTS[quantity].unit


def series_of(quantity: Quantity) -> Series:
    """Return the time-series measurement a quantity is written to."""
    return _FACTS[quantity].series
