"""Labels on the map."""

from itertools import combinations

import pytest

from cbrn_gateway.demo.picture.labels import Wish, place_labels
from cbrn_gateway.demo.picture.svg import Box

FRAME = Box(0.0, 0.0, 860.0, 580.0)


def test_the_labels_of_a_square_lie_apart_and_inside_the_frame():
    anchors = [(120.0 + 200 * column, 90.0 + 190 * row) for row in range(3) for column in range(4)]
    marks = [Box(x - 12, y - 12, 24, 24) for x, y in anchors]
    boxes = place_labels([Wish(anchor, 150.0, 60.0) for anchor in anchors], marks, FRAME)
    assert sum(a.overlap(b) for a, b in combinations(boxes, 2)) == 0
    assert sum(box.overlap(mark) for box in boxes for mark in marks) == 0
    assert all(box.overlap(FRAME) == pytest.approx(150.0 * 60.0) for box in boxes)


def test_labels_give_way_to_each_other_where_points_are_close():
    wishes = [Wish((400.0 + 10 * i, 300.0), 140.0, 50.0) for i in range(4)]
    boxes = place_labels(wishes, [], FRAME)
    assert sum(a.overlap(b) for a, b in combinations(boxes, 2)) == 0


def test_the_same_wishes_give_the_same_places():
    wishes = [Wish((100.0 * i, 50.0 * i), 120.0, 40.0) for i in range(1, 8)]
    assert place_labels(wishes, [], FRAME) == place_labels(wishes, [], FRAME)


def test_a_point_at_the_edge_has_its_label_inside():
    (box,) = place_labels([Wish((858.0, 2.0), 150.0, 60.0)], [], FRAME)
    assert box.overlap(FRAME) == pytest.approx(150.0 * 60.0)
