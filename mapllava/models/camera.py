"""Cameras as the model sees them: one projection per view, and the geometry that follows from it.

Shapes: B batch, N cameras, K points, P = h*w patches (row-major).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Cameras:
    """The calibrated views of a batch, after resizing and cropping.

    Attributes:
        lidar2img: (B, N, 4, 4) float32, homogeneous map-frame metres to (u*d, v*d, d, 1), with
            pixel centres at integer (u, v).
        img_hw: (H, W) in pixels of the network's input.
    """

    lidar2img: Tensor
    img_hw: tuple[int, int]

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project map-frame points into every camera.

        Args:
            points: (K, 3) metres.

        Returns:
            (B, N, K, 2) pixel coordinates (undefined where the depth is not positive) and
            (B, N, K) depths in metres.
        """
        homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], dim=-1).float()
        projected = torch.einsum("bnij,kj->bnki", self.lidar2img.float(), homogeneous)
        depth = projected[..., 2]
        return projected[..., :2] / depth.clamp(min=1e-3).unsqueeze(-1), depth

    def patch_centres(self, grid: tuple[int, int]) -> Tensor:
        """Pixel coordinates of the patch centres, (P, 2), for a patch grid (h, w)."""
        (height, width), (rows, cols) = self.img_hw, grid
        device = self.lidar2img.device
        v = (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * (height / rows) - 0.5
        u = (torch.arange(cols, device=device, dtype=torch.float32) + 0.5) * (width / cols) - 0.5
        vv, uu = torch.meshgrid(v, u, indexing="ij")
        return torch.stack([uu, vv], dim=-1).reshape(-1, 2)

    def patch_rays(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Viewing ray of every patch centre in the map frame.

        Returns:
            origins (B, N, 1, 3) in metres and directions (B, N, P, 3), scaled so that
            ``origin + d * direction`` has depth d in its camera.
        """
        pixels = self.patch_centres(grid)
        # The inverse takes (u d, v d, d, 1) back to metres: its last column is the camera's place (d = 0),
        # its first three times (u, v, 1) are the way that a ray goes per metre of depth
        inverse = torch.linalg.inv(self.lidar2img.float())
        rotation, origin = inverse[..., :3, :3], inverse[..., :3, 3]
        image = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=-1)
        directions = torch.einsum("bnij,pj->bnpi", rotation, image)
        return origin.unsqueeze(2), directions
