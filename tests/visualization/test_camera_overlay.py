import numpy as np
import pytest
from picture_rig import HEIGHT, intrinsics, lidar2cam, lidar2ego

from mapllava.structures import MapSpec
from mapllava.visualization import camera_lines, on_ground, project_line

SIZE = (400, 225)
TALL = (400, 600)  # the ground near the car is below SIZE's edge


def projection(yaw=0.0):
    out = np.eye(4)
    out[:3, :3] = intrinsics(*SIZE)
    return out @ lidar2cam(yaw)


def test_ground_lies_below_the_lidar():
    points = on_ground(np.array([[1.0, 20.0], [-5.0, -3.0]]), lidar2ego())
    np.testing.assert_allclose(points, [[1, 20, -HEIGHT], [-5, -3, -HEIGHT]])
    assert on_ground(np.array([[1.0, 20.0]]), lidar2ego(), "ego")[0, 2] == 0.0


def test_a_tilted_lidar_still_meets_the_ground():
    a = np.radians(2.0)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    pose = lidar2ego() @ tilt
    points = on_ground(np.array([[3.0, 25.0], [0.0, -25.0]]), pose)
    ego = np.c_[points, [1, 1]] @ pose.T
    np.testing.assert_allclose(ego[:, 2], 0.0, atol=1e-12)
    assert points[0, 2] < -HEIGHT - 0.5


def test_a_point_lands_where_the_pinhole_says():
    (run,) = project_line(np.array([[1.0, 10.0, -1.8], [2.0, 10.0, -1.8]]), projection(), SIZE)
    np.testing.assert_allclose(run[0], [199.5 + 320 * 0.1, 112 + 320 * 0.18])
    np.testing.assert_allclose(run[1], [199.5 + 320 * 0.2, 112 + 320 * 0.18])


def test_a_line_that_passes_the_camera_is_cut_where_it_passes():
    # Straight ahead at 1 m to the right, from behind the camera: one segment only.
    points = np.array([[1.0, -10.0, -0.2], [1.0, 10.0, -0.2]])
    (run,) = project_line(points, projection(), (4000, 4000), near=0.5)
    np.testing.assert_allclose(run[0], [199.5 + 320 / 0.5, 112 + 320 * 0.2 / 0.5])
    np.testing.assert_allclose(run[-1], [199.5 + 32, 112 + 320 * 0.02])


def test_a_line_out_and_back_falls_into_two_runs():
    points = np.array([[0, 5, -1.8], [0, -5, -1.8], [0.1, -5, -1.8], [0.1, 5, -1.8]], dtype=float)
    runs = project_line(points, projection(), TALL, near=3.5)
    assert len(runs) == 2
    assert all(run[:, 1].min() == pytest.approx(112 + 320 * 1.8 / 5, abs=0.5) for run in runs)


def test_a_line_with_a_detour_beside_the_image_falls_into_two_runs():
    points = np.array(
        [[-1, 8, -0.5], [0, 8, -0.5], [0, 8, 90], [1, 8, 90], [1, 8, -0.5], [2, 8, -0.5]], dtype=float
    )
    runs = project_line(points, projection(), SIZE)
    assert [len(run) for run in runs] == [3, 3]


def test_a_single_vertex_behind_the_camera_parts_the_line():
    points = np.array([[-1, 8, -0.5], [0, -1, -0.5], [1, 8, -0.5]], dtype=float)
    runs = project_line(points, projection(), (4000, 4000))
    assert [len(run) for run in runs] == [2, 2]


def test_nothing_behind_or_beside_is_drawn():
    behind = np.array([[-2.0, -5.0, -1.8], [2.0, -5.0, -1.8]])
    beside = np.array([[-40.0, 5.0, -1.8], [-30.0, 5.0, -1.8]])
    assert project_line(behind, projection(), TALL) == []
    assert project_line(beside, projection(), TALL) == []
    assert len(project_line(behind, projection(180.0), TALL)) == 1


def test_lines_come_back_one_by_one_with_those_that_are_not_seen():
    ahead, behind = np.array([[-2.0, 5.0], [-2.0, 30.0]]), np.array([[-2.0, -5.0], [-2.0, -30.0]])
    seen, unseen = camera_lines([ahead, behind], projection(), lidar2ego(), MapSpec(), SIZE)
    assert unseen == []
    (run,) = seen
    np.testing.assert_allclose(run[0], [199.5 - 320 * 2 / 5, 112 + 320 * HEIGHT / 5])
