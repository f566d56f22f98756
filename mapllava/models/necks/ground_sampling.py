"""Looking where a place projects: image features gathered at the projections of 3-D points.

The bilinear look-ups of all points, cameras and corners become one weighted ``embedding_bag``,
a sparse matrix product that costs only the samples that are seen.

Shapes: B batch, N cameras, K points, V views looked at per point, P = h*w patches, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mapllava.models.camera import Cameras

NEAR_PLANE = 0.5  # metres: nothing nearer to a camera than this is looked at


def bilinear_footprint(
    points: Tensor, cameras: Cameras, grid: tuple[int, int], num_views: int = 2
) -> tuple[Tensor, Tensor]:
    """Where to read each point in the patch features, and with which weights.

    A point seen by several cameras is averaged over the ``num_views`` that see it most centrally;
    one that none sees has all weights zero.

    Args:
        points: (K, 3) metres in the map frame.
        cameras: the views.
        grid: patch grid (h, w).
        num_views: V, the most views averaged per point.

    Returns:
        indices (B, K, V*4) int64 into the (N*P) patches of a sample, weights (B, K, V*4) float32.
    """
    rows, cols = grid
    height, width = cameras.img_hw
    pixels, depth = cameras.project(points)
    # to patch coordinates: both grids have their centres at integers
    x = (pixels[..., 0] + 0.5) * (cols / width) - 0.5
    y = (pixels[..., 1] + 0.5) * (rows / height) - 0.5
    seen = (depth > NEAR_PLANE) & (x >= -0.5) & (x <= cols - 0.5) & (y >= -0.5) & (y <= rows - 0.5)
    centrality = 1.0 - (2.0 * (x + 0.5) / cols - 1.0).abs()
    rank, chosen = torch.where(seen, centrality, torch.full_like(x, -1.0)).topk(num_views, dim=1)
    x, y = x.gather(1, chosen).clamp(0, cols - 1), y.gather(1, chosen).clamp(0, rows - 1)
    visible = (rank >= 0).float()
    visible = visible / visible.sum(1, keepdim=True).clamp(min=1.0)

    x0, y0 = x.floor().clamp(max=max(cols - 2, 0)), y.floor().clamp(max=max(rows - 2, 0))
    fx, fy = x - x0, y - y0
    x1, y1 = (x0 + 1).clamp(max=cols - 1), (y0 + 1).clamp(max=rows - 1)
    base = chosen * (rows * cols)
    corners = [
        (y0, x0, (1 - fy) * (1 - fx)),
        (y0, x1, (1 - fy) * fx),
        (y1, x0, fy * (1 - fx)),
        (y1, x1, fy * fx),
    ]
    indices = torch.stack([base + (cy * cols + cx).long() for cy, cx, _ in corners], dim=-1)
    weights = torch.stack([visible * w for _, _, w in corners], dim=-1)
    batch, num_points = indices.shape[0], indices.shape[2]
    return (
        indices.permute(0, 2, 1, 3).reshape(batch, num_points, -1),
        weights.permute(0, 2, 1, 3).reshape(batch, num_points, -1),
    )


def gather_patches(feats: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of patch features.

    Args:
        feats: (B, N, P, C).
        indices: (B, K, M) int64 into the N*P patches of the sample.
        weights: (B, K, M).

    Returns:
        (B, K, C) in float32.
    """
    batch, num_points, _ = indices.shape
    table = feats.flatten(1, 2)
    offsets = torch.arange(batch, device=feats.device).view(-1, 1, 1) * table.shape[1]
    gathered = F.embedding_bag(
        (indices + offsets).flatten(0, 1),
        table.flatten(0, 1).float(),
        per_sample_weights=weights.flatten(0, 1).float(),
        mode="sum",
    )
    return gathered.view(batch, num_points, -1)
