"""Position embedding of patches by their viewing rays in the map frame.

Shapes: B batch, N cameras, P = h*w patches, K depths, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.models.camera import Cameras
from mapllava.models.precision import full_precision
from mapllava.registry import MODELS

_EPS = 1e-3  # keeps the inverse sigmoid within ±6.9


def depth_samples(near: float, far: float, count: int, spacing: str) -> Tensor:
    """Depths along a ray in metres, (count,), from ``near`` towards ``far``.

    Args:
        near: first depth.
        far: end of the range.
        count: number of depths.
        spacing: ``uniform``, or ``lid`` for steps that grow linearly with the index.

    Raises:
        ValueError: for another spacing or an empty range.
    """
    if not 0 <= near < far or count < 1:
        raise ValueError(f"no depths from {near} to {far} m in {count} steps")
    index = torch.arange(count, dtype=torch.float32)
    if spacing == "uniform":
        return near + (far - near) * index / count
    if spacing == "lid":
        return near + (far - near) * index * (index + 1) / (count * (count + 1))
    raise ValueError(f"spacing '{spacing}' is neither 'uniform' nor 'lid'")


@MODELS.register_module()
class RayEncoding(BaseModule):
    """Points along each patch's viewing ray, in the map frame, through a small network.

    Everything is computed in float32, also under autocast.

    Source: PETR, arXiv:2203.05625, section 3.3 (3D position encoder).

    Args:
        out_channels: C (given by the neck).
        num_depths: K, points per ray.
        depth_range: (near, far) in metres.
        spacing: ``lid`` or ``uniform``.
        position_range: (x_min, y_min, z_min, x_max, y_max, z_max) in metres of the map frame that
            becomes [0, 1]; points outside are clamped to it.
        hidden_dims: width of the network, C if None.

    Raises:
        ValueError: if a range is empty.
    """

    depths: Tensor
    lower: Tensor
    extent: Tensor

    def __init__(
        self,
        out_channels: int,
        num_depths: int = 64,
        depth_range: Sequence[float] = (1.0, 61.0),
        spacing: str = "lid",
        position_range: Sequence[float] = (-61.0, -61.0, -10.0, 61.0, 61.0, 10.0),
        hidden_dims: int | None = None,
    ) -> None:
        super().__init__()
        lower, upper = torch.tensor(position_range, dtype=torch.float32).view(2, 3)
        if not lower.is_meta and not bool((upper > lower).all()):
            raise ValueError(f"position_range {tuple(position_range)} is empty along an axis")
        near, far = depth_range
        depths = depth_samples(near, far, num_depths, spacing)
        self.register_buffer("depths", depths, persistent=False)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("extent", upper - lower, persistent=False)
        hidden_dims = hidden_dims or out_channels
        self.mlp = nn.Sequential(
            nn.Linear(3 * num_depths, hidden_dims), nn.ReLU(), nn.Linear(hidden_dims, out_channels)
        )

    def forward(self, cameras: Cameras, grid: tuple[int, int]) -> Tensor:
        """Encode the rays of a patch grid (h, w): (B, N, P, C) float32."""
        with full_precision(self.depths):
            origin, direction = cameras.patch_rays(grid)
            # (B, N, P, K, 3) metres, then in [0, 1], then (B, N, P, 3 * K) in inverse-sigmoid space
            points = origin.unsqueeze(3) + direction.unsqueeze(3) * self.depths[:, None]
            place = ((points - self.lower) / self.extent).clamp(_EPS, 1 - _EPS)
            return self.mlp(torch.logit(place).flatten(3))
