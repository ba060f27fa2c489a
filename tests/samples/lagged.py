"""What a first-order instrument shows of gas that comes and goes at once."""

from collections.abc import Iterable, Iterator
from math import exp, log

PERIOD_S = 1.0


def lagged(targets_ppm: Iterable[float], t90_s: float) -> Iterator[float]:
    """Yield what is shown each second while the concentration is that of `targets_ppm`.

    It wobbles by 0.01 ppm, as no instrument rests quite still.
    """
    kept = exp(-PERIOD_S * log(10) / t90_s)
    shown = 0.0
    for second, target in enumerate(targets_ppm):
        shown = target + (shown - target) * kept
        yield shown + 0.01 * (second % 3)
