from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import RasterizeBEV
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


def test_a_line_marks_the_cells_it_runs_through():
    x = np.linspace(-14, 14, 400)
    line = np.c_[x, 25 * np.sin(x / 6)]
    bev = run([Polyline(2, line)])[2]
    expected = np.zeros((60, 30), bool)
    expected[np.floor(line[:, 1] + 30).astype(int), np.floor(x + 15).astype(int)] = True
    assert (bev[expected] > 0).mean() > 0.9
    rows, cols = np.nonzero(bev)
    centres = np.c_[cols - 14.5, rows - 29.5]
    distance = np.linalg.norm(centres[:, None] - line[None], axis=-1).min(1)
    assert distance.max() < 0.8


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
    assert 60 <= filled.sum() <= 110
    outlined = run(lines[:1], filled=[])[1]
    assert outlined[35, 10] == 0
    assert outlined.sum() >= 36
    assert run(lines[:1])[1][35, 10] == 1


def test_an_open_piece_of_a_filled_class_is_a_line_and_a_tiny_ring_is_seen():
    open_piece = run([Polyline(1, ring(-10, 0, 0, 10)[:4])])[1]
    assert open_piece[35, 10] == 0
    assert open_piece.any()
    assert run([Polyline(1, ring(4.2, 4.2, 4.4, 4.4), closed=True)])[1][34, 19] == 1


def test_mirrored_lines_give_the_mirrored_grid():
    points = np.array([[3.3, -28], [3.3, 5.2], [9.7, 21]])
    crossing = ring(-6.3, 4.4, 2.2, 9.1)
    there = run([Polyline(0, points), Polyline(1, crossing, closed=True)])
    back = run([Polyline(0, points * [-1, 1]), Polyline(1, crossing * [-1, 1], closed=True)])
    assert (there != back[:, :, ::-1]).mean() < 0.01


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
    with pytest.raises(ValueError, match="no whole number of cells"):
        run([], cell=0.7)
    with pytest.raises(ValueError, match="cell is 0"):
        RasterizeBEV(cell=0)
    with pytest.raises(ValueError, match="thickness"):
        RasterizeBEV(thickness=0)
    with pytest.raises(ValueError, match="filled names"):
        run([], filled=["pedestrian"])
    with pytest.raises(ValueError, match="list of class names"):
        RasterizeBEV(filled="boundary")
    assert run([], MapSpec(classes=("divider",))).shape == (1, 60, 30)
