"""Where a rig's cameras look and what they see of the ground; numpy only.

Shapes: n points. Angles are degrees; yaw counts from forward to the left, pitch is positive upwards.
"""

from __future__ import annotations

import numpy as np

from mapllava.geometry.lidar_frame import frame_of_lidar
from mapllava.geometry.rigid import invert
from mapllava.structures.frames import ROI, check_frame
from mapllava.structures.rig import Rig, RigCamera

CAMERA_AXES = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""``(3, 3)`` camera to ego of a level camera that looks forward."""
_NEAR = 0.1


def look_direction(cam2ego: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a camera; roll is positive where its right side hangs down.

    Args:
        cam2ego: ``(4, 4)``.
    """
    right, down, forward = np.asarray(cam2ego)[:3, :3].T
    yaw = np.degrees(np.arctan2(forward[1], forward[0]))
    pitch = np.degrees(np.arctan2(forward[2], np.hypot(forward[0], forward[1])))
    return float(yaw), float(pitch), float(np.degrees(np.arctan2(-right[2], -down[2])))


def field_of_view(camera: RigCamera) -> tuple[float, float]:
    """Horizontal and vertical angle of what a camera's undistorted image shows."""
    (width, height), k = camera.size, camera.cam2img
    spans = []
    for size, focal, centre in ((width, k[0, 0], k[0, 2]), (height, k[1, 1], k[1, 2])):
        spans.append(float(np.degrees(np.arctan((size - centre) / focal) + np.arctan(centre / focal))))
    return spans[0], spans[1]


def project(camera: RigCamera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points into a camera's undistorted image.

    Args:
        camera: The camera.
        points: ``(n, 3)`` metres in ``ego``.

    Returns:
        Pixels ``(n, 2)``, undefined where the depth is not positive, and depths ``(n,)`` in metres.
    """
    ego2cam = invert(camera.cam2ego)
    seen = points @ ego2cam[:3, :3].T + ego2cam[:3, 3]
    depth = seen[:, 2]
    pixels = seen @ camera.cam2img.T
    return pixels[:, :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[:, None], depth


def sees(camera: RigCamera, points: np.ndarray) -> np.ndarray:
    """Which points ``(n, 3)``, metres in ``ego``, lie in a camera's image; bool ``(n,)``."""
    pixels, depth = project(camera, points)
    inside = (pixels >= -0.5).all(axis=1) & (pixels < np.array(camera.size) - 0.5).all(axis=1)
    return inside & (depth > _NEAR)


def roi_ground(roi: ROI, frame: str, lidar2ego: np.ndarray | None, cell: float) -> np.ndarray:
    """Points on the ground, one in the middle of each cell of the ROI.

    Args:
        roi: The region.
        frame: Frame that it lies in.
        lidar2ego: ``(4, 4)`` of the rig's LiDAR, None if it has none; a model may take another in its place,
            see :func:`~mapllava.geometry.lidar_frame.frame_of_lidar`.
        cell: Metres.

    Returns:
        ``(rows, columns, 3)`` metres in ``ego``, z = 0.
    """
    x = np.arange(roi.x_min + cell / 2, roi.x_max, cell)
    y = np.arange(roi.y_min + cell / 2, roi.y_max, cell)
    grid = np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], axis=-1)
    if check_frame(frame) == "lidar":
        to_ego, _ = frame_of_lidar(lidar2ego)
        yaw = np.arctan2(to_ego[1, 0], to_ego[0, 0])
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        grid = grid @ turn.T + np.array([*to_ego[:2, 3], 0])
    return grid


def coverage(rig: Rig, ground: np.ndarray) -> np.ndarray:
    """Which ground points each camera sees.

    Args:
        rig: The cameras, C of them.
        ground: ``(rows, columns, 3)`` metres in ``ego``.

    Returns:
        ``(C, rows, columns)`` bool.
    """
    flat = ground.reshape(-1, 3)
    return np.stack([sees(camera, flat).reshape(ground.shape[:2]) for camera in rig.cameras])
