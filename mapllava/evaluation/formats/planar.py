"""Exact changes between the map frames in which projects write their results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

FORWARD = "lidar_forward"
"""MapTracker's frame: origin and heading of LIDAR_TOP, but x forward and y to the left."""


@dataclass(frozen=True)
class PlanarTransform:
    """A turn and a shift in the plane: ``p -> rotation @ p + shift``.

    Args:
        rotation: (2, 2), orthogonal.
        shift: (2,), metres.
    """

    rotation: np.ndarray
    shift: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points ``(n, 2)``, metres."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.shift

    def inverse(self) -> PlanarTransform:
        """The way back."""
        return PlanarTransform(self.rotation.T, -self.rotation.T @ self.shift)

    def after(self, first: PlanarTransform) -> PlanarTransform:
        """``first``, then this."""
        return PlanarTransform(self.rotation @ first.rotation, self.rotation @ first.shift + self.shift)


def ground_pose(pose: np.ndarray) -> PlanarTransform:
    """A pose's frame on the ground: position and heading count; height, roll and pitch do not.

    This is how map lines are cut out (heading atan2(R10, R00)), so that frames related by it agree
    with the ground truth of both, however the car leans.

    Args:
        pose: ``(4, 4)``, frame to world, metres.
    """
    yaw = math.atan2(pose[1, 0], pose[0, 0])
    rotation = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    return PlanarTransform(rotation, np.asarray(pose[:2, 3], dtype=np.float64))


def between(source: str, target: str, entry: Mapping[str, Any]) -> PlanarTransform:
    """From one map frame to another at one sample.

    Args:
        source: ``lidar``, ``ego`` or :data:`FORWARD`.
        target: Likewise.
        entry: The sample's entry in a GT cache; gives ``lidar2ego`` and ``ego2global``.
    """
    if source == target:
        return PlanarTransform(np.eye(2), np.zeros(2))
    return _to_world(target, entry).inverse().after(_to_world(source, entry))


def _to_world(frame: str, entry: Mapping[str, Any]) -> PlanarTransform:
    ego = np.asarray(entry["ego2global"], dtype=np.float64)
    if frame == "ego":
        return ground_pose(ego)
    lidar = ground_pose(ego @ np.asarray(entry["lidar2ego"], dtype=np.float64))
    if frame == FORWARD:
        return lidar.after(PlanarTransform(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2)))
    return lidar
