"""Pedestrian crossings: rings that are cut one by one, or areas of which parallel neighbours become one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from mapllava.geometry.clip import EDGE_MARGIN
from mapllava.sources.argoverse2.ego_window import EgoWindow, whole_or_joined

Edges = Sequence[tuple[np.ndarray, np.ndarray]]
_MEETS = 1e-3
"""Metres per coordinate within which a ring's ends meet."""
_PARALLEL = 0.01
"""One less the cosine below which two crossings run the same way (8 degrees)."""
_LEAST_AREA, _LEAST_POINTS = 1.0, 3


def cut_rings(crossings: Edges, window: EgoWindow) -> list[np.ndarray]:
    """StreamMapNet's crossings: every outline, counter-clockwise, cut to the ROI; one line each.

    A crossing that the ROI cuts is closed only where its first vertex splits what is left into several parts.

    Args:
        crossings: Two edges ``(n, 3)`` each, metres in the city frame.
        window: Where to cut.

    Returns:
        Lines ``(n, 3)``, metres in the ego frame.
    """
    rings = []
    for first, second in crossings:
        ring = shapely.LinearRing(window.points_to_ego(np.concatenate([first, second[::-1]])))
        piece = _counter_clockwise(ring).intersection(window.inner_box())
        parts = whole_or_joined(piece)
        if parts:
            points = np.concatenate(parts)
            rings.append(_closed(points) if shapely.get_num_geometries(piece) > 1 else points)
    return rings


def closed_rings(crossings: Edges, window: EgoWindow) -> list[np.ndarray]:
    """MapTracker's crossings: :func:`cut_rings`, all of them closed; those below 1 m² go.

    Args:
        crossings: Two edges ``(n, 3)`` each, metres in the city frame.
        window: Where to cut.

    Returns:
        Closed lines ``(n, 3)``, metres in the ego frame.
    """
    rings = [_closed(points) for points in cut_rings(crossings, window)]
    return [ring for ring in rings if len(ring) >= _LEAST_POINTS and _area(ring) >= _LEAST_AREA]


def _area(ring: np.ndarray) -> float:
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return float(abs(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2)


def merged_outlines(crossings: Edges, window: EgoWindow) -> list[np.ndarray]:
    """MapTRv2's crossings: each takes in the later ones that run its way and whose box meets its own.

    The outline of what they cover together is cut just inside the ROI and stays open where it is cut.

    Args:
        crossings: Two edges ``(n, 3)`` each, metres in the city frame.
        window: Where to cut.

    Returns:
        Lines ``(n, 3)``, metres in the ego frame.
    """
    rings = [Polygon(np.concatenate([first, second[::-1]])) for first, second in crossings]
    if not rings:
        return []
    areas = window.valid_areas(np.array(rings, dtype=object))
    limits = window.inner_box(-EDGE_MARGIN)
    outlines = []
    for filled in _merged(areas):
        for part in shapely.get_parts(filled):
            pieces = whole_or_joined(_counter_clockwise(part.exterior).intersection(limits))
            if pieces:
                outlines.append(np.concatenate(pieces))
    return outlines


def _merged(areas: np.ndarray) -> list[BaseGeometry]:
    bounds, axes = shapely.bounds(areas), [_long_axis(area) for area in areas]
    rest, merged = list(range(len(areas))), []
    while rest:
        first = rest.pop(0)
        low, high = bounds[first, :2], bounds[first, 2:]
        same = [
            other
            for other in rest
            if (bounds[other, :2] <= high).all()
            and (bounds[other, 2:] >= low).all()
            and 1 - abs(axes[first] @ axes[other]) < _PARALLEL
        ]
        merged.append(shapely.union_all(areas[[first, *same]]))
        rest = [other for other in rest if other not in same]
    return merged


def _long_axis(area: BaseGeometry) -> np.ndarray:
    """Direction ``(2,)`` of the longer side of the smallest rectangle around an area; of equals the first.

    Written out, because the library's own takes another rectangle from release to release.
    """
    corners = shapely.get_coordinates(area.convex_hull)
    steps = np.diff(corners, axis=0)
    along = steps / np.sqrt((steps**2).sum(axis=1))[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    # Extents of all corners in the axes of every side, (sides, 2). No matrix product: a triangle has three
    # rectangles of one area, and which is the first would depend on the machine
    x, y = corners.T[:, None]
    extents = [np.ptp(axis[:, :1] * x + axis[:, 1:] * y, axis=1) for axis in (along, across)]
    sizes = np.stack(extents, axis=1)
    best = int(sizes.prod(axis=1).argmin())
    return along[best] if sizes[best, 0] >= sizes[best, 1] else across[best]


def _counter_clockwise(ring: BaseGeometry) -> BaseGeometry:
    return ring if shapely.is_ccw(ring) else shapely.reverse(ring)


def _closed(points: np.ndarray) -> np.ndarray:
    meets = np.allclose(points[0], points[-1], atol=_MEETS)
    return points if meets else np.concatenate([points, points[:1]])
