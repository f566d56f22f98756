import numpy as np
import pytest

from mapllava.evaluation.formats.planar import FORWARD, between
from mapllava.geometry.frame_change import change_lines


def pose(yaw, x, y, roll=0.0, z=0.0):
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    lean = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn @ lean, (x, y, z)
    return out


# nuScenes' mounting: LIDAR_TOP 0.94 m ahead of the rear axle, its x axis to the car's right.
LEVEL = {"ego2global": pose(0.7, 400.0, 1100.0), "lidar2ego": pose(-np.pi / 2, 0.94, 0.0, z=1.84)}
LEANING = {
    "ego2global": pose(0.7, 400.0, 1100.0, roll=0.05),
    "lidar2ego": pose(-1.59, 0.94, 0.01, roll=0.02, z=1.84),
}


def moved(source, target, entry, points):
    return change_lines(np.array(points, dtype=float), between(source, target, entry))


def test_lidar_to_ego_by_hand():
    # A point 10 m ahead and 2 m right of the lidar lies 10.94 m ahead of the axle, 2 m to its right.
    assert moved("lidar", "ego", LEVEL, [[2, 10]])[0] == pytest.approx([10.94, -2.0])
    assert moved("ego", "lidar", LEVEL, [[10.94, -2]])[0] == pytest.approx([2.0, 10.0])


def test_maptracker_turns_the_lidar_frame():
    assert moved("lidar", FORWARD, LEANING, [[2, 10]])[0] == pytest.approx([10.0, -2.0])
    # ahead and to the left of the lidar, in the car's frame
    assert moved(FORWARD, "ego", LEVEL, [[10, 2]])[0] == pytest.approx([10.94, 2.0])


@pytest.mark.parametrize("source", ["lidar", "ego", FORWARD])
@pytest.mark.parametrize("target", ["lidar", "ego", FORWARD])
def test_there_and_back(source, target):
    points = np.random.default_rng(1).uniform(-50, 50, (20, 2))
    there = between(source, target, LEANING)
    np.testing.assert_allclose(moved(target, source, LEANING, change_lines(points, there)), points, atol=1e-9)
    np.testing.assert_allclose(there[:2, :2] @ there[:2, :2].T, np.eye(2), atol=1e-12)
    assert np.linalg.det(there[:2, :2]) == pytest.approx(1.0)
