"""Polylines drawn into a bird's-eye-view grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.registry import TRANSFORMS
from mapllava.structures.frames import ROI
from mapllava.structures.map_elements import Polyline

_SHIFT = 8


@TRANSFORMS.register_module()
class RasterizeBEV(BaseTransform):
    """Draw the raw polylines into one grid per class, the target of BEV segmentation.

    Cell (row, col) covers y from ``y_min + row * cell`` and x from ``x_min + col * cell`` on: row
    0 is ``y_min`` and column 0 ``x_min``, nothing is turned over. Lines are drawn to 1/256 cell.
    Rings of a class in ``filled`` are filled by the even-odd rule, so that holes stay empty.

    Required Keys:

    - map_spec; polylines: list of Polyline, metres

    Added Keys:

    - gt_bev: (C, Y, X) uint8, 1 on the map element, 0 elsewhere
    - bev_cell: edge of a cell, metres

    Args:
        cell: Edge of a cell, metres; the ROI must be a whole number of cells.
        thickness: Width of the lines, cells.
        filled: Classes whose rings are filled, in place of outlined; by default ``ped_crossing``
            where the map specification has it.

    Raises:
        ValueError: If an argument is not valid, the ROI is not a whole number of cells, or
            ``filled`` names a class that the map specification lacks.
    """

    def __init__(self, cell: float = 1.0, thickness: int = 1, filled: Sequence[str] | None = None) -> None:
        if not cell > 0:
            raise ValueError(f"RasterizeBEV.cell is {cell!r}: it must be positive, metres")
        if int(thickness) != thickness or thickness < 1:
            raise ValueError(f"RasterizeBEV.thickness is {thickness!r}: use whole cells >= 1")
        if isinstance(filled, str):
            raise ValueError(f"RasterizeBEV.filled is {filled!r}: it must be a list of class names")
        self.cell, self.thickness, self.filled = float(cell), int(thickness), filled

    def transform(self, results: dict) -> dict:
        """Draw every class."""
        map_spec = results["map_spec"]
        shape = self._shape(map_spec.roi)
        filled = ["ped_crossing"] if self.filled is None else list(self.filled)
        unknown = [name for name in filled if name not in map_spec.classes]
        if unknown and self.filled is not None:
            raise ValueError(f"RasterizeBEV.filled names {unknown}; map_spec has {list(map_spec.classes)}")
        grid = np.zeros((map_spec.num_classes, *shape), dtype=np.uint8)
        for label, name in enumerate(map_spec.classes):
            lines = [line for line in results["polylines"] if line.label == label]
            self._draw(grid[label], lines, map_spec.roi, fill=name in filled)
        results["gt_bev"], results["bev_cell"] = grid, self.cell
        return results

    def _shape(self, roi: ROI) -> tuple[int, int]:
        rows, cols = roi.height / self.cell, roi.width / self.cell
        if abs(rows - round(rows)) > 1e-6 or abs(cols - round(cols)) > 1e-6:
            raise ValueError(
                f"ROI {roi.to_list()} is no whole number of cells of {self.cell} m: change RasterizeBEV.cell"
            )
        return round(rows), round(cols)

    def _draw(self, canvas: np.ndarray, lines: list[Polyline], roi: ROI, fill: bool) -> None:
        rings = [self._to_cells(line.points, roi) for line in lines if fill and line.closed]
        strokes = [self._to_cells(line.points, roi) for line in lines if not (fill and line.closed)]
        if rings:
            cv2.fillPoly(canvas, rings, (1,), lineType=cv2.LINE_8, shift=_SHIFT)
        if strokes:
            cv2.polylines(canvas, strokes, False, (1,), self.thickness, lineType=cv2.LINE_8, shift=_SHIFT)

    def _to_cells(self, points: np.ndarray, roi: ROI) -> np.ndarray:
        cells = (points - [roi.x_min, roi.y_min]) / self.cell - 0.5
        return np.round(cells * 2**_SHIFT).astype(np.int32)

    def __repr__(self) -> str:
        return f"RasterizeBEV(cell={self.cell}, thickness={self.thickness}, filled={self.filled})"
