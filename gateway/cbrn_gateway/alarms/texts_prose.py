"""Tidy lines: text of others made harmless, gaps of empty fields closed."""

import re

_LOOSE_SPACE = re.compile(r"\s+(?=[:;,.])")


def clipped(text: str | None, length: int) -> str:
    """Return text of others on one line, without quotation marks, at most `length` long."""
    line = " ".join((text or "").split())
    if not line.isprintable() or "“" in line or "”" in line:
        line = "".join(c for c in line if c.isprintable() and c not in "“”")
    if len(line) <= length:
        return line
    return line[: length - 1].rstrip() + "…"


def tidy(text: str) -> str:
    """Return a sentence without the gaps that empty fields leave."""
    return _LOOSE_SPACE.sub("", " ".join(text.split()))
