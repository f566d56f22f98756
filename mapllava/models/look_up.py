"""Bilinear look-ups in feature maps as one sparse matrix product.

The look-ups of all places and corners become one weighted ``embedding_bag`` over the rows of a table. It
reads only the rows that are named, and never holds what was read before the sum, as ``grid_sample`` per
camera would.

Shapes: B batch, R rows of a sample's table, K bags, M rows read per bag, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bilinear_corners(x: Tensor, y: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The four cells around a place and their weights.

    Args:
        x: (...) column in cells, cell centres at integers.
        y: (...) row, likewise.
        grid: rows and columns.

    Returns:
        cells (..., 4) int64 into the row-major grid and weights (..., 4), differentiable in x and
        y; a corner outside the grid weighs nothing, as in ``grid_sample`` with zero padding. A place
        that is NaN or infinite has NaN weights, of some cell of the grid.
    """
    rows, cols = grid
    x0, y0 = x.detach().floor(), y.detach().floor()
    fx, fy = x - x0, y - y0
    cx, cy = torch.stack([x0, x0 + 1], -1), torch.stack([y0, y0 + 1], -1)
    wx = torch.stack([1 - fx, fx], -1) * ((cx >= 0) & (cx <= cols - 1))
    wy = torch.stack([1 - fy, fy], -1) * ((cy >= 0) & (cy <= rows - 1))
    # Outside of the grid the weight is 0 and any row will do; clamped, so that it can be looked up. NaN, too,
    # becomes some integer, and its weight stays NaN
    rows_in, cols_in = cy.long().clamp(0, rows - 1), cx.long().clamp(0, cols - 1)
    cells = rows_in.unsqueeze(-1) * cols + cols_in.unsqueeze(-2)  # (..., 2, 2)
    return cells.flatten(-2), (wy.unsqueeze(-1) * wx.unsqueeze(-2)).flatten(-2)


def gather_rows(table: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a table's rows.

    Args:
        table: (B, R, C).
        indices: (B, K, M) int64 into the R rows of the sample.
        weights: (B, K, M).

    Returns:
        (B, K, C) in float32.
    """
    batch, bags, _ = indices.shape
    # A batch is one table of B*R rows: sample b's start at b*R
    offsets = torch.arange(batch, device=table.device).view(-1, 1, 1) * table.shape[1]
    gathered = F.embedding_bag(
        (indices + offsets).flatten(0, 1),
        table.flatten(0, 1).float(),
        per_sample_weights=weights.flatten(0, 1).float(),
        mode="sum",
    )
    return gathered.view(batch, bags, -1)
