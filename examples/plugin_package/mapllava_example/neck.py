"""A neck of one's own: average-pooled patches with their viewing rays, no Q-Former.

Shapes: B batch, N cameras, P = h*w patches, C patch channels, S scene tokens, D token channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.models.camera import Cameras
from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec


@MODELS.register_module()
class PooledNeck(MapNeck):
    """Scene tokens are pooled patches, each with its viewing ray's origin and direction.

    Args:
        in_channels: C (given by the detector).
        map_spec: frame, ROI and classes (given by the detector; unused here).
        embed_dims: D.
        tokens_per_camera: rows and columns each camera is pooled to.
    """

    def __init__(
        self, in_channels: int, map_spec: MapSpec, embed_dims: int, tokens_per_camera: tuple[int, int]
    ) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.grid = tuple(tokens_per_camera)
        self.project = nn.Linear(in_channels, embed_dims)
        self.rays = nn.Sequential(nn.Linear(6, embed_dims), nn.ReLU(), nn.Linear(embed_dims, embed_dims))

    def forward(self, feats: Tensor, grid: tuple[int, int], cameras: Cameras) -> NeckOutput:
        """Patch features (B, N, P, C) to scene tokens (B, N * rows * columns, D)."""
        batch, views = feats.shape[:2]
        image = feats.flatten(0, 1).transpose(1, 2).unflatten(-1, grid)
        pooled = F.adaptive_avg_pool2d(image, self.grid).flatten(2).transpose(1, 2)
        origin, direction = cameras.patch_rays(self.grid)
        rays = self.rays(torch.cat([origin.expand_as(direction), F.normalize(direction, dim=-1)], dim=-1))
        tokens = self.project(pooled).view(batch, views, -1, self.embed_dims) + rays
        return NeckOutput(tokens.flatten(1, 2))
