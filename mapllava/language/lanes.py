"""Lanes beside the car, as the lines across its way show them.

One looks along the lateral line: through a place on the car's axis and square to it. Where dividers and road
boundaries cross it, lanes end. The car's own lane lies between the nearest crossings on both sides; to each
side lanes follow, up to the first road boundary. Two lines nearer to each other than :data:`NARROWEST` (a
double line, a kerb's gutter) have no lane between them.

Metres in the map's frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.language.region import axes
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_lines import MapLines

NARROWEST = 2.0
"""Metres that a lane is wide at least."""

DIVIDER, BOUNDARY = "divider", "boundary"


@dataclass(frozen=True)
class Beside:
    """What lies on one side of the car's own lane.

    Attributes:
        lanes: How many lanes; None where no line is crossed on this side, so that nobody can tell.
        lines: Which lines were crossed, outwards.
    """

    lanes: int | None
    lines: tuple[int, ...]


def lanes_beside(lines: MapLines, map_spec: MapSpec, place: float = 0.0) -> tuple[Beside, Beside]:
    """Count lanes left and right of the car's own.

    Args:
        lines: K lines.
        map_spec: Their classes and frame.
        place: Where on the car's axis, metres ahead of the origin.

    Returns:
        Of the left side and of the right.

    Raises:
        MapLLaVAError: If the map has neither dividers nor boundaries.
    """
    names = map_spec.classes
    if not {DIVIDER, BOUNDARY} & set(names):
        raise MapLLaVAError(
            f"lanes lie between lines of class '{DIVIDER}' and '{BOUNDARY}', and this map has "
            f"{', '.join(names)} alone"
        )
    ahead, left = axes(map_spec)
    crossings = []  # (metres to the left, whether lanes end here for good, line)
    for index, (points, label) in enumerate(zip(lines.points, lines.labels, strict=True)):
        if (name := names[int(label)]) in (DIVIDER, BOUNDARY):
            along, across = points @ ahead - place, points @ left
            step = np.flatnonzero((along[:-1] < 0) != (along[1:] < 0))
            share = along[step] / (along[step] - along[step + 1])
            lateral = across[step] + share * (across[step + 1] - across[step])
            crossings += [(float(value), name == BOUNDARY, index) for value in lateral]
    return _count([c for c in crossings if c[0] >= 0]), _count([(-a, b, i) for a, b, i in crossings if a < 0])


def _count(crossings: list[tuple[float, bool, int]]) -> Beside:
    lanes, seen, last = 0, [], None
    for lateral, ends, index in sorted(crossings):
        lanes += last is not None and lateral - last >= NARROWEST
        if last is None or lateral - last >= NARROWEST:
            last = lateral
        seen.append(index)
        if ends:
            break
    return Beside(lanes if seen else None, tuple(dict.fromkeys(seen)))
