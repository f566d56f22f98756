from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from mapllava.geometry.clip import Window, clip_lines, clip_path, clip_polygons, outline_pieces, union
from mapllava.structures import ROI

ROI_60X30 = ROI.parse("60x30")


def array(*geometries):
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def lines(*paths):
    return array(*(shapely.LineString(path) for path in paths))


def test_window_takes_position_and_yaw_and_ignores_the_rest():
    pitch, yaw = 0.2, 0.7
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    tilt = np.array(
        [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn @ tilt, (5, 6, 70)
    window = Window.from_pose(ROI_60X30, pose)
    assert (window.x, window.y, window.yaw) == (5, 6, pytest.approx(yaw))


@pytest.mark.parametrize("bad", [np.eye(3), np.full((4, 4), np.nan)])
def test_bad_pose_is_refused(bad):
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        Window.from_pose(ROI_60X30, bad)


def test_quarter_turn_by_hand():
    window = Window(ROI_60X30, 100, 200, math.pi / 2)
    (got,) = clip_lines(lines([(90, 200), (90, 210)]), window)
    np.testing.assert_allclose(got, [[0, 10], [10, 10]], atol=1e-9)


def test_long_axis_is_y():
    window = Window(ROI_60X30, 0, 0, 0)
    along, across = clip_lines(lines([(0, -99), (0, 99)], [(-99, 0), (99, 0)]), window)
    np.testing.assert_allclose(along, [[0, -30], [0, 30]])
    np.testing.assert_allclose(across, [[-15, 0], [15, 0]])


def test_region_off_centre():
    window = Window(ROI(-5, -10, 20, 40), 7, 0, 0)
    (got,) = clip_lines(lines([(-99, 1), (99, 1)]), window)
    np.testing.assert_allclose(got, [[-5, 1], [20, 1]])


def test_a_line_that_leaves_and_returns_becomes_two():
    got = clip_lines(lines([(0, 0), (40, 0), (40, 5), (0, 5)]), Window(ROI_60X30, 0, 0, 0))
    assert [piece.tolist() for piece in got] == [[[0, 0], [15, 0]], [[15, 5], [0, 5]]]


def test_a_line_that_only_touches_the_edge_gives_nothing():
    assert clip_lines(lines([(15, 0), (40, 0)], [(50, 0), (60, 0)]), Window(ROI_60X30, 0, 0, 0)) == []


def test_no_geometry_no_lines():
    window = Window(ROI_60X30, 0, 0, 0)
    assert clip_lines(array(), window) == []
    assert len(clip_polygons(array(), window)) == 0
    assert outline_pieces(union(array()), window.inner_box(0.2)) == []


def test_ring_start_leaves_no_gap():
    road = shapely.Polygon([(0, 5), (0, 60), (-10, 60), (-10, -60), (0, -60)])
    left, right = sorted(
        outline_pieces(road, Window(ROI_60X30, 0, 0, 0).inner_box(-0.2)), key=lambda p: p[0, 0]
    )
    assert set(left[:, 0]) == {-10}
    assert set(right[:, 0]) == {0}
    assert sorted(right[[0, -1], 1]) == [-29.8, 29.8]


@pytest.mark.parametrize("clockwise", [True, False])
def test_filled_area_lies_to_the_right(clockwise):
    island = shapely.box(-10, -10, 10, 10, ccw=not clockwise).difference(shapely.box(-2, -2, 2, 2))
    outer, inner = outline_pieces(island, Window(ROI_60X30, 0, 0, 0).inner_box(-0.2))
    assert not shapely.LinearRing(outer).is_ccw
    assert shapely.LinearRing(inner).is_ccw
    assert np.array_equal(inner[0], inner[-1])


def test_vanishing_region_is_refused():
    with pytest.raises(ValueError, match="vanishes"):
        Window(ROI(-0.2, -1, 0.2, 1), 0, 0, 0).inner_box(-0.2)


def test_an_area_where_a_line_belongs_is_an_error():
    with pytest.raises(TypeError, match="Polygon"):
        clip_lines(array(shapely.box(0, 0, 1, 1)), Window(ROI_60X30, 0, 0, 0))


def cut(*points):
    return [
        (piece.tolist(), begins, ends)
        for piece, begins, ends in clip_path(np.array(points, float), ROI_60X30)
    ]


def test_a_path_keeps_its_order_and_says_which_ends_are_its_own():
    assert cut((0, 0), (40, 0), (40, 5), (0, 5), (0, 9)) == [
        ([[0, 0], [15, 0]], True, False),
        ([[15, 5], [0, 5], [0, 9]], False, True),
    ]
    assert cut((40, 0), (-40, 0)) == [([[15, 0], [-15, 0]], False, False)]
    assert cut((0, 0), (1, 0)) == [([[0, 0], [1, 0]], True, True)]
    assert cut((40, 0), (40, 9)) == []


def test_a_path_that_crosses_itself_stays_in_one_piece():
    bow = ((-5, 0), (5, 0), (5, 5), (0, 5), (0, -5))
    assert cut(*bow) == [([list(map(float, point)) for point in bow], True, True)]


def test_a_vertex_on_the_edge_is_no_end_of_the_path():
    assert cut((40, 0), (15, 0), (0, 0)) == [([[15, 0], [0, 0]], False, True)]
    assert cut((0, 0), (15, 0), (40, 0)) == [([[0, 0], [15, 0]], True, False)]
    assert cut((0, 0), (15, 0), (15, 5), (40, 5)) == [([[0, 0], [15, 0], [15, 5]], True, False)]


def test_repeated_vertices_neither_split_a_path_nor_hide_its_ends():
    assert cut((0, 0), (0, 0), (2, 0), (2, 0), (3, 0), (3, 0)) == [([[0, 0], [2, 0], [3, 0]], True, True)]
    assert cut((0, 0), (0, 0)) == []
