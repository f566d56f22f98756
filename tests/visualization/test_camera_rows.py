import numpy as np
import pytest
from picture_rig import intrinsics, lidar2cam

from mapllava.visualization.camera_rows import CameraView, arrange, row_heights


def view(yaw, size=(160, 90), frame="lidar"):
    turn = np.eye(4)
    if frame == "ego":  # ego's x and y are the LiDAR's y and minus x
        turn[:2, :2] = [[0, -1], [1, 0]]
    projection = np.eye(4)
    projection[:3, :3] = intrinsics(*size)
    matrix = projection @ lidar2cam(yaw) @ turn
    return CameraView(f"CAM_{yaw}", np.zeros((size[1], size[0], 3), dtype=np.uint8), matrix)


@pytest.mark.parametrize(
    ("yaws", "rows", "ahead"),
    [
        ([], [], 0),
        ([0], [[0]], 1),
        ([0, 180], [[0], [180]], 1),
        ([90, 0, 180, -90], [[90, 0, -90], [180]], 1),
        ([0, -55, 55, 180, 110, -110], [[55, 0, -55], [110, 180, -110]], 1),
        ([0, 45, -45, 99, -99, 153, -153], [[45, 0, -45], [99, 153, -153, -99]], 1),
        ([0, 40, -40, 80, -80, 120, -120, 160, -160], [[80, 40, 0, -40, -80], [120, 160, -160, -120]], 1),
        ([0, 10, 20, 30, -10, -20], [[30, 20, 10], [0, -10, -20]], 2),
    ],
)
@pytest.mark.parametrize("frame", ["lidar", "ego"])
def test_cameras_stand_as_they_look(yaws, rows, ahead, frame):
    found, count = arrange([view(yaw, frame=frame) for yaw in yaws], frame)
    assert [[round(one.yaw(frame)) for one in row] for row in found] == rows
    assert count == ahead


def test_rows_fill_the_width_and_a_single_camera_is_no_larger_than_the_others():
    rows = [[view(k) for k in (50, 0, -50)], [view(180)]]
    heights = row_heights(rows, 496, 8, 400)
    assert heights == [pytest.approx(90.0)] * 2
    tall = [[view(0, (90, 160)), view(-50)]]
    (height,) = row_heights(tall, 1000, 8, 10000)
    assert sum(one.aspect * height for one in tall[0]) + 8 == pytest.approx(1000)
    assert row_heights(tall, 1000, 8, 100) == [100]
