"""Invariants of clipping, resampling and orders, on inputs that hypothesis makes up, the same in each run."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mapllava.geometry import arc_length, equivalent_orders, order_table, resample
from mapllava.geometry.clip import Window, clip_lines, clip_path, clip_polygons, outline_pieces, union
from mapllava.structures import ROI

FUZZ = settings(max_examples=50, deadline=None, derandomize=True, database=None)
EDGE = 1e-6

PLACES = st.one_of(st.integers(-50, 50).map(float), st.integers(-400, 400).map(lambda k: k / 8))
LINES = arrays(np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=PLACES)
LOW, HIGH = (st.one_of(st.floats(*ends), st.integers(*ends)) for ends in ((-40, -1), (1, 40)))
ROIS = st.builds(ROI, LOW, LOW, HIGH, HIGH)  # off-centre ones too; vertices often lie on whole metres
WINDOWS = st.builds(
    Window, ROIS, st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(-math.pi, math.pi)
)
BOXES = st.builds(
    lambda x, y, w, h: shapely.box(x, y, x + w, y + h),
    st.integers(-40, 30), st.integers(-40, 30), st.integers(1, 30), st.integers(1, 30),
)  # fmt: skip


@st.composite
def areas(draw) -> shapely.Geometry:
    """Unions of turned boxes, some with a hole, some cut out: holes, islands and several parts."""
    pieces = []
    for box in draw(st.lists(BOXES, min_size=1, max_size=4)):
        hole = box.buffer(-0.4, join_style="mitre") if draw(st.booleans()) else shapely.Polygon()
        pieces.append(turned(box.difference(hole), draw))
    solid = union(pieces)
    for box in draw(st.lists(BOXES, max_size=2)):
        solid = solid.difference(turned(box, draw))
    parts = [part for part in shapely.get_parts(solid) if part.geom_type == "Polygon" and part.area > 0.01]
    assume(parts)
    return shapely.MultiPolygon(parts)


def turned(box: shapely.Geometry, draw) -> shapely.Geometry:
    angle = draw(st.integers(0, 11)) * math.pi / 24
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return shapely.transform(box, lambda points: points @ turn.T)


def array(*geometries) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def in_world(points: np.ndarray, window: Window) -> np.ndarray:
    cos, sin = math.cos(window.yaw), math.sin(window.yaw)
    return points @ np.array([[cos, sin], [-sin, cos]]) + (window.x, window.y)


def total(pieces) -> float:
    return sum(arc_length(piece) for piece in pieces)


def on_edge(points: np.ndarray, roi: ROI) -> np.ndarray:
    gaps = np.abs(points[:, [0, 1, 0, 1]] - roi.to_list())
    return gaps.min(axis=1) < EDGE


# clipping of lines


@FUZZ
@given(LINES, WINDOWS)
def test_clipped_lines_have_the_length_that_lies_in_the_window(points, window):
    line = shapely.LineString(in_world(points, window))
    pieces = clip_lines(array(line), window)
    simple = shapely.node(line)  # GEOS counts a stretch once where a line runs over itself
    assert total(pieces) == pytest.approx(simple.intersection(window.patch).length, abs=1e-6)


@FUZZ
@given(LINES, WINDOWS)
def test_no_vertex_of_a_clipped_line_lies_outside_the_roi(points, window):
    for piece in clip_lines(array(shapely.LineString(in_world(points, window))), window):
        assert window.roi.contains(piece, EDGE).all()


@FUZZ
@given(LINES, WINDOWS)
def test_clipping_a_clipped_line_changes_nothing(points, window):
    at_origin = Window(window.roi, 0, 0, 0)
    for piece in clip_lines(array(shapely.LineString(points)), at_origin):
        again = clip_lines(array(shapely.LineString(piece)), at_origin)
        assert total(again) == pytest.approx(arc_length(piece), abs=1e-9)
        ((same, begins, ends),) = clip_path(piece, window.roi)
        assert begins
        assert ends
        np.testing.assert_allclose(arc_length(same), arc_length(piece), atol=1e-9)


@FUZZ
@given(LINES, ROIS)
def test_a_cut_path_is_as_long_as_its_segments_in_the_roi(points, roi):
    limits = shapely.box(roi.x_min, roi.y_min, roi.x_max, roi.y_max)
    segments = [shapely.LineString(pair) for pair in itertools.pairwise(points)]
    want = sum(segment.intersection(limits).length for segment in segments)
    assert total(piece for piece, _, _ in clip_path(points, roi)) == pytest.approx(want, abs=1e-9)


@FUZZ
@given(LINES, ROIS)
def test_a_cut_path_keeps_the_ends_of_the_line_and_else_ends_on_the_edge(points, roi):
    for piece, begins, ends in clip_path(points, roi):
        assert roi.contains(piece).all()
        assert np.array_equal(piece[0], points[0]) if begins else on_edge(piece[:1], roi).all()
        assert np.array_equal(piece[-1], points[-1]) if ends else on_edge(piece[-1:], roi).all()


@FUZZ
@given(LINES, ROIS)
def test_a_cut_path_keeps_its_direction(points, roi):
    forward, backward = clip_path(points, roi), clip_path(points[::-1], roi)
    assert len(forward) == len(backward)
    for (piece, begins, ends), (other, began, ended) in zip(forward, reversed(backward), strict=True):
        np.testing.assert_allclose(piece, other[::-1], atol=1e-9)
        assert (begins, ends) == (ended, began)


# clipping of outlines


@FUZZ
@given(areas(), ROIS)
def test_outlines_have_the_length_of_the_areas_edge_in_the_box(area, roi):
    limits = Window(roi, 0, 0, 0).inner_box(-0.2)
    want = area.boundary.intersection(limits).length
    assert total(outline_pieces(area, limits)) == pytest.approx(want, abs=1e-6)


@FUZZ
@given(areas(), ROIS)
def test_outlines_lie_inside_the_shrunk_roi_and_never_along_its_edge(area, roi):
    window = Window(roi, 0, 0, 0)
    clipped = union(clip_polygons(array(area), window))
    shrunk = ROI(roi.x_min + 0.2, roi.y_min + 0.2, roi.x_max - 0.2, roi.y_max - 0.2)
    for piece in outline_pieces(clipped, window.inner_box(-0.2)):
        assert shrunk.contains(piece, EDGE).all()
        assert area.boundary.buffer(1e-6).covers(shapely.LineString(piece))


@FUZZ
@given(areas())
def test_whole_exteriors_turn_clockwise_and_whole_holes_counter_clockwise(area):
    pieces = outline_pieces(area, shapely.box(-999, -999, 999, 999))
    parts = shapely.get_parts(area)
    turns = [shapely.LinearRing(piece).is_ccw for piece in pieces]
    assert turns == [False] * len(parts) + [True] * sum(len(part.interiors) for part in parts)
    assert all(np.array_equal(piece[0], piece[-1]) for piece in pieces)


@FUZZ
@given(areas(), ROIS)
def test_the_filled_area_lies_to_one_side_all_along_an_outline(area, roi):
    """To the right, unless merging the pieces of a ring has turned them around, which GEOS is free to do."""
    shapely.prepare(area)
    for piece in outline_pieces(area, Window(roi, 0, 0, 0).inner_box(-0.2)):
        steps = np.diff(piece, axis=0)
        lengths = np.hypot(*steps.T)
        long = lengths > 0.01
        right = 1e-5 * np.stack([steps[:, 1], -steps[:, 0]], axis=1)[long] / lengths[long, None]
        middles = (piece[:-1] + piece[1:])[long] / 2
        filled = shapely.contains_xy(area, np.stack([middles + right, middles - right]).reshape(-1, 2))
        sides = filled.reshape(2, -1)
        assert (sides[0] != sides[1]).all()
        assert (sides[0] == sides[0, :1]).all()


@FUZZ
@given(areas(), ROIS)
def test_crossings_stay_closed_rings_wherever_the_roi_cuts_them(area, roi):
    window = Window(roi, 0, 0, 0)
    for ring in outline_pieces(union(clip_polygons(array(area), window)), window.inner_box(0.2)):
        assert np.array_equal(ring[0], ring[-1])
        assert roi.contains(ring, EDGE).all()


# resampling


@FUZZ
@given(LINES, st.integers(2, 40))
def test_resampling_keeps_the_ends_and_is_never_longer(points, n):
    got = resample(points, n)
    assert got.shape == (n, 2)
    assert np.array_equal(got[[0, -1]], points[[0, -1]])
    assert arc_length(got) <= arc_length(points) + 1e-9


@FUZZ
@given(LINES, st.integers(2, 40))
def test_resampled_points_lie_on_the_line(points, n):
    line = shapely.LineString(points)
    assert shapely.distance(shapely.points(resample(points, n)), line).max() < 1e-9


@FUZZ
@given(st.lists(st.floats(-math.pi, math.pi), min_size=1, max_size=30), st.floats(0.1, 5))
def test_resampling_a_line_of_equal_steps_changes_nothing(headings, step):
    steps = step * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    np.testing.assert_allclose(resample(points, len(points)), points, atol=1e-9)


@FUZZ
@given(LINES, st.integers(3, 40))
def test_resampling_a_ring_keeps_it_closed(points, n):
    ring = resample(np.concatenate([points, points[:1]]), n)
    assert np.array_equal(ring[0], ring[-1])


@FUZZ
@given(LINES, st.integers(2, 20))
def test_resampling_backwards_is_resampling_reversed(points, n):
    np.testing.assert_allclose(resample(points[::-1], n), resample(points, n)[::-1], atol=1e-9)


# orders

KINDS = st.tuples(st.integers(4, 24), st.booleans(), st.booleans())


def edges(order: np.ndarray, directed: bool) -> list:
    pairs = zip(order[:-1].tolist(), order[1:].tolist(), strict=True)
    return sorted(pairs if directed else map(sorted, pairs))


@FUZZ
@given(KINDS)
def test_every_order_walks_the_same_edges(kind):
    count, closed, directed = kind
    orders = equivalent_orders(count, closed, directed)
    # of a ring the last point is the first: its index never appears
    want = np.r_[np.arange(count - 1), 0] if closed else np.arange(count)
    for order in orders:
        assert edges(order, directed) == edges(want, directed)


@FUZZ
@given(KINDS)
def test_orders_are_distinct_and_the_first_leaves_the_line_as_it_is(kind):
    count, closed, directed = kind
    orders = equivalent_orders(count, closed, directed)
    assert len({row.tobytes() for row in orders}) == len(orders)
    assert len(orders) == (count - 1 if closed else 1) * (1 if directed else 2)
    points = np.random.default_rng(count).normal(size=(count, 2))
    if closed:
        points[-1] = points[0]
    assert np.array_equal(points[orders[0]], points)


@FUZZ
@given(KINDS)
def test_an_order_of_an_order_is_an_order(kind):
    count, closed, directed = kind
    orders = equivalent_orders(count, closed, directed)
    known = {row.tobytes() for row in orders}
    assert {row[other].tobytes() for row in orders for other in orders} == known


@FUZZ
@given(LINES, st.booleans(), st.booleans())
def test_orders_preserve_length_and_closedness(points, closed, directed):
    points = np.concatenate([points, points[:2]])[: len(points) + 2]
    line = np.concatenate([points, points[:1]]) if closed else points
    for row in equivalent_orders(len(line), closed, directed):
        assert arc_length(line[row]) == pytest.approx(arc_length(line))
        assert not closed or np.array_equal(line[row][0], line[row][-1])


@FUZZ
@given(st.integers(3, 40), st.booleans())
def test_the_table_holds_exactly_the_orders(count, directed):
    for closed, rows in enumerate(order_table(count, directed)):
        want = equivalent_orders(count, bool(closed), directed)
        assert {row.tobytes() for row in rows} == {row.tobytes() for row in want}
