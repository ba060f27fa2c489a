"""Signs of the picture: each priority has its own shape and figure, colour only helps. Pure."""

from math import cos, pi, sin

from cbrn_gateway.demo.picture.svg import element, text

INK = "#1b1f24"
PAPER = "#ffffff"
TRUTH = "#8a2a6b"
_FILLS = {1: "#b00020", 2: "#e07b00", 3: "#f2c200"}
_FIGURE_INKS = {1: PAPER, 2: INK, 3: INK}


def station_mark(x: float, y: float, priority: int | None, *, size: float = 11.0) -> str:
    """Return a station: square 1, triangle 2, circle 3, ring without an alarm."""
    if priority is None:
        return element(
            "circle", cx=x, cy=y, r=size * 0.62, fill=PAPER, stroke=INK, stroke_width=2.5
        )
    shape: dict[str, str | float] = {
        "fill": _FILLS[priority],
        "stroke": INK,
        "stroke_width": 1.5,
    }
    if priority == 1:
        body = element(
            "rect", x=x - size, y=y - size, width=2 * size, height=2 * size, rx=2, **shape
        )
    elif priority == 2:
        top, low, wide = y - 1.25 * size, y + 0.85 * size, 1.25 * size
        body = element(
            "polygon",
            points=f"{x:.1f},{top:.1f} {x + wide:.1f},{low:.1f} {x - wide:.1f},{low:.1f}",
            **shape,
        )
    else:
        body = element("circle", cx=x, cy=y, r=size, **shape)
    figure = text(
        x,
        y + size * 0.5,
        str(priority),
        size=size * 1.35,
        font_weight="bold",
        text_anchor="middle",
        fill=_FIGURE_INKS[priority],
    )
    return body + figure


def measured_ring(x: float, y: float, *, size: float = 11.0) -> str:
    """Return the ring that says: an alarm was measured here."""
    return element(
        "circle", cx=x, cy=y, r=size * 1.9, fill="none", stroke=_FILLS[1], stroke_width=3
    )


def source_mark(x: float, y: float, *, size: float = 10.0) -> str:
    """Return the cross of a true source, which no station may look like."""
    d = f"M{x - size:.1f} {y - size:.1f}L{x + size:.1f} {y + size:.1f}"
    d += f"M{x - size:.1f} {y + size:.1f}L{x + size:.1f} {y - size:.1f}"
    halo = element("path", d=d, stroke=PAPER, stroke_width=8, stroke_linecap="round")
    return halo + element("path", d=d, stroke=TRUTH, stroke_width=4.5, stroke_linecap="round")


def arrow(x: float, y: float, from_deg: float, length: float, **stroke: str | float) -> str:
    """Return an arrow through (x, y) that flies with the wind from `from_deg` (true north)."""
    angle = (from_deg + 180.0) * pi / 180.0
    east, south = sin(angle), -cos(angle)
    tip = (x + east * length / 2, y + south * length / 2)
    tail = (x - east * length / 2, y - south * length / 2)
    barbs = [
        (tip[0] - 12 * sin(angle + turn), tip[1] + 12 * cos(angle + turn)) for turn in (-0.45, 0.45)
    ]
    d = f"M{tail[0]:.1f} {tail[1]:.1f}L{tip[0]:.1f} {tip[1]:.1f}" + "".join(
        f"M{bx:.1f} {by:.1f}L{tip[0]:.1f} {tip[1]:.1f}" for bx, by in barbs
    )
    return element("path", d=d, fill="none", stroke_linecap="round", **stroke)
