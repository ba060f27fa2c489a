"""Closed lines of equal value."""

from math import hypot, pi

import numpy as np
import pytest

from cbrn_gateway.demo.picture.contours import Grid, contours


def grid_of(function, *, size=41, step_m=1.0):
    """Return a grid centred on the origin."""
    half = (size - 1) / 2 * step_m
    axis = np.arange(size) * step_m - half
    return Grid(-half, -half, step_m, np.array([[function(x, y) for x in axis] for y in axis]))


def signed_area(ring):
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2


def test_a_hill_has_one_ring_at_the_right_distance():
    grid = grid_of(lambda x, y: 20 - hypot(x, y))
    (ring,) = contours(grid, 10.0)
    assert [hypot(x, y) for x, y in ring] == pytest.approx([10.0] * len(ring), abs=0.1)
    assert abs(signed_area(ring)) == pytest.approx(pi * 100, rel=0.02)


def test_a_hole_in_a_hill_has_a_ring_of_its_own_the_other_way_round():
    grid = grid_of(lambda x, y: 10 - abs(hypot(x, y) - 10))
    rings = contours(grid, 5.0)
    assert sorted(np.sign(signed_area(ring)) for ring in rings) == [-1, 1]
    assert sum(map(signed_area, rings)) == pytest.approx(pi * (15**2 - 5**2), rel=0.03)


def test_a_ring_closes_at_the_border_of_the_grid():
    (ring,) = contours(grid_of(lambda *_: 5.0, size=5), 1.0)
    assert abs(signed_area(ring)) == pytest.approx((4 + 1.6) ** 2, rel=0.05)


def test_a_saddle_gives_closed_rings_too():
    rings = contours(grid_of(lambda x, y: x * y, size=11), 3.0)
    assert len(rings) == 2
    checker = Grid(0.0, 0.0, 1.0, np.indices((6, 6)).sum(axis=0) % 2.0)
    assert sum(abs(signed_area(ring)) for ring in contours(checker, 0.5)) > 0


@pytest.mark.parametrize("seed", range(20))
def test_any_field_gives_rings_around_what_is_inside(seed):
    field = np.random.default_rng(seed).random((9, 12))
    total = sum(signed_area(ring) for ring in contours(Grid(0.0, 0.0, 1.0, field), 0.6))
    assert (total > 0) == bool((field >= 0.6).any())


def test_nothing_above_the_level_has_no_ring():
    assert contours(grid_of(lambda *_: 0.5, size=5), 1.0) == []
