"""Units of measurement and their exact conversions.

Source of factors: definitions of the International System of Units (BIPM brochure,
9th ed., 2019). Gas constant R = 8.31446261815324 J/(mol K), exact since 2019.
"""

from enum import StrEnum

from cbrn_core.errors import CbrnError

GAS_CONSTANT_J_MOL_K = 8.31446261815324
STANDARD_TEMPERATURE_DEG_C = 25.0
STANDARD_PRESSURE_HPA = 1013.25
ZERO_CELSIUS_K = 273.15


class Unit(StrEnum):
    """Every unit that a reading may carry; the value is its spelling on the wire."""

    PPM = "ppm"
    PPB = "ppb"
    MG_M3 = "mg/m3"
    UG_M3 = "ug/m3"
    PCT_LEL = "%LEL"
    PCT_VOL = "%vol"
    CPS = "cps"
    CPM = "cpm"
    USV_H = "uSv/h"
    MSV_H = "mSv/h"
    USV = "uSv"
    MSV = "mSv"
    PER_L = "1/L"
    PER_M3 = "1/m3"
    CFU_M3 = "CFU/m3"
    M_S = "m/s"
    KM_H = "km/h"
    KNOT = "kn"
    MPH = "mph"
    FT_MIN = "ft/min"
    DEG = "deg"
    DEG_C = "degC"
    PERCENT = "%"
    HPA = "hPa"
    MM_H = "mm/h"
    BPM = "bpm"
    V = "V"
    MV = "mV"
    DBM = "dBm"
    M = "m"
    G = "g"
    NONE = "1"


class UnitError(CbrnError):
    """A value cannot be expressed in the wanted unit."""


# (from, to): multiply. Only pairs of the same physical dimension.
_FACTORS: dict[tuple[Unit, Unit], float] = {
    (Unit.PPM, Unit.PPB): 1e3,
    (Unit.PPM, Unit.PCT_VOL): 1e-4,
    (Unit.PPB, Unit.PCT_VOL): 1e-7,
    (Unit.MG_M3, Unit.UG_M3): 1e3,
    (Unit.CPS, Unit.CPM): 60.0,
    (Unit.MSV_H, Unit.USV_H): 1e3,
    (Unit.MSV, Unit.USV): 1e3,
    (Unit.PER_L, Unit.PER_M3): 1e3,
    (Unit.V, Unit.MV): 1e3,
    (Unit.M_S, Unit.KM_H): 3.6,
    (Unit.KNOT, Unit.M_S): 1852 / 3600,
    (Unit.MPH, Unit.M_S): 0.44704,
    (Unit.FT_MIN, Unit.M_S): 0.3048 / 60,
}

_MOLE_FRACTION = {Unit.PPM: 1.0, Unit.PPB: 1e-3, Unit.PCT_VOL: 1e4}
_MASS_CONCENTRATION = {Unit.MG_M3: 1.0, Unit.UG_M3: 1e-3}


def molar_volume_l_mol(temperature_deg_c: float, pressure_hpa: float) -> float:
    """Return the molar volume of an ideal gas in litres per mole (24.4654 at 25 °C, 1013.25 hPa).

    Raises:
        UnitError: not above absolute zero, or no pressure.
    """
    temperature_k = temperature_deg_c + ZERO_CELSIUS_K
    if temperature_k <= 0 or pressure_hpa <= 0:
        raise UnitError(f"no gas at {temperature_deg_c} degC and {pressure_hpa} hPa")
    return 10.0 * GAS_CONSTANT_J_MOL_K * temperature_k / pressure_hpa


def convert(
    value: float,
    source: Unit,
    target: Unit,
    *,
    molar_mass_g_mol: float | None = None,
    temperature_deg_c: float = STANDARD_TEMPERATURE_DEG_C,
    pressure_hpa: float = STANDARD_PRESSURE_HPA,
) -> float:
    """Return `value` in another unit; gases cross ppm and mg/m3 by their molar mass.

    Raises:
        UnitError: the units measure different things, or the molar mass is missing.
    """
    if source is target:
        return value
    factor = _FACTORS.get((source, target))
    if factor is not None:
        return value * factor
    inverse = _FACTORS.get((target, source))
    if inverse is not None:
        return value / inverse
    if source in _SPEEDS and target in _SPEEDS:
        return convert(convert(value, source, Unit.M_S), Unit.M_S, target)
    volume = molar_volume_l_mol(temperature_deg_c, pressure_hpa)
    return _convert_gas(value, source, target, molar_mass_g_mol, volume)


_SPEEDS = {Unit.M_S, Unit.KM_H, Unit.KNOT, Unit.MPH, Unit.FT_MIN}


def _convert_gas(
    value: float,
    source: Unit,
    target: Unit,
    molar_mass_g_mol: float | None,
    molar_volume_l: float,
) -> float:
    to_mass = source in _MOLE_FRACTION and target in _MASS_CONCENTRATION
    to_fraction = source in _MASS_CONCENTRATION and target in _MOLE_FRACTION
    if not (to_mass or to_fraction):
        raise UnitError(f"{source} cannot be expressed in {target}")
    if molar_mass_g_mol is None or molar_mass_g_mol <= 0:
        raise UnitError(f"{source} to {target} needs the molar mass of the gas")
    mg_m3_per_ppm = molar_mass_g_mol / molar_volume_l
    if to_mass:
        return value * _MOLE_FRACTION[source] * mg_m3_per_ppm / _MASS_CONCENTRATION[target]
    return value * _MASS_CONCENTRATION[source] / mg_m3_per_ppm / _MOLE_FRACTION[target]
