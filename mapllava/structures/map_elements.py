"""One map element: a polyline in metres with a label and its closedness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

CLOSING_TOLERANCE = 1e-6
"""Metres by which the first and last vertex of a closed polyline may differ, everywhere."""


def is_closed(points: np.ndarray) -> bool:
    """Whether a polyline ``(n, 2)`` of at least four vertices ends where it starts."""
    return len(points) >= 4 and _meets_itself(points)


def _meets_itself(points: np.ndarray) -> bool:
    return bool(np.abs(points[0] - points[-1]).max() <= CLOSING_TOLERANCE)


@dataclass(eq=False)
class Polyline:
    """A polyline of the map.

    Closedness and direction are properties of the element; they are never inferred from the class.

    Args:
        label: Index into the classes of the map specification.
        points: ``(n, 2)`` with ``n >= 2``, metres in the map frame; made float64. A closed
            polyline repeats its first vertex as its last.
        closed: Whether the line is a ring, so that it has no first vertex of its own.
        directed: Whether the order of the points carries meaning (a centre line, in driving
            direction): then reversing them makes another line.
        heights: ``(n,)`` z of the points, metres in the map frame; None where the source has none.
            Kept with the ground truth; what works on maps in the plane does not ask for it.

    Raises:
        ValueError: If the label is negative, a shape is wrong, a coordinate is not finite, or
            a closed line does not end where it starts.
    """

    label: int
    points: np.ndarray
    closed: bool = False
    directed: bool = False
    heights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if isinstance(self.label, bool) or int(self.label) != self.label or self.label < 0:
            raise ValueError(f"polyline label {self.label!r} must be an integer >= 0")
        self.label = int(self.label)
        self.closed, self.directed = bool(self.closed), bool(self.directed)
        self.points = np.asarray(self.points, dtype=np.float64)
        if self.points.ndim != 2 or self.points.shape[1] != 2 or len(self.points) < 2:
            raise ValueError(f"polyline points have shape {self.points.shape}, not (n >= 2, 2)")
        if not np.isfinite(self.points).all():
            raise ValueError("polyline points hold a coordinate that is not finite")
        if self.heights is not None:
            self.heights = np.asarray(self.heights, dtype=np.float64)
            if self.heights.shape != (len(self.points),) or not np.isfinite(self.heights).all():
                raise ValueError(f"polyline heights are not {len(self.points)} finite numbers, one per point")
        if self.closed and not _meets_itself(self.points):
            raise ValueError(
                f"closed polyline starts at {self.points[0].tolist()} but ends at "
                f"{self.points[-1].tolist()}: a closed line repeats its first vertex"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polyline):
            return NotImplemented
        mine, theirs = ((line.label, line.closed, line.directed) for line in (self, other))
        same = mine == theirs and np.array_equal(self.points, other.points)
        if self.heights is None or other.heights is None:
            return same and self.heights is other.heights
        return same and np.array_equal(self.heights, other.heights)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Polyline:
        """Read the form the GT cache stores: ``label``, ``points``, ``closed``, perhaps more.

        Raises:
            ValueError: If a key is missing or a value is not valid.
        """
        missing = [key for key in ("label", "points", "closed") if key not in data]
        if missing:
            raise ValueError(f"polyline lacks {missing}; it has {sorted(map(str, data))}")
        directed, heights = data.get("directed", False), data.get("heights")
        return cls(data["label"], data["points"], data["closed"], directed, heights)

    def to_dict(self) -> dict[str, Any]:
        """The form the GT cache stores: builtins and float64 arrays; ``directed``, ``heights`` where so."""
        data = {"label": self.label, "points": self.points, "closed": self.closed}
        if self.directed:
            data["directed"] = True
        return data if self.heights is None else {**data, "heights": self.heights}
