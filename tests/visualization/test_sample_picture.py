import numpy as np
import pytest

from mapllava.structures import MapSpec
from mapllava.visualization import CameraView, MapLines, draw_sample
from mapllava.visualization.sample_picture import resize_view
from mapllava.visualization.style import class_color


def pixels(picture, label):
    return int((np.abs(picture.astype(int) - class_color(MapSpec().classes, label)).max(2) < 25).sum())


@pytest.fixture
def parts(data_sample):
    meta = data_sample.metainfo
    views = []
    for name, cam2img, matrix in zip(meta["cam_names"], meta["ori_cam2img"], meta["lidar2cam"], strict=True):
        projection = np.eye(4)
        projection[:3, :3] = cam2img
        views.append(CameraView(name, np.full((225, 400, 3), 90, dtype=np.uint8), projection @ matrix))
    lines = [np.array([[x, -30.0], [x, 30.0]]) for x in (-4.0, 4.0)]
    return meta, views, lines


def test_width_and_both_maps(parts):
    meta, views, lines = parts
    truth = MapLines(lines[:1], np.array([0]))
    prediction = MapLines(lines[1:], np.array([2]), np.array([0.9]))
    picture = draw_sample(meta, views, truth, prediction, score="mAP 50.0", width=1200)
    assert picture.shape[1] == 1200
    assert picture.dtype == np.uint8
    legend = draw_sample(
        meta, views, MapLines([], np.array([])), MapLines([], np.array([]), np.array([])), width=1200
    )
    assert picture.shape == legend.shape
    for label in (0, 2):
        assert pixels(picture, label) > pixels(legend, label) + 800
    assert pixels(picture, 1) == pixels(legend, 1)


def test_predictions_below_the_threshold_are_not_drawn(parts):
    meta, views, lines = parts
    prediction = MapLines(lines, np.array([2, 1]), np.array([0.31, 0.29]))
    picture = draw_sample(meta, views, None, prediction, score_thr=0.3)
    lower = draw_sample(meta, views, None, prediction, score_thr=0.2)
    assert pixels(lower, 1) > pixels(picture, 1) + 500
    assert pixels(picture, 2) > 500


def test_a_line_on_the_left_is_in_the_left_cameras_only(parts):
    meta, views, lines = parts
    picture = draw_sample(meta, views, MapLines(lines[:1], np.array([1])), None, width=1200)
    front = picture[52 : 52 + 200]
    left, right = front[:, :400], front[:, 800:]
    assert pixels(left, 1) > 50
    assert pixels(right, 1) == 0


def test_other_cameras_than_six_stand_in_rows(parts):
    meta, views, lines = parts
    truth = MapLines(lines, np.array([0, 2]))
    heights = [draw_sample(meta, views[:n], truth, None).shape[0] for n in (0, 1, 3, 4)]
    assert heights[0] < heights[1] == heights[2] < heights[3]


def test_scaling_a_view_moves_the_projection_with_the_pixels():
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[40:44, 60:64] = 255
    view = CameraView("CAM_FRONT", image, np.eye(4))
    small, matrix = resize_view(view, (50, 25))
    row, column = (axis.mean() for axis in np.nonzero(small[..., 0] > 100))
    np.testing.assert_allclose((matrix @ [61.5, 41.5, 1, 1])[:2], [column, row])
