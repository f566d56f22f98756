"""The map elements around the car at one pose of a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.geometry.rigid import ROTATION_TOLERANCE, rotation_error
from mapllava.sources.argoverse2.definitions import (
    DEFAULT_DEFINITION,
    DEFINITIONS,
    check_classes,
    check_definition,
)
from mapllava.sources.argoverse2.ego_window import EgoWindow
from mapllava.sources.argoverse2.log_map import LogMap, load_log_map
from mapllava.structures.frames import CLASSES, ROI, MapSpec
from mapllava.structures.map_elements import Polyline, is_closed


@dataclass(frozen=True, eq=False)
class LogElements:
    """A log's map with the definition by which elements are made of it.

    Args:
        log_map: The map.
        definition: ``maptracker``, ``streammapnet`` or ``maptrv2``.
    """

    log_map: LogMap
    definition: str

    def polylines(self, pose: np.ndarray, spec: MapSpec, clamp: bool = True) -> list[Polyline]:
        """The map elements inside the ROI at a pose.

        Args:
            pose: ``(4, 4)``, map frame to city, metres.
            spec: ROI and classes.
            clamp: Whether ends that the car's roll and pitch carry out of the ROI, by centimetres, move to
                its edge, as MapTRv2 does before training.

        Returns:
            Polylines in the map frame with their heights, metres: raw, neither resampled nor simplified, no
            minimum length. Classes in the order of the specification.

        Raises:
            MapLLaVAError: If the specification has a class that no definition offers.
            ValueError: If the pose is not a finite ``(4, 4)`` matrix, or not rigid.
        """
        classes = check_classes(spec.classes)
        found = DEFINITIONS[self.definition](self.log_map, EgoWindow(spec.roi, _rigid(pose)))
        low, high = spec.roi.to_list()[:2], spec.roi.to_list()[2:]
        flat = {
            name: [p[:, :2].clip(low, high) if clamp else p[:, :2] for p in found[name]] for name in classes
        }
        return [
            Polyline(label, points, is_closed(points), heights=whole[:, 2])
            for label, name in enumerate(classes)
            for points, whole in zip(flat[name], found[name], strict=True)
        ]


def map_elements(
    log_folder: str | Path,
    city_SE3_ego: Any,
    roi: ROI | Sequence[float],
    definition: str = DEFAULT_DEFINITION,
    classes: Sequence[str] = CLASSES,
) -> list[Polyline]:
    """The map elements of a log inside the ROI, as a published project makes them.

    Args:
        log_folder: ``<split>/<log id>``, with the folder ``map``.
        city_SE3_ego: Pose, ego to city, metres: a ``(4, 4)`` matrix, or ``av2``'s ``SE3``.
        roi: ``x_min, y_min, x_max, y_max`` in the ego frame (x forward, y to the left), metres.
        definition: What is an element: ``maptracker``, ``streammapnet`` or ``maptrv2``.
        classes: Names of the classes; a label is an index into them.

    Returns:
        Polylines in the ego frame, see :meth:`LogElements.polylines`; their ends as the project cuts them.

    Raises:
        MapLLaVAError: If the definition or a class is unknown, the ROI is empty, the map is missing or
            damaged, or the extra ``av2`` is missing.
        ValueError: If the pose is not a finite ``(4, 4)`` matrix, or not rigid.
    """
    spec = MapSpec("ego", roi if isinstance(roi, ROI) else ROI.from_values(roi), tuple(classes))
    check_definition(definition)
    pose = getattr(city_SE3_ego, "transform_matrix", city_SE3_ego)
    return LogElements(load_log_map(log_folder), definition).polylines(pose, spec, clamp=False)


def _rigid(pose: np.ndarray) -> np.ndarray:
    pose = np.asarray(pose, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError(f"a pose is a finite (4, 4) matrix, not shape {pose.shape}: {pose.tolist()}")
    rotation = pose[:3, :3]
    if rotation_error(rotation) > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(f"the pose's rotation is none: {rotation.tolist()}")
    return pose
