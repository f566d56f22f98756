from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import ResamplePolylines
from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

SQUARE = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4], [0, 0]])


def run(lines, num_points=5, **extra):
    return ResamplePolylines(num_points)(
        {"polylines": lines, "map_spec": MapSpec(), "sample_token": "t", **extra}
    )


def test_points_lie_at_equal_arc_length():
    results = run([Polyline(0, np.array([[0.0, 0], [0, 1], [0, 8]])), Polyline(1, SQUARE, closed=True)])
    np.testing.assert_allclose(results["gt_points"][0], [[0, 0], [0, 2], [0, 4], [0, 6], [0, 8]])
    np.testing.assert_allclose(results["gt_points"][1], SQUARE)
    assert results["gt_points"].dtype == results["gt_orders"].dtype == np.float32
    assert results["gt_labels"].tolist() == [0, 1]
    assert results["gt_labels"].dtype == np.int64
    assert results["gt_closed"].tolist() == [False, True]
    assert results["num_degenerate"] == 0


def test_orders_of_rings_and_lines():
    results = run([Polyline(1, SQUARE, closed=True), Polyline(0, SQUARE)])
    ring, line = results["gt_orders"]
    assert ring.shape == line.shape == (8, 5, 2)
    np.testing.assert_array_equal(ring[:, 0], ring[:, -1])
    assert len({order.tobytes() for order in ring}) == 8
    assert len({tuple(order[0]) for order in ring}) == 4
    edges = np.linalg.norm(np.diff(ring, axis=1), axis=-1)
    np.testing.assert_allclose(edges, 4.0)
    assert {order.tobytes() for order in line} == {
        results["gt_points"][1].tobytes(),
        results["gt_points"][1][::-1].tobytes(),
    }
    np.testing.assert_array_equal(results["gt_orders"][:, 0], results["gt_points"])


def test_points_beyond_the_roi_move_to_its_edge():
    (points,) = run([Polyline(2, np.array([[15.2, -30.2], [15.2, 9.8]]))])["gt_points"]
    np.testing.assert_allclose(points[:, 0], 15.0)
    assert points[0, 1] == -30.0
    assert points[-1, 1] == pytest.approx(9.8)


def test_elements_without_length_are_left_out_and_counted():
    lines = [
        Polyline(2, np.array([[1.0, 2], [1, 2], [1, 2]])),
        Polyline(0, np.array([[0.0, 0], [0, 0.01]])),
        Polyline(1, np.array([[16.0, 40], [17, 41], [18, 40], [16, 40]]), closed=True),
    ]
    results = run(lines)
    assert results["num_degenerate"] == 2
    assert results["gt_labels"].tolist() == [0]
    assert len(results["gt_orders"]) == len(results["gt_closed"]) == 1
    assert results["polylines"] == lines


def test_a_sample_without_elements():
    results = run([])
    assert results["gt_points"].shape == (0, 5, 2)
    assert results["gt_orders"].shape == (0, 8, 5, 2)
    assert results["gt_labels"].dtype == np.int64
    assert results["gt_closed"].dtype == bool


def test_a_label_beyond_the_classes_is_refused():
    with pytest.raises(MapLLaVAError, match=r"sample t has labels \[3\]"):
        run([Polyline(3, SQUARE)])
    with pytest.raises(ValueError, match="num_points is 2"):
        ResamplePolylines(2)


def test_directed_lines_are_never_reversed():
    spec = MapSpec(classes=("divider", "centerline"))
    path, ring = np.array([[0.0, -9], [0, 9]]), np.array([[0.0, 0], [6, 0], [6, 6], [0, 6], [0, 0]])
    lines = [
        Polyline(1, path, directed=True),
        Polyline(0, path),
        Polyline(1, ring, closed=True, directed=True),
    ]
    out = ResamplePolylines(5)({"map_spec": spec, "polylines": lines})
    assert out["gt_directed"].tolist() == [True, False, True]
    way, line, loop = out["gt_orders"]
    assert (way == out["gt_points"][0]).all()
    assert len({order.tobytes() for order in line}) == 2
    assert len({order.tobytes() for order in loop}) == 4
    for order in loop:
        edges = np.diff(order, axis=0)
        assert (edges[:-1, 0] * edges[1:, 1] - edges[:-1, 1] * edges[1:, 0] > 0).all(), "turned around"
