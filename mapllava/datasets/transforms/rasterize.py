"""Polylines drawn into a bird's-eye-view grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.errors import MapLLaVAError
from mapllava.geometry.raster import cut_at_edge, draw_areas, draw_lines
from mapllava.registry import TRANSFORMS
from mapllava.structures.frames import AREA_CLASSES, ROI, MapSpec
from mapllava.structures.map_elements import Polyline


@TRANSFORMS.register_module()
class RasterizeBEV(BaseTransform):
    """Draw the raw polylines into one grid per class, the target of BEV segmentation.

    Cell (row, col) has its centre at ``y_min + (row + 0.5) * cell`` and ``x_min + (col + 0.5) * cell``,
    as in the neck's grid: row 0 is ``y_min`` and column 0 ``x_min``, nothing is turned over. The centre
    decides (:mod:`mapllava.geometry.raster`): a class in ``filled`` has the cells whose centre lies
    inside its rings, by the even-odd rule, so that holes stay empty; any other line those whose centre
    lies within half its width. What is smaller than a cell may have none.

    An open line of a class in ``filled`` that begins and ends at the ROI's edge is an outline cut there, and
    its area is filled up to the edge: on its right as the GT cache has it, on the left of a mirrored
    sample; of ``AREA_CLASSES``, which are small, on the smaller side. An area that covers the whole ROI
    leaves no outline, and nothing to fill; the outline of a hole in such an area is taken for an area's.

    Required Keys:

    - map_spec; polylines: list of Polyline, metres

    Optional Keys:

    - flip: whether the sample is mirrored

    Added Keys:

    - gt_bev: (C, Y, X) uint8, 1 on the map element, 0 elsewhere
    - bev_cell: edge of a cell, metres

    Args:
        cell: Edge of a cell, metres; the ROI must be a whole number of cells.
        thickness: Width of the lines, cells.
        filled: Classes whose outlines are filled, in place of drawn; by default those of
            :data:`~mapllava.structures.frames.AREA_CLASSES` that the map specification has.

    Raises:
        ValueError: If an argument is not valid.
        MapLLaVAError: If the ROI is not a whole number of cells, or ``filled`` names a class that the map
            specification lacks.
    """

    def __init__(self, cell: float = 1.0, thickness: int = 1, filled: Sequence[str] | None = None) -> None:
        if not cell > 0:
            raise ValueError(f"RasterizeBEV.cell is {cell!r}: it must be positive, metres")
        if int(thickness) != thickness or thickness < 1:
            raise ValueError(f"RasterizeBEV.thickness is {thickness!r}: use whole cells >= 1")
        if isinstance(filled, str):
            raise ValueError(f"RasterizeBEV.filled is {filled!r}: it must be a list of class names")
        self.cell, self.thickness, self.filled = float(cell), int(thickness), filled

    def check_map_spec(self, map_spec: MapSpec) -> None:
        """Refuse a map specification that this cannot draw.

        Raises:
            MapLLaVAError: See the class.
        """
        map_spec.roi.grid_shape(self.cell)
        unknown = [name for name in self.filled or () if name not in map_spec.classes]
        if unknown:
            raise MapLLaVAError(f"RasterizeBEV.filled names {unknown}; map_spec has {list(map_spec.classes)}")

    def transform(self, results: dict) -> dict:
        """Draw every class."""
        map_spec = results["map_spec"]
        self.check_map_spec(map_spec)
        filled = AREA_CLASSES if self.filled is None else self.filled
        grid = np.zeros((map_spec.num_classes, *map_spec.roi.grid_shape(self.cell)), dtype=np.uint8)
        for label, name in enumerate(map_spec.classes):
            lines = [line for line in results["polylines"] if line.label == label]
            right = None if name in AREA_CLASSES else not results.get("flip", False)
            grid[label] = self._draw(lines, map_spec.roi, name in filled, right)
        results["gt_bev"], results["bev_cell"] = grid, self.cell
        return results

    def _draw(self, lines: list[Polyline], roi: ROI, fill: bool, right: bool | None) -> np.ndarray:
        rings: list[np.ndarray] = []
        cut: list[np.ndarray] = []
        strokes: list[np.ndarray] = []
        for line in lines:
            outline = rings if line.closed else cut if cut_at_edge(line.points, roi) else strokes
            (outline if fill else strokes).append(line.points)
        drawn = draw_lines(strokes, roi, self.thickness * self.cell, self.cell)
        if rings or cut:
            drawn |= draw_areas(rings, cut, roi, self.cell, right)
        return drawn

    def __repr__(self) -> str:
        return f"RasterizeBEV(cell={self.cell}, thickness={self.thickness}, filled={self.filled})"
