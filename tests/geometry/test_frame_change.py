from __future__ import annotations

import math

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.geometry.frame_change import change_lines, change_points, map_pose, planar_change


def turn(axis: int, angle: float) -> np.ndarray:
    a, b = [k for k in range(3) if k != axis]
    matrix = np.eye(4)
    matrix[[a, a, b, b], [a, b, a, b]] = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    return matrix


def move(*shift: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


MOUNT = move(0.94, 0.1, 1.84) @ turn(2, -math.pi / 2 + 0.01) @ turn(0, 0.02)
POSE = move(430, 1210, 3) @ turn(2, 2.1) @ turn(1, 0.05)
LEVEL = move(430, 1210, 0) @ turn(2, 2.1)


def test_lidar_to_ego_by_hand():
    """The LiDAR stands 1 m ahead of the axle, its y axis forward: 5 m ahead of it, 6 m ahead of the axle."""
    mount = move(1, 0, 1.8) @ turn(2, -math.pi / 2)
    change = planar_change("lidar", "ego", mount, LEVEL)
    np.testing.assert_allclose(change_lines(np.array([[0, 5], [2, 0]]), change), [[6, 0], [1, -2]], atol=1e-9)
    np.testing.assert_allclose(change_points([[2, 5, -1.8]], "lidar", "ego", mount), [[6, -2, 0]], atol=1e-9)


def test_there_and_back_is_where_it_was():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 30
    away = change_points(points, "lidar", "ego", MOUNT)
    np.testing.assert_allclose(change_points(away, "ego", "lidar", MOUNT), points, atol=1e-12)
    there, back = (planar_change(*pair, MOUNT, POSE) for pair in (("lidar", "ego"), ("ego", "lidar")))
    np.testing.assert_allclose(
        change_lines(change_lines(points[:, :2], there), back), points[:, :2], atol=1e-9
    )


def test_distances_and_handedness_stay():
    change = planar_change("lidar", "ego", MOUNT, POSE)
    np.testing.assert_allclose(change[:2, :2] @ change[:2, :2].T, np.eye(2), atol=1e-12)
    assert np.linalg.det(change[:2, :2]) == pytest.approx(1)


def test_both_ways_agree_where_nothing_is_tilted():
    mount = move(0.94, 0.1, 1.84) @ turn(2, -1.5)
    points = np.random.default_rng(1).normal(size=(9, 3)) * 20
    planar = change_lines(points[:, :2], planar_change("lidar", "ego", mount, LEVEL))
    np.testing.assert_allclose(change_points(points, "lidar", "ego", mount)[:, :2], planar, atol=1e-9)


def test_the_world_is_the_judge():
    """A level frame's point, put into the world by its own origin and heading, is one place for both."""
    point = np.array([[3.0, 17.0]])
    moved = change_lines(point, planar_change("lidar", "ego", MOUNT, POSE))
    places = []
    for frame, (x, y) in (("lidar", point[0]), ("ego", moved[0])):
        pose = map_pose(frame, MOUNT, POSE)
        yaw = math.atan2(pose[1, 0], pose[0, 0])
        places.append(
            pose[:2, 3] + [x * math.cos(yaw) - y * math.sin(yaw), x * math.sin(yaw) + y * math.cos(yaw)]
        )
    np.testing.assert_allclose(places[0], places[1], atol=1e-9)


def test_same_frame_changes_nothing():
    np.testing.assert_allclose(planar_change("ego", "ego", MOUNT, POSE), np.eye(3), atol=1e-12)
    assert change_points([[1, 2, 3]], "lidar", "lidar", MOUNT).tolist() == [[1, 2, 3]]


def test_unknown_frames_and_wrong_shapes_are_refused():
    with pytest.raises(MapLLaVAError, match="unknown frame 'camera'"):
        planar_change("lidar", "camera", MOUNT, POSE)
    with pytest.raises(MapLLaVAError, match="unknown frame 'camera'"):
        change_points([[1, 2, 3]], "camera", "ego", MOUNT)
    with pytest.raises(ValueError, match=r"not \(n, 3\)"):
        change_points([[1, 2]], "lidar", "ego", MOUNT)
    with pytest.raises(ValueError, match=r"not \(n, 2\)"):
        change_lines(np.zeros((2, 3)), np.eye(3))
