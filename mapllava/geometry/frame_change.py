"""From one map frame to another, exactly.

Ground truth lies in a frame that is level: origin and heading are the LiDAR's or the car's, height, roll
and pitch of the pose are ignored. Two such frames differ by a turn and a shift in the plane, which follow
from both poses in the world (:func:`planar_change`). Points with a height, in the frame as it is mounted,
change by the rigid transform ``lidar2ego`` (:func:`change_points`).

Shapes: n points.
"""

from __future__ import annotations

import math

import numpy as np

from mapllava.structures.frames import check_frame


def map_pose(frame: str, lidar2ego: np.ndarray, ego2global: np.ndarray) -> np.ndarray:
    """Pose of the map frame in the world.

    Args:
        frame: ``lidar`` or ``ego``.
        lidar2ego: ``(4, 4)``, metres.
        ego2global: ``(4, 4)``, metres.

    Returns:
        ``(4, 4)``, map frame to world; for ``ego`` nothing of the LiDAR is in it.

    Raises:
        MapLLaVAError: If the frame is unknown.
    """
    ego2global = np.asarray(ego2global, dtype=np.float64)
    return ego2global if check_frame(frame) == "ego" else ego2global @ np.asarray(lidar2ego)


def to_world(frame: str, lidar2ego: np.ndarray, ego2global: np.ndarray) -> np.ndarray:
    """How a map reads in the world, seen from above.

    Args:
        frame: Frame of the map, ``lidar`` or ``ego``.
        lidar2ego: ``(4, 4)``, metres, of the sample.
        ego2global: ``(4, 4)``, metres, of the sample.

    Returns:
        ``(3, 3)`` for homogeneous points ``(x, y, 1)``; a turn and a shift, no scale.

    Raises:
        MapLLaVAError: If the frame is unknown.
    """
    return _level(map_pose(frame, lidar2ego, ego2global))


def planar_change(source: str, target: str, lidar2ego: np.ndarray, ego2global: np.ndarray) -> np.ndarray:
    """How the ground truth of one frame reads in another.

    Args:
        source: Frame of the points.
        target: Frame that is wanted.
        lidar2ego: ``(4, 4)``, metres, of the sample.
        ego2global: ``(4, 4)``, metres, of the sample.

    Returns:
        ``(3, 3)`` for homogeneous points ``(x, y, 1)``; a turn and a shift, no scale.

    Raises:
        MapLLaVAError: If a frame is unknown.
    """
    poses = [map_pose(frame, lidar2ego, ego2global) for frame in (source, target)]
    to_world, from_world = (_level(pose) for pose in poses)
    return np.linalg.inv(from_world) @ to_world


def change_lines(points: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Apply :func:`planar_change` to points ``(n, 2)``, metres.

    Raises:
        ValueError: If the points are not ``(n, 2)``.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points have shape {points.shape}, not (n, 2)")
    return points @ change[:2, :2].T + change[:2, 2]


def change_points(points: np.ndarray, source: str, target: str, lidar2ego: np.ndarray) -> np.ndarray:
    """Bring points with a height from one mounted frame to another.

    Args:
        points: ``(n, 3)``, metres.
        source: Frame of the points.
        target: Frame that is wanted.
        lidar2ego: ``(4, 4)``, metres, a rigid transform.

    Returns:
        ``(n, 3)`` float64, metres.

    Raises:
        MapLLaVAError: If a frame is unknown.
        ValueError: If the points are not ``(n, 3)``.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points have shape {points.shape}, not (n, 3)")
    if check_frame(source) == check_frame(target):
        return points.copy()
    rotation, shift = np.asarray(lidar2ego)[:3, :3], np.asarray(lidar2ego)[:3, 3]
    return points @ rotation.T + shift if target == "ego" else (points - shift) @ rotation


def _level(pose: np.ndarray) -> np.ndarray:
    """``(3, 3)`` of a pose's position and heading alone."""
    yaw = math.atan2(pose[1, 0], pose[0, 0])
    level = np.eye(3)
    level[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    level[:2, 2] = pose[:2, 3]
    return level
