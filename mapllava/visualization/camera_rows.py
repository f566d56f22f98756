"""How the cameras of any rig stand on a page: those that look ahead above, those that look back below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mapllava.structures.frames import FORWARD_AXIS

_PER_ROW = 5
_ALIKE = 5.0
_AHEAD, _ASTERN = 45.0, 135.0


@dataclass
class CameraView:
    """One camera: ``image`` (H, W, 3) uint8 BGR, and ``lidar2img`` (4, 4) for its pixels."""

    name: str
    image: np.ndarray
    lidar2img: np.ndarray

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.image.shape[1] / self.image.shape[0]

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.removeprefix("CAM_").replace("_", " ").lower()

    def yaw(self, frame: str = "lidar") -> float:
        """Where it looks in the map frame, degrees to the left of forward, in (-180, 180]."""
        x, y = np.asarray(self.lidar2img, dtype=np.float64)[2, :2]  # depth grows along the optical axis
        ahead, left = (y, -x) if FORWARD_AXIS[frame] == 1 else (x, y)
        return float(np.degrees(np.arctan2(left, ahead)))


def arrange(views: Sequence[CameraView], frame: str = "lidar") -> tuple[list[list[CameraView]], int]:
    """Put cameras into rows, each from left to right.

    Args:
        views: Any number of cameras.
        frame: The map frame.

    Returns:
        The rows, and how many of them look ahead.
    """
    around = sorted(views, key=lambda view: abs(view.yaw(frame)))
    count = _number_ahead([abs(view.yaw(frame)) for view in around])
    ahead = sorted(around[:count], key=lambda view: -view.yaw(frame))
    astern = sorted(around[count:], key=lambda view: view.yaw(frame) % 360)
    front, back = _split(ahead), _split(astern)
    return front + back, len(front)


def _number_ahead(yaws: Sequence[float]) -> int:
    """How many of the cameras, sorted by how far they look aside (degrees), go above.

    About half of them; a pair of side cameras stays together, and a front or rear one where it looks.
    """
    count = len(yaws)
    ends = [
        k
        for k in range(count + 1)
        if (k in (0, count) or yaws[k] - yaws[k - 1] > _ALIKE)
        and not any(yaw > _ASTERN for yaw in yaws[:k])
        and not any(yaw < _AHEAD for yaw in yaws[k:])
    ]
    return min(ends, key=lambda k: (abs(2 * k - count), -k), default=count)


def _split(views: list[CameraView]) -> list[list[CameraView]]:
    rows = -(-len(views) // _PER_ROW)
    return [[views[k] for k in part] for part in np.array_split(np.arange(len(views)), rows)] if rows else []


def row_heights(
    rows: Sequence[Sequence[CameraView]], width: float, gap: float, highest: float
) -> list[float]:
    """Heights at which rows fill a width with cameras of one height, none above ``highest``.

    A row with fewer cameras than another is no higher than that one.
    """
    full = [(width - gap * (len(row) - 1)) / sum(view.aspect for view in row) for row in rows]
    most = max((len(row) for row in rows), default=0)
    limit = min([highest, *(height for height, row in zip(full, rows, strict=True) if len(row) == most)])
    return [min(height, limit) for height in full]
