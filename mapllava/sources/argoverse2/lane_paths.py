"""Long dividers out of lane edges: the sides between neighbouring lanes, followed from lane to lane.

Source: Liao et al., "MapTRv2", IJCV 2024, and Chen et al., "MapTracker", ECCV 2024: what their converters of
Argoverse 2 do, restated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.sources.argoverse2.lines import without_copies
from mapllava.sources.argoverse2.log_map import Lane

MAX_PATHS = 10_000
_SAME_RADIUS = 0.01
"""Metres around two lane edges by which MapTracker tells that they are one."""

Vertex = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Edge:
    """One edge of a lane: its points ``(n, 3)`` in metres, and the ids of the lanes before and after."""

    points: np.ndarray
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]


def inner_edges(lanes: dict[int, Lane]) -> tuple[dict[int, Edge], dict[int, Edge]]:
    """The left edges and the right edges that lie between two lanes, each side between neighbours once.

    A left edge stands for the right one of its neighbour, where both lanes run the same way; where they run
    opposite ways, both have the same line as their left edge, and both stay.
    """
    left = {key: lane for key, lane in lanes.items() if lane.left_neighbour is not None}
    right = {key: lane for key, lane in lanes.items() if lane.right_neighbour is not None}
    for lane in left.values():
        right.pop(lane.left_neighbour, None)  # type: ignore[arg-type]
    for lane in right.values():
        left.pop(lane.right_neighbour, None)  # type: ignore[arg-type]
    return (
        {key: Edge(lane.left, lane.predecessors, lane.successors) for key, lane in left.items()},
        {key: Edge(lane.right, lane.predecessors, lane.successors) for key, lane in right.items()},
    )


def without_repeats(edges: dict[int, Edge]) -> dict[int, Edge]:
    """MapTracker's cure: an edge that repeats an earlier one goes, and a lane keeps one way on and one back.

    The links back are rewritten first, lane by lane, each on what those before it have left; then those on.
    """
    keys = list(edges)
    kept = [keys[place] for place in without_copies([e.points for e in edges.values()], _SAME_RADIUS, False)]
    linked = {key: edges[key] for key in kept}
    _rewrite(linked, "predecessors", "successors")
    _rewrite(linked, "successors", "predecessors")
    return linked


def _rewrite(linked: dict[int, Edge], side: str, other_side: str) -> None:
    """Drop a lane's links to one side if the first leads nowhere; else it is all that the first leads to."""
    links: dict[str, Any]
    for key in linked:
        first = next(iter(getattr(linked[key], side)), key)
        if first == key or first not in linked:
            place, links = key, {side: ()}
        else:
            place, links = first, {other_side: (key,)}
        linked[place] = replace(linked[place], **links)


def paths(edges: dict[int, Edge], by_end: bool) -> list[np.ndarray]:
    """Every way along edges from a vertex that none leads to, to one that leads to none.

    Ways that fork share their common part. Where every vertex can be gone to and away from there is no way at
    all: an edge that is there in both directions, as between lanes that run opposite ways, gives none.

    Args:
        edges: By the id of their lane.
        by_end: Whether the ways from a vertex are ordered by their last one, as MapTracker has it.

    Returns:
        Lines ``(n, 3)``, metres, their vertices rounded to 1 mm.

    Raises:
        MapLLaVAError: If there are more than 10,000.
    """
    onward = _graph(edges, loops=not by_end)
    reached = {vertex for targets in onward.values() for vertex in targets}
    rank = {vertex: place for place, vertex in enumerate(onward)}
    found: list[np.ndarray] = []
    for root in (vertex for vertex in onward if vertex not in reached):
        ways = []
        for way in _ways(onward, root):
            ways.append(way)
            if len(found) + len(ways) > MAX_PATHS:
                raise MapLLaVAError(
                    f"more than {MAX_PATHS:,} ways lead along lane edges near ({root[0]:.1f}, {root[1]:.1f}) "
                    "of the city: make the ROI smaller, or take the definition streammapnet"
                )
        if by_end:
            ways.sort(key=lambda way: rank[way[-1]])
        found += [np.array(way) for way in ways]
    return found


def _graph(edges: dict[int, Edge], loops: bool) -> dict[Vertex, dict[Vertex, None]]:
    """Where each vertex leads to, vertices and targets in the order in which they turn up."""
    onward: dict[Vertex, dict[Vertex, None]] = {}
    chains = {key: [tuple(p) for p in edge.points.round(3).tolist()] for key, edge in edges.items()}

    def add(steps: Iterable[tuple[Vertex, Vertex]]) -> None:
        for start, stop in steps:
            if loops or start != stop:
                onward.setdefault(start, {})[stop] = None
                onward.setdefault(stop, {})

    for key, edge in edges.items():
        chain = chains[key]
        add(pairwise(chain))
        add((chains[other][-1], chain[0]) for other in edge.predecessors if other in chains)
        add((chain[-1], chains[other][0]) for other in edge.successors if other in chains)
    return onward


def _ways(onward: dict[Vertex, dict[Vertex, None]], root: Vertex) -> Iterator[list[Vertex]]:
    """Every way from a vertex that passes none twice and ends where nothing leads on, depth first."""
    way, branches = [root], [iter(onward[root])]
    passed = {root}
    while branches:
        vertex = next(branches[-1], None)
        if vertex is None:
            branches.pop()
            passed.discard(way.pop())
        elif vertex not in passed:
            way.append(vertex)
            if onward[vertex]:
                passed.add(vertex)
                branches.append(iter(onward[vertex]))
            else:
                yield list(way)
                way.pop()
