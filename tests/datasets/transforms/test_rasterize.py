from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapllava.datasets.transforms import RasterizeBEV
from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline


def run(lines, spec=None, **arguments):
    return RasterizeBEV(**arguments)({"polylines": lines, "map_spec": spec or MapSpec()})["gt_bev"]


def ring(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], dtype=float)


def test_row_0_is_y_min_and_column_0_x_min():
    bev = run([Polyline(0, np.array([[-14.5, -29.5], [-14.5, -20.5]]))])
    assert bev.shape == (3, 60, 30)
    assert bev.dtype == np.uint8
    rows, cols = np.nonzero(bev[0])
    assert rows.tolist() == list(range(10))
    assert set(cols) == {0}
    assert not bev[1:].any()


@pytest.mark.parametrize("thickness", [1, 3])
def test_a_line_marks_the_cells_whose_centre_lies_within_half_its_width(thickness):
    x = np.linspace(-14, 14, 400)
    line = np.c_[x, 25 * np.sin(x / 6)]
    bev = run([Polyline(2, line)], thickness=thickness)[2]
    xx, yy = np.meshgrid(np.arange(-14.5, 15), np.arange(-29.5, 30))
    distance = shapely.distance(shapely.linestrings(line), shapely.points(xx, yy))
    np.testing.assert_array_equal(bev, distance <= thickness / 2)


def test_lines_are_drawn_below_cell_precision():
    near = run([Polyline(0, np.array([[2.05, -30], [2.05, 30]]))])[0]
    far = run([Polyline(0, np.array([[2.95, -30], [2.95, 30]]))])[0]
    beyond = run([Polyline(0, np.array([[3.05, -30], [3.05, 30]]))])[0]
    assert (near == far).all()
    assert near[:, 17].all()
    assert beyond[:, 18].all()
    slope = run([Polyline(0, np.array([[2.6, -30], [3.2, 30]]))])[0]  # crosses x = 3 at y = 10
    assert slope[:37, 17].all()
    assert slope[43:, 18].all()
    assert not slope[:37, 18].any()


def test_crossings_are_filled_holes_stay_empty_and_outlines_are_an_option():
    lines = [
        Polyline(1, ring(-10, 0, 0, 10), closed=True),
        Polyline(1, ring(-8, 2, -2, 8)[::-1], closed=True),
    ]
    filled = run(lines)[1]
    assert filled[31, 6] == 1
    assert filled[35, 10] == 0
    assert filled.sum() == 10 * 10 - 6 * 6
    outlined = run(lines[:1], filled=[])[1]
    assert outlined[35, 10] == 0
    assert outlined.sum() >= 36
    assert run(lines[:1])[1][35, 10] == 1


def test_an_open_piece_within_the_roi_is_a_line_and_a_ring_between_centres_has_no_cell():
    piece = [Polyline(1, ring(-10, 0, 0, 10)[:4])]
    np.testing.assert_array_equal(run(piece), run(piece, filled=[]))
    assert run(piece).any()
    assert not run([Polyline(1, ring(4.6, 4.6, 5.4, 5.4), closed=True)])[1].any()


def test_a_closed_line_that_is_no_area_is_not_filled():
    island = run([Polyline(2, ring(-10, 0, 0, 10), closed=True)])[2]
    assert island[35, 10] == 0
    assert island[30, 6] == 1


def test_a_crossing_cut_at_the_edge_is_an_area_whichever_way_it_runs():
    points = np.array([[14.9, -2], [10, -2], [10, 2], [14.9, 2]])
    for each in (points, points[::-1], points * [-1, 1], points[::-1] * [-1, 1]):
        assert run([Polyline(1, each)])[1].sum() == 5 * 4


def test_an_outline_cut_at_the_edge_is_filled_on_its_right_on_the_left_where_mirrored():
    spec = MapSpec(classes=("drivable_area",))
    up = np.array([[-6.0, -29.8], [-6.0, 29.8]])
    road = [Polyline(0, up), Polyline(0, -up)]  # 12 m wide, its outline clockwise
    assert run(road, spec, filled=["drivable_area"])[0].sum() == 12 * 60
    mirrored = [Polyline(0, line.points * [-1, 1]) for line in road]
    results = {"polylines": mirrored, "map_spec": spec, "flip": True}
    assert RasterizeBEV(filled=["drivable_area"])(results)["gt_bev"][0].sum() == 12 * 60
    assert run([Polyline(0, up)], spec, filled=["drivable_area"])[0].sum() == (6 + 15) * 60


def test_mirrored_lines_give_the_mirrored_grid():
    points = np.array([[3.3, -28], [3.3, 5.2], [9.7, 21]])
    crossing = ring(-6.3, 4.4, 2.5, 9.1)
    there = run([Polyline(0, points), Polyline(1, crossing, closed=True)])
    back = run([Polyline(0, points * [-1, 1]), Polyline(1, crossing * [-1, 1], closed=True)])
    np.testing.assert_array_equal(there, back[:, :, ::-1])


def test_cell_size_thickness_and_another_roi():
    spec = MapSpec("ego", [-50, -25, 50, 25])
    bev = run([Polyline(0, np.array([[-40.0, 0.1], [40, 0.1]]))], spec, cell=0.5)
    assert bev.shape == (3, 100, 200)
    thin = bev.sum()
    assert (
        run([Polyline(0, np.array([[-40.0, 0.1], [40, 0.1]]))], spec, cell=0.5, thickness=3).sum() > 2 * thin
    )


def test_nothing_to_draw():
    assert not run([]).any()


def test_bad_arguments():
    with pytest.raises(MapLLaVAError, match=r"\[-15.0, -30.0, 15.0, 30.0\] is no whole.*cells of 0.7"):
        run([], cell=0.7)
    with pytest.raises(ValueError, match="cell is 0"):
        RasterizeBEV(cell=0)
    with pytest.raises(ValueError, match="thickness"):
        RasterizeBEV(thickness=0)
    with pytest.raises(MapLLaVAError, match="filled names"):
        run([], filled=["pedestrian"])
    with pytest.raises(ValueError, match="list of class names"):
        RasterizeBEV(filled="boundary")
    assert run([], MapSpec(classes=("divider",))).shape == (1, 60, 30)
