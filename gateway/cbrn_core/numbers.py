"""The one formatter of numbers for people; machines get JSON numbers."""

from math import floor, isfinite, log10


def significant(value: float, digits: int = 2) -> str:
    """Return `value` with at least `digits` significant digits and no exponent.

    Whole numbers keep all their digits: 1234 stays 1234.

    Raises:
        ValueError: not finite.
    """
    if not isfinite(value):
        raise ValueError("only finite numbers can be shown")
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - floor(log10(abs(value))))
    return f"{value:.{decimals}f}"


def value_with_sigma(value: float, sigma: float) -> str:
    """Return `3.1 ± 0.6`: both with the decimals that the uncertainty justifies."""
    if sigma <= 0 or not isfinite(sigma):
        return significant(value)
    decimals = max(0, -floor(log10(sigma)))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"
