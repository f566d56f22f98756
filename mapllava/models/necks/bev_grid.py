"""The cells of a bird's-eye-view map over the ROI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec


def cell_centres(map_spec: MapSpec, shape: tuple[int, int]) -> Tensor:
    """Centres of the cells, (Y*X, 2) metres, row-major; row 0 lies at y_min, column 0 at x_min."""
    x_min, y_min, x_max, y_max = map_spec.roi.to_list()
    rows, cols = shape
    y = y_min + (torch.arange(rows, dtype=torch.float32) + 0.5) * ((y_max - y_min) / rows)
    x = x_min + (torch.arange(cols, dtype=torch.float32) + 0.5) * ((x_max - x_min) / cols)
    yy, xx = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([xx, yy], dim=-1).reshape(-1, 2)


def heights_in_frame(heights: Mapping | Sequence[float], frame: str) -> tuple[float, list[float]]:
    """Heights as z of a map frame.

    Args:
        heights: ``dict(above_ground=[…], ground={frame: z})``, metres. A plain list is z in the ``lidar``
            frame, its first the ground.
        frame: the map frame.

    Returns:
        z of the ground and z of every height, metres in ``frame``.

    Raises:
        MapLLaVAError: if there is no height, or nothing says where the ground lies in ``frame``.
    """
    if isinstance(heights, Mapping):
        grounds, above = heights.get("ground") or {}, list(heights.get("above_ground") or [])
        levels = [grounds[frame] + height for height in above] if frame in grounds else []
        ground = grounds.get(frame)
    else:
        levels = [float(z) for z in heights] if frame == "lidar" else []
        ground = levels[0] if levels else None
    if ground is None or not levels:
        raise MapLLaVAError(
            f"neck.heights={heights!r} gives no heights in the {frame} frame: write heights=dict("
            "above_ground=[0.0, 0.84], ground=dict(lidar=-1.84, ego=0.0)), metres above the ground and the "
            "ground's z in each map frame"
        )
    return float(ground), levels


def stride_per_axis(token_stride: int | Sequence[int], map_spec: MapSpec) -> tuple[int, int]:
    """BEV cells per query (along y, along x).

    Args:
        token_stride: for both axes, or (along the car, across it).
        map_spec: its frame says which axis runs along the car.

    Raises:
        MapLLaVAError: if it is not one or two whole numbers from 1.
    """
    strides = list(token_stride) if isinstance(token_stride, Sequence) else [token_stride] * 2
    if len(strides) != 2 or any(int(stride) != stride or stride < 1 for stride in strides):
        raise MapLLaVAError(
            f"neck.tokens.stride={token_stride!r} must be one or two whole numbers from 1: BEV cells per "
            "query along the car and across it"
        )
    along, across = map(int, strides)
    return (across, along) if map_spec.forward_axis == 0 else (along, across)
