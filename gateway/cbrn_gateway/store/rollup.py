"""Roll-ups: what five minutes of one channel amount to. Pure."""

from collections.abc import Iterable, Sequence
from math import fsum, isnan
from typing import NamedTuple

import msgspec

from cbrn_core.reading import Quality
from cbrn_core.units import Unit
from cbrn_gateway.store.series_rows import QUALITIES, Row, has_reading, reading_unit

SLOT_US = 300_000_000
"""Roll-ups and chunks are of aligned five minutes of measured time."""


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one channel in the five minutes that begin at `t0_us`.

    Attributes:
        first_us: time of the first reading, whichever its quality; `last_us` of the last.
        n: readings with a value in `unit`; `least`, `greatest` and `mean` are theirs,
            whichever their quality.
        least: None where no reading has a value.
        mean: None also where it is no number.
        unit: that of the last reading; values in another unit count by quality only.
        by_quality: readings of each quality, with or without a value.
    """

    t0_us: int
    first_us: int
    last_us: int
    n: int
    least: float | None
    greatest: float | None
    mean: float | None
    unit: Unit
    by_quality: dict[Quality, int]


class Figures(NamedTuple):
    """Of values in one unit; `mean` is None where it is no number."""

    n: int
    least: float
    greatest: float
    mean: float | None


class Summary(NamedTuple):
    """What a roll-up is made of: any readings of one channel.

    `unit` is that of the last reading, `counts` go by rank of quality.
    """

    first_us: int
    last_us: int
    unit: Unit
    figures: dict[Unit, Figures]
    counts: tuple[int, ...]


def summary_of(channel_unit: Unit, rows: Iterable[Row]) -> Summary | None:
    """Return what the readings of some rows amount to, None where none can be read."""
    counts = [0] * len(QUALITIES)
    values: dict[Unit, list[float]] = {}
    first_us, last_us, unit = None, 0, channel_unit
    for row in sorted(filter(has_reading, rows), key=_time_us):
        try:
            rank, unit = _rank(row), reading_unit(channel_unit, row)
        except (ValueError, msgspec.DecodeError):
            continue
        counts[rank] += 1
        first_us, last_us = row[2] if first_us is None else first_us, row[2]
        if row[4] is not None:
            values.setdefault(unit, []).append(row[4])
    if first_us is None:
        return None
    figures = {unit: _figures(of_unit) for unit, of_unit in values.items()}
    return Summary(first_us, last_us, unit, figures, tuple(counts))


def rollup_of(slot: int, summaries: Sequence[Summary]) -> Rollup:
    """Return the roll-up of a slot from summaries of its parts, at least one, in any order."""
    last = max(summaries, key=lambda summary: summary.last_us)
    alike = [s.figures[last.unit] for s in summaries if last.unit in s.figures]
    counts = [sum(s.counts[rank] for s in summaries) for rank in range(len(QUALITIES))]
    return Rollup(
        t0_us=slot * SLOT_US,
        first_us=min(s.first_us for s in summaries),
        last_us=last.last_us,
        n=sum(f.n for f in alike),
        least=min((f.least for f in alike), default=None),
        greatest=max((f.greatest for f in alike), default=None),
        mean=_mean_of_means(alike),
        unit=last.unit,
        by_quality=dict(zip(QUALITIES, counts, strict=True)),
    )


def _figures(values: Sequence[float]) -> Figures:
    return Figures(len(values), min(values), max(values), _mean([1] * len(values), values))


def _time_us(row: Row) -> int:
    time_us: int = row[2]
    return time_us


def _rank(row: Row) -> int:
    rank: int = row[7]
    if not 0 <= rank < len(QUALITIES):
        raise ValueError(f"no quality has rank {rank}")
    return rank


def _mean_of_means(figures: Sequence[Figures]) -> float | None:
    means = [f.mean for f in figures if f.mean is not None]
    return _mean([f.n for f in figures], means) if len(means) == len(figures) else None


def _mean(weights: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the weighted mean, None of nothing or where it is no number."""
    if not values:
        return None
    total = sum(weights)
    try:
        # divided first: the sum of great numbers may be beyond all bounds where their mean is not
        mean = fsum(value * (weight / total) for weight, value in zip(weights, values, strict=True))
    except (ValueError, OverflowError):  # infinities of both signs; beyond all bounds
        return None
    return None if isnan(mean) else min(max(mean, min(values)), max(values))
