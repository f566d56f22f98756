"""The map elements around the car at one pose of a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mapllava.geometry.rigid import ROTATION_TOLERANCE
from mapllava.sources.argoverse2.definitions import (
    DEFAULT_DEFINITION,
    DEFINITIONS,
    check_classes,
    check_definition,
)
from mapllava.sources.argoverse2.ego_window import EgoWindow
from mapllava.sources.argoverse2.log_map import load_log_map
from mapllava.structures.frames import CLASSES, ROI
from mapllava.structures.map_elements import Polyline, is_closed


def map_elements(
    log_folder: str | Path,
    city_SE3_ego: np.ndarray,
    roi: ROI | Sequence[float],
    definition: str = DEFAULT_DEFINITION,
    classes: Sequence[str] = CLASSES,
) -> list[Polyline]:
    """The map elements of a log inside the ROI, as a published project makes them.

    Args:
        log_folder: ``<split>/<log id>``, with the folder ``map``.
        city_SE3_ego: ``(4, 4)`` pose, ego to city, metres.
        roi: ``x_min, y_min, x_max, y_max`` in the ego frame (x forward, y to the left), metres.
        definition: What is an element: ``maptracker``, ``streammapnet`` or ``maptrv2``.
        classes: Names of the classes; a label is an index into them.

    Returns:
        Polylines in the ego frame with their heights, metres: raw, neither resampled nor simplified, no
        minimum length. Classes in the order given.

    Raises:
        MapLLaVAError: If the definition or a class is unknown, the ROI is empty, the map is missing or
            damaged, or the extra ``av2`` is missing.
        ValueError: If the pose is not a finite ``(4, 4)`` matrix, or not rigid.
    """
    make = DEFINITIONS[check_definition(definition)]
    window = EgoWindow(roi if isinstance(roi, ROI) else ROI.from_values(roi), _rigid(city_SE3_ego))
    found = make(load_log_map(log_folder), window)
    return [
        Polyline(label, points[:, :2], is_closed(points[:, :2]), heights=points[:, 2])
        for label, name in enumerate(check_classes(classes))
        for points in found[name]
    ]


def _rigid(pose: np.ndarray) -> np.ndarray:
    pose = np.asarray(pose, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError(f"city_SE3_ego is a finite (4, 4) matrix, not shape {pose.shape}: {pose.tolist()}")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(f"city_SE3_ego's rotation is none: {rotation.tolist()}")
    return pose
