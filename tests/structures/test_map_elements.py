from __future__ import annotations

import numpy as np
import pytest

from mapllava.structures import Polyline
from mapllava.structures.map_elements import CLOSING_TOLERANCE, is_closed

RING = [[0, 0], [4, 0], [4, 3], [0, 0]]


def test_dict_round_trip():
    line = Polyline(2, np.array(RING, dtype=np.float32), closed=True)
    data = line.to_dict()
    assert set(data) == {"label", "points", "closed"}
    assert (type(data["label"]), type(data["closed"]), data["points"].dtype) == (int, bool, np.float64)
    assert Polyline.from_dict(data) == line


def test_equality_sees_label_points_and_closedness():
    line = Polyline(1, RING, True)
    assert line != Polyline(0, RING, True)
    assert line != Polyline(1, RING, False)
    assert line != Polyline(1, RING[:2] + RING[3:], True)


@pytest.mark.parametrize(
    ("label", "points", "closed", "words"),
    [
        (-1, RING, False, "label"),
        (0.5, RING, False, "label"),
        (True, RING, False, "label"),
        (0, [[0, 0]], False, "shape"),
        (0, [[0, 0, 0], [1, 1, 1]], False, "shape"),
        (0, [[0, 0], [np.nan, 1]], False, "finite"),
        (0, RING[:3], True, "repeats its first vertex"),
    ],
)
def test_bad_elements_are_refused(label, points, closed, words):
    with pytest.raises(ValueError, match=words):
        Polyline(label, points, closed)


def test_missing_key_is_named():
    with pytest.raises(ValueError, match="closed"):
        Polyline.from_dict({"label": 0, "points": RING})


def test_direction_is_a_property_and_is_stored_only_where_true():
    points = np.array([[0.0, 0], [1, 0]])
    way, line = Polyline(3, points, directed=True), Polyline(3, points)
    assert way != line
    assert Polyline.from_dict(way.to_dict()) == way
    assert "directed" not in line.to_dict()
    assert not Polyline.from_dict({"label": 3, "points": points, "closed": False}).directed


@pytest.mark.parametrize(("gap", "closed"), [(0.9, True), (1.1, False)])
def test_one_tolerance_says_what_is_closed_and_what_a_ring_may_be(gap, closed):
    ring = np.array([*RING[:3], [0, gap * CLOSING_TOLERANCE]])
    assert is_closed(ring) == closed
    if closed:
        Polyline(0, ring, closed=True)
    else:
        with pytest.raises(ValueError, match="repeats its first vertex"):
            Polyline(0, ring, closed=True)


def test_a_line_there_and_back_is_no_ring():
    assert not is_closed(np.array([[0.0, 0], [1, 0], [0, 0]]))
