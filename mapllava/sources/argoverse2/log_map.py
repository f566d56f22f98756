"""One log's vector map as geometry in the city frame, read through the official ``av2`` package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mapllava.errors import MapLLaVAError

UNPAINTED = ("NONE", "UNKNOWN")
"""Mark types that say of no line that it is painted on the road."""


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane segment.

    Args:
        left: ``(n, 3)`` left edge in driving direction, metres in the city frame.
        right: ``(m, 3)`` right edge, the same way.
        left_mark: Mark type of the left edge, e.g. ``SOLID_WHITE``; ``NONE`` where no paint is.
        right_mark: Mark type of the right edge.
        left_neighbour: Id of the lane on the left, which may run the other way.
        right_neighbour: Id of the lane on the right.
        predecessors: Ids of the lanes that lead into this one.
        successors: Ids of the lanes that it leads into.
        in_junction: Whether it lies in an intersection.
    """

    left: np.ndarray
    right: np.ndarray
    left_mark: str
    right_mark: str
    left_neighbour: int | None
    right_neighbour: int | None
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    in_junction: bool


@dataclass(frozen=True, eq=False)
class LogMap:
    """A log's vector map, all in the order of its file: of lines that repeat each other the first stays.

    Args:
        lanes: Lane segments by their id.
        crossings: Two edges ``(n, 3)`` each, metres in the city frame.
        areas: Closed outlines ``(n, 3)`` of drivable areas, without holes.
    """

    lanes: Mapping[int, Lane]
    crossings: tuple[tuple[np.ndarray, np.ndarray], ...]
    areas: tuple[np.ndarray, ...]

    @cached_property
    def lane_polygons(self) -> np.ndarray:
        """Lane surfaces (n,), shapely polygons in the order of ``lanes``."""
        rings = [np.concatenate([lane.right, lane.left[::-1]]) for lane in self.lanes.values()]
        return np.array([shapely.Polygon(ring) for ring in rings], dtype=object)

    @cached_property
    def area_polygons(self) -> np.ndarray:
        """Drivable areas (n,), shapely polygons, valid or not."""
        return np.array([shapely.Polygon(ring) for ring in self.areas], dtype=object)

    @classmethod
    def load(cls, path: Path) -> LogMap:
        """Read ``log_map_archive_<log>….json``.

        Raises:
            MapLLaVAError: If the extra ``av2`` is missing, or the file is damaged.
        """
        try:
            from av2.map.map_api import ArgoverseStaticMap
        except ImportError as error:
            raise MapLLaVAError(
                f"Argoverse 2 maps are read through the package av2, which cannot be imported ({error}): "
                "pip install 'mapllava[av2]'"
            ) from error
        try:
            table = ArgoverseStaticMap.from_json(path)
            lanes = {key: _lane(lane) for key, lane in table.vector_lane_segments.items()}
            crossings = tuple(
                (_points(each.edge1.xyz), _points(each.edge2.xyz))
                for each in table.vector_pedestrian_crossings.values()
            )
            areas = tuple(_points(each.xyz, 4) for each in table.vector_drivable_areas.values())
        except OSError as error:
            raise MapLLaVAError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise MapLLaVAError(
                f"{path} is damaged ({type(error).__name__}: {error}): fetch the log's map folder again"
            ) from error
        return cls(lanes, crossings, areas)


def _lane(lane: Any) -> Lane:
    return Lane(
        left=_points(lane.left_lane_boundary.xyz),
        right=_points(lane.right_lane_boundary.xyz),
        left_mark=lane.left_mark_type.value,
        right_mark=lane.right_mark_type.value,
        left_neighbour=lane.left_neighbor_id,
        right_neighbour=lane.right_neighbor_id,
        predecessors=tuple(lane.predecessors),
        successors=tuple(lane.successors),
        in_junction=bool(lane.is_intersection),
    )


def _points(xyz: np.ndarray, least: int = 2) -> np.ndarray:
    points = np.asarray(xyz, dtype=np.float64)
    if len(points) < least or not np.isfinite(points).all():
        raise ValueError(f"a line of {len(points)} points, or of points that are not finite")
    return points


def map_file(log_folder: str | Path) -> Path:
    """Path of a log's vector map.

    Raises:
        MapLLaVAError: If there is none, or more than one.
    """
    folder = Path(log_folder) / "map"
    found = sorted(folder.glob("log_map_archive_*.json"))
    if len(found) != 1:
        raise MapLLaVAError(
            f"{folder} holds {len(found)} files log_map_archive_*.json, and a log of Argoverse 2 has one: "
            "name a log's own folder (<split>/<log id>), or fetch its map folder again"
        )
    return found[0]


def load_log_map(log_folder: str | Path) -> LogMap:
    """A log's map; the last few are kept in memory as long as their files stay as they are.

    Raises:
        MapLLaVAError: If it is missing or damaged.
    """
    path = map_file(log_folder)
    status = path.stat()
    return _load(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, mtime_ns: int, size: int) -> LogMap:
    return LogMap.load(path)
