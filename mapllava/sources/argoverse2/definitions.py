"""Three published definitions of Argoverse 2's map elements, each exactly as its project makes them.

* ``maptrv2``: the sides between neighbouring lanes outside of junctions, painted or not; crossings that touch
  and run the same way are one. Loses the lines between lanes that run opposite ways.
* ``streammapnet``: the lane edges that carry paint; every crossing by itself.
* ``maptracker``: maptrv2's sides with those lines, joined; every crossing by itself and closed.

The boundary is the outline of the drivable area in all of them.

Source: Liao et al., "MapTRv2", IJCV 2024; Yuan et al., "StreamMapNet", WACV 2024; Chen et al., "MapTracker",
ECCV 2024: what their code does, restated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import shapely

from mapllava.errors import MapLLaVAError
from mapllava.geometry.clip import EDGE_MARGIN, outline_pieces, union
from mapllava.sources.argoverse2.crossings import closed_rings, cut_rings, merged_outlines
from mapllava.sources.argoverse2.ego_window import EgoWindow, lines_of
from mapllava.sources.argoverse2.lane_paths import Edge, inner_edges, paths, without_repeats
from mapllava.sources.argoverse2.lines import joined, without_copies, without_overlaps
from mapllava.sources.argoverse2.log_map import UNPAINTED, Lane, LogMap
from mapllava.structures.frames import CLASSES

SIMPLIFY = 0.2
"""Tolerance of the Douglas-Peucker simplification of a way along lanes, metres."""

Elements = dict[str, list[np.ndarray]]


def maptrv2(log_map: LogMap, window: EgoWindow) -> Elements:
    """Class name to lines ``(n, 3)``, metres in the ego frame, as MapTRv2 makes them."""
    sides = inner_edges(_lanes_near(log_map, window))
    lines = _cut_paths([line for side in sides for line in paths(side, by_end=False)], window)
    return {
        "divider": [lines[place] for place in without_copies(lines, 1.0, flat=True)],
        "ped_crossing": merged_outlines(log_map.crossings, window),
        "boundary": _outlines(window.valid_areas(log_map.area_polygons), window),
    }


def streammapnet(log_map: LogMap, window: EgoWindow) -> Elements:
    """Class name to lines ``(n, 3)``, metres in the ego frame, as StreamMapNet makes them."""
    painted = [
        edge
        for lane in log_map.lanes.values()
        for edge, mark in ((lane.right, lane.right_mark), (lane.left, lane.left_mark))
        if mark not in UNPAINTED
    ]
    boundary = _outlines(window.areas_in_ego(log_map.area_polygons), window)
    dividers = without_overlaps(window.cut_in_ego(window.to_ego(lines_of(painted))))
    return {
        "divider": joined(without_overlaps(dividers, boundary)),
        "ped_crossing": cut_rings(log_map.crossings, window),
        "boundary": boundary,
    }


def maptracker(log_map: LogMap, window: EgoWindow) -> Elements:
    """Class name to lines ``(n, 3)``, metres in the ego frame, as MapTracker makes them."""
    sides: list[dict[int, Edge]] = [
        without_repeats(side) for side in inner_edges(_lanes_near(log_map, window))
    ]
    lines = _cut_paths([line for side in sides for line in paths(side, by_end=True)], window)
    distinct = [lines[place] for place in without_copies(lines, 0.1, flat=True)]
    boundary = _outlines(window.valid_areas(log_map.area_polygons), window)
    return {
        "divider": without_overlaps(joined(distinct), boundary),
        "ped_crossing": closed_rings(log_map.crossings, window),
        "boundary": boundary,
    }


DEFINITIONS: dict[str, Callable[[LogMap, EgoWindow], Elements]] = {
    "maptrv2": maptrv2,
    "streammapnet": streammapnet,
    "maptracker": maptracker,
}


DEFAULT_DEFINITION = "maptracker"
"""It has the lines between lanes that run opposite ways and closed crossings, as nuScenes' maps have."""


def check_definition(name: str) -> str:
    """Return ``name`` if it is a known definition.

    Raises:
        MapLLaVAError: If it is not.
    """
    if name not in DEFINITIONS:
        raise MapLLaVAError(f"unknown definition {name!r}: use one of {', '.join(DEFINITIONS)}")
    return name


def check_classes(names: Iterable[str]) -> list[str]:
    """The names as a list, if all definitions offer every one.

    Raises:
        MapLLaVAError: Naming those that are not offered.
    """
    names = list(names)
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        raise MapLLaVAError(f"map_spec.classes {unknown}: Argoverse 2 maps offer {', '.join(CLASSES)}")
    return names


def _lanes_near(log_map: LogMap, window: EgoWindow) -> dict[int, Lane]:
    """Lanes outside of junctions whose surface is a valid polygon that meets the ROI."""
    polygons = log_map.lane_polygons
    near = shapely.is_valid(polygons) & shapely.intersects(polygons, window.flat.patch)
    lanes = zip(log_map.lanes.items(), near, strict=True)
    return {key: lane for (key, lane), meets in lanes if meets and not lane.in_junction}


def _cut_paths(lines: list[np.ndarray], window: EgoWindow) -> list[np.ndarray]:
    return window.cut_in_city(shapely.simplify(lines_of(lines), SIMPLIFY)) if lines else []


def _outlines(areas: np.ndarray, window: EgoWindow) -> list[np.ndarray]:
    return outline_pieces(union(areas), window.inner_box(-EDGE_MARGIN), heights=True)
