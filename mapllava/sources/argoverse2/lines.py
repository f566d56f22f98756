"""What the definitions do with lines after they are cut: leave repeats out, and join what touches.

All of it depends on the order of the lines, and the first always stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from mapllava.sources.argoverse2.ego_window import lines_of

CAPS = 16
"""Segments of a quarter circle round an end, as shapely 1.8 had it."""
OVERLAP_RADIUS, OVERLAP_SHARE = 0.3, 0.2
"""Metres around a line, and the area in common per metre of the shorter line above which two are one."""
SAME_SHARE = 0.9
"""Intersection over union of two lines' buffers from which they are the same line."""
REACH = 0.1
"""Metres within which two ends are joined."""


def without_overlaps(lines: list[np.ndarray], others: list[np.ndarray] | None = None) -> list[np.ndarray]:
    """Lines ``(n, 3)`` that run along none of those kept before them, or along none of the others.

    Args:
        lines: To choose from, metres.
        others: What to compare with, instead of the lines themselves.
    """
    mine = lines_of(lines)
    theirs = mine if others is None else lines_of(others)
    if not len(mine) or not len(theirs):
        return lines
    around, around_theirs = (shapely.buffer(each, OVERLAP_RADIUS, quad_segs=CAPS) for each in (mine, theirs))
    length, length_theirs = shapely.length(mine), shapely.length(theirs)

    def repeats(i: int, candidates: np.ndarray) -> bool:
        shared = shapely.area(shapely.intersection(around[i], around_theirs[candidates]))
        return bool((shared > OVERLAP_SHARE * np.minimum(length[i], length_theirs[candidates])).any())

    tree = shapely.STRtree(around_theirs)
    if others is not None:
        return [line for i, line in enumerate(lines) if not repeats(i, tree.query(around[i]))]
    return [lines[i] for i in _greedy(around, tree, repeats)]


def without_copies(lines: list[np.ndarray], radius: float, flat: bool) -> list[int]:
    """Places of the lines ``(n, 3)`` whose buffer is not that of one kept before.

    Args:
        lines: To choose from, metres.
        radius: Of the buffer, metres.
        flat: Flat ends and mitred corners, instead of round ones.
    """
    if not lines:
        return []
    style = ("flat", "mitre") if flat else ("round", "round")
    around = shapely.buffer(lines_of(lines), radius, quad_segs=CAPS, cap_style=style[0], join_style=style[1])
    area = shapely.area(around)

    def repeats(i: int, candidates: np.ndarray) -> bool:
        shared = shapely.area(shapely.intersection(around[i], around[candidates]))
        return bool((shared >= SAME_SHARE * (area[i] + area[candidates] - shared)).any())

    return _greedy(around, shapely.STRtree(around), repeats)


def _greedy(
    around: np.ndarray, tree: shapely.STRtree, repeats: Callable[[int, np.ndarray], bool]
) -> list[int]:
    kept = np.zeros(len(around), dtype=bool)
    for i, area in enumerate(around):
        near = tree.query(area)
        kept[i] = not repeats(i, near[kept[near]])
    return np.flatnonzero(kept).tolist()


def joined(lines: list[np.ndarray]) -> list[np.ndarray]:
    """Lines ``(n, 3)``, each grown by all that begin or end within 0.1 m of its ends; both ends stay."""
    rest, done = list(lines), []
    while rest:
        line, place = rest.pop(0), 0
        while place < len(rest):
            grown = _join(line, rest[place])
            if grown is None:
                place += 1
            else:
                line = grown
                del rest[place]
                place = 0
        done.append(line)
    return done


def _join(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """Both as one line, if an end of one is near an end of the other; the first such pair of ends counts."""
    for head, tail in ((second[::-1], first), (second, first), (first, second), (first, second[::-1])):
        if np.linalg.norm(head[-1] - tail[0]) < REACH:
            return np.concatenate([head, tail])
    return None
