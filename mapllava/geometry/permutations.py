"""The orders of a polyline's points that describe the same line; one definition for loss and metric.

MapTR introduced the idea (cyclic starts of rings, both directions of open lines). Here the orders
come from closedness alone, rings turn both ways, and the closing vertex is dropped before rolling
and put back after, so that no order has a gap or an edge of zero length.

Source: Liao et al., "MapTR", ICLR 2023, section 3.1, restated.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def equivalent_orders(num_points: int, closed: bool, directed: bool = False) -> np.ndarray:
    """All index rows that reorder a polyline without changing the line it describes.

    Args:
        num_points: P, points of the polyline; a closed one counts its repeated last vertex.
        closed: Whether the last point repeats the first.
        directed: Whether the direction carries meaning (a centre line): then it never turns.

    Returns:
        ``(O, P)`` int64; row 0 leaves the line as it is. Open: identity and reverse (O = 2, or 1
        if directed). Closed: every start in both directions, O = 2 (P - 1), or P - 1 if directed;
        every row ends where it starts.

    Raises:
        ValueError: If P is below 2, or below 3 for a closed line.
    """
    smallest = 3 if closed else 2
    if num_points < smallest:
        kind = "closed" if closed else "open"
        raise ValueError(f"{num_points} points make no {kind} polyline: at least {smallest} are needed")
    steps = np.arange(num_points, dtype=np.int64)  # (P,)
    if not closed:
        return steps[None] if directed else np.stack([steps, steps[::-1]])
    # A ring repeats its first point. Modulo the P - 1 distinct ones, P steps end where they started: rolling
    # all P would leave the repeated point inside, as an edge of zero length, and a gap at the end
    distinct = num_points - 1
    starts = np.arange(distinct, dtype=np.int64)[:, None]
    forward = (starts + steps) % distinct
    return forward if directed else np.concatenate([forward, (starts - steps) % distinct])


@lru_cache(maxsize=32)
def order_table(num_points: int, directed: bool = False) -> np.ndarray:
    """Orders of open lines and of rings in one array, indexed by closedness.

    Args:
        num_points: P, at least 3.
        directed: Whether the lines have a direction that never turns.

    Returns:
        ``(2, O, P)`` int64, O = 2 (P - 1), read-only. ``[1]`` holds the orders of a closed line,
        ``[0]`` those of an open line, each repeated until they fill the rows; row 0 of both is the
        line as it is, so ``points[order_table(P)[int(closed)]]`` is ``(O, P, 2)``.

    Raises:
        ValueError: If P is below 3.
    """
    count = 2 * (num_points - 1)
    kinds = [equivalent_orders(num_points, closed, directed) for closed in (False, True)]
    table = np.stack([np.tile(orders, (count // len(orders), 1)) for orders in kinds])
    table.setflags(write=False)
    return table
