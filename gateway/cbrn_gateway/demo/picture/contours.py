"""Closed lines of equal value on a grid, by marching squares. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]
_Edge = tuple[int, int, bool]
"""Column, row, and whether the edge goes up from that corner (else to the right)."""


class Grid(NamedTuple):
    """Values at equal steps; `values[row, column]`, row 0 at `south_m`."""

    west_m: float
    south_m: float
    step_m: float
    values: Floats


def contours(grid: Grid, level: float) -> list[list[Point]]:
    """Return the closed rings (east, north) inside which the value is at least `level`.

    Beyond its border the grid counts as lower, so that every ring closes.
    """
    values = np.pad(grid.values, 1, constant_values=0.0)
    inside = values >= level
    following: dict[_Edge, _Edge] = {}
    for row in range(values.shape[0] - 1):
        for column in range(values.shape[1] - 1):
            following |= dict(_segments(inside, row, column))
    rings = []
    while following:
        start, edge = following.popitem()
        ring = [start]
        while edge != start:
            ring.append(edge)
            edge = following.pop(edge)
        rings.append([_place(grid, values, level, edge) for edge in ring])
    return rings


def _segments(
    inside: npt.NDArray[np.bool_], row: int, column: int
) -> Iterator[tuple[_Edge, _Edge]]:
    """Yield the pieces of line in one cell, the inside always at their left."""
    south: _Edge = (column, row, False)
    north: _Edge = (column, row + 1, False)
    west: _Edge = (column, row, True)
    east: _Edge = (column + 1, row, True)
    corners = (
        inside[row, column],
        inside[row, column + 1],
        inside[row + 1, column + 1],
        inside[row + 1, column],
    )
    edges = (south, east, north, west)
    # Counter-clockwise round the cell: leaving the inside ends a piece, entering begins one.
    leaves = [edges[i] for i in range(4) if corners[i] and not corners[(i + 1) % 4]]
    enters = [edges[i] for i in range(4) if not corners[i] and corners[(i + 1) % 4]]
    if len(leaves) == 2 and edges.index(leaves[0]) < edges.index(enters[0]):
        enters.reverse()
    yield from zip(leaves, enters, strict=True)


def _place(grid: Grid, values: Floats, level: float, edge: _Edge) -> Point:
    column, row, is_up = edge
    here = values[row, column]
    there = values[row + 1, column] if is_up else values[row, column + 1]
    share = 0.5 if here == there else float((level - here) / (there - here))
    east = column + (0.0 if is_up else share)
    north = row + (share if is_up else 0.0)
    # The padding shifts the grid by one cell.
    return (
        grid.west_m + (east - 1) * grid.step_m,
        grid.south_m + (north - 1) * grid.step_m,
    )
