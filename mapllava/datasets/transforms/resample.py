"""Polylines to training targets: labels, points and their equivalent orders."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.errors import MapLLaVAError
from mapllava.geometry.permutations import order_table
from mapllava.geometry.polyline import arc_length, resample_many
from mapllava.registry import TRANSFORMS
from mapllava.structures.frames import ROI

_NO_LENGTH = 1e-6


@TRANSFORMS.register_module()
class ResamplePolylines(BaseTransform):
    """Give every element P points at equal arc length, and all equivalent orders of them.

    Points beyond the ROI (crossings reach up to 0.2 m over its edge) are moved to its edge. An
    element without length, before or after that, has no direction and no order to learn: it is
    left out here, stays in ``polylines``, and is counted in ``num_degenerate``.

    Required Keys:

    - map_spec; polylines: list of Polyline, metres

    Added Keys (G elements, P points, O = 2 (P - 1) orders):

    - gt_labels: (G,) int64
    - gt_points: (G, P, 2) float32, metres; the order ``gt_orders[:, 0]``
    - gt_orders: (G, O, P, 2) float32, metres; those of open lines (identity, reverse) repeated, and
      those of directed lines, which are never reversed
    - gt_closed, gt_directed: (G,) bool
    - num_degenerate: number of elements left out

    Args:
        num_points: P, at least 3.

    Raises:
        ValueError: If ``num_points`` is below 3.
        MapLLaVAError: If a label is beyond the classes.
    """

    def __init__(self, num_points: int = 20) -> None:
        if num_points < 3:
            raise ValueError(f"ResamplePolylines.num_points is {num_points!r}: a ring needs at least 3")
        self.num_points = int(num_points)

    def transform(self, results: dict) -> dict:
        """Resample, clamp, and list the orders."""
        map_spec, lines = results["map_spec"], results["polylines"]
        bad = sorted({line.label for line in lines if line.label >= map_spec.num_classes})
        if bad:
            raise MapLLaVAError(
                f"sample {results.get('sample_token')} has labels {bad}, but map_spec has only "
                f"{map_spec.num_classes} classes: rebuild the GT cache for this map_spec"
            )
        points = _clamp(resample_many([line.points for line in lines], self.num_points), map_spec.roi)
        keep = np.array([arc_length(line) > _NO_LENGTH for line in points], dtype=bool)
        closed = np.array([line.closed for line in lines], dtype=bool)[keep]
        points = points[keep].astype(np.float32)
        directed = np.array([line.directed for line in lines], dtype=bool)[keep]
        # (2, 2, O, P), indexed by (directed, closed) to the index rows of every element (G, O, P)
        both = np.stack([order_table(self.num_points, d) for d in (False, True)])
        table = both[directed.astype(np.int64), closed.astype(np.int64)]
        results["gt_labels"] = np.array([line.label for line in lines], dtype=np.int64)[keep]
        results["gt_points"] = points
        results["gt_orders"] = points[np.arange(len(points))[:, None, None], table]
        results["gt_closed"], results["gt_directed"] = closed, directed
        results["num_degenerate"] = int((~keep).sum())
        return results

    def __repr__(self) -> str:
        return f"ResamplePolylines(num_points={self.num_points})"


def _clamp(points: np.ndarray, roi: ROI) -> np.ndarray:
    return np.clip(points, [roi.x_min, roi.y_min], [roi.x_max, roi.y_max])
