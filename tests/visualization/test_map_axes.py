import numpy as np
import pytest

from mapllava.structures import ROI, MapLines, MapSpec
from mapllava.visualization import PREDICTION, TRUTH, draw_map_axes, render
from mapllava.visualization.page import Page, one_style
from mapllava.visualization.style import CAR, PAPER, bgr, class_color, pale

EGO = MapSpec("ego", ROI(-30, -15, 30, 15))
SIZE = 330.0, 630.0


def drawn(spec, layers, title=""):
    """Axes with maps on them, and the picture."""
    with one_style():
        page = Page(*SIZE, pixels=int(SIZE[0]))
        ax = page.axes((20, 20, 300, 600))
        draw_map_axes(ax, spec, layers, title)
    return ax, render(page.figure)


def at(ax, picture, across, along):
    """The pixels around a place given as it stands on the axes."""
    x, y = ax.transData.transform((across, along))
    row, column = picture.shape[0] - 1 - int(y), int(x)
    return picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).astype(int)


def shows(ax, picture, across, along, color, tolerance=45):
    return bool((np.abs(at(ax, picture, across, along) - bgr(color)).max(axis=1) < tolerance).any())


def lines(*points, label=2):
    return MapLines([np.array(p, dtype=float) for p in points], np.full(len(points), label))


def test_lidar_frame_forward_is_up_and_right_is_right():
    ax, picture = drawn(MapSpec(), [(lines([[10, 20], [10, 25]]), PREDICTION)])
    color = class_color(MapSpec().classes, 2)
    assert shows(ax, picture, 10, 22, color)
    assert not shows(ax, picture, -10, 22, color)
    x, y = ax.transData.transform([(10, 22), (-10, -22)]).T
    assert x[0] > x[1]
    assert y[0] > y[1]
    assert "right / m" in ax.get_xlabel()
    assert "forward / m" in ax.get_ylabel()


def test_ego_frame_left_is_left_and_its_numbers_are_the_frames_own():
    ax, picture = drawn(EGO, [(lines([[20, 10], [25, 10]]), PREDICTION)])  # ahead, to the left
    assert shows(ax, picture, 10, 22, class_color(EGO.classes, 2))
    assert ax.transData.transform((10, 22))[0] < ax.transData.transform((0, 0))[0]
    assert "left / m" in ax.get_xlabel()
    assert ax.get_xlim() == (15, -15)


def test_the_car_stands_where_it_is():
    for spec, ahead in ((MapSpec(), -0.5), (EGO, 0.5)):  # between the windows
        ax, picture = drawn(spec, [])
        assert shows(ax, picture, 0, ahead, CAR)
        assert shows(ax, picture, 0, 5, PAPER)


def test_truth_is_a_wide_pale_band_and_a_prediction_a_thin_full_line():
    line = lines([[-8, -20], [-8, 20]])
    counts = []
    for role, color in (
        (TRUTH, pale(class_color(MapSpec().classes, 2))),
        (PREDICTION, class_color(MapSpec().classes, 2)),
    ):
        ax, picture = drawn(MapSpec(), [(line, role)])
        x, y = ax.transData.transform((-8, 5))
        row = picture[picture.shape[0] - int(y), int(x) - 15 : int(x) + 15].astype(int)
        counts.append(int((np.abs(row - bgr(color)).max(axis=1) < 25).sum()))
    assert counts[0] >= 2 * counts[1] >= 2


def test_a_ring_is_filled_and_its_hole_is_not():
    outer = np.array([[-10, -10], [10, -10], [10, 10], [-10, 10], [-10, -10]], dtype=float)

    def middle(*rings, label=1):
        ax, picture = drawn(MapSpec(), [(lines(*rings, label=label), TRUTH)])
        return at(ax, picture, 6, 6).min()

    assert middle(outer) < 240
    assert middle(outer, outer * 0.9) > 250
    assert middle(outer, (outer * 0.9)[::-1]) > 250
    assert middle(outer, label=2) > 250  # a line that closes on itself
    assert middle(outer[:-1]) > 250


def test_dividers_are_dashed():
    ax, picture = drawn(MapSpec(), [(lines([[-8, -25], [-8, 25]], label=0), PREDICTION)])
    x, _ = ax.transData.transform((-8, 0))
    column = picture[40:600, int(x) - 2 : int(x) + 3].astype(int)
    inked = (np.abs(column - bgr(class_color(MapSpec().classes, 0))).max(axis=2) < 60).any(axis=1).mean()
    assert 0.5 < inked < 0.9


@pytest.mark.parametrize(("half", "step"), [(30, 10), (60, 20)])
def test_numbers_stand_every_ten_or_twenty_metres(half, step):
    ax, _ = drawn(MapSpec(roi=ROI(-half / 2, -half, half / 2, half)), [])
    assert set(np.diff(ax.get_yticks())) == {step}
    assert ax.get_yticks()[0] == -half
