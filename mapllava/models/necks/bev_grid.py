"""The grid of cells that a bird's-eye-view map divides the ROI into."""

from __future__ import annotations

import torch
from torch import Tensor

from mapllava.structures.frames import MapSpec


def cell_centres(map_spec: MapSpec, shape: tuple[int, int]) -> Tensor:
    """Centres of the cells, (Y*X, 2) metres, row-major; row 0 lies at y_min, column 0 at x_min."""
    x_min, y_min, x_max, y_max = map_spec.roi.to_list()
    rows, cols = shape
    y = y_min + (torch.arange(rows, dtype=torch.float32) + 0.5) * ((y_max - y_min) / rows)
    x = x_min + (torch.arange(cols, dtype=torch.float32) + 0.5) * ((x_max - x_min) / cols)
    yy, xx = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([xx, yy], dim=-1).reshape(-1, 2)
