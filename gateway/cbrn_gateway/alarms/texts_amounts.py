"""Amounts in plain words: always with a unit, never a bare zero, never over the range."""

from math import isfinite

from cbrn_core.numbers import significant, value_with_sigma
from cbrn_core.units import Unit
from cbrn_gateway.alarms.texts_types import Catalogue, Phrase

_SYMBOLS: dict[str, str] = {
    Unit.MG_M3: "mg/m³",
    Unit.UG_M3: "µg/m³",
    Unit.PCT_LEL: "% LEL",
    Unit.PCT_VOL: "% vol",
    Unit.USV_H: "µSv/h",
    Unit.USV: "µSv",
    Unit.PER_L: "/L",
    Unit.PER_M3: "/m³",
    Unit.CFU_M3: "CFU/m³",
    Unit.DEG: "°",
    Unit.DEG_C: "°C",
    Unit.NONE: "",
}
_SCALES: frozenset[str] = frozenset({Unit.DEG_C, Unit.DEG, Unit.DBM})
"""Units in which nothing is a place on a scale like any other."""

_IN_MSV_FROM_USV = 1000.0
_NEGLIGIBLE_SIGMA = 1e-3
_LOD_SIGMAS = 3.0
_FIGURE_DIGITS = 4
_LEAST_WRITTEN = 1e-6
"""In any unit; a float of the wire may be smaller than anything that is measured."""


def amount_text(
    value: float | None,
    unit: str | None,
    words: Catalogue,
    *,
    sigma: float | None = None,
    lod: float | None = None,
    over_range: bool = False,
) -> str:
    """Return `3.1 ± 0.6 ppm`, `below 0.05 ppm` or `≥ 300 ppm (over range)`.

    `value`, `sigma` and `lod` are in `unit`. Only a temperature, an angle or a level in
    decibels may be negative or nothing.
    """
    if value is None or not isfinite(value):
        return words.phrases[Phrase.NO_VALUE]
    if over_range and value > 0:
        limit = figure_text(value, unit, words)
        return words.phrases[Phrase.OVER_RANGE].format(limit=limit)
    if unit not in _SCALES and is_below(value, sigma, lod):
        return _below(sigma, lod, unit, words)
    return with_unit(value, unit, words, sigma=sigma)


def with_unit(
    value: float, unit: str | None, words: Catalogue, *, sigma: float | None = None
) -> str:
    """Return a measured number, in the language's spelling, with its unit."""
    value, sigma, unit = _scaled(value, sigma, unit)
    value = value if abs(value) >= _LEAST_WRITTEN else 0.0
    if sigma is None or not isfinite(sigma) or sigma < _NEGLIGIBLE_SIGMA * abs(value):
        return _joined(significant(value), unit, words)
    spread = value_with_sigma(value, sigma)
    is_zero = float(spread.partition(" ")[0]) == 0
    return _joined(significant(value) if is_zero else spread, unit, words)


def figure_text(value: float, unit: str | None, words: Catalogue) -> str:
    """Return a limit as it is written in tables: `0.05 ppm`, `300 ppm`, `2.8 ppm`."""
    value, _, unit = _scaled(value, None, unit)
    number = significant(value, _FIGURE_DIGITS)
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return _joined(number, unit, words)


def signed(value: float, unit: str | None, words: Catalogue) -> str:
    """Return a change with its sign: `+12 ppm`."""
    sign = "+" if value >= 0 else "−"
    return f"{sign}{with_unit(abs(value), unit, words)}"


def duration_text(seconds: float) -> str:
    """Return a duration as `12 s`, `5 min` or `3 h`."""
    if seconds < 120:
        whole = seconds >= 10 or seconds == round(seconds)
        return f"{seconds:.0f} s" if whole else f"{significant(seconds, 1)} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def is_written(value: float) -> bool:
    """Return whether an amount is large enough to be written as a number."""
    return abs(value) >= _LEAST_WRITTEN


def distance_text(distance_m: float) -> str:
    """Return a distance in whole metres."""
    return f"{distance_m:.0f} m"


def spelt(number: str, words: Catalogue) -> str:
    """Return a written number with the language's decimal mark."""
    return number.replace(".", words.decimal_mark)


def is_below(value: float, sigma: float | None, lod: float | None) -> bool:
    """Return whether a concentration is too small to be written as a number."""
    if value < _LEAST_WRITTEN or (lod is not None and value < lod):
        return True
    if sigma is None or not isfinite(sigma) or sigma <= 0:
        return False
    shown = value_with_sigma(value, sigma).partition(" ")[0]
    return float(shown) == 0


def _scaled(
    value: float, sigma: float | None, unit: str | None
) -> tuple[float, float | None, str | None]:
    if unit == Unit.USV_H and abs(value) >= _IN_MSV_FROM_USV:
        return value / 1e3, None if sigma is None else sigma / 1e3, Unit.MSV_H
    return value, sigma, unit


def _joined(number: str, unit: str | None, words: Catalogue) -> str:
    symbol = _SYMBOLS.get(unit or "", unit or "")
    glue = "" if symbol.startswith("/") or unit == Unit.DEG else " "
    return f"{spelt(number, words)}{glue}{symbol}".rstrip()


def _below(sigma: float | None, lod: float | None, unit: str | None, words: Catalogue) -> str:
    limit = lod
    if limit is None and sigma is not None and isfinite(sigma):
        limit = _LOD_SIGMAS * sigma
    if limit is None or limit <= 0 or not isfinite(limit):
        return words.phrases[Phrase.BELOW_DETECTION]
    return words.phrases[Phrase.BELOW].format(limit=figure_text(limit, unit, words))
