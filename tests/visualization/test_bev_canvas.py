import numpy as np
import pytest

from mapllava.structures import ROI, MapSpec
from mapllava.visualization import BEVCanvas
from mapllava.visualization.style import LineStyle, class_color

CLASSES = ("divider", "ped_crossing", "boundary")


def where(picture, color, tolerance=40):
    """Rows and columns of the pixels of a colour."""
    return np.nonzero(np.abs(picture.astype(int) - color).max(axis=2) < tolerance)


def drawn(spec, line, label=0, style=LineStyle(thickness=3)):  # noqa: B008
    canvas = BEVCanvas(spec, (400, 700))
    picture = canvas.draw_lines([np.array(line)], [label], style).render()
    rows, columns = where(picture, class_color(spec.classes, label))
    map_rows = rows - 30
    map_columns = columns - 34
    return map_rows / canvas.map_size[1], map_columns / canvas.map_size[0]


def test_lidar_frame_forward_is_up_and_right_is_right():
    rows, columns = drawn(MapSpec(), [[10.0, 20.0], [10.0, 25.0]])
    assert columns.mean() == pytest.approx((10 + 15) / 30, abs=0.01)
    assert rows.min() == pytest.approx((30 - 25) / 60, abs=0.01)
    assert rows.max() == pytest.approx((30 - 20) / 60, abs=0.01)


def test_ego_frame_forward_is_up_and_left_is_left():
    spec = MapSpec("ego", ROI(-30, -15, 30, 15), CLASSES)
    rows, columns = drawn(spec, [[20.0, 10.0], [25.0, 10.0]])
    assert columns.mean() == pytest.approx((15 - 10) / 30, abs=0.01)
    assert rows.min() == pytest.approx((30 - 25) / 60, abs=0.01)


def test_an_uncentred_region_keeps_its_scale():
    canvas = BEVCanvas(MapSpec(roi=ROI(-10, 0, 30, 80)), (400, 700))
    assert canvas.map_size[1] / canvas.map_size[0] == pytest.approx(2.0, abs=0.02)
    np.testing.assert_allclose(canvas.to_pixels(np.array([[-10.0, 80.0]])), [[0.0, 0.0]])


@pytest.mark.parametrize("size", [(300, 700), (700, 300), (400, 400)])
def test_the_picture_fits_the_room(size):
    height, width, _ = BEVCanvas(MapSpec(), size, "title").render().shape
    assert width <= size[0] + 1
    assert height <= size[1] + 1


def test_a_ring_is_filled_and_a_line_is_not():
    ring = np.array([[5, 5], [12, 5], [12, 20], [5, 20], [5, 5]], dtype=float)
    style = LineStyle(thickness=2, fill=0.5)
    inside = [30 + int((30 - 12) / 60 * 646), 34 + int((8.7 + 15) / 30 * 323)]
    pictures = [
        BEVCanvas(MapSpec(), (400, 700)).draw_lines([line], [1], style).render() for line in (ring, ring[:-1])
    ]
    filled, open_ = (picture[inside[0], inside[1]].astype(int) for picture in pictures)
    assert open_.min() > 220
    assert filled.min() < 200


def test_a_hole_stays_empty_and_an_island_is_no_area():
    outer = np.array([[-10, -10], [10, -10], [10, 10], [-10, 10], [-10, -10]], dtype=float)
    style = LineStyle(thickness=2, fill=0.5)

    def middle(lines, label):
        picture = BEVCanvas(MapSpec(), (400, 700)).draw_lines(lines, [label] * len(lines), style).render()
        return picture[353 - 66, 195 + 66].min()  # beside the car, about (6, 6) m

    assert middle([outer], 1) < 200
    assert middle([outer, outer * 0.9], 1) > 220
    assert middle([outer], 2) > 220


def test_dashed_lines_leave_gaps_and_dots_add_ink():
    line = [[-8.0, -25.0], [-8.0, 25.0]]
    solid, dashed, dotted = (
        len(drawn(MapSpec(), line, style=style)[0])
        for style in (LineStyle(3), LineStyle(3, dash=1.0), LineStyle(3, dots=4.0))
    )
    assert 0.35 < dashed / solid < 0.65
    assert dotted > solid


def test_no_room_is_an_error():
    with pytest.raises(ValueError, match="60 x 60 pixels"):
        BEVCanvas(MapSpec(), (60, 60))
