"""Which patches a point on the ground reads: those around its projections into the cameras.

Shapes: B batch, N cameras, K points, V views per point, P = h*w patches, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mapllava.models.camera import Cameras
from mapllava.models.look_up import bilinear_corners

NEAR_PLANE = 0.5  # metres; nearer to a camera a projection is not read


def bilinear_footprint(
    points: Tensor, cameras: Cameras, grid: tuple[int, int], num_views: int = 2
) -> tuple[Tensor, Tensor]:
    """Where to read each point in the patch features, and with which weights.

    A point seen by several cameras is averaged over the ``num_views`` that see it most centrally;
    one that none sees has all weights zero. A rig of fewer cameras has that many views.

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
    pixels, depth = cameras.project(points)  # (B, N, K, 2) and (B, N, K)
    # to patch coordinates: both grids have their centres at integers
    x = (pixels[..., 0] + 0.5) * (cols / width) - 0.5
    y = (pixels[..., 1] + 0.5) * (rows / height) - 0.5
    seen = (depth > NEAR_PLANE) & (x >= -0.5) & (x <= cols - 0.5) & (y >= -0.5) & (y <= rows - 0.5)
    # The V cameras that see a point most centrally, (B, V, K); rank -1 marks one that does not see it
    views = min(num_views, x.shape[1])
    centrality = 1.0 - (2.0 * (x + 0.5) / cols - 1.0).abs()
    rank, chosen = torch.where(seen, centrality, torch.full_like(x, -1.0)).topk(views, dim=1)
    x, y = x.gather(1, chosen).clamp(0, cols - 1), y.gather(1, chosen).clamp(0, rows - 1)
    visible = (rank >= 0).float()
    visible = visible / visible.sum(1, keepdim=True).clamp(min=1.0)

    corners, shares = bilinear_corners(x, y, grid)  # (B, V, K, 4)
    # Patches of all cameras are one table, camera n's start at n * h * w
    indices = (chosen * (rows * cols)).unsqueeze(-1) + corners
    weights = visible.unsqueeze(-1) * shares
    batch, num_points = indices.shape[0], indices.shape[2]
    return (
        indices.permute(0, 2, 1, 3).reshape(batch, num_points, -1),
        weights.permute(0, 2, 1, 3).reshape(batch, num_points, -1),
    )
