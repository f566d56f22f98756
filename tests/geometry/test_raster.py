"""Cells by their centres, against shapely and against counting crossings one by one."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from mapllava.geometry.clip import EDGE_MARGIN, Window, outline_pieces
from mapllava.geometry.raster import centres, cut_at_edge, draw_areas, draw_lines
from mapllava.structures import ROI

HERE = ROI(-15, -30, 15, 30)
SKEW = ROI(-7.5, -12.25, 20.0, 30.25)


def rings_of(area):
    parts = shapely.get_parts(area)
    return [shapely.get_coordinates(ring) for part in parts for ring in [part.exterior, *part.interiors]]


def inside(area, roi, cell):
    x, y = centres(roi, cell)
    return shapely.contains_xy(area, *np.meshgrid(x, y))


def crossings_by_hand(rings, roi, cell):
    """Even-odd, one centre and one edge at a time."""
    xs, ys = centres(roi, cell)
    mask = np.zeros((len(ys), len(xs)), dtype=bool)
    for ring in rings:
        for (ax, ay), (bx, by) in pairwise(ring):
            for row, y in enumerate(ys):
                if (ay > y) != (by > y):
                    mask[row] ^= (bx - ax) * (y - ay) / (by - ay) + ax < xs
    return mask


def star(rng, spikes, size=12.0):
    angle = np.sort(rng.uniform(0, 2 * np.pi, spikes))
    radius = rng.uniform(0.05, 1, spikes) * size
    points = np.c_[radius * np.cos(angle), radius * np.sin(angle)] + rng.uniform(-12, 12, 2)
    return Polygon(points).buffer(0)


def test_centres_are_where_cells_are():
    x, y = centres(HERE, 0.5)
    assert (len(x), len(y)) == HERE.grid_shape(0.5)[::-1] == (60, 120)
    assert (x[0], x[-1], y[0], y[-1]) == (-14.75, 14.75, -29.75, 29.75)


@pytest.mark.parametrize("roi", [HERE, SKEW])
@pytest.mark.parametrize("cell", [0.25, 1.0, 2.5])
def test_areas_with_holes_and_beyond_the_region_against_shapely(roi, cell):
    rng = np.random.default_rng(0)
    for _ in range(30):
        area = star(rng, 9, 25.0).difference(star(rng, 7)).difference(star(rng, 5, 4.0))
        if not area.is_empty:
            np.testing.assert_array_equal(draw_areas(rings_of(area), [], roi, cell), inside(area, roi, cell))


def test_rings_that_cross_and_touch_themselves_are_even_odd():
    rng = np.random.default_rng(1)
    for _ in range(20):
        ring = rng.uniform(-20, 20, (8, 2))
        ring = np.concatenate([ring, ring[:1]])
        for each in (ring, ring[::-1], np.repeat(ring, 2, axis=0)):
            np.testing.assert_array_equal(
                draw_areas([each], [], HERE, 1.0), crossings_by_hand([ring], HERE, 1.0)
            )
    bow = np.array([[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]], float)
    assert draw_areas([bow], [], HERE, 1.0).sum() == 4  # two triangles, centres on their edges left out


def test_a_centre_on_an_outline_is_not_inside():
    """Edges, corners and diagonals exactly through centres: what shapely's ``contains`` says."""
    areas = [
        box(-3.5, -2.5, 4.5, 2.5),
        Polygon([(0.5, 0.5), (5.5, 5.5), (10.5, 0.5), (5.5, -4.5)]),
        box(-9, -9, 9, 9).difference(box(-3.5, -3.5, 3.5, 3.5)),
        MultiPolygon([box(0, 0, 2.5, 2.5), box(2.5, 2.5, 5, 5)]),
        Polygon([(0, 0), (8.5, 0), (8.5, 4.5), (4.5, 4.5), (4.5, 8.5), (0, 8.5)]),
    ]
    for area in areas:
        np.testing.assert_array_equal(draw_areas(rings_of(area), [], HERE, 1.0), inside(area, HERE, 1.0))


def test_an_area_between_centres_has_no_cell_and_one_around_a_centre_has_it():
    assert not draw_areas(rings_of(box(4.6, 4.6, 5.4, 5.4)), [], HERE, 1.0).any()
    tiny = draw_areas(rings_of(box(4.49, 4.49, 4.51, 4.51)), [], HERE, 1.0)
    assert np.argwhere(tiny).tolist() == [[34, 19]]


@pytest.mark.parametrize("flip", [False, True])
def test_outlines_cut_at_the_edge_give_the_area_back(flip):
    """As the ground truth cuts them, 0.2 m inside the ROI; where they run straight to the edge, exactly."""
    rng = np.random.default_rng(2)
    limits = Window(HERE, 0, 0, 0).inner_box(-EDGE_MARGIN)
    cut_ones = 0
    for _ in range(60):
        area = LineString(rng.uniform(-60, 60, (3, 2))).buffer(rng.uniform(2, 9), join_style="mitre")
        area = area.difference(star(rng, 6, 3.0))
        lines = outline_pieces(area, limits)
        rings = [line for line in lines if np.array_equal(line[0], line[-1])]
        cut = [line for line in lines if not np.array_equal(line[0], line[-1])]
        if not cut:
            continue
        cut_ones += 1
        assert all(cut_at_edge(line, HERE) for line in cut)
        mirror = np.array([-1, 1]) if flip else np.ones(2)
        drawn = draw_areas([r * mirror for r in rings], [c * mirror for c in cut], HERE, 1.0, right=not flip)
        np.testing.assert_array_equal(drawn[:, ::-1] if flip else drawn, inside(area, HERE, 1.0))
    assert cut_ones > 20


def test_a_line_that_ends_within_the_region_is_no_cut_outline():
    assert not cut_at_edge(np.array([[-14.9, 0], [3.0, 0]]), HERE)
    assert cut_at_edge(np.array([[-14.9, 0], [3.0, 29.8]]), HERE)


def test_lines_against_the_distance_of_every_centre():
    rng = np.random.default_rng(3)
    lines = [rng.uniform(-20, 20, 2) + rng.normal(size=(6, 2)).cumsum(0) * 5 for _ in range(8)]
    lines += [np.array([[3.0, -40], [3.0, 40]]), np.array([[4.4, 4.4], [4.4, 4.4]])]
    for cell in (0.3, 1.0):
        gap = np.full(HERE.grid_shape(cell), np.inf)
        points = shapely.points(*np.meshgrid(*centres(HERE, cell)))
        for line in lines:
            shape = LineString(line) if np.ptp(line, axis=0).any() else shapely.Point(line[0])
            gap = np.minimum(gap, shapely.distance(shape, points))
        np.testing.assert_array_equal(draw_lines(lines, HERE, 3 * cell, cell), gap <= 1.5 * cell)
    assert not draw_lines([], HERE, 1.0, 0.5).any()


def test_a_line_that_runs_off_is_drawn_as_far_as_the_region_goes():
    far = draw_lines([np.array([[3.2, -1e15], [3.2, 1e15]])], HERE, 1.0, 1.0)
    np.testing.assert_array_equal(far, draw_lines([np.array([[3.2, -31], [3.2, 31]])], HERE, 1.0, 1.0))
    assert not draw_lines([np.array([[1e15, 2e15], [3e15, 2e15]])], HERE, 1.0, 1.0).any()
