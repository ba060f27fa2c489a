"""SVG as text: elements with escaped attributes and content, nothing else. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

Attribute = str | float | int
Point = tuple[float, float]

FONT = "DejaVu Sans, Verdana, Arial, Helvetica, sans-serif"
_LETTER_EM, _BOLD_LETTER_EM = 0.59, 0.66
"""Mean width of a letter of these fonts; a text is never measured, only estimated."""
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Box(NamedTuple):
    """A rectangle: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both cover."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0.0, across) * max(0.0, down)


def element(name: str, *content: str, **attributes: Attribute | None) -> str:
    """Return an element; `content` is SVG already, attributes are escaped, `_` becomes `-`."""
    pairs = (
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_text(value))}"
        for key, value in attributes.items()
        if value is not None
    )
    opening = f"<{name}{''.join(pairs)}"
    return f"{opening}>{''.join(content)}</{name}>" if content else f"{opening}/>"


def text(x: float, y: float, words: str, *, size: float, **attributes: Attribute | None) -> str:
    """Return a line of text; its baseline begins at (x, y)."""
    return element("text", clean(words), x=x, y=y, font_size=size, **attributes)


def clean(words: str) -> str:
    """Return words escaped, without what XML has no way to write."""
    return escape(_NOT_IN_XML.sub("\ufffd", words))


def polyline(points: Iterable[Point], *, is_closed: bool) -> str:
    """Return the `d` of a path through the points."""
    body = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"M{body}{'Z' if is_closed else ''}"


def width_of(words: str, size: float, *, is_bold: bool = False) -> float:
    """Return about how wide a text is."""
    return len(words) * size * (_BOLD_LETTER_EM if is_bold else _LETTER_EM)


def wrapped(words: str, size: float, width: float) -> Sequence[str]:
    """Return a text broken into lines of at most about `width`."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _text(value: Attribute) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return _NOT_IN_XML.sub("\ufffd", str(value))
