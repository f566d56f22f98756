"""Exact changes between the map frames in which projects write their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mapllava.geometry.frame_change import planar_change

FORWARD = "lidar_forward"
"""MapTracker's frame: origin and heading of LIDAR_TOP, but x forward and y to the left."""

_FORWARD_TO_LIDAR = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def between(source: str, target: str, entry: Mapping[str, Any]) -> np.ndarray:
    """From one map frame to another at one sample.

    Args:
        source: ``lidar``, ``ego`` or :data:`FORWARD`.
        target: Likewise.
        entry: The sample's entry in a GT cache; gives ``lidar2ego`` and ``ego2global``.

    Returns:
        ``(3, 3)`` for :func:`mapllava.geometry.frame_change.change_lines`.
    """
    first, last = ("lidar" if frame == FORWARD else frame for frame in (source, target))
    change = (
        np.eye(3) if first == last else planar_change(first, last, entry["lidar2ego"], entry["ego2global"])
    )
    if source == FORWARD:
        change = change @ _FORWARD_TO_LIDAR
    if target == FORWARD:
        change = _FORWARD_TO_LIDAR.T @ change
    return change
